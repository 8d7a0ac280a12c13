"""Rules around another rule, and the answers that they show it: shortened ones, and means of several."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators.base import Aggregator, expect_minority
from mpirobust.answers import Answers
from mpirobust.compressors.base import PackedSigns
from mpirobust.errors import PlanFault, inside
from mpirobust.numerics.norms import q_norm
from mpirobust.types import Rows, Vector


class Around(Aggregator):
    """A rule that changes the answers, and has `rule` judge what comes of them."""

    rule: Aggregator

    def admit(self, workers: int, byzantine: int) -> None:
        with inside("rule"):
            self.rule.admit(workers, byzantine)

    def tolerates(self) -> float | None:
        return self.rule.tolerates()

    def memory(self) -> type | None:
        return self.rule.memory()

    def weighs(self) -> bool:
        return self.rule.weighs()

    def knows_workers(self) -> bool:
        return self.rule.knows_workers()

    def asks_center(self) -> bool:
        return self.rule.asks_center()


def expect_stronger(rule: Aggregator, beta: float, workers: int, what: str) -> None:
    """Raise `PlanFault` unless ⌈βm⌉ is a minority that the inner rule tolerates; `what` is done with it before."""
    expect_minority(beta, workers)
    inner = rule.tolerates()
    if inner is not None and inner < beta:
        raise PlanFault("rule.beta", f"{inner} is below the {beta} of the {what}; choose {beta} <= beta < 1/2")


class Clipped(Answers):
    """Answers shortened to a length, in units of the answer. Those that were longer all have this norm."""

    def __init__(self, source: Answers, length: float) -> None:
        self.dim, self.scale, self.q, self.weights = source.dim, source.scale, source.q, source.weights
        self._source, self._length = source, length
        longer = source.sound & (source.norms > length)
        self._factors = np.ones(len(source))
        self._factors[longer] = length / source.norms[longer]

    def __len__(self) -> int:
        return len(self._source)

    @property
    def norms(self) -> NDArray[np.float64]:
        return np.where(self._source.sound, np.minimum(self._source.norms, self._length), np.inf)

    def average(self, kept: NDArray[np.bool_]) -> Vector:
        return self.combine(_shares(kept, self.weights))

    def combine(self, weights: NDArray[np.float64]) -> Vector:
        return self._source.combine(self._factors * weights)

    def blocks(self, workers: Rows, within: slice | None = None) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        for where, block in self._source.blocks(workers, within):
            block *= self._factors[workers, None]
            yield where, block

    def signs(self, workers: Rows) -> PackedSigns | None:
        packed = self._source.signs(workers)
        return packed and replace(packed, scales=packed.scales * self._factors[workers])


class Mixed(Answers):
    """Means of answers, each of the numbers in `places`.

    Args:
        workers: the answers that are mixed, n of them.
        mixing: the weights of each mean, shape (len(places), n).
        places: ascending; a number without a mean is unsound.
        weights: how often each number counts; their number is the length.
        gram: of the workers, if it is known.
    """

    def __init__(
        self,
        source: Answers,
        workers: Rows,
        mixing: NDArray[np.float64],
        places: Rows,
        weights: NDArray[np.float64],
        gram: NDArray[np.float64] | None = None,
    ) -> None:
        self.dim, self.scale, self.q, self.weights = source.dim, source.scale, source.q, weights
        self._source, self._workers, self._mixing, self._places, self._known = source, workers, mixing, places, gram

    def __len__(self) -> int:
        return len(self.weights)

    @cached_property
    def norms(self) -> NDArray[np.float64]:
        """One more pass over the blocks, for the rules that ask for norms."""
        found = np.full(len(self), np.inf)
        total = np.zeros(self._places.size)
        if self.q in (1.0, 2.0):
            for _, block in self.blocks(self._places):
                total += ((np.abs(block) / self.scale) ** self.q).sum(axis=1)
            found[self._places] = total ** (1 / self.q)
        else:
            parts = [[q_norm(row, self.q) for row in block] for _, block in self.blocks(self._places)]
            found[self._places] = [q_norm(np.array(each), self.q) / self.scale for each in zip(*parts, strict=True)]
        return found

    @property
    def sound(self) -> NDArray[np.bool_]:
        sound = np.zeros(len(self), dtype=bool)
        sound[self._places] = True
        return sound

    def average(self, kept: NDArray[np.bool_]) -> Vector:
        return self.combine(_shares(kept, self.weights))

    def combine(self, weights: NDArray[np.float64]) -> Vector:
        return self._source.combine(self._spread(weights[self._places] @ self._mixing))

    def blocks(self, workers: Rows, within: slice | None = None) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        rows = self._mixing[np.searchsorted(self._places, workers)]
        for where, block in self._source.blocks(self._workers, within):
            yield where, rows @ block

    def gram(self, workers: Rows, beside: Vector | None = None) -> NDArray[np.float64]:
        if self._known is None:
            return super().gram(workers, beside)
        rows, gram = self._mixing[np.searchsorted(self._places, workers)], self._known
        if beside is not None:
            gram = self._source.gram(self._workers, beside)
            rows = np.block([[rows, np.zeros((len(rows), 1))], [np.zeros((1, self._workers.size)), np.ones((1, 1))]])
        return np.asarray(rows @ gram @ rows.T)

    def parts(self, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which answers are part of the mixed ones that are kept."""
        return self._spread(np.any(self._mixing[kept[self._places]] > 0, axis=0)).astype(bool)

    def _spread(self, values: NDArray[np.float64] | NDArray[np.bool_]) -> NDArray[np.float64]:
        out = np.zeros(len(self._source))
        out[self._workers] = values
        return out


def _shares(kept: NDArray[np.bool_], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the part of each of the kept in their weighted mean."""
    counts = kept * weights
    return np.asarray(counts / (counts.sum() or 1.0))
