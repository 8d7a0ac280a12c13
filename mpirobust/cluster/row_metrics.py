"""Metrics of an audit on the test rows, beyond accuracy. No order of the rows or the ranks changes them."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

from mpirobust.problems.base import Loss
from mpirobust.shard import Shard
from mpirobust.types import Vector

SUMS = 3  # for each worker: sum of the test losses, test rows, how many of them are told one by one
TOLD = 3  # for each row: its class, the guess, and the score of class 1 above class 0 (NaN for more than two classes)


@dataclass(frozen=True)
class RowMetrics:
    """Of the test rows of all workers that are not absent; NaN for what there is not, or was not asked for.

    Attributes:
        test_loss: the mean loss, the regulariser included if the problem has one.
        balanced_accuracy: the mean, over the classes, of the share of its rows that are classified rightly.
        auc: the area under the ROC curve, two classes only: how often a row of class 1 has a larger score than one of
            class 0, ties counted half.
    """

    test_loss: float = nan
    balanced_accuracy: float = nan
    auc: float = nan


def tell_rows(x: Vector, loss: Loss, test: Shard) -> NDArray[np.float64]:
    """Return class, guess and score of each row, shape (n, TOLD); no rows if the problem has no classes."""
    scores = loss.class_scores(x, test)
    if scores is None:
        return np.empty((0, TOLD))
    scores = scores.astype(np.float64, copy=False)
    above = scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else np.full(test.rows, nan)
    return np.column_stack((test.y, scores.argmax(axis=1), above))


def measure(sums: NDArray[np.float64], told: NDArray[np.float64]) -> RowMetrics:
    """Return the metrics.

    Args:
        sums: shape (m, SUMS), in worker order; zeros for an absent worker.
        told: shape (n, TOLD), in any order; empty if no rows were told.
    """
    loss, rows, _ = sums.sum(axis=0)
    labels, guesses, scores = told.T
    return RowMetrics(
        float(loss / rows) if rows else nan, balanced_accuracy(labels, guesses), area_under_curve(labels, scores)
    )


def balanced_accuracy(labels: NDArray[np.float64], guesses: NDArray[np.float64]) -> float:
    """Return the mean over the classes among `labels` of the share that is guessed; NaN without rows."""
    shares = [float((guesses[labels == each] == each).mean()) for each in np.unique(labels)]
    return sum(shares) / len(shares) if shares else nan


def area_under_curve(labels: NDArray[np.float64], scores: NDArray[np.float64]) -> float:
    """Return the area under the ROC curve from the ranks of the scores; NaN without both classes or if one is NaN."""
    positive = labels == 1
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if not ones or not zeros or np.isnan(scores).any():
        return nan
    _, which, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2  # equal scores share the mean of their ranks: multiples of 1/2, exact
    return float((ranks[which[positive]].sum() - ones * (ones + 1) / 2) / (ones * zeros))
