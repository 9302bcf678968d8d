// Keys and rows of the page; what they mean is decided in Python (workspace.py).
(() => {
  const root = () => document.getElementById("vl");
  const tell = (name, detail) => root()?.dispatchEvent(new CustomEvent(name, { detail }));
  const act = (...what) => tell("act", what);
  const isTyping = (target) => target.closest("input[type=text], textarea, select, [role=alertdialog]");
  let anchor = 0;
  let underway = null; // the row to which keys have gone while the server has not said so yet

  // ---- rows of the table: click, Ctrl or Shift with click, arrows ----
  const rows = () => [...document.querySelectorAll(".point")];
  const selected = () => rows().flatMap((row, index) => (row.dataset.selected === "true" ? [index] : []));
  // the server is told keys, as its rows may be others by now
  const select = (indices) => act("select", indices.flatMap((index) => rows()[index]?.dataset.key ?? []));
  const go = (index) => act("go", rows()[index].dataset.key);
  const shown = () => {
    const id = document.getElementById("points-table")?.getAttribute("aria-activedescendant");
    return id ? +id.slice("point-".length) : -1;
  };
  const current = () => underway ?? shown();
  const span = (from, to) => {
    const step = from <= to ? 1 : -1;
    return Array.from({ length: Math.abs(to - from) + 1 }, (_, i) => from + i * step);
  };

  document.addEventListener("click", (event) => {
    const row = event.target.closest(".point");
    if (!row || event.target.matches("input") || event.detail > 1) return; // of a double click the first one counts
    const index = rows().indexOf(row);
    if (event.shiftKey) select(span(anchor, index));
    else if (event.ctrlKey || event.metaKey) {
      const others = selected().filter((other) => other !== index);
      select(selected().includes(index) ? others : [...others, index]);
    } else go(index);
    underway = null;
    if (!event.shiftKey) anchor = index;
  });

  const inTable = (event) => {
    const last = rows().length - 1;
    if (last < 0) return false;
    const goals = { ArrowUp: current() - 1, ArrowDown: current() + 1, PageUp: current() - 8, PageDown: current() + 8, Home: 0, End: last };
    if (event.key in goals) {
      const goal = Math.max(0, Math.min(last, goals[event.key]));
      if (event.shiftKey) select(span(anchor, goal));
      else { anchor = goal; go(goal); }
      underway = goal === shown() ? null : goal; // of a row that is there already the server says nothing
      return true;
    }
    underway = null;
    if (event.key === "Enter" || event.key === "F2") { rename(rows()[shown()]); return true; }
    if (event.key === "Delete") { act("delete"); return true; }
    if (event.key === "l" || event.key === "L") { act("toggleLock"); return true; }
    return false;
  };

  // ---- another name, typed into the table ----
  const rename = (row) => {
    if (!row) return;
    // while a run goes on its result could come between the letters; the server tells so
    if (row.closest("[aria-disabled=true]")) act("rename", row.dataset.key, row.dataset.name);
    else tell("rename", row.dataset.key);
  };
  const renamed = (field, takes) => {
    if (field.dataset.done) return;
    field.dataset.done = "true";
    const row = field.closest(".point");
    const name = field.value.trim();
    tell("rename", ""); // the field goes
    if (takes && name && name !== row.dataset.name) act("rename", row.dataset.key, name);
  };
  document.addEventListener("dblclick", (event) => rename(event.target.closest(".point .name")?.closest(".point")));
  document.addEventListener("focusout", (event) => event.target.matches?.(".rename") && renamed(event.target, true));
  document.addEventListener("input", (event) => {
    const isChosen = event.inputType === "insertReplacementText" || !(event instanceof InputEvent); // from the list
    if (!isChosen || !event.target.matches(".rename")) return;
    renamed(event.target, true);
    document.getElementById("points-table").focus();
  });
  document.addEventListener("keydown", (event) => {
    if (!event.target.matches?.(".rename") || !["Enter", "Escape"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    const table = document.getElementById("points-table");
    renamed(event.target, event.key === "Enter");
    table.focus();
  }, true);

  // ---- a view that has the focus ----
  const ARROWS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"];
  const STEPS = { ArrowUp: 1, ArrowDown: -1, ArrowRight: 1, ArrowLeft: -1, PageUp: 5, PageDown: -5 };
  const ZOOMS = { "+": 1, "=": 1, "-": -1 };
  const inView = (event, { view, edges }) => {
    if (event.ctrlKey || event.metaKey) return false;
    if (event.altKey && edges && ARROWS.includes(event.key)) act("nudge", edges[ARROWS.indexOf(event.key)]);
    else if (event.altKey) return false;
    else if (event.key in STEPS) act("scroll", view, STEPS[event.key]);
    else if (event.key in ZOOMS) act("zoom", view, ZOOMS[event.key]);
    else return false;
    return true;
  };
  // before the view itself, which would send the key to VTK
  document.addEventListener("keydown", (event) => {
    const view = event.target.closest?.("[data-view]");
    if (!view || document.querySelector("[role=alertdialog]") || !inView(event, view.dataset)) return;
    event.preventDefault();
    event.stopPropagation();
  }, true);

  const everywhere = (event) => {
    const command = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    if (command && key === "arrowup") act("shiftUp");
    else if (command && key === "arrowdown") act("shiftDown");
    else if (key === "y" || (command && event.shiftKey && key === "z")) act("redo");
    else if (key === "z") act("undo");
    else if (key === "?") tell("keys", !document.querySelector(".keys"));
    else if (key === "escape" && document.querySelector(".keys")) tell("keys", false);
    else return false;
    return true;
  };

  document.addEventListener("keydown", (event) => {
    const question = document.querySelector("[role=alertdialog]");
    if (question) {
      if (event.key === "Escape") act("answer", +question.dataset.number, false);
      return;
    }
    if (!root() || event.altKey || isTyping(event.target)) return;
    const plain = !event.ctrlKey && !event.metaKey;
    if (everywhere(event) || (plain && event.target.closest("#points-table") && inTable(event))) event.preventDefault();
  });

  // ---- a tab that has lost its place says so itself; what its views still ask for then is no mistake ----
  const NOT_CONNECTED = -32099;
  window.addEventListener("unhandledrejection", (event) => {
    if (event.reason?.code === NOT_CONNECTED) event.preventDefault();
  });

  // ---- what follows the page: the marked row in sight, the focus in a dialog and back ----
  document.addEventListener("click", (event) => {
    if (event.target.closest(".keys > button")) document.querySelector("[data-testid=keys-button]")?.focus();
  });
  let before = null;
  let focused = null;
  new MutationObserver(() => {
    const field = document.querySelector("[data-autofocus=rename]");
    if (field && field !== focused) { field.focus(); field.select(); }
    focused = field;
    const question = document.querySelector("[data-autofocus=question]");
    if (question && !document.activeElement?.closest("[role=alertdialog]")) {
      before = before ?? document.activeElement;
      question.focus();
    } else if (!question && before) {
      before.focus?.();
      before = null;
    }
  }).observe(document.documentElement, { childList: true, subtree: true });
  let seen = "";
  new MutationObserver(() => {
    const table = document.getElementById("points-table");
    const id = table?.getAttribute("aria-activedescendant") ?? "";
    if (id === seen) return;
    seen = id;
    if (id === `point-${underway}`) underway = null;
    document.getElementById(id)?.scrollIntoView({ block: "nearest" });
  }).observe(document.documentElement, { attributes: true, subtree: true, attributeFilter: ["aria-activedescendant"] });
})();
