"""What the child process of the fuzz tests can be asked to do with a file; it runs in that process only.

Each task takes the case, a folder to write to, and gives (exit code, what was read); errors of this program are raised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from batch_fakes import FakeLabeller, run_batch
from trust_support import label
from VertebraLabelingLib.core.formats import read_anchors, read_points
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.engines.store import UserModels
from VertebraLabelingLib.engines.weights import listed_models, load_model, load_weights

GEOMETRY = Geometry((30, 24, 24), (6.0, 6.0, 6.0), (-70.0, -60.0, -90.0))
"""Of the scan to which the points belong."""
Case = Mapping[str, str]


def labelled(case: Case, out: Path) -> tuple[int, None]:
    """The whole command line."""
    more = ["--anchors", case["anchors"]] if case["anchors"] else []
    return label(Path(case["path"]), out, "--quiet", *more), None


def points(case: Case, out: Path, read: Callable = read_points) -> tuple[int, list[dict[str, Any]]]:
    """The points of a file."""
    found = read(Path(case["path"]), GEOMETRY)
    return 0, [{"level": p.level.name, "lps_mm": p.position_lps_mm, "probability": p.probability} for p in found]


def anchors(case: Case, out: Path) -> tuple[int, list[dict[str, Any]]]:
    """The points of a file that others are to be named by."""
    return points(case, out, read_anchors)


def weights(case: Case, out: Path) -> tuple[int, list[str]]:
    """The parameters of a file of the user's own, of which no hash is known."""
    return 0, sorted(load_weights(Path(case["path"])).arrays)


def models(case: Case, out: Path) -> tuple[int, list[str]]:
    """The hashes of all models that the manifest beside lists, each of them loaded."""
    folder = Path(case["path"]).parent
    return 0, [load_model(name, folder).sha256 for name in listed_models(folder)]


def user_models(case: Case, out: Path) -> tuple[int, list[str]]:
    """The files of the user's models, each of them verified."""
    store = UserModels(Path(case["path"]).parent)
    return 0, [str(store.verified_path(entry.id)) for entry in store.entries()]


def batch(case: Case, out: Path) -> tuple[int, None]:
    """A batch run that finds the results of an earlier one, something of them being damaged."""
    run_batch(Path(case["source"]), Path(case["path"]).parent, FakeLabeller(), "--csv")
    return 0, None


TASKS = {
    "label": labelled, "points": points, "anchors": anchors, "weights": weights, "models": models,
    "user models": user_models, "batch": batch,
}  # fmt: skip
