"""The values of a coordinate in ascending order, for the coordinate-wise rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators.base import Verdict
from mpirobust.answers import Answers
from mpirobust.compressors.base import BLOCK
from mpirobust.numerics import threads
from mpirobust.types import Vector

Blocks: TypeAlias = Iterator[tuple[slice, NDArray[np.float64]]]


def ordered(block: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the block (n, width) with each coordinate's values ascending, shape (width, n).

    Sorting rows in full takes no longer than np.partition at one place, and less than half the time of a partition at
    two places (benchmarks/center.json, `ordering`).
    """
    columns = block.T.copy()
    columns.sort(axis=1)
    return columns


def median(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of each row of `ordered`; the mean of the two in the middle if their number is even."""
    n = columns.shape[1]
    return midpoint(columns[:, (n - 1) // 2], columns[:, n // 2])


def midpoint(low: Vector, high: Vector) -> NDArray[np.float64]:
    """Return the mean of the two values in the middle; no zero of it is negative."""
    return np.asarray(0.5 * low + 0.5 * high + 0.0)


def mean_around_median(columns: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return, of each row of `ordered`, the mean of the `count` values nearest to the median: a window of them.

    Of two windows that reach as far, it is the one that leaves as many out at both sides.
    """
    middle, spare = median(columns)[:, None], columns.shape[1] - count
    starts = np.array(sorted(range(spare + 1), key=lambda start: abs(2 * start - spare)))
    reach = np.maximum(middle - columns[:, : spare + 1], columns[:, count - 1 :] - middle)
    first = starts[np.argmin(reach[:, starts], axis=1)]
    out = np.empty(first.size)
    for start in np.unique(first):
        out[first == start] = columns[first == start, start : start + count].mean(axis=1)
    return out


def equal(weights: NDArray[np.float64]) -> bool:
    """Return whether all rows count the same."""
    return bool((weights == weights[:1]).all())


def relative(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights over their mean; exactly one if they are equal."""
    return np.ones(weights.size) if equal(weights) else weights * (weights.size / weights.sum())


def weighted_median(block: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of each coordinate of the block (n, width) when row i counts weights[i] times, shape (width,).

    The mean of the smallest value with at least half of the weight up to it and the smallest with
    more than half; with equal weights, `median` to the bit.
    """
    if equal(weights):
        return median(ordered(block))
    order = np.argsort(block.T, axis=1)
    reach = np.cumsum(weights[order], axis=1)
    half = 0.5 * reach[:, -1:]
    middle = np.stack([np.argmax(reach >= half, axis=1), np.argmax(reach > half, axis=1)])
    low, high = block[np.take_along_axis(order.T, middle, axis=0), np.arange(block.shape[1])]
    return midpoint(low, high)


def coordinate_wise(
    answers: Answers,
    kept: NDArray[np.bool_],
    rule: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> Verdict:
    """Return the verdict of a rule that looks at one coordinate at a time: blocks (n, width) to steps (width,).

    Each thread judges a part of the blocks.
    """
    step, workers = np.zeros(answers.dim), np.flatnonzero(kept)

    def judged(part: slice) -> None:
        for where, block in answers.blocks(workers, part):
            step[where] = rule(block)

    if workers.size:
        width = BLOCK * ceil(answers.dim / BLOCK / threads.in_use())
        threads.each(judged, [slice(start, start + width) for start in range(0, answers.dim, width)])
    return Verdict(step, kept)
