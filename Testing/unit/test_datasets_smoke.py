"""From a user's folder of CTs with corrected fiducials to weights that label: the lines of training/README.md."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import SimpleITK as sitk

pytest.importorskip("lightning")
pytest.importorskip("torch")

from phantoms import neck_phantom, small_phantom
from VertebraLabelingLib import predict
from VertebraLabelingLib.core.formats import markups
from VertebraLabelingLib.core.labelling import LabelledPoint

from training.__main__ import main
from training.cases import read_cache
from training.phantom import Phantom

TINY = """
task = "sites"
[network]
window_zyx = [32, 16, 16]
widths = [8, 8, 8, 8]
[run]
minutes = 1
steps = 3
batch = 1
workers = 0
"""
README = Path(__file__).parents[2] / "training" / "README.md"
LABELLED, NOTHING_FOUND, MODEL_ERROR = 0, 4, 5


def _save(phantom: Phantom, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    scan = folder / f"{name}.nii.gz"
    sitk.WriteImage(sitk.Cast(phantom.scan.to_sitk(), sitk.sitkInt16), str(scan))
    points = [LabelledPoint(level, place) for level, place in phantom.centroids.items()]
    markups.write(folder / f"{name}.mrk.json", points)


def _readme_lines() -> list[str]:
    """The commands of the section "Your own scans"."""
    text = README.read_text(encoding="utf-8")
    section = text.split("## Your own scans\n")[1].split("\n## ")[0]
    return section.split("```sh\n")[1].split("```")[0].splitlines()


def _run(line: str) -> int:
    program, *arguments = shlex.split(line.replace("training/configs/sites.toml", "tiny.toml").replace("70", "1"))
    if program == "vertebra-labeling":
        return predict.main([*arguments, "--device", "cpu", "--quiet"])
    assert (program, *arguments[:2]) == ("python", "-m", "training")
    return main(arguments[2:])


def test_the_lines_of_the_readme_make_weights_from_a_folder_of_scans_and_markups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _save(small_phantom(), Path("my-scans"), "anna")
    _save(neck_phantom(), Path("my-scans"), "bela")
    Path("tiny.toml").write_text(TINY)
    prepare, train, export, label = _readme_lines()
    assert _run(prepare) == 0
    assert {case.patient for case in read_cache(Path("cache"), ("train", "val"))} == {"anna", "bela"}
    assert _run(train) == 0
    assert _run(export) == 0
    # three steps of training find what they may, but the weights have to fit
    assert _run(label) in (LABELLED, NOTHING_FOUND)
    Path("my-sites.npz").write_bytes(Path("my-sites.npz").read_bytes()[:-2000])
    assert _run(label) == MODEL_ERROR
