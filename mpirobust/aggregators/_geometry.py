"""Distances between messages, for several rules; all are computed from the Gram matrix.

A point is written as weights that sum to one, so that a rule may move it about
without a vector in hand and decode the messages once, at the end.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from mpirobust.aggregators._columns import weighted_median
from mpirobust.aggregators.base import share
from mpirobust.answers import Answers
from mpirobust.errors import PlanFault
from mpirobust.types import Rows, Vector

Weights = NDArray[np.float64]

FAR = 1e300  # squares of lengths above this would overflow when they are added


def measured(answers: Answers, beside: Vector | None = None) -> tuple[Rows, NDArray[np.float64]]:
    """Return the workers whose vectors can be measured, and their Gram matrix.

    They are the sound ones without those whose squared length overflows, which are
    infinitely far from all others.

    Args:
        beside: one more vector, as in `Answers.gram`.
    """
    workers = np.flatnonzero(answers.sound)
    gram = answers.gram(workers, beside)
    near = gram.diagonal() < FAR
    near[workers.size :] = True
    return workers[near[: workers.size]], gram[np.ix_(near, near)]


def nearest_to(answers: Answers, point: Vector, keep: int) -> NDArray[np.bool_]:
    """Return which `keep` sound messages are nearest to `point`, in the units of `blocks`; ties by worker number.

    One whose distance is too long to be squared is never among them.
    """
    workers = np.flatnonzero(answers.sound)
    squares = np.zeros(workers.size)
    with np.errstate(over="ignore", invalid="ignore"):
        for where, block in answers.blocks(workers):
            block -= point[where]
            squares += np.einsum("ij,ij->i", block, block)
    order = np.argsort(squares, kind="stable")[:keep]
    kept = np.zeros(len(answers), dtype=bool)
    kept[workers[order[squares[order] < FAR]]] = True
    return kept


def squared_distances(gram: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ||x_i - x_j||², shape (n, n), with exact zeros on the diagonal."""
    squares = gram.diagonal()
    distances = np.maximum(squares[:, None] + squares - 2 * gram, 0.0)
    np.fill_diagonal(distances, 0.0)
    return distances


def distances_to(gram: NDArray[np.float64], point: Weights) -> NDArray[np.float64]:
    """Return ||x_i - Σ_j point[j] x_j||, shape (n,)."""
    products = gram @ point
    return np.asarray(np.sqrt(np.maximum(gram.diagonal() - 2 * products + point @ products, 0.0)))


def distance_moved(gram: NDArray[np.float64], change: Weights) -> float:
    """Return the distance between two points, given the change of their weights."""
    return float(np.sqrt(np.maximum(change @ gram @ change, 0.0)))


def tightest_majority_mean(gram: NDArray[np.float64]) -> Weights:
    """Return the mean of the message whose ⌊n/2⌋ nearest neighbours are closest, with those neighbours.

    A start that no minority can move far from the honest messages.
    """
    distances = squared_distances(gram)
    majority = distances.shape[0] // 2 + 1
    nearest = np.sort(distances, axis=1)[:, :majority]
    around = int(np.argmin(np.sqrt(nearest).sum(axis=1)))
    point = np.zeros(distances.shape[0])
    point[np.argsort(distances[around], kind="stable")[:majority]] = 1 / majority
    return point


def expect_krum(beta: float, workers: int) -> int:
    """Return f = ⌈βm⌉; raise `PlanFault` if there are too few workers for Krum's guarantee."""
    f = share(beta, workers)
    if workers < 2 * f + 3:
        raise PlanFault("beta", f"{beta} of {workers} workers is f = {f}; Krum needs m >= 2f + 3 = {2 * f + 3}")
    return f


def krum_order(nearest: NDArray[np.float64], f: int) -> NDArray[np.intp]:
    """Return the rows by Krum score, best first: Σ of squared distances to the n - f - 2 nearest others (at least one).

    `nearest` holds each row's squared distances in ascending order, its own zero first. Ties,
    as of two that are each other's nearest, are broken by the distances to all, then by number.
    """
    near = max(nearest.shape[0] - f - 2, 1)
    return np.lexsort((nearest.sum(axis=1), nearest[:, 1 : near + 1].sum(axis=1)))


def krum_bounds(workers: int, f: int) -> tuple[float, float]:
    """Return bounds, in units of the honest variance, from which κ of Krum follows (docs/RULES.md).

    A message with a score among the best has a = n - 2f - 1 honest ones near it. First the mean of its squared
    distances to those, then the squared distance of their mean from that of all honest ones.
    """
    honest, near = workers - f, workers - 2 * f - 1
    return 2 * honest * (honest - 2) / ((honest - 1) * near), (f + 1) / near


def geometric_median(
    gram: NDArray[np.float64], iterations: int, tolerance: float, counts: NDArray[np.float64] | None = None
) -> Weights:
    """Return the geometric median, by the smoothed Weiszfeld iteration (Pillutla et al. 2022).

    Message i counts counts[i] times. The iteration starts from the mean of the tightest majority.

    Lengths are measured by the (weighted) median distance from the start; the smoothing is a
    millionth of it. The start goes by the head, as Byzantine workers are a minority by the head.
    """
    point = tightest_majority_mean(gram)
    counts = np.ones(gram.shape[0]) if counts is None else counts
    unit = float(weighted_median(distances_to(gram, point)[:, None], counts)[0])
    for _ in range(iterations if unit > 0 else 0):  # 0: a majority says the same, and that is the median
        pull = counts / np.maximum(distances_to(gram, point), 1e-6 * unit)
        before, point = point, pull / pull.sum()
        if distance_moved(gram, point - before) <= tolerance * unit:
            break
    return point


def widest(gram: NDArray[np.float64], left: Weights) -> tuple[float, NDArray[np.float64]]:
    """Return the largest eigenvalue of the weighted covariance, and (x_i - mean)² along its direction but for a factor.

    A row without weight has no say, and strays by 0. The covariance has the eigenvalues of the
    weighted, centered Gram matrix.
    """
    rows = np.flatnonzero(left)
    p = left[rows] / left[rows].sum()
    gram = gram[np.ix_(rows, rows)]
    products = gram @ p
    centered = gram - products[:, None] - products + p @ products
    unit = float(np.abs(centered).max()) or 1.0  # squares of far outliers would overflow
    root = np.sqrt(p)
    value, vector = eigh(root[:, None] * (centered / unit) * root, subset_by_index=[rows.size - 1, rows.size - 1])
    strays = np.zeros(left.size)
    if value[0] > 0:
        strays[rows] = ((centered / unit) @ (root * vector[:, 0])) ** 2
    return unit * float(value[0]), strays
