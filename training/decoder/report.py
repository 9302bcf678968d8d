"""What `python -m training decoder` prints: fitted numbers beside those in the code, and the results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Group
from rich.table import Table
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.name_levels import CertaintySettings
from VertebraLabelingLib.core.sequence import DEFAULT_SETTINGS, SequenceSettings
from VertebraLabelingLib.core.spine_priors import SCALE_SD, spacing_mm, successors

from ..certainty import BINS, reliability
from ..spines import Spine
from .anatomy_fit import count_variants, fit_anatomy
from .counted import counted_sample, read_evidence, write_evidence
from .detection_fit import fit_detections
from .emission import fit_emission
from .judge import Outcome, alternative_calibration, judged, point_calibration, summary
from .region_evidence import fit_regions
from .reliability import write_diagram
from .samples import Sample, crops, whole_samples

SEED = 20
REGIONS = SequenceSettings(
    temperature=1.0,
    confusion=0.2,
    position_sd_mm=3.0,
    free_volume_mm3=5.2e7,
    certainty=CertaintySettings(unanchored_doubt=0.0),
)
"""For the raw detections of the list, which are not our network's: their regions err nearly each for itself.

The volume is that of `fit_detections`.  The other numbers were chosen on 360 spines to fit on and a crop of each, two
halves by patient, each with the regions of the other: sum of the two losses 0.545 nats; 0.594 with the settings before
(temperature 1.3, confusion 0.02, 2 mm, 2e5 mm3).  Temperatures of 1 to 1.3 and confusions of 0.1 to 0.2 differ by 0.01.
No better: a factor for the proportion of chest to loins (their spacings vary against each other), other priors of the
variants, evidence blurred to the neighbours.
"""

LOOKED_AT = 150
"""So many of the kept-apart spines, the first of the draw, were judged on while the decoder was still being changed; so
were those with an L6, wherever they stand in the draw.
"""
JUDGED_BEFORE = 200
"""So many of the others were judged on once, with the settings before these; the rest with these for the first time."""

Samples = tuple[Sample, ...]
SampleSets = dict[str, tuple[Samples, SequenceSettings]]


def fitted_tables(spines: Sequence[Spine]) -> Group:
    """Spacings, variants and detection statistics of the spines to fit on."""
    anatomy, detections = fit_anatomy(spines), fit_detections(spines)
    spacings = Table("pair", "n", "mm", "in the code", "SD", "in the code", title="spacing at average stature")
    for (above, below), fit in anatomy.spacings.items():
        mean, sd = spacing_mm(above, below)
        shown = (str(fit.n), f"{fit.mean_mm:.1f}", f"{mean:.1f}", f"{fit.sd:.3f}", f"{sd / mean:.3f}")
        spacings.add_row(f"{above.name}-{below.name}", *shown)
    numbers = Table("number", "fitted", "in the code", title="stature, variants, detections")
    numbers.add_row("SD of stature", f"{anatomy.stature_sd:.3f}", f"{SCALE_SD:.3f}")
    for (above, below), (seen, of) in count_variants(spines).items():
        prior = successors(above)[below]
        numbers.add_row(f"{above.name}-{below.name}", f"{seen}/{of} = {seen / of:.4f}", f"{prior:.4f}")
    settings = DEFAULT_SETTINGS
    numbers.add_row("missed between found ones", f"{detections.missed:.4f}", f"{settings.missed_probability:.4f}")
    numbers.add_row("false per spine", f"{detections.false_per_spine:.3f}", "")
    numbers.add_row("free volume, mm3", f"{detections.free_volume_mm3:.2g}", f"{settings.free_volume_mm3:.2g}")
    numbers.add_row("position SD per axis, mm", f"{detections.position_sd_mm:.2f}", f"{settings.position_sd_mm:.2f}")
    numbers.add_row("beyond 3 SD", f"{detections.far:.4f}", "")
    return Group(spacings, numbers)


def drawn(spines: Sequence[Spine]) -> tuple[Spine, ...]:
    """The spines in a fixed random order."""
    return tuple(spines[i] for i in np.random.default_rng(SEED).permutation(len(spines)))


def not_looked_at(apart: Sequence[Spine]) -> tuple[Spine, ...]:
    """The kept-apart spines, in their drawn order, of patients of whom nobody saw a spine before the settings stood."""
    order = drawn(apart)
    seen = {spine.patient for spine in order[:LOOKED_AT]}
    return tuple(spine for spine in order if spine.patient not in seen)


def sample_sets(fit: Sequence[Spine], apart: Sequence[Spine], at_most: int | None) -> SampleSets:
    """Whole spines and crops with region evidence, of the first spines `not_looked_at`; those never judged on again.

    Spines with an L6 are few: all those kept apart are shown by themselves besides.  Chosen by their truth they tell
    how many are named right, but nothing of calibration.
    """
    model = fit_regions(fit)
    chosen = not_looked_at(apart)[:at_most]
    whole, fresh = whole_samples(chosen, model), whole_samples(chosen[JUDGED_BEFORE:], model)
    with_l6 = whole_samples([spine for spine in apart if Level.L6 in spine.levels], model)
    views = {
        "whole spines": whole,
        "crops of 3-8": crops(whole, SEED),
        "whole, never judged": fresh,
        "crops, never judged": crops(fresh, SEED),
        "spines with L6": with_l6,
    }
    return {f"regions: {name}": (samples, REGIONS) for name, samples in views.items() if samples}


def counted_sets(folder: Path) -> SampleSets:
    """Crops without the dens of those scans of a folder of evidence in which the dens lets one count."""
    found = [counted_sample(read_evidence(path)) for path in sorted(folder.glob("*.npz"))]
    countable = tuple(sample for sample in found if sample is not None)
    without = tuple(s for s in crops(countable * 4, SEED) if not np.isin(s.truth, (Level.C1, Level.C2)).any())
    return {"our network: necks without dens": (without, DEFAULT_SETTINGS)} if without else {}


def find_missing_evidence(data: Path, folder: Path) -> None:
    """Run the default method on the unlabelled scans of a data folder that have no evidence file yet."""
    import csv

    from VertebraLabelingLib.core.errors import NothingFoundError
    from VertebraLabelingLib.core.prepare import prepare
    from VertebraLabelingLib.core.progress import silent
    from VertebraLabelingLib.core.readers import read_scan
    from VertebraLabelingLib.methods.registry import load_method

    method = load_method("sites")
    for row in csv.DictReader((data / "scans.csv").read_text(encoding="utf-8").splitlines()):
        path = folder / f"{row['id']}.npz"
        if row["split"] == "unlabelled" and not path.exists():
            try:
                write_evidence(path, method.find(prepare(read_scan(data / row["file"])), silent))
            except NothingFoundError:
                continue


def judged_all(samples: tuple[Samples, SequenceSettings]) -> tuple[Outcome, ...]:
    """One outcome per sample."""
    each, settings = samples
    return tuple(judged(sample, settings) for sample in each)


def results_table(outcomes: dict[str, tuple[Outcome, ...]]) -> Table:
    """One row per set of samples: what is named right."""
    heads = ("columns", "vertebrae", "raw", "independent", "counted", "ours", "false per column")
    table = Table("set", *heads, title="vertebrae named right", box=None)
    for name, each in outcomes.items():
        s = summary(each)
        rates = (f"{share:.1%}" for share in (s.raw, s.independent, s.counted, s.ours))
        table.add_row(name, str(s.columns), str(s.vertebrae), *rates, f"{s.false_per_column:.2f}")
    table.caption = "counted: from the border of the regions"
    return table


def certainty_table(outcomes: dict[str, tuple[Outcome, ...]]) -> Table:
    """One row per set of samples: how far its doubts can be believed."""
    heads = ("ECE", "ECE of alternatives", "listed", "wrong columns", "flagged", "doubted")
    table = Table("set", *heads, title="certainty", box=None)
    for name, each in outcomes.items():
        s = summary(each)
        errors = (f"{s.calibration_error:.3f}", f"{s.alternatives_error:.3f}", f"{s.listed:.1%}")
        flags = (f"{s.wrong_flagged:.0%}/{s.right_flagged:.0%}", f"{s.wrong_doubted:.0%}/{s.right_doubted:.0%}")
        table.add_row(name, *errors, str(s.wrong_columns), *flags)
    table.caption = "flagged, doubted: share of the wrong columns / of the right ones"
    return table


def reliability_table(outcomes: dict[str, tuple[Outcome, ...]]) -> Table:
    """Per set and bin of stated probability, of points and of alternatives: number, mean stated, share right."""
    table = Table("set", "stated", "points", "mean", "right", "alternatives", "mean", "right", title="reliability")
    for name, each in outcomes.items():
        bins = [reliability(*found) for found in (point_calibration(each), alternative_calibration(each))]
        for n in range(BINS):
            if any(found[n, 0] for found in bins):
                cells = [cell for found in bins for cell in _bin_cells(*found[n])]
                table.add_row(name, f"{n / BINS:.1f} to {(n + 1) / BINS:.1f}", *cells)
    return table


def _bin_cells(count: float, mean: float, right: float) -> tuple[str, str, str]:
    return (f"{count:.0f}", f"{mean:.1%}", f"{right:.1%}") if count else ("-", "-", "-")


def fitting_sets(fit: Sequence[Spine], sets: SampleSets, count: int) -> SampleSets:
    """Sets of about `count` samples for the emission: crops of the spines to fit on, and our network's own evidence."""
    model = fit_regions(fit)
    samples: SampleSets = {"regions": (crops(whole_samples(drawn(fit)[:count], model), SEED), REGIONS)}
    return samples | {name: (s[:count], c) for name, (s, c) in sets.items() if name.startswith("our network")}


def emission_table(sets: SampleSets) -> Table:
    """Loss of every temperature and confusion tried."""
    table = Table("set", "temperature", "confusion", "loss, nats", "", title="emission, -log posterior of the truth")
    for name, (samples, settings) in sets.items():
        best, losses = fit_emission(samples, settings)
        for (temperature, confusion), loss in losses.items():
            mark = "best" if (temperature, confusion) == (best.temperature, best.confusion) else ""
            table.add_row(name, f"{temperature:g}", f"{confusion:g}", f"{loss:.3f}", mark)
    return table


def write_reliability(path: Path, outcomes: dict[str, tuple[Outcome, ...]]) -> None:
    """Reliability diagram, one panel per set for the points and one for the alternatives."""
    panels = {name: point_calibration(each) for name, each in outcomes.items() if each}
    panels |= {f"alternatives, {name}": alternative_calibration(each) for name, each in outcomes.items() if each}
    write_diagram(path, panels)
