"""The parts of rules that remember each worker: sums of answers, and those that are near most of the others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators._geometry import FAR, squared_distances
from mpirobust.answers import Answers, ArrayAnswers
from mpirobust.types import Rows, WorkerVectors


def added(sums: WorkerVectors | None, answers: Answers, workers: Rows, times: float = 1.0) -> WorkerVectors:
    """Return new sums: the old ones, if there are any, and the answers of these workers `times` each.

    They are in units of the answer.
    """
    sums = np.zeros((len(answers), answers.dim)) if sums is None else sums.copy()
    for where, block in answers.blocks(workers):
        sums[workers, where] += block * (times / answers.scale)
    return sums


def distances(gram: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ||x_i - x_j||, shape (n, n), of the vectors of a Gram matrix; infinite if one is too long to square."""
    near = gram.diagonal() < FAR
    apart = np.full(gram.shape, np.inf)
    apart[np.ix_(near, near)] = np.sqrt(squared_distances(gram[np.ix_(near, near)]))
    return apart


def gram_of_sums(sums: WorkerVectors, workers: Rows) -> NDArray[np.float64]:
    """Return the inner products of the sums of these workers, as `Answers.gram`."""
    return ArrayAnswers(sums).gram(workers)


def center(apart: NDArray[np.float64], radius: float) -> int:
    """Return the row with the most others within `radius`; of equals, the one nearest to all, then the first."""
    return int(np.lexsort((apart.sum(axis=1), -(apart <= radius).sum(axis=1)))[0])


def smallest_majority(apart: NDArray[np.float64], workers: int) -> float:
    """Return the smallest radius at which some row has more than half of `workers` within it, or else all."""
    most = min(workers // 2, len(apart) - 1)
    return float(np.sort(apart, axis=1)[:, most].min())
