"""Exact inference over chains: which candidates are vertebrae, and of which level.

A path visits some candidates in their order, each with a level, levels strictly increasing.  Its score is the sum of
the unary terms of its states, the pair terms of its steps, the prior of the level it starts with and the prior of the
scale it is seen at; the empty path scores 0.

Both algorithms are one recursion that differs in a ufunc: `np.logaddexp` sums over paths (forward-backward),
`np.maximum` finds the best (Viterbi).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
State = tuple[int, int]
"""(candidate, level)."""


@dataclass(frozen=True)
class Chain:
    """The graph of all paths over n candidates in order, m levels and k scales; all terms are natural logarithms.

    unary: (n, m).  edges: (2, e) upper and lower candidate of each possible step, upper < lower, sorted by the lower.
    moves: (2, t) upper and lower level of each possible step, upper < lower, each once.  pair: (t, k, e).
    scale: (k,) prior.  start: (m,) prior of the level a path begins with.
    """

    unary: Array
    edges: Indices
    moves: Indices
    pair: Array
    scale: Array
    start: Array

    def messages(self, reduce: np.ufunc) -> Array:
        """(m, k, n): `reduce` of all ways to arrive at each state, its own unary term not included."""
        n, m = self.unary.shape
        arrived = np.tile(self.start[:, None, None], (1, len(self.scale), n))
        reached, runs = np.unique(self.edges[1], return_index=True)
        for level in range(m):
            moves = np.flatnonzero(self.moves[1] == level)
            if len(moves) and len(runs):
                ways = reduce.reduce(self._ways(arrived, moves), axis=0)
                stepped = reduce.reduceat(ways, runs, axis=1)
                arrived[level][:, reached] = reduce(self.start[level], stepped)
        return arrived

    def onwards(self, reduce: np.ufunc) -> Array:
        """(m, k, n): `reduce` of all ways to go on from each state down to the end, its own unary term not included."""
        return self.reversed.messages(reduce)[::-1, :, ::-1]

    def _ways(self, arrived: Array, moves: Indices) -> Array:
        """(a, k, e): score of arriving at the upper end of each edge and taking each of the `moves` (a,) along it."""
        above, upper = self.moves[0, moves], self.edges[0]
        unary = self.unary[np.ix_(upper, above)].T
        return np.asarray(arrived[above][:, :, upper] + unary[:, None, :] + self.pair[moves])

    @cached_property
    def reversed(self) -> Chain:
        """The same graph walked upwards; any level may end a path at no cost."""
        n, m = self.unary.shape
        edges = n - 1 - self.edges[::-1]
        order = np.argsort(edges[1], kind="stable")
        moves = m - 1 - self.moves[::-1]
        return Chain(self.unary[::-1, ::-1], edges[:, order], moves, self.pair[:, :, order], self.scale, np.zeros(m))


@dataclass(frozen=True)
class Posterior:
    """levels: (n, m) probability that a candidate is a vertebra of that level; none: that no candidate is one."""

    levels: Array
    none: float


def log_total(chain: Chain) -> float:
    """Log of the sum over all paths and scales, the empty path included."""
    return _log_sum(_visited(chain))


def posterior(chain: Chain) -> Posterior:
    """Sums over all paths and scales, the empty path included (forward-backward)."""
    visited = _visited(chain)
    total = _log_sum(visited)
    through = visited + chain.onwards(np.logaddexp)
    return Posterior(np.exp(through - total).sum(axis=1).T, float(np.exp(-total)))


def _visited(chain: Chain) -> Array:
    """(m, k, n): sum over the ways to arrive at each state, its own unary term and the scale's prior included."""
    return chain.messages(np.logaddexp) + chain.unary.T[:, None, :] + chain.scale[:, None]


def _log_sum(visited: Array) -> float:
    return float(np.logaddexp.reduce(np.append(visited.ravel(), 0.0)))


class BestPaths:
    """The best path through any state (max-product in both directions); the best of all is Viterbi's."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._arrived = chain.messages(np.maximum)
        self._onwards = chain.onwards(np.maximum)
        self.scores = self._arrived + chain.unary.T[:, None, :] + chain.scale[:, None] + self._onwards
        """(m, k, n): score of the best path through each state at each scale."""

    def best(self) -> tuple[list[State], int]:
        """Best non-empty path, in order, and the index of its scale."""
        level, scale, candidate = np.unravel_index(int(np.argmax(self.scores)), self.scores.shape)
        return self._walked(int(scale), (int(candidate), int(level))), int(scale)

    def through(self, state: State) -> list[State]:
        """Best path that visits the state."""
        candidate, level = state
        return self._walked(int(np.argmax(self.scores[level, :, candidate])), state)

    def _walked(self, scale: int, state: State) -> list[State]:
        n, m = self._chain.unary.shape
        before = _walk_back(self._chain, self._arrived, scale, state)
        mirrored = (n - 1 - state[0], m - 1 - state[1])
        after = _walk_back(self._chain.reversed, self._onwards[::-1, :, ::-1], scale, mirrored)
        return [*before[::-1], state, *((n - 1 - candidate, m - 1 - level) for candidate, level in after)]


def _walk_back(chain: Chain, arrived: Array, scale: int, state: State) -> list[State]:
    """States before `state` on its best path, nearest first."""
    walked: list[State] = []
    while (origin := _best_origin(chain, arrived, scale, state)) is not None:
        walked.append(origin)
        state = origin
    return walked


def _best_origin(chain: Chain, arrived: Array, scale: int, state: State) -> State | None:
    """The state from which `state` is reached best, None when a path does best to begin there."""
    edges = np.flatnonzero(chain.edges[1] == state[0])
    moves = np.flatnonzero(chain.moves[1] == state[1])
    if not len(edges) or not len(moves):
        return None
    upper, above = chain.edges[0, edges], chain.moves[0, moves]
    before = arrived[above, scale][:, upper] + chain.unary[np.ix_(upper, above)].T
    ways = before + chain.pair[moves, scale][:, edges]
    move, edge = np.unravel_index(int(np.argmax(ways)), ways.shape)
    return (int(upper[edge]), int(above[move])) if ways[move, edge] > chain.start[state[1]] else None
