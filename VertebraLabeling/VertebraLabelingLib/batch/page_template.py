"""The page of a batch run as it is before the scans are filled in: style, table head and the script that sorts.

A `string.Template`; every value is HTML already.
"""

TEMPLATE = r"""<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Vertebra labelling: $title</title>
<style>
:root {
  --line: #d8dde3; --faint: #5b6672; --text: #1b2229; --page: #ffffff; --band: #f4f6f8; --bad: #b3261e; --doubt:
  #8a5a00;
}
body {
  margin: 1.5rem; font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: var(--text);
  background: var(--page);
}
h1 { margin: 0; font-size: 1.4rem; }
header p { margin: .25rem 0; color: var(--faint); }
nav { margin: 1rem 0; display: flex; flex-wrap: wrap; gap: .4rem; align-items: center; }
nav button, nav input {
  font: inherit; padding: .25rem .7rem; border: 1px solid var(--line); border-radius: 1rem; background:
  var(--page); color: inherit;
}
nav button { cursor: pointer; }
nav button[aria-pressed="true"] { background: var(--text); color: var(--page); }
nav input { flex: 1; min-width: 8rem; max-width: 20rem; }
table { border-collapse: collapse; width: 100%; }
th {
  position: sticky; top: 0; background: var(--band); text-align: left; padding: 0; border-bottom: 1px solid
  var(--line);
}
th:first-child { padding: .5rem; font-weight: 600; }
th button { all: unset; cursor: pointer; display: block; padding: .5rem; font-weight: 600; }
th button:focus-visible, a:focus-visible { outline: 2px solid #1a6fd4; outline-offset: -2px; }
th[aria-sort="ascending"] button::after { content: " \2191"; }
th[aria-sort="descending"] button::after { content: " \2193"; }
td { padding: .5rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td p { margin: 0 0 .25rem; max-width: 34rem; overflow-wrap: anywhere; }
td img { display: block; max-width: 190px; max-height: 190px; border-radius: 3px; }
td.name { overflow-wrap: anywhere; max-width: 22rem; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
td.state { white-space: nowrap; }
tr.failed td { background: #fdf1f0; }
tr.failed td.state { color: var(--bad); font-weight: 600; box-shadow: inset 3px 0 var(--bad); }
tr.level-unsure td.state, tr.uncertain td.state { box-shadow: inset 3px 0 #e0a100; }
tr.level-unsure td:nth-child(6), tr.uncertain td:nth-child(7) { color: var(--doubt); font-weight: 600; }
tr.waiting td { color: var(--faint); }
a { color: #0b57c2; }
[hidden] { display: none !important; }
</style>
</head>
<body>
<header>
<h1>$title</h1>
<p>Written $written by vertebra-labeling $version. The same as a table: <a href="$summary">summary.csv</a>.</p>
<p>Research software, not a medical device: every labelling needs a look by someone who can count vertebrae.</p>
</header>
<nav aria-label="Choose scans">$filters
<input type="search" placeholder="part of a name" aria-label="Part of a name"></nav>
<table>
<thead><tr>$columns</tr></thead>
<tbody>
$rows
</tbody>
</table>
<script>
"use strict";
const body = document.querySelector("tbody");
const search = document.querySelector("nav input");
const filters = [...document.querySelectorAll("nav button")];
function choose() {
  const kind = filters.find(button => button.getAttribute("aria-pressed") === "true").dataset.kind;
  const part = search.value.toLowerCase();
  for (const row of body.rows) {
    const named = row.cells[1].textContent.toLowerCase().includes(part);
    row.hidden = !named || (kind !== "" && !row.classList.contains(kind));
  }
}
for (const button of filters) {
  button.addEventListener("click", () => {
    filters.forEach(other => other.setAttribute("aria-pressed", String(other === button)));
    choose();
  });
}
search.addEventListener("input", choose);
function compare(a, b) {
  return a !== "" && b !== "" && !isNaN(a) && !isNaN(b) ? a - b : a.localeCompare(b);
}
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement;
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentElement.cells) {
      if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
    }
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = row => row.cells[head.cellIndex].dataset.value;
    const sorted = [...body.rows].sort((a, b) => compare(value(a), value(b)) * (up ? 1 : -1));
    body.append(...sorted);
  });
}
</script>
</body>
</html>
"""
