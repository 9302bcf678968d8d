// Files for the viewer: chosen, or dropped anywhere on the page, also as folders.  What they are is decided in Python.
(() => {
  const root = () => document.getElementById("vl");
  const NOBODYS = /^(\.|__macosx$|desktop\.ini$|thumbs\.db$)/i; // what systems leave in folders, and all that is hidden

  // ---- sending: [file, its place] ----
  const isTaken = async (address, body) => {
    try {
      return (await fetch(address, { method: "POST", body })).ok;
    } catch {
      return false; // the server has told why in the page, or it is gone and the page says so
    }
  };
  const send = async (files, count = files.length) => {
    const bytes = files.reduce((sum, [file]) => sum + file.size, 0);
    if (!(await isTaken(`announce?files=${count}&bytes=${bytes}`))) return;
    const form = new FormData();
    for (const [file, place] of files) form.append("file", file, place);
    await isTaken("upload", form);
  };

  // ---- what is in a dropped folder; what cannot be read fails with its name ----
  const fileOf = (entry) => new Promise((done, failed) => entry.file(done, () => failed(entry.name)));
  const nextOf = (reader, { name }) => new Promise((done, failed) => reader.readEntries(done, () => failed(name)));
  const collect = async (entry, place, found) => {
    if (NOBODYS.test(entry.name) || found.isFull()) return;
    found.seen += 1;
    if (entry.isFile) { found.files.push([await fileOf(entry), place]); return; }
    const reader = entry.createReader();
    // a reader gives some 100 entries at a time, and none at the end
    for (let some = await nextOf(reader, entry); some.length && !found.isFull(); some = await nextOf(reader, entry))
      for (const below of some) await collect(below, `${place}/${below.name}`, found);
  };
  const sendDropped = async (items) => {
    const most = +document.getElementById("file-input")?.dataset.most; // more are refused, so nobody looks further
    const found = { files: [], seen: 0, isFull: () => found.seen > most };
    try {
      for (const [number, { entry, file }] of items.entries()) {
        if (entry?.isDirectory) await collect(entry, `${number}/${entry.name}`, found);
        else if (file) found.files.push([file, file.name]);
      }
    } catch (name) {
      isTaken(`announce?unread=${encodeURIComponent(name)}`);
      return;
    }
    send(found.files, found.isFull() ? found.seen : undefined);
  };

  document.addEventListener("change", (event) => {
    if (event.target.id !== "file-input") return;
    send([...event.target.files].map((file) => [file, file.name]));
    event.target.value = "";
  });
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  for (const kind of ["dragenter", "dragover"]) document.addEventListener(kind, (event) => {
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
    const items = [...event.dataTransfer.items].filter((item) => item.kind === "file");
    // at once: after this event the items are empty
    sendDropped(items.map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() })));
  });
})();
