"""The ensemble with members that answer what the test says: who is listened to, and how much."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from small_ct import trunk_hu
from VertebraLabelingLib.core.anatomy import REGULAR_LEVELS, Level
from VertebraLabelingLib.core.errors import CancelledError, NothingFoundError, UsageError
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import Evidence
from VertebraLabelingLib.core.progress import silent
from VertebraLabelingLib.core.scan import Scan
from VertebraLabelingLib.core.sequence import decode
from VertebraLabelingLib.engines.weights import load_model
from VertebraLabelingLib.methods.ensemble import Ensemble
from VertebraLabelingLib.methods.ensemble.fusing import LEAST_FUSED_SCORE
from VertebraLabelingLib.methods.ensemble.fusing import fuse as fuse_in
from VertebraLabelingLib.methods.ensemble.measured import TRUSTS
from VertebraLabelingLib.methods.ensemble.method import trust_in
from VertebraLabelingLib.methods.ensemble.trust import BORDER_MM, Trust, regions_of
from VertebraLabelingLib.methods.level_evidence import level_log_probs, tempered
from VertebraLabelingLib.methods.registry import MEMBERS, PAPER_METHODS
from VertebraLabelingLib.pipeline import label_scan

SCAN = Scan(np.full((4, 4, 4), -1000.0, np.float32), Geometry((4, 4, 4), (200.0, 200.0, 200.0), (-300.0,) * 3), "scan")
COLUMN = [Level.T10, Level.T11, Level.T12, Level.L1, Level.L2, Level.L3]
TRUST = TRUSTS[0]
PLACES = np.array([[0.0, 0.0, -30.0 * n] for n in range(len(COLUMN))])
WIDE = Geometry((1000, 1000, 1000), (1.0, 1.0, 1.0), (-500.0, -500.0, -500.0))
FAIR = Trust(
    presence=1.0,
    alone=1.0,
    names=1.0,
    place=1.0,
    share=0.5,
    chance=0.1,
    border_chance=0.6,
    recall=(0.9, 0.9, 0.9, 0.9),
    error_mm=(2.0, 2.0, 2.0, 2.0),
)
EQUAL = {"a": FAIR, "b": FAIR}


def fuse(found: dict[str, Evidence], trust: Mapping[str, Trust] = TRUST, geometry: Geometry = WIDE) -> Evidence:
    return fuse_in(found, trust, geometry)


def log_probs(level: Level, sure: float = 0.9) -> np.ndarray:
    """The level with that probability, all others alike."""
    rest = np.full(len(Level), (1 - sure) / (len(Level) - 1))
    rest[level] = sure
    return np.log(rest)


def column(levels: list[Level], places: np.ndarray = PLACES, score: float = 0.9, sure: float = 0.9) -> Evidence:
    return Evidence(places, np.array([log_probs(level, sure) for level in levels]), np.full(len(levels), score))


class Member:
    """Answers with `evidence`, or raises it where it is an error."""

    def __init__(self, name: str, evidence: Evidence | Exception, weights: dict[str, str] | None = None) -> None:
        self.name, self._evidence, self.weights_sha256 = name, evidence, weights or {}

    def find(self, scan: Scan, progress: Callable[[str, float], None]) -> Evidence:
        progress("working", 0.5)
        if isinstance(self._evidence, Exception):
            raise self._evidence
        return self._evidence


def levels_of(evidence: Evidence) -> list[Level]:
    """Most likely levels, cranio-caudal."""
    order = np.argsort(-evidence.positions_lps_mm[:, 2])
    return [Level(int(n)) for n in evidence.level_log_probs[order].argmax(1)]


def test_a_single_member_is_left_as_it_is():
    alone = column(COLUMN)
    fused = Ensemble([Member("sites", alone)]).find(SCAN, silent)
    assert np.allclose(fused.positions_lps_mm, alone.positions_lps_mm)
    assert np.allclose(fused.level_log_probs, alone.level_log_probs)
    assert np.allclose(fused.scores, alone.scores)


def test_members_that_agree_are_one_column_and_surer_than_each():
    other = column(COLUMN, PLACES + [4.0, 0.0, 3.0])
    fused = fuse({"a": column(COLUMN), "b": other}, EQUAL)
    assert len(fused) == len(COLUMN)
    assert levels_of(fused) == COLUMN
    assert (fused.scores > 0.9).all()
    assert (np.exp(fused.level_log_probs.max(1)) > 0.9).all()
    assert np.allclose(np.exp(fused.level_log_probs).sum(1), 1)
    assert np.allclose(fused.positions_lps_mm, PLACES + [2.0, 0.0, 1.5])


def test_names_are_the_weighted_product_of_the_probabilities():
    trust = {"a": FAIR, "b": replace(FAIR, names=0.5)}
    a, b = column([Level.L1], PLACES[:1], 0.8), column([Level.L2], PLACES[:1] + [0, 0, 5.0], 0.6)
    product = np.exp(a.level_log_probs[0]) * np.sqrt(np.exp(b.level_log_probs[0]))
    assert np.allclose(np.exp(fuse({"a": a, "b": b}, trust).level_log_probs[0]), product / product.sum())


def test_positions_are_weighted_by_score_and_precision():
    trust = {"a": replace(FAIR, error_mm=(1.0,) * 4), "b": replace(FAIR, place=0.5)}
    a, b = column([Level.L1], PLACES[:1], 0.8), column([Level.L1], PLACES[:1] + [0, 0, 5.0], 0.6)
    # weights 0.8 / 1 and 0.5 * 0.6 / 4
    assert fuse({"a": a, "b": b}, trust).positions_lps_mm[0, 2] == pytest.approx(5 * 0.075 / 0.875)


def odds(evidence: Evidence) -> float:
    (score,) = evidence.scores
    return float(score / (1 - score))


def test_a_second_method_seconds_and_objects_by_bayes_rule():
    one, other = column([Level.L1], PLACES[:1], 0.8), column([Level.L1], PLACES[:1], 0.6)
    # 4 times recall / chance times the odds of its score against those of its candidates
    assert odds(fuse({"a": one, "b": other}, EQUAL)) == pytest.approx(4 * 9 * 1.5)
    # silent: (1 - recall) / (1 - chance)
    assert odds(fuse({"a": one, "b": Evidence.nothing()}, EQUAL)) == pytest.approx(4 / 9)
    half = {"a": FAIR, "b": replace(FAIR, presence=0.5)}
    assert odds(fuse({"a": one, "b": other}, half)) == pytest.approx(4 * np.sqrt(9 * 1.5))


def test_where_the_first_sees_nothing_it_objects_in_full_and_the_others_count_as_alone():
    trust = {"a": FAIR, "b": replace(FAIR, presence=0.9, alone=0.5)}
    seen = column([Level.L1], PLACES[:1], 0.99)
    assert odds(fuse({"a": Evidence.nothing(), "b": seen}, trust)) == pytest.approx(np.sqrt(99) / 9)


def test_recall_is_that_of_the_region():
    trust = {"a": FAIR, "b": replace(FAIR, recall=(0.5, 0.9, 0.9, 0.9))}
    scores = [odds(fuse({"a": column([n], PLACES[:1], 0.8, 0.9999), "b": Evidence.nothing()}, trust))
              for n in (Level.C4, Level.L1)]  # fmt: skip
    assert scores == pytest.approx([4 * 0.5 / 0.9, 4 / 9], rel=1e-3)
    assert np.allclose(regions_of(log_probs(Level.C4, 1 - 1e-12)), [1, 0, 0, 0])


def test_to_agree_on_a_body_that_the_border_cuts_means_little():
    one = column([Level.L1], np.array([[0.0, 0.0, -499.5 + BORDER_MM / 2]]), 0.8)
    assert odds(fuse({"a": one, "b": one}, EQUAL)) == pytest.approx(4 * 1.5 * 4)


def test_places_that_are_hardly_likely_are_no_candidates():
    weak = column([Level.L1], PLACES[:1], LEAST_FUSED_SCORE / 2)
    assert len(fuse({"a": weak}, EQUAL)) == 0
    assert len(fuse({"a": replace(weak, scores=np.array([LEAST_FUSED_SCORE + 0.01]))}, EQUAL)) == 1


def test_neighbours_of_one_member_never_become_one():
    close = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, -8.0]])
    one = column([Level.C3, Level.C4], close)
    fused = fuse({"a": one, "b": column([Level.C3, Level.C4], close - [0, 0, 2.0])}, EQUAL)
    assert sorted(fused.positions_lps_mm[:, 2].tolist()) == [-9.0, -1.0]


@pytest.mark.parametrize(("offset_mm", "together"), [(12.0, True), (20.0, False)])
def test_half_the_spacing_of_the_place_decides_what_is_one(offset_mm: float, together: bool):
    """Lumbar bodies are some 35 mm apart."""
    other = column([Level.L3], np.array([[0.0, 0.0, offset_mm]]))
    fused = fuse({"a": column([Level.L3], np.zeros((1, 3)), sure=0.999), "b": other}, EQUAL)
    assert len(fused) == (1 if together else 2)


def test_a_weaker_member_one_level_off_does_not_rename_the_column():
    wrong = column([Level(level - 1) for level in COLUMN], PLACES + [0.0, 0.0, 2.0], sure=0.98)
    evidence = fuse({"sites": column(COLUMN, sure=0.8), "integral-regression": wrong})
    assert levels_of(evidence) == COLUMN
    assert decode(evidence).levels == tuple(COLUMN)


def test_all_weaker_members_together_do_not_rename_what_sites_is_sure_of():
    """They say it as surely as they can, after their calibration."""
    temperature = load_model("global-to-local").metadata["network"].get("level_temperature", 1.0)
    surest = tempered(np.array([level_log_probs(Level(level - 1), 1.0) for level in COLUMN]), temperature)
    wrong = Evidence(PLACES, surest, np.full(len(COLUMN), 0.9))
    others = {name: wrong for name in MEMBERS if name != "sites"}
    assert decode(fuse({"sites": column(COLUMN, sure=0.98), **others})).levels == tuple(COLUMN)


def test_where_sites_is_at_a_loss_the_others_name_the_column():
    nothing_known = Evidence(PLACES, np.full((len(PLACES), len(Level)), -np.log(len(Level))), np.full(len(PLACES), 0.9))
    others = {name: column(COLUMN) for name in ("multi-view", "global-to-local")}
    assert decode(fuse({"sites": nothing_known, **others})).levels == tuple(COLUMN)


def test_what_only_weak_members_see_is_hardly_a_candidate_and_what_sites_sees_stays():
    fused = fuse({"sites": column(COLUMN[:3], PLACES[:3]), "integral-regression": column(COLUMN[3:], PLACES[3:])})
    assert len(fused) == 3 and (fused.scores > 0.85).all()


def test_a_silent_member_costs_little():
    fused = fuse({"sites": column(COLUMN), "multi-view": Evidence.nothing()})
    assert levels_of(fused) == COLUMN
    assert ((fused.scores < 0.9) & (fused.scores > 0.7)).all()
    assert np.allclose(fused.positions_lps_mm, PLACES)


def test_a_member_that_finds_nothing_counts_as_silent():
    nothing = NothingFoundError("No vertebra was found.")
    fused = Ensemble([Member("sites", column(COLUMN)), Member("multi-view", nothing)]).find(SCAN, silent)
    expected = fuse({"sites": column(COLUMN), "multi-view": Evidence.nothing()})
    assert np.array_equal(fused.scores, expected.scores)


def test_when_all_find_nothing_so_does_the_ensemble():
    members = [Member(name, NothingFoundError(name)) for name in ("sites", "multi-view")]
    with pytest.raises(NothingFoundError, match="sites"):
        Ensemble(members).find(SCAN, silent)


def test_when_all_are_silent_there_is_no_candidate():
    members = [Member("sites", Evidence.nothing()), Member("multi-view", NothingFoundError("x"))]
    assert len(Ensemble(members).find(SCAN, silent)) == 0


def test_members_share_the_progress_and_a_stop_goes_through():
    told: list[float] = []
    members = [Member(name, column(COLUMN)) for name in ("sites", "multi-view")]
    Ensemble(members).find(SCAN, lambda stage, fraction: told.append(fraction))
    assert told == [0.25, 0.75]

    def stop(stage: str, fraction: float) -> None:
        if fraction > 0.5:
            raise CancelledError("Stopped.")

    with pytest.raises(CancelledError):
        Ensemble(members).find(SCAN, stop)


def test_other_failures_of_a_member_are_not_hidden():
    with pytest.raises(MemoryError):
        Ensemble([Member("sites", column(COLUMN)), Member("multi-view", MemoryError())]).find(SCAN, silent)


def test_the_hashes_of_all_members_are_in_the_record():
    members = [Member("sites", column(COLUMN), {"sites": "a", "corridor": "c"})]
    members.append(Member("multi-view", column(COLUMN), {"multi-view": "b", "corridor": "c"}))
    assert Ensemble(members).weights_sha256 == {"sites": "a", "corridor": "c", "multi-view": "b"}


def test_every_member_has_its_trust_and_the_default_one_counts_in_full():
    assert set(TRUST) == set(MEMBERS)
    assert (TRUST["sites"].presence, TRUST["sites"].alone, TRUST["sites"].names) == (1, 1, 1)
    for trust in (of_it for trusts in TRUSTS for of_it in trusts.values()):
        shares = [trust.share, trust.chance, trust.border_chance, *trust.recall]
        assert all(0 < share < 1 for share in shares) and all(mm > 0 for mm in trust.error_mm)
        assert all(0 <= n <= 1 for n in (trust.presence, trust.alone, trust.names, trust.place))


def test_some_members_alone_are_trusted_as_measured_without_the_others():
    papers = trust_in(PAPER_METHODS)
    assert set(papers) == set(PAPER_METHODS) and papers is not TRUST
    assert [t.presence for t in papers.values()].count(1.0) >= 1, "one of them leads"
    assert trust_in(MEMBERS) is trust_in(["sites", "multi-view"]) is TRUST


def test_a_member_that_was_not_measured_is_left_out_and_the_result_says_so():
    """Such as a method that was added by the recipe of CONTRIBUTING.md."""
    new = Member("new", column(COLUMN, PLACES + 9.0), {"new": "n"})
    sites = Member("sites", column(COLUMN), {"sites": "s"})
    ensemble = Ensemble([new, sites])
    found, expected = ensemble.find(SCAN, silent), Ensemble([sites]).find(SCAN, silent)
    assert np.array_equal(found.positions_lps_mm, expected.positions_lps_mm)
    assert ensemble.weights_sha256 == {"sites": "s"}
    (note,) = found.notes
    assert "leaves out the method 'new'" in note and expected.notes == ()
    scan = Scan(trunk_hu(), Geometry((30, 24, 24), (6.0, 6.0, 6.0), (-70.0, -60.0, -165.0)))
    assert note in label_scan(scan, ensemble).scan.notes
    with pytest.raises(UsageError, match="leaves out the method 'new'"):
        Ensemble([new])


def test_members_can_be_chosen():
    found = {"sites": column(COLUMN), "multi-view": Evidence.nothing(), "global-to-local": column(COLUMN, PLACES + 2.0)}
    ensemble = Ensemble([Member(name, evidence, {name: "x"}) for name, evidence in found.items()])
    chosen = ensemble.variant(members=["global-to-local"])
    assert chosen.weights_sha256 == {"global-to-local": "x"}
    assert np.allclose(chosen.find(SCAN, silent).positions_lps_mm, PLACES + 2.0)
    with pytest.raises(UsageError, match="no member 'integral-regression'"):
        ensemble.variant(members=["integral-regression"])


def test_levels_that_a_member_knows_nothing_of_are_no_numbers_of_infinity():
    certain = np.full((1, len(Level)), -np.inf)
    certain[0, REGULAR_LEVELS[20]] = 0.0
    fused = fuse(
        {"sites": Evidence(PLACES[:1], certain, np.array([1.0])), "multi-view": column([Level.L5], PLACES[:1])}
    )
    assert np.isfinite(fused.level_log_probs).all() and 0.99 < fused.scores[0] < 1
