"""The shipped networks and a small phantom labelled by them, once per session, and the table of what was tried."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzzing import SEED, SEED_VARIABLE, Worker
from phantoms import small_phantom
from trust_support import FixedMethod
from VertebraLabelingLib import options, predict
from VertebraLabelingLib.options import Labeller
from VertebraLabelingLib.pipeline import LabelledScan

from training.phantom import Phantom

COLUMNS = ("cases", "failed tests", "crashes", "hangs", "half_written", "kills", "lost")


@pytest.fixture(scope="session")
def labeller() -> Labeller:
    """The default method with the weights that ship, on the CPU."""
    return Labeller.load(predict.parser().parse_args(["label", "ct", "--output", "a.mrk.json", "--device", "cpu"]))


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    """Lumbar spine and sacrum, T12-S2."""
    return small_phantom()


@pytest.fixture(scope="session")
def labelled(labeller: Labeller, phantom: Phantom) -> LabelledScan:
    """The phantom as it is labelled when nothing is wrong with it."""
    return labeller.label(phantom.scan)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> FixedMethod:
    """In the place of the networks a method that always finds four vertebrae."""
    method = FixedMethod()
    monkeypatch.setattr(options, "load_method", lambda *_: method)
    return method


@pytest.fixture
def counts(record_property) -> Counter[str]:
    """How much a test has tried and what came of it; without this fixture a test counts as one case.

    Keys: those of COLUMNS, and others, which are printed behind.
    """
    found: Counter[str] = Counter()
    record_property("counts", found)  # the object: others add to it until the end
    return found


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    made = Worker(tmp_path_factory.mktemp("fuzz"))
    yield made
    made.close()


@pytest.fixture
def worker(child: Worker, counts: Counter[str]) -> Iterator[Worker]:
    """A child process that labels damaged files."""
    before = child.counts.copy()
    yield child
    counts.update(child.counts - before)


# --- the table at the end ---------------------------------------------------------------------------------------------


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line per file of this folder, and for any other test that counts."""
    totals = tried(terminalreporter)
    if not totals:
        return
    terminalreporter.section("hostile inputs: what was tried")
    width = max(map(len, totals))
    terminalreporter.write_line(" " * width + "".join(f"{name.replace('_', '-'):>14}" for name in COLUMNS))
    for family in (*sorted(set(totals) - {"sum"}), "sum"):
        found = totals[family]
        others = ", ".join(f"{name} {number}" for name, number in found.items() if name not in COLUMNS and number)
        numbers = "".join(f"{found[name]:>14}" for name in COLUMNS)
        terminalreporter.write_line(f"{family:{width}}{numbers}  {others}".rstrip())
    terminalreporter.write_line(f"seed of the damage: {SEED} (with {SEED_VARIABLE}=<number> other cases)")


def tried(terminalreporter: pytest.TerminalReporter) -> dict[str, Counter[str]]:
    """The counts by file, and of all as "sum"; nothing where no test of this folder ran."""
    here = Path(__file__).parent.name
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            path = Path(report.nodeid.partition("::")[0])
            # the report of a file that could not be collected has no properties
            counts = dict(getattr(report, "user_properties", ())).get("counts")
            if counts is None and here not in path.parts:
                continue
            found = Counter({"failed tests": int(outcome != "passed")})
            if report.when != "teardown":
                found.update({"cases": 1} if counts is None else counts)
            for name in (path.stem.removeprefix("test_"), "sum"):
                totals[name].update(found)
    return totals
