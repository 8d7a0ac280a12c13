"""The metrics of a run: their names, their labels, and what those that are not audited are made from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mpirobust.types import Audited

# Of an audit, or the least of all audits so far; the smaller the better. These are compared in studies.
Metric: TypeAlias = Literal[
    "distance",
    "loss",
    "gradient_norm",
    "least_gradient_norm",
    "least_gradient_square",
    "test_error",
    "test_loss",
    "balanced_error",
    "auc_error",
]

LABELS = {
    "distance": "distance to the solution",
    "loss": "training loss",
    "gradient_norm": "gradient norm",
    "test_accuracy": "test accuracy",
    "test_loss": "test loss",
    "balanced_accuracy": "balanced test accuracy",
    "auc": "area under the ROC curve",
    "lambda_min": "smallest eigenvalue of the Hessian",
    "test_error": "test error",
    "least_gradient_norm": "least gradient norm",
    "least_gradient_square": "least squared gradient norm",
    "balanced_error": "balanced test error",
    "auc_error": "area over the ROC curve",
    "eps_gradient": "$\\epsilon_g$ of the workers",
    "round": "round",
    "bytes": "bytes sent, up and down",
    "bytes_up": "bytes sent up",
    "bytes_down": "bytes sent down",
    "seconds": "seconds",
    "rows": "rows of a sample",
}

AXES = ("round", "bytes", "bytes_up", "bytes_down", "seconds")  # what a metric is drawn against

Derive: TypeAlias = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _complement(share: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 - share


def _least_square(norm: NDArray[np.float64]) -> NDArray[np.float64]:
    least: NDArray[np.float64] = np.fmin.accumulate(norm)
    return least * least


# Metrics that are made from a column of the audits. P1's theorems are about the least gradient of all rounds.
DERIVED: dict[str, tuple[Audited, Derive]] = {
    "test_error": ("test_accuracy", _complement),
    "balanced_error": ("balanced_accuracy", _complement),
    "auc_error": ("auc", _complement),
    "least_gradient_norm": ("gradient_norm", np.fmin.accumulate),
    "least_gradient_square": ("gradient_norm", _least_square),
}
SHARES = {column for column, derive in DERIVED.values() if derive is _complement}  # from 0 to 1, the larger the better
