"""Finding and naming in projections: the losses of `methods/multi_view`, and the pre-training of its encoder."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from VertebraLabelingLib.methods.centre_map import centre_loss, centre_targets, centre_weight
from VertebraLabelingLib.methods.multi_view.drr import drr
from VertebraLabelingLib.methods.multi_view.geometry import Views
from VertebraLabelingLib.methods.multi_view.network import MultiViewNet, MultiViewOutput, read_squares
from VertebraLabelingLib.methods.multi_view.sequence_loss import sequence_loss
from VertebraLabelingLib.methods.multi_view.settings import MultiViewSettings

from ..level_channels import CHANNEL
from ..sampling import Window, WindowSettings
from ..simsiam import SimSiam, augmented, embedding_spread, pairs_loss
from . import Sample

IGNORED_RADIUS_MM = 14.0
MOST_CENTRES = 24
READ_JITTER_MM = 3.0
"""Standard deviation by which a square is off: at inference it is read at what the heat map found."""
WEIGHTS = {"heat": 0.1, "level": 1.0, "sequence": 1.0}


@dataclass(frozen=True)
class MultiViewOptions:
    """What only training knows, in the `[network]` table beside the settings of the network.

    drawn_views: projections of each window.  heat_loss, level_loss, sequence_loss: which terms are learnt.
    """

    drawn_views: int = 6
    heat_loss: bool = True
    level_loss: bool = True
    sequence_loss: bool = True


class MultiViewTask:
    """Heat map of the centroids, levels in the squares around them, Sequence Loss with gamma = 1."""

    model_id = "multi-view"

    def __init__(self, network: dict[str, Any], windows: dict[str, Any]) -> None:
        self.settings, self.options = _settings_and_options(network)
        self.windows = WindowSettings(self.settings.window_zyx, self.settings.spacing_mm, **windows)

    def build_network(self) -> nn.Module:
        """A `MultiViewNet`."""
        return MultiViewNet(self.settings)

    def metadata(self) -> dict[str, Any]:
        """The settings of the network."""
        return self.settings.to_metadata()

    def sample(self, window: Window, rng: np.random.Generator) -> Sample:
        """Of K views of a window: image, heat target and its weight, and up to `MOST_CENTRES` centroids.

        image (K, C, rows, columns).  centres (K, n, 2) row and column, channels (K, n) from cranial to caudal, -1: none
        or not in the image.  consecutive (K,) bool: whether the levels in the image follow each other without a gap.
        """
        views = random_views(self.settings, self.options.drawn_views, rng)
        middle = window.extent_zyx_mm / 2
        present = np.flatnonzero(window.present(window.points_mm))
        present = present[np.argsort(window.levels[present])][:MOST_CENTRES]
        ignored = np.concatenate([window.beyond_mm, window.points_mm[window.doubtful(window.points_mm)]])
        centres = views.project(window.points_mm[present] - middle)
        maps = [self._heat(c, i) for c, i in zip(centres, views.project(ignored - middle), strict=True)]
        heat, weight = (torch.stack(parts) for parts in zip(*maps, strict=True))
        image = drr(window.hu[None], views, self.settings)[0]
        return {"image": image, "heat": heat, "weight": weight, **self._named(centres, window.levels[present])}

    def _heat(self, centres: NDArray[np.float64], ignored: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """(rows, columns) target of one view and its weight; what is not known weighs nothing.  Pixels (n, 2)."""
        pixel = self.settings.pixel_mm
        centres_mm, ignored_mm = (
            torch.tensor((points[np.isfinite(points).all(1)] + 0.5) * pixel) for points in (centres, ignored)
        )
        sigmas = torch.full((len(centres_mm),), self.settings.heat_sigma_mm)
        target = centre_targets(centres_mm, sigmas, self.settings.image_hw, pixel).float()
        return target, centre_weight(target, ignored_mm, IGNORED_RADIUS_MM, pixel)

    def _named(self, centres: NDArray[np.float64], levels: NDArray[np.int64]) -> Sample:
        """The centroids of all views (K, n, 2) and the channels of their levels (n,), padded."""
        views, count, _ = centres.shape
        size = np.array(self.settings.image_hw)
        inside = ((centres > -0.5) & (centres < size - 0.5)).all(2)
        channels = np.where(inside, CHANNEL[levels], -1)
        padded, named = np.zeros((views, MOST_CENTRES, 2)), np.full((views, MOST_CENTRES), -1)
        padded[:, :count], named[:, :count] = np.where(inside[..., None], centres, 0.0), channels
        consecutive = [bool((np.diff(row[row >= 0]) == 1).all()) for row in channels]
        return {
            "centres": torch.tensor(padded, dtype=torch.float32),
            "channels": torch.tensor(named),
            "consecutive": torch.tensor(consecutive),
        }

    def loss(self, network: nn.Module, batch: Sample) -> dict[str, Tensor]:
        """Weighted sum of the terms that are learnt."""
        flat = {name: values.flatten(0, 1) for name, values in batch.items()}
        output: MultiViewOutput = network(flat["image"])
        losses = {}
        if self.options.heat_loss:
            count = max(1, int((flat["channels"] >= 0).sum()))
            losses["heat"] = centre_loss(output.heat, flat["heat"], flat["weight"], count)
        if self.options.level_loss or self.options.sequence_loss:
            losses |= self._level_losses(output, flat)
        return {**losses, "loss": sum((WEIGHTS[name] * value for name, value in losses.items()), torch.zeros(()))}

    def _level_losses(self, output: MultiViewOutput, flat: Sample) -> dict[str, Tensor]:
        """Cross-entropy at the points of the squares, and the sequence loss of their mean probabilities."""
        valid = flat["channels"] >= 0
        jitter = torch.randn_like(flat["centres"]) * (READ_JITTER_MM / self.settings.pixel_mm)
        logits = read_squares(output.levels, flat["centres"] + jitter, self.settings)
        losses = {}
        if self.options.level_loss:
            losses["level"] = level_loss(logits[valid], flat["channels"][valid])
        if self.options.sequence_loss:
            counted = flat["consecutive"] & valid.any(1)
            each = sequence_loss(logits.softmax(2).mean(-1), valid)
            losses["sequence"] = (each * counted).sum() / counted.sum().clamp(min=1)
        return losses


class MultiViewPretrainingTask:
    """SimSiam on the encoder of the same network: views of one window are alike (Wu et al., section 2.1)."""

    model_id = "multi-view-pretraining"

    def __init__(self, network: dict[str, Any], windows: dict[str, Any]) -> None:
        self.settings, self.options = _settings_and_options(network)
        if self.options.drawn_views < 2:
            raise ValueError("drawn_views must be at least 2, for there to be pairs")
        self.windows = WindowSettings(self.settings.window_zyx, self.settings.spacing_mm, **windows)

    def build_network(self) -> nn.Module:
        """The encoder of a `MultiViewNet` with the heads of SimSiam."""
        return SimSiam(MultiViewNet(self.settings).encoder, self.settings.widths[-1])

    def metadata(self) -> dict[str, Any]:
        """The settings of the network."""
        return self.settings.to_metadata()

    def sample(self, window: Window, rng: np.random.Generator) -> Sample:
        """image (K, C, rows, columns): random views of the window, each changed in its own way."""
        views = random_views(self.settings, self.options.drawn_views, rng)
        return {"image": augmented(drr(window.hu[None], views, self.settings)[0], rng)}

    def loss(self, network: nn.Module, batch: Sample) -> dict[str, Tensor]:
        """Negative cosine over the pairs of views, -1 at best; the spread of the embeddings, 0 after a collapse."""
        count = batch["image"].shape[:2]
        projections, predictions = (values.unflatten(0, count) for values in network(batch["image"].flatten(0, 1)))
        return {"loss": pairs_loss(predictions, projections), "spread": embedding_spread(projections)}


def random_views(settings: MultiViewSettings, number: int, rng: np.random.Generator) -> Views:
    """One view at a random angle in each of `number` equal parts of the circle."""
    return Views((np.arange(number) + rng.uniform(size=number)) * (2 * np.pi / number), settings)


def level_loss(logits: Tensor, channels: Tensor) -> Tensor:
    """Mean cross-entropy over all points of the squares: logits (m, 26, points), channels (m,); 0 without any."""
    if len(channels) == 0:
        return logits.sum()
    return F.cross_entropy(logits, channels[:, None].expand(-1, logits.shape[2]))


def _settings_and_options(network: dict[str, Any]) -> tuple[MultiViewSettings, MultiViewOptions]:
    """Both from one table; TypeError for a name that neither has."""
    names = {field.name for field in fields(MultiViewOptions)}
    options = MultiViewOptions(**{name: value for name, value in network.items() if name in names})
    own = {name: value for name, value in network.items() if name not in names}
    return MultiViewSettings.from_metadata({**MultiViewSettings().to_metadata(), **own}), options
