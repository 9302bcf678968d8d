"""The sequence decoder: exact against enumeration, right on spines drawn from the priors, honest when unsure."""

from __future__ import annotations

import itertools
import math
import time
from pathlib import Path

import numpy as np
import pytest
from VertebraLabelingLib.core.anatomy import REGULAR_LEVELS, Level
from VertebraLabelingLib.core.chain import BestPaths, Chain, posterior
from VertebraLabelingLib.core.formats import read_points
from VertebraLabelingLib.core.labelling import Evidence, Labelling
from VertebraLabelingLib.core.name_levels import CertaintySettings
from VertebraLabelingLib.core.sequence import SequenceSettings, _with_the_mass, build_chain, decode
from VertebraLabelingLib.core.spine_axis import steps_along_spine
from VertebraLabelingLib.core.spine_priors import prevalence, routes, spacing_mm, successors

L = Level


def spine_levels(first: Level, last: Level) -> list[Level]:
    """Regular levels from first to last."""
    return [level for level in REGULAR_LEVELS if first <= level <= last]


def column(levels: list[Level], scale: float = 1.0, rng: np.random.Generator | None = None) -> np.ndarray:
    """(n, 3) body centres of a spine that runs down and bows in the sagittal plane, spacings from the priors."""
    gaps = [spacing_mm(a, b) for a, b in itertools.pairwise(levels)]
    noise = rng.normal(size=len(gaps)) if rng else np.zeros(len(gaps))
    depth = np.concatenate([[0.0], np.cumsum([scale * (m + s * e) for (m, s), e in zip(gaps, noise, strict=True)])])
    angle = 0.35 * np.sin(depth / 90.0)
    step = np.diff(depth, prepend=0.0)
    return np.stack(
        [np.full_like(depth, 3.0), np.cumsum(step * np.sin(angle)), -np.cumsum(step * np.cos(angle))], axis=1
    )


def looks(levels: list[Level], sharpness: float = 1.5, offset: float = 0.0) -> np.ndarray:
    """(n, 28) log-probabilities of a network of 26 levels that sees each level, `offset` too low, and blurs it."""
    place = np.array([REGULAR_LEVELS.index(x) if x in REGULAR_LEVELS else np.inf for x in Level])
    seen = np.array([REGULAR_LEVELS.index(x) for x in levels], float) + offset
    logits = -0.5 * sharpness * np.minimum((place[None] - seen[:, None]) ** 2, 100.0)
    logits[:, [L.T13, L.L6]] = -np.inf
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


def unsure(n: int) -> np.ndarray:
    """(n, 28) uniform log-probabilities."""
    return np.full((n, len(Level)), -math.log(len(Level)))


def evidence(positions: np.ndarray, log_probs: np.ndarray, scores: float | np.ndarray = 0.9) -> Evidence:
    return Evidence(positions, log_probs, np.broadcast_to(np.asarray(scores, float), len(positions)).copy())


def joined(*parts: Evidence) -> Evidence:
    return Evidence(
        np.concatenate([p.positions_lps_mm for p in parts]),
        np.concatenate([p.level_log_probs for p in parts]),
        np.concatenate([p.scores for p in parts]),
    )


def positions_of(labelling: Labelling) -> np.ndarray:
    return np.array([p.position_lps_mm for p in labelling.points])


# --- exactness -------------------------------------------------------------------------------------------------------


def enumerate_paths(chain: Chain) -> list[tuple[tuple[tuple[int, int], ...], int, float]]:
    """Every path (states, scale, score) of a chain, by brute force; impossible ones left out."""
    n, m = chain.unary.shape
    edges = {(int(i), int(j)): e for e, (i, j) in enumerate(chain.edges.T)}
    moves = {(int(a), int(b)): t for t, (a, b) in enumerate(chain.moves.T)}
    found = []
    for size in range(1, n + 1):
        for chosen in itertools.combinations(range(n), size):
            for levels in itertools.combinations(range(m), size):
                steps = list(zip(itertools.pairwise(chosen), itertools.pairwise(levels), strict=True))
                if not all(e in edges and v in moves for e, v in steps):
                    continue
                own = sum(chain.unary[c, v] for c, v in zip(chosen, levels, strict=True))
                for k, prior in enumerate(chain.scale):
                    pairs = sum(chain.pair[moves[v], k, edges[e]] for e, v in steps)
                    found.append(
                        (tuple(zip(chosen, levels, strict=True)), k, chain.start[levels[0]] + own + pairs + prior)
                    )
    return found


def random_chain(seed: int) -> Chain:
    rng = np.random.default_rng(seed)
    n, m, k = 4, 5, 2
    edges = np.array([(i, j) for j in range(n) for i in range(j) if rng.random() < 0.8]).reshape(-1, 2).T
    moves = np.array([(a, b) for a in range(m) for b in range(a + 1, m) if rng.random() < 0.7]).T
    pair = rng.normal(size=(moves.shape[1], k, edges.shape[1])) * 2
    scale = np.log(rng.dirichlet(np.ones(k)))
    return Chain(rng.normal(size=(n, m)), edges.astype(np.intp), moves, pair, scale, rng.normal(size=m) - 1.3)


def evidence_chain() -> Chain:
    """Three noisy candidates and the decoder's own terms."""
    rng = np.random.default_rng(3)
    found = evidence(
        column([L.T11, L.T12, L.L1]) + rng.normal(size=(3, 3)) * 3,
        np.log(rng.dirichlet(np.ones(28), size=3)),
        np.array([0.8, 0.3, 0.6]),
    )
    steps = steps_along_spine(found.positions_lps_mm, found.scores)
    return build_chain(found, steps, SequenceSettings(scales=3))


chains = pytest.mark.parametrize(
    "chain", [*(random_chain(s) for s in range(6)), evidence_chain()], ids=[*map(str, range(6)), "evidence"]
)


@chains
def test_forward_backward_equals_enumeration(chain: Chain) -> None:
    paths = enumerate_paths(chain)
    total = np.logaddexp.reduce([0.0, *(score for *_, score in paths)])
    expected = np.zeros_like(chain.unary)
    for states, _, score in paths:
        for candidate, level in states:
            expected[candidate, level] += math.exp(score - total)
    found = posterior(chain)
    np.testing.assert_allclose(found.levels, expected, atol=1e-12)
    assert found.none == pytest.approx(math.exp(-total), rel=1e-9)


@chains
def test_viterbi_equals_enumeration(chain: Chain) -> None:
    states, scale, score = max(enumerate_paths(chain), key=lambda p: p[2])
    best = BestPaths(chain)
    assert best.best() == (list(states), scale)
    assert best.scores.max() == pytest.approx(score, abs=1e-9)


@chains
def test_best_path_through_each_state_equals_enumeration(chain: Chain) -> None:
    paths = enumerate_paths(chain)
    best = BestPaths(chain)
    n, m = chain.unary.shape
    for state in itertools.product(range(n), range(m)):
        states, _, _ = max((p for p in paths if state in p[0]), key=lambda p: p[2])
        assert best.through(state) == list(states)


def test_the_posterior_stays_finite_for_extreme_evidence() -> None:
    levels = spine_levels(L.C1, L.S2)
    certain = np.full((len(levels), 28), -np.inf)
    certain[np.arange(len(levels)), levels] = 0.0
    result = decode(evidence(column(levels), certain, 1.0))
    assert result.levels == tuple(levels)
    assert all(0.99 < p.probability <= 1.0 for p in result.points)


def test_one_candidate_is_as_probable_as_its_score_and_its_levels() -> None:
    log_probs = unsure(1)
    assert decode(evidence(np.zeros((1, 3)), log_probs, 0.49)).points == ()
    log_probs = looks([L.C2], sharpness=50.0)
    result = decode(evidence(np.zeros((1, 3)), log_probs, 0.8), SequenceSettings(temperature=1.0, confusion=0.0))
    assert result.levels == (L.C2,)
    assert result.points[0].probability == pytest.approx(0.8, abs=1e-6)


# --- priors ----------------------------------------------------------------------------------------------------------


def test_successors_are_distributions_and_every_pair_has_a_spacing() -> None:
    for level in Level:
        following = successors(level)
        assert sum(following.values()) == pytest.approx(0.0 if level is L.S2 else 1.0)
        for below in following:
            mean, sd = spacing_mm(level, below)
            assert below > level and 15 < mean < 40 and 0.02 < sd / mean < 0.1


def test_only_supernumerary_levels_are_rare() -> None:
    rare = {level: prevalence(level) for level in Level if prevalence(level) != 1.0}
    assert rare == {L.T13: successors(L.T12)[L.T13], L.L6: successors(L.L5)[L.L6]}


def test_a_route_past_a_missed_vertebra_is_as_long_as_its_steps() -> None:
    found = [r for r in routes(0.03, 2) if (r.above, r.below) == (L.T11, L.L1)]
    assert {r.missed for r in found} == {(), (L.T12,), (L.T12, L.T13)}
    past = next(r for r in found if r.missed == (L.T12,))
    assert past.mean_mm == pytest.approx(spacing_mm(L.T11, L.T12)[0] + spacing_mm(L.T12, L.L1)[0])
    assert past.log_prior == pytest.approx(math.log(0.97 * 0.03 * 0.99))


@pytest.mark.shared
def test_spacings_agree_with_hand_placed_centroids(shared_data: Path) -> None:
    ratios = []
    for path in sorted((shared_data / "annotations").glob("*.csv")):
        points = {point.level: np.array(point.position_lps_mm) for point in read_points(path)}
        pairs = [(a, b) for a, b in itertools.pairwise(sorted(points)) if b in successors(a)]
        ratio = np.array([np.linalg.norm(points[b] - points[a]) / spacing_mm(a, b)[0] for a, b in pairs])
        ratios.extend(ratio / np.median(ratio) if len(ratio) > 3 else [])
    assert len(ratios) > 100
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.02)
    assert np.std(ratios) < 0.1


# --- order along the spine -------------------------------------------------------------------------------------------


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    """Turned in the sagittal plane about the mean."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return (points - points.mean(0)) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]).T


@pytest.mark.parametrize("degrees", [-75, -40, 0, 40, 75])
def test_a_tilted_column_is_ordered_along_itself(degrees: float) -> None:
    points = turned(column(spine_levels(L.T1, L.L5)), degrees)
    steps = steps_along_spine(points, np.ones(len(points)))
    assert steps.order.tolist() == list(range(len(points)))
    assert np.all(np.diagonal(steps.along_mm, 1) > 0.95 * np.diagonal(steps.distance_mm, 1))


def test_a_column_bent_until_it_climbs_is_ordered_along_itself() -> None:
    angle = np.radians(np.linspace(-60, 110, 16))
    step = 22.0 * np.stack([np.zeros(16), np.sin(angle), -np.cos(angle)], axis=1)
    points = np.cumsum(step, axis=0)
    assert points[-1, 2] > points[-4, 2], "the last vertebrae must climb, or the test proves nothing"
    steps = steps_along_spine(points, np.ones(16))
    assert steps.order.tolist() == list(range(16))


def test_the_axis_of_a_single_candidate_and_of_coincident_ones_is_defined() -> None:
    for points in (np.zeros((1, 3)), np.zeros((3, 3))):
        steps = steps_along_spine(points, np.ones(len(points)))
        assert np.isfinite(steps.along_mm).all()


# --- labelling -------------------------------------------------------------------------------------------------------


def test_no_candidate_gives_an_empty_labelling() -> None:
    assert decode(evidence(np.zeros((0, 3)), np.zeros((0, 28)))) == Labelling(())


def test_only_weak_candidates_scattered_about_give_an_empty_labelling() -> None:
    positions = np.random.default_rng(0).uniform(-150, 150, size=(6, 3))
    assert decode(evidence(positions, unsure(6), 0.1)).points == ()


def test_weak_candidates_in_line_support_each_other() -> None:
    levels = spine_levels(L.T8, L.L3)
    result = decode(evidence(column(levels), looks(levels), 0.25))
    assert result.levels == tuple(levels)
    assert min(p.probability for p in result.points) > 0.5


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number"):
        decode(evidence(np.full((1, 3), np.nan), unsure(1)))


def test_the_order_of_the_candidates_does_not_matter_and_positions_pass_unchanged() -> None:
    rng = np.random.default_rng(5)
    levels = spine_levels(L.C5, L.L2)
    straight = evidence(column(levels, 1.05, rng), looks(levels), rng.uniform(0.3, 0.95, len(levels)))
    shuffle = rng.permutation(len(levels))
    mixed = Evidence(straight.positions_lps_mm[shuffle], straight.level_log_probs[shuffle], straight.scores[shuffle])
    first, second = decode(straight), decode(mixed)
    assert first.levels == second.levels == tuple(levels)
    np.testing.assert_array_equal(positions_of(first), straight.positions_lps_mm)
    np.testing.assert_array_equal(positions_of(second), straight.positions_lps_mm)
    np.testing.assert_allclose([p.probability for p in first.points], [p.probability for p in second.points], atol=1e-9)


@pytest.mark.parametrize("degrees", [-50, 50])
def test_a_kyphotic_patient_is_decoded(degrees: float) -> None:
    levels = spine_levels(L.C1, L.T10)
    assert decode(evidence(turned(column(levels), degrees), looks(levels))).levels == tuple(levels)


@pytest.mark.parametrize("scale", [0.85, 1.15])
def test_short_and_tall_patients_are_decoded(scale: float) -> None:
    levels = spine_levels(L.T4, L.S2)
    result = decode(evidence(column(levels, scale), looks(levels, sharpness=0.5)))
    assert result.levels == tuple(levels)
    assert result.remarks == ()


def test_decoding_beats_the_argmax_on_noisy_spines_with_false_candidates() -> None:
    rng = np.random.default_rng(11)
    right = {"argmax": 0, "decoded": 0}
    total = false = 0
    for _ in range(30):
        first = int(rng.integers(0, 18))
        levels = list(REGULAR_LEVELS[first : first + int(rng.integers(6, 14))])
        points = column(levels, rng.normal(1.0, 0.065), rng) + rng.normal(size=(len(levels), 3)) * 1.5
        log_probs = looks(levels, sharpness=1.0) + rng.normal(size=(len(levels), 28)) * 1.2
        log_probs -= np.logaddexp.reduce(log_probs, axis=1, keepdims=True)
        ribs = points[:4] + rng.normal(size=(4, 3)) * 4 + np.array([45.0, 5.0, 0.0])
        result = decode(joined(evidence(points, log_probs, 0.8), evidence(ribs, log_probs[:4], 0.4)))
        truth = {tuple(p): level for p, level in zip(points, levels, strict=True)}
        right["argmax"] += int((log_probs.argmax(1) == np.array(levels)).sum())
        right["decoded"] += sum(truth.get(p.position_lps_mm) == p.level for p in result.points)
        false += sum(p.position_lps_mm not in truth for p in result.points)
        total += len(levels)
    assert right["argmax"] / total < 0.45
    assert right["decoded"] / total > 0.8
    assert false == 0


# --- false and missed detections -------------------------------------------------------------------------------------


@pytest.mark.parametrize("aside", [30.0, 50.0, -80.0])
def test_peaks_on_ribs_are_dropped(aside: float) -> None:
    levels = spine_levels(L.T4, L.L2)
    spine = evidence(column(levels), looks(levels))
    ribs = evidence(column(levels)[1:5] + np.array([aside, 8.0, 3.0]), looks(levels[1:5]), 0.4)
    result = decode(joined(ribs, spine))
    assert result.levels == tuple(levels)
    np.testing.assert_array_equal(positions_of(result), spine.positions_lps_mm)


def test_doubled_peaks_inside_lumbar_bodies_are_dropped() -> None:
    levels = spine_levels(L.T11, L.S1)
    spine = evidence(column(levels), looks(levels))
    doubles = evidence(column(levels)[2:5] + np.array([0.0, 2.0, 13.0]), looks(levels[2:5]), 0.4)
    result = decode(joined(spine, doubles))
    assert result.levels == tuple(levels)
    np.testing.assert_array_equal(positions_of(result), spine.positions_lps_mm)


def test_of_exact_duplicates_one_stays() -> None:
    levels = spine_levels(L.T8, L.L2)
    spine = evidence(column(levels), looks(levels))
    assert decode(joined(spine, spine)).levels == tuple(levels)


def test_a_strong_candidate_off_the_line_is_mentioned() -> None:
    levels = spine_levels(L.T4, L.L2)
    stray = evidence(np.array([[90.0, 40.0, -70.0]]), looks([L.T6]), 0.9)
    result = decode(joined(evidence(column(levels), looks(levels)), stray))
    assert result.levels == tuple(levels)
    assert result.remarks == ("1 candidate off the line left out",)


def test_what_lies_beyond_a_gap_too_long_to_count_across_is_mentioned() -> None:
    above, below = spine_levels(L.T1, L.T6), spine_levels(L.L3, L.L5)
    positions = column(spine_levels(L.T1, L.L5))[[*range(6), -3, -2, -1]]
    result = decode(evidence(positions, looks(above + below)))
    assert result.levels == tuple(above)
    (remark,) = result.remarks
    assert remark.startswith("3 candidates below T6 left out, ")
    assert remark.endswith(" mm away: too far to count across")


@pytest.mark.parametrize("missing", [[L.T9], [L.T9, L.T10], [L.T12], [L.L3, L.L4, L.L5]])
def test_missed_vertebrae_are_skipped_and_named(missing: list[Level]) -> None:
    levels = spine_levels(L.T4, L.S2)
    kept = [level not in missing for level in levels]
    remaining = [level for level in levels if level not in missing]
    result = decode(evidence(column(levels)[kept], looks(remaining)))
    assert result.levels == tuple(remaining)
    above, below = Level(missing[0] - 1), REGULAR_LEVELS[REGULAR_LEVELS.index(missing[-1]) + 1]
    names = ", ".join(level.name for level in missing)
    assert result.remarks == (f"{names} between {above.name} and {below.name} not found",)


# --- numerical variants ----------------------------------------------------------------------------------------------

VARIANTS = {
    "11 thoracic": (
        [*spine_levels(L.T6, L.T11), *spine_levels(L.L1, L.S2)],
        [*spine_levels(L.T6, L.T11), *spine_levels(L.L1, L.S2)],
        "11 thoracic vertebrae: T12 seems absent",
    ),
    "13 thoracic": (
        [*spine_levels(L.T6, L.T12), L.T13, *spine_levels(L.L1, L.S2)],
        [*spine_levels(L.T6, L.T12), L.T12, *spine_levels(L.L1, L.S2)],
        "13 thoracic vertebrae",
    ),
    "4 lumbar": (
        [*spine_levels(L.T6, L.L4), L.S1, L.S2],
        [*spine_levels(L.T6, L.L4), L.S1, L.S2],
        "4 lumbar vertebrae: L5 seems absent",
    ),
    "6 lumbar": (
        [*spine_levels(L.T6, L.L5), L.L6, L.S1, L.S2],
        [*spine_levels(L.T6, L.L5), L.L5, L.S1, L.S2],
        "6 lumbar vertebrae",
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_is_decoded_when_the_evidence_says_so(name: str) -> None:
    levels, appearance, remark = VARIANTS[name]
    result = decode(evidence(column(levels), looks(appearance, sharpness=12.0)))
    assert result.levels == tuple(levels)
    assert result.remarks == (remark,)


@pytest.mark.parametrize("first", [L.C1, L.T4, L.T10])
@pytest.mark.parametrize("sharpness", [0.3, 1.5])
def test_no_variant_is_seen_in_a_regular_spine(first: Level, sharpness: float) -> None:
    levels = spine_levels(first, L.S2)
    result = decode(evidence(column(levels), looks(levels, sharpness)))
    assert result.levels == tuple(levels)
    assert result.remarks == ()


def test_a_column_does_not_begin_with_a_variant_because_it_could() -> None:
    """Lumbar looks without any border: a T13 on top would look lumbar too and be as long as an L1, but it is rare."""
    levels = spine_levels(L.L1, L.L5)
    lumbar = np.full((5, 28), math.log(1e-3))
    lumbar[:, levels] = math.log(0.2)
    found = evidence(column(levels), lumbar - np.logaddexp.reduce(lumbar, axis=1, keepdims=True))
    steps = steps_along_spine(found.positions_lps_mm, found.scores)
    top = posterior(build_chain(found, steps)).levels[0]
    assert decode(found).points[0].level == L.L1
    assert top[L.T13] < 0.02 * top[L.L1]


def test_a_single_vertebra_that_looks_one_off_does_not_make_a_variant() -> None:
    levels = spine_levels(L.T8, L.S1)
    appearance = [L.T12 if level is L.T11 else level for level in levels]
    result = decode(evidence(column(levels), looks(appearance, sharpness=1.0)))
    assert result.levels == tuple(levels)


# --- certainty -------------------------------------------------------------------------------------------------------


def test_a_clear_spine_with_anchors_is_certain() -> None:
    levels = spine_levels(L.T10, L.S2)
    result = decode(evidence(column(levels), looks(levels)))
    assert result.level_certain
    assert result.anchors == (L.T12, L.L1, L.L5, L.S1)
    assert sum(a.probability for a in result.alternatives) < 0.1


def test_without_an_anchor_the_level_is_unsure_however_clear_it_looks() -> None:
    levels = spine_levels(L.T4, L.T10)
    result = decode(evidence(column(levels), looks(levels, sharpness=20.0)))
    assert result.levels == tuple(levels)
    assert result.anchors == () and not result.level_certain


def test_a_column_without_an_anchor_may_be_off_as_a_whole_and_lists_both_neighbours() -> None:
    levels = spine_levels(L.T4, L.T10)
    found = evidence(column(levels), looks(levels, sharpness=20.0), 0.99)
    sure, doubtful = (
        decode(found, SequenceSettings(certainty=CertaintySettings(unanchored_doubt=doubt))) for doubt in (0.0, 0.5)
    )
    assert doubtful.levels == sure.levels and not sure.alternatives
    kept = [b.probability / a.probability for a, b in zip(sure.points, doubtful.points, strict=True)]
    assert kept == pytest.approx([0.5] * len(levels), abs=0.01)
    assert sorted(other.shift for other in doubtful.alternatives) == [-2, -1, 1, 2]
    assert [other.probability for other in doubtful.alternatives] == pytest.approx(
        [0.225, 0.225, 0.025, 0.025], abs=0.01
    )


def test_the_doubt_of_columns_without_an_anchor_leaves_the_others_alone() -> None:
    levels = spine_levels(L.T10, L.S2)
    settings = [SequenceSettings(certainty=CertaintySettings(unanchored_doubt=doubt)) for doubt in (0.0, 0.4)]
    one, other = (decode(evidence(column(levels), looks(levels)), each) for each in settings)
    assert one == other


def test_the_first_rib_counts_only_with_the_neck_vertebra_above_it() -> None:
    with_neck, without = spine_levels(L.C6, L.T4), spine_levels(L.T1, L.T6)
    assert decode(evidence(column(with_neck), looks(with_neck, 5.0))).anchors == (L.T1,)
    assert decode(evidence(column(without), looks(without, 5.0))).anchors == ()


def test_a_column_that_fits_two_levels_equally_gives_the_other_as_alternative_with_half_the_probability() -> None:
    levels = spine_levels(L.T5, L.T9)
    same = np.tile([[0.0, 0.0, -22.6]], (5, 1)).cumsum(0)
    result = decode(evidence(same, looks(levels, sharpness=4.0, offset=0.5)), SequenceSettings(position_sd_mm=30.0))
    other = result.alternatives[0]
    assert not result.level_certain
    assert abs(other.shift) == 1
    assert other.levels == tuple(Level(level + other.shift) for level in result.levels)
    assert other.probability == pytest.approx(0.5, abs=0.1)
    assert [a.probability for a in result.alternatives] == sorted(a.probability for a in result.alternatives)[::-1]


def test_the_probability_of_a_shift_follows_the_evidence_and_the_temperature() -> None:
    levels = spine_levels(L.T5, L.T8)
    same = np.tile([[0.0, 0.0, -22.6]], (4, 1)).cumsum(0)
    log_probs = np.full((4, 28), -np.inf)
    for row, level in zip(log_probs, levels, strict=True):
        row[level], row[level + 1] = math.log(0.7), math.log(0.3)
    settings = SequenceSettings(
        temperature=2.0, confusion=1e-9, position_sd_mm=1e3, free_volume_mm3=1e12,
        certainty=CertaintySettings(unanchored_doubt=0.0),
    )  # fmt: skip
    result = decode(evidence(same, log_probs, 0.999), settings)
    odds = (0.3 / 0.7) ** (4 / settings.temperature)
    assert result.levels == tuple(levels)
    assert result.alternatives[0].shift == 1
    assert result.alternatives[0].probability == pytest.approx(odds / (1 + odds), abs=0.02)


def test_more_temperature_means_less_certainty() -> None:
    levels = spine_levels(L.T8, L.L3)
    found = evidence(column(levels), looks(levels, sharpness=0.4))
    mass = [sum(a.probability for a in decode(found, SequenceSettings(temperature=t)).alternatives) for t in (1, 2, 4)]
    assert mass[0] < mass[1] < mass[2]


def test_points_whose_level_nobody_knows_are_marked_and_clear_ones_are_not() -> None:
    levels = spine_levels(L.T8, L.L3)
    blind = decode(evidence(column(levels), unsure(len(levels))))
    assert len(blind.points) == len(levels)
    assert all(p.probability < 0.5 and p.remark == "uncertain" for p in blind.points)
    clear = decode(evidence(column(levels), looks(levels)))
    assert all(p.probability > 0.5 and p.remark == "" for p in clear.points)


@pytest.mark.slow
def test_forty_candidates_are_decoded_fast() -> None:
    rng = np.random.default_rng(1)
    positions = np.stack([rng.normal(size=40) * 5, rng.normal(size=40) * 5, -20.0 * np.arange(40)], axis=1)
    found = evidence(positions, np.log(rng.dirichlet(np.ones(28), size=40)), rng.uniform(0.1, 0.9, size=40))
    decode(found)
    took = []
    for _ in range(5):
        start = time.process_time()
        decode(found)
        took.append(time.process_time() - start)
    assert min(took) < 0.3


def test_weak_candidates_of_which_none_is_rather_a_vertebra_than_not_are_nothing() -> None:
    levels = spine_levels(L.L4, L.S2)
    flat = np.full((4, len(L)), -np.log(len(L)))
    weak = Evidence(column(levels) + np.array([0.0, 18.0, 0.0]) * np.arange(4)[:, None] % 30, flat, np.full(4, 0.2))
    assert decode(weak).points == ()


class Paths:
    """Notes which state the best path was asked for."""

    def through(self, state: tuple[int, int]) -> list[tuple[int, int]]:
        return [state]


def test_the_labelling_follows_the_sum_of_all_paths_where_that_prefers_another_level() -> None:
    path = [(0, L.T4), (1, L.T5), (2, L.T6)]
    levels = np.zeros((3, len(L)))
    levels[[0, 1, 2], [L.T4, L.T5, L.T6]] = [0.5, 0.4, 0.45]
    assert _with_the_mass(path, levels, Paths()) is path
    levels[[0, 1, 2], [L.T5, L.T6, L.T7]] = [0.5, 0.55, 0.5]
    assert _with_the_mass(path, levels, Paths()) == [(1, L.T6)]
