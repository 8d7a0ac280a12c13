from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators._geometry import measured, squared_distances
from mpirobust.aggregators.base import Aggregator, Context, Fraction, Verdict, share
from mpirobust.answers import Answers
from mpirobust.components import component
from mpirobust.errors import PlanFault
from mpirobust.numerics.norms import q_norm
from mpirobust.types import Rows, Vector


@component
class NNM(Aggregator):
    """Nearest-neighbour mixing before another rule (Allouah et al. 2023, Alg. 2).

    Each sound message is replaced by the mean of its n - f nearest, itself among them
    (f = ⌈βm⌉; ties by worker number), and `rule` judges these. They exist one block at a
    time. The verdict keeps every message that is part of one that `rule` keeps.

    Attributes:
        beta: β, the largest fraction of Byzantine workers that the rule is set for.
        rule: the rule that judges the mixed messages.
    """

    beta: Fraction
    rule: Aggregator

    def admit(self, workers: int, byzantine: int) -> None:
        if 2 * share(self.beta, workers) >= workers:
            raise PlanFault("beta", f"{self.beta} of {workers} workers, rounded up, is no minority")
        inner = self.rule.tolerates()
        if inner is not None and inner < self.beta:
            raise PlanFault(
                "rule.beta", f"{inner} is below the {self.beta} of the mixing; choose {self.beta} <= beta < 1/2"
            )
        try:
            self.rule.admit(workers, byzantine)
        except PlanFault as fault:
            raise PlanFault(f"rule.{fault.where}", fault.reason) from fault

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        workers, gram = measured(answers)
        near = max(workers.size - share(self.beta, len(answers)), 1)
        nearest = np.argsort(squared_distances(gram), axis=1, kind="stable")[:, :near]
        mixing = np.zeros((workers.size, workers.size))
        np.put_along_axis(mixing, nearest, 1 / near, axis=1)
        mixed = _Mixed(answers, workers, gram, mixing)
        verdict = self.rule.judge(mixed, memory, context)
        return Verdict(verdict.step, mixed.parts(verdict.kept), verdict.memory)

    def tolerates(self) -> float | None:
        return self.beta

    def memory(self) -> type | None:
        return self.rule.memory()


class _Mixed(Answers):
    """Means of answers: of `workers`, whose Gram matrix is known, by the rows of `mixing`."""

    def __init__(self, source: Answers, workers: Rows, gram: NDArray[np.float64], mixing: NDArray[np.float64]) -> None:
        self.dim, self.scale, self.q = source.dim, source.scale, source.q
        self.weights = np.ones(len(source))  # a mean of several workers is nobody's: mixing does not weigh
        self._source, self._workers, self._gram, self._mixing = source, workers, gram, mixing

    def __len__(self) -> int:
        return len(self._source)

    @cached_property
    def norms(self) -> NDArray[np.float64]:
        """One more pass over the blocks, for the rules that ask for norms."""
        found = np.full(len(self), np.inf)
        total = np.zeros(self._workers.size)
        if self.q in (1.0, 2.0):
            for _, block in self.blocks(self._workers):
                total += ((np.abs(block) / self.scale) ** self.q).sum(axis=1)
            found[self._workers] = total ** (1 / self.q)
        else:
            parts = [[q_norm(row, self.q) for row in block] for _, block in self.blocks(self._workers)]
            found[self._workers] = [q_norm(np.array(each), self.q) / self.scale for each in zip(*parts, strict=True)]
        return found

    @property
    def sound(self) -> NDArray[np.bool_]:
        sound = np.zeros(len(self), dtype=bool)
        sound[self._workers] = True
        return sound

    def average(self, kept: NDArray[np.bool_]) -> Vector:
        return self.combine(kept / max(kept.sum(), 1))

    def combine(self, weights: NDArray[np.float64]) -> Vector:
        return self._source.combine(self._spread(weights[self._workers] @ self._mixing))

    def blocks(self, workers: Rows, within: slice | None = None) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        rows = self._mixing[np.searchsorted(self._workers, workers)]
        for where, block in self._source.blocks(self._workers, within):
            yield where, rows @ block

    def gram(self, workers: Rows, beside: Vector | None = None) -> NDArray[np.float64]:
        rows, gram = self._mixing[np.searchsorted(self._workers, workers)], self._gram
        if beside is not None:
            gram = self._source.gram(self._workers, beside)
            rows = np.block([[rows, np.zeros((len(rows), 1))], [np.zeros((1, self._workers.size)), np.ones((1, 1))]])
        return np.asarray(rows @ gram @ rows.T)

    def parts(self, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which answers are part of the mixed ones that are kept."""
        return self._spread(np.any(self._mixing[kept[self._workers]] > 0, axis=0)).astype(bool)

    def _spread(self, values: NDArray[np.float64] | NDArray[np.bool_]) -> NDArray[np.float64]:
        out = np.zeros(len(self))
        out[self._workers] = values
        return out
