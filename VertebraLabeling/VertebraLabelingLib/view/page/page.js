// Keys, dropped files and rows of the page; what they mean is decided in Python (workspace.py).
(() => {
  const root = () => document.getElementById("vl");
  const act = (...what) => root()?.dispatchEvent(new CustomEvent("act", { detail: what }));
  const isTyping = (target) => target.closest("input[type=text], textarea, select, [role=alertdialog]");
  let anchor = 0;
  let underway = null; // the row to which keys have gone while the server has not said so yet

  // ---- rows of the table: click, Ctrl or Shift with click, arrows ----
  const rows = () => [...document.querySelectorAll(".point")];
  const selected = () => rows().filter((row) => row.dataset.selected === "true").map((row) => +row.dataset.row);
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
    if (!row || event.target.matches("input")) return;
    const index = +row.dataset.row;
    if (event.shiftKey) act("select", span(anchor, index));
    else if (event.ctrlKey || event.metaKey) {
      const others = selected().filter((other) => other !== index);
      act("select", selected().includes(index) ? others : [...others, index]);
    } else act("go", index);
    underway = null;
    if (!event.shiftKey) anchor = index;
  });

  const inTable = (event) => {
    const last = rows().length - 1;
    if (last < 0) return false;
    const goals = { ArrowUp: current() - 1, ArrowDown: current() + 1, PageUp: current() - 8, PageDown: current() + 8, Home: 0, End: last };
    if (event.key in goals) {
      const goal = Math.max(0, Math.min(last, goals[event.key]));
      if (event.shiftKey) act("select", span(anchor, goal));
      else { anchor = goal; act("go", goal); }
      underway = goal === shown() ? null : goal; // of a row that is there already the server says nothing
      return true;
    }
    underway = null;
    if (event.key === "Delete") { act("delete"); return true; }
    if (event.key === "l" || event.key === "L") { act("toggleLock"); return true; }
    return false;
  };

  const everywhere = (event) => {
    const command = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    if (command && key === "arrowup") act("shiftUp");
    else if (command && key === "arrowdown") act("shiftDown");
    else if (key === "y" || (command && event.shiftKey && key === "z")) act("redo");
    else if (key === "z") act("undo");
    else return false;
    return true;
  };

  document.addEventListener("keydown", (event) => {
    const question = document.querySelector("[role=alertdialog]");
    if (question) {
      if (event.key === "Escape") act("answer", false);
      return;
    }
    if (!root() || event.altKey || isTyping(event.target)) return;
    const plain = !event.ctrlKey && !event.metaKey;
    if (everywhere(event) || (plain && event.target.closest("#points-table") && inTable(event))) event.preventDefault();
  });

  // ---- files: chosen or dropped anywhere ----
  const upload = async (files) => {
    if (!files.length) return;
    const form = new FormData();
    for (const file of files) form.append("file", file, file.name);
    try {
      await fetch("upload", { method: "POST", body: form });
    } catch {
      // the server has told why in the page, or it is gone and the page says so
    }
  };
  document.addEventListener("change", (event) => {
    if (event.target.id !== "file-input") return;
    upload([...event.target.files]);
    event.target.value = "";
  });
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    root()?.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) root()?.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    root()?.classList.remove("dropping");
    upload([...event.dataTransfer.files]);
  });

  // ---- a tab that has lost its place says so itself; what its views still ask for then is no mistake ----
  const NOT_CONNECTED = -32099;
  window.addEventListener("unhandledrejection", (event) => {
    if (event.reason?.code === NOT_CONNECTED) event.preventDefault();
  });

  // ---- what follows the page: the marked row in sight, the focus in a dialog and back ----
  let before = null;
  new MutationObserver(() => {
    const question = document.querySelector("[data-autofocus]");
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
