"""Exact inference over chains: which candidates are vertebrae, and of which level.

A path visits some candidates in their order, each with a level, levels strictly increasing.  Its score is the sum of the
unary terms of its states, the pair terms of its steps and the prior of the scale it is seen at; the empty path scores 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Reduce = Callable[[Array], Array]
State = tuple[int, int]
"""(candidate, level)."""


@dataclass(frozen=True)
class Chain:
    """The graph of all paths over n candidates in order, m levels and k scales; all terms natural logarithms.

    unary: (n, m).  pair: (upper level, lower level) -> (k, n, n), from row to column candidate, -inf where forbidden
    (the diagonal and everything below it is).  scale: (k,) log prior.  start: log prior of the level a path begins with.
    """

    unary: Array
    pair: dict[State, Array]
    scale: Array
    start: float

    def messages(self, reduce: Reduce) -> Array:
        """(k, n, m): `reduce` (sum or maximum of all ways) to arrive at each state, its own unary term not included."""
        k, (n, m) = len(self.scale), self.unary.shape
        arrived = np.full((k, n, m), self.start)
        for level in range(m):
            ways = [
                arrived[:, :, above, None] + self.unary[None, :, above, None] + self.pair[above, level]
                for above in self._above[level]
            ]
            arrived[:, :, level] = reduce(np.concatenate([arrived[:, None, :, level], *ways], axis=1))
        return arrived

    @cached_property
    def _above(self) -> list[list[int]]:
        """Per level, the levels a step may come from."""
        return [sorted(a for a, b in self.pair if b == level) for level in range(self.unary.shape[1])]

    @cached_property
    def reversed(self) -> Chain:
        """The same graph walked upwards; every level may end a path at no cost."""
        last = self.unary.shape[1] - 1
        pair = {(last - b, last - a): p.transpose(0, 2, 1) for (a, b), p in self.pair.items()}
        return Chain(self.unary[:, ::-1], pair, self.scale, 0.0)

    def onwards(self, reduce: Reduce) -> Array:
        """(k, n, m): `reduce` of all ways to go on from each state down to the end, its own unary term not included."""
        return self.reversed.messages(reduce)[:, :, ::-1]


def log_sum(values: Array) -> Array:
    """log(sum(exp)) over axis 1; all -inf gives -inf."""
    top = np.max(values, axis=1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.exp(values - top).sum(axis=1)) + top[:, 0])


def log_max(values: Array) -> Array:
    """Maximum over axis 1."""
    return np.asarray(values.max(axis=1))


@dataclass(frozen=True)
class Posterior:
    """levels: (n, m) probability that a candidate is a vertebra of that level; none: that no candidate is one."""

    levels: Array
    none: float


def posterior(chain: Chain) -> Posterior:
    """Sums over all paths and scales, the empty path included (forward-backward)."""
    arrived = chain.messages(log_sum) + chain.unary + chain.scale[:, None, None]
    through = arrived + chain.onwards(log_sum)
    log_total = float(log_sum(np.append(arrived.ravel(), 0.0)[None, :])[0])
    return Posterior(np.exp(through - log_total).sum(axis=0), float(np.exp(-log_total)))


class BestPaths:
    """The best path through any state (max-product in both directions); the best of all is Viterbi's."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._forward = chain.messages(log_max)
        self._onwards = chain.onwards(log_max)
        self._scores = self._forward + chain.unary + self._onwards + chain.scale[:, None, None]

    def best(self) -> tuple[list[State], int]:
        """Best non-empty path, in order, and the index of its scale."""
        n, m = self._chain.unary.shape
        scale, candidate, level = np.unravel_index(int(np.argmax(self._scores)), (len(self._chain.scale), n, m))
        return self._walked(int(scale), (int(candidate), int(level))), int(scale)

    def through(self, state: State) -> list[State]:
        """Best path that visits the state."""
        candidate, level = state
        return self._walked(int(np.argmax(self._scores[:, candidate, level])), state)

    def _walked(self, scale: int, state: State) -> list[State]:
        last = self._chain.unary.shape[1] - 1
        before = _walk_back(self._chain, self._forward, scale, state)
        after = _walk_back(self._chain.reversed, self._onwards[:, :, ::-1], scale, (state[0], last - state[1]))
        return before[::-1] + [state] + [(candidate, last - level) for candidate, level in after]


def _walk_back(chain: Chain, arrived: Array, scale: int, state: State) -> list[State]:
    """States before `state` on its best path, nearest first."""
    walked: list[State] = []
    while True:
        candidate, level = state
        best, origin = chain.start, None
        for above in chain._above[level]:
            ways = arrived[scale, :, above] + chain.unary[:, above] + chain.pair[above, level][scale, :, candidate]
            if ways.max() > best:
                best, origin = float(ways.max()), (int(ways.argmax()), above)
        if origin is None:
            return walked
        walked.append(origin)
        state = origin
