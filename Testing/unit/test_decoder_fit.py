"""Fits recover what synthetic spines were made of; judging counts what it should; calibration error is exact."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from VertebraLabelingLib.core.anatomy import Level, Region
from VertebraLabelingLib.core.errors import InputError
from VertebraLabelingLib.core.labelling import Evidence
from VertebraLabelingLib.core.sequence import SequenceSettings
from VertebraLabelingLib.core.spine_priors import spacing_mm

from training.decoder import report
from training.decoder.anatomy_fit import count_variants, fit_anatomy
from training.decoder.baselines import counted_in_regions, independent, raw_argmax
from training.decoder.counted import counted_sample, read_evidence, write_evidence
from training.decoder.detection_fit import fit_detections
from training.decoder.emission import fit_emission
from training.decoder.judge import alternative_calibration, judged, point_calibration, summary
from training.decoder.region_evidence import fit_regions
from training.decoder.reliability import calibration_error, write_diagram
from training.decoder.samples import (
    FALSE,
    UNKNOWN,
    Sample,
    crop,
    regions_of,
    whole_sample,
)
from training.spines import Spine, fit_and_apart, read_spines

L = Level
REGION_INDEX = {Region.CERVICAL: 0, Region.THORACIC: 1, Region.LUMBAR: 2}


def regular(first: Level, last: Level) -> list[Level]:
    return [level for level in Level if first <= level <= last and not level.is_supernumerary]


def spine(levels: list[Level], rng: np.random.Generator, scale: float = 1.0, noise_mm: float = 1.0) -> Spine:
    """A straight column with one detection per vertebra and clear regions; spacings of the priors, 4 % noise."""
    gaps = [scale * spacing_mm(a, b)[0] * np.exp(0.04 * rng.normal()) for a, b in pairwise(levels)]
    positions = np.zeros((len(levels), 3))
    positions[1:, 2] = -np.cumsum(gaps)
    regions = np.full((len(levels), 3), 0.02)
    regions[np.arange(len(levels)), [REGION_INDEX[level.region] for level in levels]] = 0.98
    detections = positions + noise_mm * rng.normal(size=positions.shape)
    return Spine("s", "p", "made", tuple(levels), positions, detections, regions)


@pytest.fixture(scope="module")
def spines() -> list[Spine]:
    rng = np.random.default_rng(0)
    return [spine(regular(L.T6, L.L5), rng, scale) for scale in rng.normal(1.0, 0.065, 150)]


def evidence_of(log_probs: np.ndarray, positions: np.ndarray, score: float = 0.9) -> Evidence:
    return Evidence(positions, log_probs, np.full(len(positions), score))


# --- fits ------------------------------------------------------------------------------------------------------------


def test_spacing_and_stature_are_recovered(spines: list[Spine]) -> None:
    fit = fit_anatomy(spines)
    assert fit.stature_sd == pytest.approx(0.065, abs=0.012)
    for (above, below), spacing in fit.spacings.items():
        assert spacing.n == 150
        assert spacing.mean_mm == pytest.approx(spacing_mm(above, below)[0], rel=0.015)
        assert spacing.sd == pytest.approx(0.04, abs=0.012)


def test_variants_are_counted_against_the_right_spines() -> None:
    rng = np.random.default_rng(0)
    with_l6 = spine([*regular(L.T11, L.L5), L.L6], rng)
    without_t12 = spine([L.T10, L.T11, *regular(L.L1, L.L4)], rng)
    counted = count_variants([with_l6, without_t12, spine(regular(L.T8, L.T11), rng)])
    assert counted == {(L.T11, L.L1): (1, 2), (L.L5, L.L6): (1, 1)}


def test_detection_statistics_are_recovered(spines: list[Spine]) -> None:
    holes = [replace(s, detections_lps_mm=np.delete(s.detections_lps_mm, 4, 0)) for s in spines[:50]]
    false = [
        replace(s, detections_lps_mm=np.vstack([s.detections_lps_mm, s.positions_lps_mm[3] + [30.0, 0, 0]]))
        for s in spines[50:100]
    ]
    fit = fit_detections([*holes, *false])
    inner = len(spines[0].levels) - 2
    assert fit.missed == pytest.approx(50 / (100 * inner))
    assert fit.false_per_spine == pytest.approx(0.5)
    assert fit.position_sd_mm == pytest.approx(1.0, abs=0.1)


def test_region_evidence_knows_the_region_and_little_more(spines: list[Spine]) -> None:
    model = fit_regions([replace(s, detections_lps_mm=_with_false(s), regions=_with_false_region(s)) for s in spines])
    probability = np.exp(model.level_log_probs(spines[0].regions))
    np.testing.assert_allclose(probability.sum(axis=1), 1.0)
    thoracic = [level for level in Level if level.region is Region.THORACIC]
    assert probability[0, thoracic].sum() > 0.95
    assert probability[0, thoracic].max() < 0.4


def _with_false(s: Spine) -> np.ndarray:
    return np.vstack([s.detections_lps_mm, s.positions_lps_mm[0] + [70.0, 0.0, 0.0]])


def _with_false_region(s: Spine) -> np.ndarray:
    return np.vstack([s.regions, [0.3, 0.3, 0.3]])


def test_the_emission_fit_finds_that_overconfident_evidence_needs_a_temperature() -> None:
    rng = np.random.default_rng(1)
    positions = np.tile([[0.0, 0.0, -22.5]], (3, 1)).cumsum(0)
    samples = []
    for _ in range(60):
        shift = int(rng.choice([-1, 0, 1], p=[0.2, 0.6, 0.2]))
        log_probs = np.full((3, 28), np.log(0.02 / 27))
        log_probs[np.arange(3), np.array([L.T6, L.T7, L.T8]) + shift] = np.log(0.98)
        truth = np.array([L.T6, L.T7, L.T8], np.intp)
        samples.append(Sample(evidence_of(log_probs, positions), truth, regions_of(log_probs), 0, False))
    best, losses = fit_emission(samples, SequenceSettings(scales=3), (1.0, 8.0), (0.02,))
    assert best.temperature == 8.0
    assert losses[8.0, 0.02] < losses[1.0, 0.02] - 0.5


# --- samples and judging ---------------------------------------------------------------------------------------------


class KnownRegions:
    """Stands for a fitted model: uniform levels, certain scores."""

    def evidence(self, positions: np.ndarray, regions: np.ndarray) -> Evidence:
        return evidence_of(np.full((len(positions), 28), -np.log(28)), positions)


def test_candidates_beyond_the_annotated_stretch_are_unknown_and_beside_it_false(spines: list[Spine]) -> None:
    s = spines[0]
    more = np.vstack(
        [s.detections_lps_mm[1:], s.positions_lps_mm[-1] + [0, 0, -34.0], s.positions_lps_mm[4] + [30, 0, 0]]
    )
    extended = replace(s, detections_lps_mm=more, regions=np.full((len(more), 3), 0.5))
    sample = whole_sample(extended, KnownRegions())
    assert sample.truth.tolist() == [*s.levels[1:], UNKNOWN, FALSE]
    assert (sample.missed, sample.true_count) == (1, len(s.levels))


def test_a_crop_is_a_run_of_neighbours(spines: list[Spine]) -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        part = crop(whole_sample(spines[0], KnownRegions()), rng)
        levels = sorted(part.truth)
        assert 3 <= len(levels) <= 8
        assert levels == [level for level in spines[0].levels if levels[0] <= level <= levels[-1]]


def test_counting_uses_the_border_in_view() -> None:
    rng = np.random.default_rng(0)
    for levels in (regular(L.T8, L.L3), regular(L.C5, L.T4), [*regular(L.T10, L.L5), L.L6]):
        sample = whole_sample(spine(levels, rng), KnownRegions())
        assert counted_in_regions(sample).tolist() == levels
    lost = whole_sample(spine(regular(L.L2, L.L4), rng), KnownRegions())
    assert counted_in_regions(lost).tolist() == [L.L1, L.L2, L.L3]


def test_independent_decoding_knows_evidence_score_and_prior_but_no_neighbour() -> None:
    log_probs = np.full((4, 28), np.log(0.02 / 26))
    # a site between T12 and T13: the prior decides; one that says T5 among lumbar ones: nothing does
    log_probs[0, [L.T12, L.T13]] = np.log([0.48, 0.50])
    log_probs[[1, 2, 3], [L.L1, L.T5, L.L3]] = np.log(0.98)
    positions = np.array([[0.0, 0.0, -34.0 * n] for n in range(4)])
    evidence = Evidence(positions, log_probs, np.array([0.9, 0.9, 0.9, 0.01]))
    sample = Sample(evidence, np.array([L.T12, L.L1, L.L2, FALSE], np.intp), regions_of(log_probs), 0, False)
    assert raw_argmax(sample).tolist() == [L.T13, L.L1, L.T5, L.L3]
    assert independent(sample, SequenceSettings(temperature=1.0)).tolist() == [L.T12, L.L1, L.T5, FALSE]


def test_alternatives_are_judged_as_whole_namings() -> None:
    levels = regular(L.T4, L.T7)
    log_probs = np.full((4, 28), np.log(0.1 / 26))
    log_probs[np.arange(4), np.array(levels)] = np.log(0.5)
    log_probs[np.arange(4), np.array(levels) + 1] = np.log(0.4)
    made = spine(levels, np.random.default_rng(4))
    sample = Sample(evidence_of(log_probs, made.positions_lps_mm), np.array(levels) + 1, made.regions, 0, False)
    outcome = judged(sample, SequenceSettings())
    assert outcome.ours == 0 and outcome.listed
    assert len(outcome.alternative_probabilities) > 1
    assert sum(outcome.alternative_correct) == 1 and outcome.alternative_correct[0], "one lower, the likeliest of them"
    probabilities, correct = alternative_calibration([outcome, outcome])
    assert len(probabilities) == 2 * len(outcome.alternative_probabilities) and correct.sum() == 2
    assert summary([outcome]).alternatives_error == pytest.approx(
        calibration_error(*alternative_calibration([outcome]))
    )
    nobody_knows = replace(sample, truth=np.full(4, UNKNOWN, np.intp), missed=1)
    assert judged(nobody_knows, SequenceSettings()).alternative_probabilities == ()


def test_the_reliability_table_counts_every_point_and_alternative() -> None:
    levels = regular(L.T4, L.T7)
    log_probs = np.full((4, 28), -np.log(28))
    made = spine(levels, np.random.default_rng(4))
    outcome = judged(
        Sample(evidence_of(log_probs, made.positions_lps_mm), np.array(levels), made.regions, 0, False),
        SequenceSettings(),
    )
    table = report.reliability_table({"made": (outcome,)})
    points, alternatives = (sum(int(cell) for cell in table.columns[n].cells if cell != "-") for n in (2, 5))
    assert points == len(point_calibration([outcome])[0]) > 0
    assert alternatives == len(alternative_calibration([outcome])[0]) > 0
    for shown in (report.results_table, report.certainty_table):
        assert shown({"made": (outcome,)}).row_count == 1


def test_judging_counts_points_false_ones_and_alternatives() -> None:
    levels = regular(L.T9, L.L3)
    log_probs = np.full((len(levels), 28), np.log(1e-6))
    log_probs[np.arange(len(levels)), np.array(levels)] = 0.0
    log_probs -= np.logaddexp.reduce(log_probs, axis=1, keepdims=True)
    made = spine(levels, np.random.default_rng(4))
    truth = np.array(levels, np.intp)
    right = Sample(evidence_of(log_probs, made.positions_lps_mm), truth, made.regions, 1, False)
    wrong = replace(right, truth=np.array([level - 1 if level != L.L1 else L.T12 for level in levels], np.intp))
    first, second = judged(right, SequenceSettings()), judged(wrong, SequenceSettings())
    assert raw_argmax(right).tolist() == levels
    assert (first.ours, first.raw, first.counted, first.true_count) == (7, 7, 7, 8)
    assert first.listed and not first.column_wrong and not first.flagged
    assert (second.ours, second.wrong, second.column_wrong) == (0, 7, True)
    both = summary([first, second])
    assert (both.columns, both.vertebrae, both.ours, both.wrong_columns) == (2, 16, 7 / 16, 1)


# --- counting from the dens ------------------------------------------------------------------------------------------


def neck(levels: list[Level]) -> Evidence:
    made = spine(levels, np.random.default_rng(6), noise_mm=0.0)
    log_probs = np.full((len(levels), 28), np.log(0.03 / 27))
    log_probs[np.arange(len(levels)), np.array(levels)] = np.log(0.97)
    return evidence_of(log_probs, made.positions_lps_mm)


def test_a_neck_with_its_dens_is_counted_and_one_with_a_hole_or_without_dens_is_not() -> None:
    levels = regular(L.C1, L.T3)
    whole = neck(levels)
    sample = counted_sample(whole)
    assert sample is not None and sample.truth.tolist() == levels
    kept = [i for i, level in enumerate(levels) if level != L.C5]
    assert counted_sample(whole.taken(np.array(kept))) is None
    assert counted_sample(neck(regular(L.C3, L.T5))) is None


def test_evidence_files_round_trip_and_foreign_ones_are_refused(tmp_path: Path) -> None:
    kept = neck(regular(L.C2, L.T1))
    write_evidence(tmp_path / "a.npz", kept)
    read = read_evidence(tmp_path / "a.npz")
    np.testing.assert_array_equal(read.level_log_probs, kept.level_log_probs)
    (tmp_path / "b.npz").write_bytes(b"no")
    with pytest.raises(InputError, match="no evidence file"):
        read_evidence(tmp_path / "b.npz")


# --- calibration -----------------------------------------------------------------------------------------------------


def test_calibration_error_is_the_weighted_gap() -> None:
    probabilities = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])
    correct = np.array([True, True, True, False, True, False])
    assert calibration_error(probabilities, correct) == pytest.approx((4 * 0.2 + 2 * 0.05) / 6)
    assert np.isnan(calibration_error(np.empty(0), np.empty(0, bool)))


def test_the_diagram_is_a_picture(tmp_path: Path) -> None:
    write_diagram(tmp_path / "r.png", {"made": (np.array([0.2, 0.9]), np.array([False, True]))})
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")


# --- the list of real spines -----------------------------------------------------------------------------------------


def test_spines_not_looked_at_are_of_other_patients(spines: list[Spine]) -> None:
    twice = [replace(s, id=f"{i}{turn}", patient=str(i)) for i, s in enumerate(spines) for turn in "ab"]
    seen = report.drawn(twice)[: report.LOOKED_AT]
    fresh = report.not_looked_at(twice)
    assert {s.patient for s in fresh} == {s.patient for s in twice} - {s.patient for s in seen}
    assert 0 < len(fresh) < len(twice) - report.LOOKED_AT


@pytest.mark.slow
@pytest.mark.shared
def test_on_spines_kept_apart_the_decoder_beats_the_raw_argmax(shared_data: Path) -> None:
    """And independent decoding; counting from the border of the regions is as good on whole spines: not asserted."""
    fit, apart = fit_and_apart(read_spines(shared_data))
    sets = report.sample_sets(report.drawn(fit)[:400], apart, 40)
    whole, crops = (summary(report.judged_all(sets[f"regions: {name}"])) for name in ("whole spines", "crops of 3-8"))
    assert whole.ours > 2 * max(whole.raw, whole.independent)
    assert crops.ours > max(crops.raw, crops.independent) + 0.2
    assert whole.calibration_error < 0.1
