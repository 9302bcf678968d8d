"""Pieces of scans, their evidence on disk, and the judgement of columns, warnings and probabilities."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phantoms import small_phantom
from VertebraLabelingLib.core.anatomy import REGULAR_LEVELS, Level, regular_shift
from VertebraLabelingLib.core.errors import InputError, NothingFoundError, UsageError
from VertebraLabelingLib.core.formats import write_points
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import Alternative, Evidence, LabelledPoint, Labelling
from VertebraLabelingLib.core.scan import Scan
from VertebraLabelingLib.core.sequence import DEFAULT_SETTINGS
from VertebraLabelingLib.methods import registry
from VertebraLabelingLib.pipeline import label_scan

from training.certainty import (
    answer,
    calibrated_groups,
    expected_calibration_error,
    has_anchor,
    judge,
    judge_all,
    judged,
    pooled,
    reliability,
    summaries,
)
from training.certainty_report import draw_reliability, reliability_table, silent_errors
from training.commands.crops import add_parser, variants
from training.crops import (
    CROP,
    NEGATIVE,
    PHANTOM,
    WHOLE,
    Piece,
    crop_boxes,
    cut,
    load_pieces,
    negative_boxes,
    phantom_pieces,
    pieces_of,
    save_pieces,
)

TALL = Geometry((300, 20, 20), (10.0, 10.0, 4.0), (-95.0, -95.0, -598.0))


def column(levels: tuple[Level, ...], top_mm: float = 300.0, spacing_mm: float = 30.0) -> tuple[LabelledPoint, ...]:
    return tuple(LabelledPoint(v, (0.0, 0.0, top_mm - n * spacing_mm)) for n, v in enumerate(levels))


def shifted(points: tuple[LabelledPoint, ...], steps: int) -> tuple[LabelledPoint, ...]:
    return tuple(replace(p, level=regular_shift(p.level, steps)) for p in points)


def evidence_of(points: tuple[LabelledPoint, ...], probability: float = 0.95) -> Evidence:
    """Candidates that are sure of being vertebrae and give their level a probability."""
    rest = (1 - probability) / (len(Level) - 1)
    levels = np.full((len(points), len(Level)), rest)
    levels[range(len(points)), [p.level for p in points]] = probability
    positions = np.array([p.position_lps_mm for p in points]).reshape(-1, 3)
    return Evidence(positions, np.log(levels), np.full(len(points), 0.98))


class FakeMethod:
    """Sees the true vertebrae that are in the scan, 1 mm off, all of them named `steps` too low."""

    name, weights_sha256 = "fake", {"fake": "0123456789abcdef"}

    def __init__(self, truth: tuple[LabelledPoint, ...], steps: int = 0) -> None:
        self._points = shifted(truth, steps)

    def find(self, scan: Scan, progress) -> Evidence:
        seen = [p for p in self._points if scan.geometry.contains_lps(np.array(p.position_lps_mm))]
        if not seen:
            raise NothingFoundError("no spine")
        evidence = evidence_of(tuple(seen))
        return replace(evidence, positions_lps_mm=evidence.positions_lps_mm + 0.5)


def phantom_scan() -> tuple[Scan, tuple[LabelledPoint, ...]]:
    phantom = small_phantom()
    truth = tuple(LabelledPoint(v, tuple(map(float, phantom.centroids[v]))) for v in sorted(phantom.centroids))
    return replace(phantom.scan, name="phantom"), truth


def piece(truth, kind=WHOLE, geometry=TALL, evidence=None, name="scan") -> Piece:
    return Piece(name, "scan", kind, geometry, truth, evidence)


THORACIC = column(REGULAR_LEVELS[9:16])
LUMBAR = column(REGULAR_LEVELS[18:26])


# cutting


@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_a_cut_has_the_voxels_inside_the_box_where_they_were(flip):
    geometry = Geometry((30, 20, 10), (2.0, 3.0, 4.0), (5.0, -7.0, 9.0), (flip, 0, 0, 0, flip, 0, 0, 0, 1.0))
    centres = geometry.lps_from_index_zyx(np.moveaxis(np.indices(geometry.shape_zyx), 0, -1))
    scan = Scan(centres[..., 2].astype(np.float32) + 1000 * centres[..., 0].astype(np.float32), geometry)
    box = np.array([centres.reshape(-1, 3).min(axis=0) + 2.5, centres.reshape(-1, 3).max(axis=0) - 9.5])
    part = cut(scan, box)
    inside = np.all((centres >= box[0]) & (centres <= box[1]), axis=-1)
    assert part.hu.size == inside.sum()
    np.testing.assert_array_equal(np.sort(part.hu.ravel()), np.sort(scan.hu[inside]))
    again = part.geometry.lps_from_index_zyx(np.moveaxis(np.indices(part.hu.shape), 0, -1))
    np.testing.assert_allclose(part.hu, again[..., 2] + 1000 * again[..., 0])


def test_crops_are_three_to_ten_spacings_of_the_labelled_stretch():
    truth = column(REGULAR_LEVELS[:26], top_mm=400.0, spacing_mm=25.0)
    boxes = crop_boxes(TALL, truth, 60, np.random.default_rng(1))
    lengths = np.array([box[1, 2] - box[0, 2] for box in boxes]) / 25.0
    assert lengths.min() >= 3.0
    assert lengths.max() <= 10.0
    assert lengths.max() - lengths.min() > 5.0
    assert min(box[0, 2] for box in boxes) >= 400.0 - 25 * 25.0 - 12.5
    assert max(box[1, 2] for box in boxes) <= 412.5
    narrow = [box for box in boxes if box[1, 0] - box[0, 0] < 199]
    assert 10 <= len(narrow) <= 30
    assert all(box[0, 0] <= -40 and box[1, 0] >= 40 and box[0, 1] <= -40 and box[1, 1] >= 40 for box in narrow)


def test_a_crop_of_a_short_column_cuts_something_off():
    boxes = crop_boxes(TALL, THORACIC, 20, np.random.default_rng(1))
    shown = [sum(box[0, 2] <= p.position_lps_mm[2] <= box[1, 2] for p in THORACIC) for box in boxes]
    assert max(shown) < len(THORACIC)
    assert min(shown) >= 3


def test_negatives_come_only_from_where_the_truth_proves_that_there_is_no_vertebra():
    rng = np.random.default_rng(2)
    assert negative_boxes(TALL, THORACIC, 6, rng) == []
    below = negative_boxes(TALL, LUMBAR, 6, rng)
    lowest = LUMBAR[-1].position_lps_mm[2]
    assert len(below) == 3
    assert all(box[1, 2] <= lowest - 60 and box[1, 2] - box[0, 2] >= 60 for box in below)
    above = negative_boxes(TALL, column(REGULAR_LEVELS[:7]), 6, rng)
    assert len(above) == 3
    assert all(box[0, 2] >= 325 for box in above)
    assert len(negative_boxes(TALL, (), 6, rng)) == 3


def test_pieces_depend_on_scan_and_seed_only():
    scan, truth = phantom_scan()
    one, same, other = (list(pieces_of(scan, truth, FakeMethod(truth), 3, seed)) for seed in (5, 5, 6))
    assert [p.geometry for p in one] == [p.geometry for p in same]
    assert [p.geometry for p in one][1:] != [p.geometry for p in other][1:]
    assert [p.kind for p in one][:4] == [WHOLE, CROP, CROP, CROP]
    assert one[0].geometry == scan.geometry


def test_what_is_no_ct_is_refused_and_what_shows_no_spine_has_no_evidence():
    scan, truth = phantom_scan()
    flat = replace(scan, hu=np.zeros_like(scan.hu))
    [refused, *_] = pieces_of(flat, (), FakeMethod(truth), 0, 0)
    assert "constant" in refused.refused
    assert refused.kind == NEGATIVE
    [unseen, *_] = pieces_of(scan, truth, FakeMethod(()), 0, 0)
    assert (unseen.evidence, unseen.refused) == (None, "")


def test_the_kept_evidence_gives_the_answer_of_the_pipeline():
    scan, truth = phantom_scan()
    method = FakeMethod(truth)
    [whole] = pieces_of(scan, truth, method, 0, 0)
    expected = label_scan(scan, method).labelling
    found = answer(whole, DEFAULT_SETTINGS)
    assert [(p.level, p.position_lps_mm, p.probability) for p in found.points] == [
        (p.level, p.position_lps_mm, p.probability) for p in expected.points
    ]
    assert (found.level_certain, found.alternatives) == (expected.level_certain, expected.alternatives)


def test_evidence_survives_the_file_exactly(tmp_path):
    pieces = [
        piece(THORACIC, evidence=evidence_of(THORACIC)),
        piece(THORACIC, CROP, replace(TALL, shape_zyx=(9, 8, 7)), None, "scan/1"),
        piece(THORACIC, CROP, evidence=evidence_of(()), name="scan/2"),
        replace(piece((), NEGATIVE, name="leg"), scan_id="leg", refused="no bone"),
        piece(THORACIC, CROP, evidence=evidence_of(LUMBAR), name="scan/3"),
    ]
    save_pieces(tmp_path / "e.npz", pieces, {"seed": 3})
    loaded, about = load_pieces(tmp_path / "e.npz")
    assert about == {"seed": 3}
    assert [replace(p, evidence=None) for p in loaded] == [replace(p, evidence=None) for p in pieces]
    for a, b in zip(loaded, pieces, strict=True):
        assert (a.evidence is None) == (b.evidence is None)
        if a.evidence is not None and b.evidence is not None:
            for key in ("positions_lps_mm", "level_log_probs", "scores"):
                np.testing.assert_array_equal(getattr(a.evidence, key), getattr(b.evidence, key))


@pytest.mark.parametrize("write", [lambda f: f.write_text("x"), lambda f: np.savez(f, text="{}"), lambda f: None])
def test_a_file_that_holds_no_evidence_is_named(tmp_path, write):
    write(tmp_path / "e.npz")
    with pytest.raises(InputError, match=r"e\.npz"):
        load_pieces(tmp_path / "e.npz")


# judging


@pytest.mark.parametrize(
    ("points", "column_", "shift"),
    [
        (THORACIC, "right", 0),
        (THORACIC[2:5], "right", 0),
        (shifted(THORACIC, 1), "shifted", -1),
        (shifted(THORACIC, -2), "shifted", 2),
        (THORACIC[:4] + shifted(THORACIC[4:], 1), "wrong", 0),
        (tuple(replace(p, position_lps_mm=(0.0, 15.0, p.position_lps_mm[2])) for p in THORACIC), "wrong", 0),
        ((), "none", 0),
    ],
)
def test_a_column_is_right_shifted_wrong_or_none(points, column_, shift):
    verdict = judge(piece(THORACIC), Labelling(points))
    assert (verdict.column, verdict.result.shift) == (column_, shift)
    assert verdict.answered == bool(points)


@pytest.mark.parametrize(
    ("certain", "probabilities", "flagged"),
    [(True, (0.9, 0.4), False), (True, (0.4, 0.3), True), (False, (0.9, 0.9), True)],
)
def test_a_column_is_flagged_by_its_level_or_by_all_of_its_points(certain, probabilities, flagged):
    points = tuple(replace(p, probability=q) for p, q in zip(THORACIC, probabilities, strict=False))
    assert judge(piece(THORACIC), Labelling(points, level_certain=certain)).flagged == flagged


def test_the_truth_is_looked_for_among_the_alternatives():
    wrong = shifted(THORACIC, 1)
    true_levels, other = tuple(p.level for p in THORACIC), tuple(p.level for p in shifted(THORACIC, 2))
    listed = Alternative((None, *true_levels[1:]), -1, 0.2)
    missed = Alternative(other, 1, 0.2)
    assert judge(piece(THORACIC), Labelling(wrong, (missed, listed))).truth_listed
    assert not judge(piece(THORACIC), Labelling(wrong, (missed,))).truth_listed
    assert not judge(piece(THORACIC), Labelling(THORACIC, (listed,))).truth_listed


def test_bodies_at_the_cut_and_beyond_the_labels_are_not_judged():
    levels = REGULAR_LEVELS[9:16]
    z = [p.position_lps_mm[2] for p in THORACIC]
    grid = Geometry((int(z[1] - z[5]) + 4, 20, 20), (10.0, 10.0, 1.0), (-95.0, -95.0, z[5] - 1.5))
    everything = column(REGULAR_LEVELS[8:17], top_mm=330.0)
    truth, points = judged(piece(THORACIC, CROP, grid), everything)
    assert tuple(p.level for p in truth) == levels[2:5]
    # those that are true but not asked for are dropped, as are T2 above and T11 below the labelled stretch
    assert tuple(p.level for p in points) == levels[2:5]
    truth, points = judged(piece(THORACIC), everything)
    assert tuple(p.level for p in truth) == levels
    assert tuple(p.level for p in points) == levels
    # nothing follows S2: a point there is wrong
    below = LabelledPoint(Level.S2, (0.0, 0.0, LUMBAR[-1].position_lps_mm[2] - 40))
    assert judged(piece(LUMBAR), (*LUMBAR, below))[1] == (*LUMBAR, below)


def test_anchors_are_the_dens_the_first_and_last_rib_and_the_sacrum():
    assert has_anchor({Level.C2, Level.C3})
    assert has_anchor({Level.C7, Level.T1})
    assert has_anchor({Level.T12, Level.L1})
    assert has_anchor({Level.S1})
    assert not has_anchor({Level.T1, Level.T2})
    assert not has_anchor({Level.L1, Level.L2, Level.L3})
    assert not has_anchor({Level.C3, Level.C7})


def test_calibration_error_by_hand():
    probabilities = np.array([0.95, 0.95, 0.95, 0.95, 0.31, 0.35])
    hits = np.array([True, True, True, False, False, True])
    table = reliability(probabilities, hits)
    np.testing.assert_allclose(table[9], [4, 0.95, 0.75])
    np.testing.assert_allclose(table[3], [2, 0.33, 0.5])
    assert table[:, 0].sum() == 6
    assert expected_calibration_error(probabilities, hits) == pytest.approx((4 * 0.2 + 2 * 0.17) / 6)
    assert expected_calibration_error(np.ones(3), np.ones(3, bool)) == 0.0
    assert expected_calibration_error(np.empty(0), np.empty(0, bool)) is None


def test_the_summary_counts_what_was_put_in(tmp_path):
    seen = evidence_of(shifted(LUMBAR, -1), 0.999)
    pieces = [
        piece(LUMBAR, evidence=evidence_of(LUMBAR)),
        piece(LUMBAR, CROP, evidence=evidence_of(LUMBAR[2:]), name="scan/1"),
        piece(LUMBAR, CROP, evidence=seen, name="scan/2"),
        piece((), NEGATIVE, evidence=None, name="scan/3"),
        piece((), NEGATIVE, evidence=seen, name="scan/4"),
    ]
    verdicts = judge_all(pieces, DEFAULT_SETTINGS)
    rows = {row["group"]: row for row in summaries(verdicts)}
    assert [v.column for v in verdicts] == ["right", "right", "shifted", "none", "none"]
    crops, negative = rows["crop, anchor"], rows["negative"]
    assert (crops["pieces"], crops["vertebrae"], crops["columns_right"], crops["columns_shifted"]) == (2, 16, 1, 1)
    assert crops["id_rate"] == 6 / 16
    assert crops["recall"] == 14 / 16
    # the first crop names its 6 vertebrae as the whole scan does, the second, which is flagged or not, none of its 8
    assert crops["agreement_with_whole"] == 6 / 14
    assert crops["agreement_unless_flagged"] == (1.0 if verdicts[2].flagged else 6 / 14)
    assert (negative["pieces"], negative["nothing_found"], negative["vertebrae"]) == (2, 0.5, 0)
    assert negative["false_positives"] == len(verdicts[4].result.labels) == 8
    assert rows["crop, no anchor"]["pieces"] == 0
    assert rows["crop, no anchor"]["ece"] is None
    assert rows["all with vertebrae"]["points"] == 8 + 6 + 8
    assert crops["off_flagged"] == float(verdicts[2].flagged)
    assert sum("scan/2" in line for line in silent_errors(verdicts)) == (not verdicts[2].flagged)
    assert sum("scan/4" in line for line in silent_errors(verdicts)) == 1
    groups = calibrated_groups(verdicts)
    assert {name: len(group) for name, group in groups.items()} == {"whole scans and phantoms": 1, "crops": 2}
    mean = np.mean(verdicts[0].probabilities)
    assert f"| 0.9 to 1.0 | 8, {mean:.1%}, 100.0% | 14, " in reliability_table(groups)
    draw_reliability(tmp_path / "r.png", groups)
    assert (tmp_path / "r.png").stat().st_size > 5000
    assert len(pooled(verdicts)[1]) == 8 + 6 + 8 + 8


def test_a_vertebra_at_the_face_of_a_piece_is_not_held_against_it():
    """Its whole body is not in view."""
    top_mm = TALL.corners_lps_mm[:, 2].max()
    cut_off, entire = LabelledPoint(Level.L1, (0.0, 0.0, top_mm - 6)), LabelledPoint(Level.L2, (0.0, 0.0, top_mm - 40))
    whole = piece((cut_off, entire), evidence=evidence_of((cut_off, entire)))
    crop = replace(whole, kind=CROP, name="scan/1")
    verdicts = judge_all([whole, crop], DEFAULT_SETTINGS)
    assert (verdicts[1].same, verdicts[1].both) == (1, 1)


def test_phantoms_to_judge_by_are_drawn_from_their_own_seeds(monkeypatch):
    asked = []
    monkeypatch.setattr("training.phantom.make_phantom", lambda seed, spec: asked.append(seed) or small_phantom())
    _, truth = phantom_scan()
    pieces = list(phantom_pieces(FakeMethod(truth), range(2, 4)))
    assert asked == [10_000_002, 10_000_003]
    assert {(p.kind, p.truth) for p in pieces} == {(PHANTOM, truth)}
    assert len(pieces[0].evidence) == len(truth)


# the command


def test_settings_of_the_decoder_are_combined():
    found = variants(["temperature=2,3", "certainty.unsure_mass=0.1,0.3", "scales=5"])
    assert len(found) == 4
    last = found["temperature=3, certainty.unsure_mass=0.3, scales=5"]
    assert (last.temperature, last.certainty.unsure_mass, last.scales) == (3.0, 0.3, 5)
    assert isinstance(last.scales, int)
    assert variants([]) == {"default": DEFAULT_SETTINGS}


@pytest.mark.parametrize(
    "option", ["heat=2", "temperature=warm", "certainty=1", "temperature.x=1", "temperature", "temperature=1=2"]
)
def test_an_unknown_setting_is_named(option):
    with pytest.raises(UsageError, match=option.partition("=")[0]):
        variants([option])


def crops(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    args = parser.parse_args(["crops", *map(str, arguments)])
    return args.run(args)


def test_the_command_gives_the_same_report_from_scans_and_from_their_evidence(tmp_path, monkeypatch, capsys):
    scan, truth = phantom_scan()
    data = tmp_path / "data"
    (data / "annotations").mkdir(parents=True)
    import SimpleITK as sitk

    sitk.WriteImage(sitk.Cast(scan.to_sitk(), sitk.sitkInt16), str(data / "p.nii.gz"))
    (data / "scans.csv").write_text("id,file,split,patient,levels\np,p.nii.gz,val,p,T12-S2\n")
    write_points(data / "annotations" / "p.csv", Labelling(truth))
    monkeypatch.setattr(registry, "load_method", lambda *_: FakeMethod(truth, steps=-1))
    evidence, first, second = tmp_path / "e.npz", tmp_path / "first", tmp_path / "second"
    assert crops("--data", data, "--pieces", 2, "--save-evidence", evidence, "--output", first) == 0
    monkeypatch.setattr(registry, "load_method", None)
    assert crops("--from-evidence", evidence, "--output", second) == 0
    report, again = (json.loads((folder / "crops.json").read_text()) for folder in (first, second))
    assert report == again
    assert {path.name for path in first.iterdir()} == {"crops.json", "crops.md", "reliability.png"}
    assert report["pieces"][0]["column"] == "shifted"
    assert report["pieces"][0]["shift"] == 1
    capsys.readouterr()
    # with an impossible threshold nothing is ever called certain
    assert crops("--from-evidence", evidence, "--set", "certainty.unsure_mass=0,1") == 0
    table = [[cell.strip() for cell in line.split("|")] for line in capsys.readouterr().out.splitlines()]
    flagged = next(row for row in table if "setting" in row).index("shifted or wrong: flagged")
    rows = {row[1]: row for row in table if len(row) > flagged}
    assert rows["certainty.unsure_mass=0 (all)"][flagged] == "100.0%"


def test_a_split_without_scans_is_named(tmp_path: Path):
    (tmp_path / "scans.csv").write_text("id,file,split,patient,levels\np,p.nii.gz,train,p,T12-S2\n")
    with pytest.raises(UsageError, match="val"):
        crops("--data", tmp_path)
