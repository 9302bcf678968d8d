"""Family 6: numbers that are off by the rescale are corrected, and the record says so, or refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from small_ct import trunk_hu
from trust_support import image_of, label, require_alike, written
from VertebraLabelingLib.core.checks import check_ct
from VertebraLabelingLib.core.errors import InputError
from VertebraLabelingLib.core.prepare import prepare

RAW_NOTE, TWICE_NOTE = "1024 was subtracted", "1024 was added"


def whole_numbers(scan):
    return replace(scan, hu=np.round(np.maximum(scan.hu, -1024)).astype(np.float32))


def padded(hu):
    """The corners outside of the round field of view at -2000, as some scanners write them."""
    _, y, x = np.indices(hu.shape)
    outside = np.hypot(y - hu.shape[1] / 2, x - hu.shape[2] / 2) > hu.shape[1] / 2
    return np.where(outside, np.float32(-2000), hu)


CORRECTED = {
    "unsigned, rescale missing": (lambda hu: (hu + 1024).astype(np.uint16).astype(np.float32), RAW_NOTE),
    "12 bit, rescale missing": (lambda hu: np.clip(hu + 1024, 0, 4095), RAW_NOTE),
    "1024 too high with padding": (lambda hu: padded(hu) + 1024, RAW_NOTE),
    "1024 too low": (lambda hu: hu - 1024, TWICE_NOTE),
    "1024 too low with padding": (lambda hu: padded(hu) - 1024, TWICE_NOTE),
}


@pytest.mark.parametrize("name", CORRECTED)
def test_it_is_corrected_and_noted(name, phantom):
    """The prepared scan is the same, so is then all that follows from it."""
    change, note = CORRECTED[name]
    scan = whole_numbers(phantom.scan)
    checked = check_ct(replace(scan, hu=change(scan.hu)))
    assert len(checked.notes) == len(scan.notes) + 1 and note in checked.notes[-1]
    inside = np.ones(scan.hu.shape, bool) if "padding" not in name else padded(scan.hu) > -2000
    np.testing.assert_array_equal(checked.hu[inside], np.minimum(scan.hu, 3071 if "12" in name else np.inf)[inside])


@pytest.mark.parametrize(
    "change",
    [lambda hu: hu, lambda hu: np.clip(hu, -1024, 3071), padded, lambda hu: np.clip(hu, -1000, 1000)],
    ids=["as it is", "12 bit", "padding", "clipped at 1000"],
)
def test_hu_are_left_alone(change, phantom):
    scan = replace(phantom.scan, hu=change(phantom.scan.hu))
    assert check_ct(scan) is scan


REFUSED = {
    "scaled to 0-1": lambda hu: (np.clip(hu, -1000, 1000) + 1000) / 2000,
    "scaled to 0-255": lambda hu: np.round((np.clip(hu, -1000, 1000) + 1000) / 2000 * 255),
    "z-score": lambda hu: (hu - hu.mean()) / hu.std(),
    "unsigned with a wrap": lambda hu: hu.astype(np.int16).astype(np.uint16).astype(np.float32),
    "1024 too high twice": lambda hu: hu + 2048,
    "attenuation per cm": lambda hu: (hu / 1000 + 1) * 0.2,
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(name, phantom):
    scan = whole_numbers(phantom.scan)
    with pytest.raises(InputError, match=r"CT|Hounsfield"):
        check_ct(replace(scan, hu=REFUSED[name](scan.hu).astype(np.float32)))


@pytest.mark.parametrize(("offset", "note"), [(1024, RAW_NOTE), (-1024, TWICE_NOTE)])
@pytest.mark.usefixtures("no_network")
def test_the_run_record_says_what_was_corrected(offset, note, tmp_path):
    path = written(tmp_path / "a.nii.gz", image_of((trunk_hu() + offset).astype(np.int16)))
    assert label(path, tmp_path, "--quiet") == 0
    (said,) = json.loads((tmp_path / "a.run.json").read_text(encoding="utf-8"))["notes"]
    assert note in said


@pytest.mark.slow
def test_a_corrected_scan_is_labelled_as_the_right_one(phantom, labeller, labelled):
    scan = whole_numbers(phantom.scan)
    for change, _ in CORRECTED.values():
        changed = replace(scan, hu=change(scan.hu).astype(np.float32))
        result = labeller.label(changed)
        assert result.labelling.levels == labelled.labelling.levels
        require_alike(result, labelled, clear_mm=1.0, others_mm=4.0)


def test_what_is_clipped_at_the_bottom_prepares_as_before(phantom):
    """Nothing below air counts: the stages that follow see the same numbers."""
    deeper = replace(phantom.scan, hu=np.where(phantom.scan.hu < -1000, np.float32(-3000), phantom.scan.hu))
    shallower = replace(phantom.scan, hu=np.maximum(phantom.scan.hu, -1000))
    difference = np.abs(prepare(check_ct(deeper)).hu - prepare(check_ct(shallower)).hu)
    assert np.mean(difference > 50) < 0.05
