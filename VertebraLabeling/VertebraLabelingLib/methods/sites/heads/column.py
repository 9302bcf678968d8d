"""What the neighbours say: a recurrent head along the ordered sites, an option of training (off).

It hears the level logits of all sites of a window in their order and corrects each by what the column says.  Inference
reads the plain logits, which are trained beside it: the sequence decoder hears the column exactly.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_STEP_MM = 30.0
"""About one vertebra, so that the distances that go in are about 1."""


class ColumnHead(nn.Module):
    """Logits (n, levels) and positions (n, 3) in mm of sites in cranio-caudal order -> corrected logits (n, levels).

    A bidirectional LSTM over the log-probabilities and the distances to the site above; begins as the identity.
    """

    def __init__(self, levels: int, hidden: int = 64) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(levels + 1, hidden, bidirectional=True)
        self.correction = nn.Linear(2 * hidden, levels)
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)

    def forward(self, logits: Tensor, positions_mm: Tensor) -> Tensor:
        """The logits, corrected."""
        steps = torch.diff(positions_mm, dim=0, prepend=positions_mm[:1]).norm(dim=1, keepdim=True) / _STEP_MM
        heard = torch.cat([logits.log_softmax(1), steps], 1)
        # a row of zeros stands for what is above, so that a window without sites has a sequence too
        context = self.recurrent(F.pad(heard, (0, 0, 1, 0)))[0][1:]
        return logits + self.correction(context)
