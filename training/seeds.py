"""Where the seeds of random phantoms begin, so that nothing is judged on what was learned from.

`prepare --phantoms` draws the seeds 0, 1, 2, ... for training.
"""

SHAPED_SEED = 100_000
"""Added to the seeds of phantoms with the shapes of real vertebrae, for training as well."""

FRESH_SEED = 1_000_000
"""First seed of the phantoms on which `compare` judges."""

MEASURE_SEED = 2_000_000
"""First seed of the phantoms on which methods are calibrated and their trust is measured."""

HELD_OUT_SEED = 10_000_000
"""First seed of the phantoms on which `crops` judges the calibration."""

STREAM_SEED = 100_000_000
"""First seed of the phantoms that are made while a network trains."""
