"""The pictures for README and catalogue can be made anew by anyone, from the phantom of the extension."""

from __future__ import annotations

import numpy as np
import pytest
from harness import pictures, screenshots
from PIL import Image

LARGEST_BYTES = 200_000


def flat(width, height, colour):
    return Image.new("RGB", (width, height), colour)


def test_pictures_lie_beside_and_below_each_other():
    left, right = flat(30, 20, "red"), flat(10, 50, "blue")
    beside = pictures.beside(left, right)
    assert beside.size == (40 + pictures.GAP_PX, 50)
    assert [beside.getpixel(place) for place in ((0, 0), (43, 49), (0, 49))] == [
        (255, 0, 0), (0, 0, 255), pictures.PAPER,
    ]  # fmt: skip
    assert pictures.below(left, right).size == (30, 70 + pictures.GAP_PX)


def test_a_saved_picture_keeps_greys_and_small_things_in_colour(tmp_path):
    ramp = np.repeat(np.tile(np.arange(256, dtype=np.uint8), (64, 1))[..., None], 3, axis=2)
    ramp[10:14, 20:24] = (88, 199, 250)
    pictures.save(tmp_path / "ramp.png", Image.fromarray(ramp))
    with Image.open(tmp_path / "ramp.png") as saved:
        assert saved.mode == "P"
        assert np.abs(np.asarray(saved.convert("RGB"), int) - ramp).max() <= 4


def test_without_the_shared_data_there_is_no_picture_of_a_patient(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(screenshots, "CT", tmp_path / "absent.nii.gz")
    screenshots.patient_slices(tmp_path)
    assert "is not there" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "make, names",
    [
        (screenshots.window, {"panel.png", "rendering.png"}),
        (screenshots.phantom_slices, {"slices.png"}),
        (screenshots.run, {"tutorial-1-label.png"}),
        (screenshots.unsure, {"tutorial-2-unsure.png"}),
        (screenshots.correct, {"tutorial-3-correct.png"}),
    ],
)
def test_every_picture_of_the_phantom_can_be_made(scene, tmp_path, make, names):
    make(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == names
    for path in tmp_path.iterdir():
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        assert min(pixels.shape[:2]) > 400
        assert len(np.unique(pixels[::4, ::4].reshape(-1, 3), axis=0)) > 50, "more than empty frames"
        assert path.stat().st_size < LARGEST_BYTES
