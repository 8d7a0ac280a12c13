"""The rows of one worker."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.numerics.eigenvalues import gram_norm
from mpirobust.types import Rows


@dataclass(frozen=True)
class Shard:
    """The rows of one worker.

    Attributes:
        X: features, shape (n, d), dense or CSR; float64, or float32 if the rows are images (`network` takes
            them as they are, the other losses compute in float64 all the same).
        XT: the transpose of `X`, shape (d, n); CSR as well if `X` is, because
            two CSR products are faster than one CSR and one CSC product.
        y: targets, shape (n,), float64: class numbers 0, 1, ..., or real values.
        classes: number of classes in the whole data set, 0 for real targets.
        total: number of training rows over all workers.
    """

    X: Any
    XT: Any
    y: NDArray[np.float64]
    classes: int
    total: int

    @classmethod
    def of(cls, X: Any, y: NDArray[np.float64], classes: int, total: int) -> Shard:
        XT = X.T.tocsr() if hasattr(X, "tocsr") else X.T
        return cls(X, XT, y, classes, total)

    @property
    def rows(self) -> int:
        return int(self.y.shape[0])

    @cached_property
    def gram_norm(self) -> float:
        """`||XᵀX / n||`, the largest eigenvalue, from above by a millionth; computed once per shard."""
        return gram_norm(self.X, self.XT)

    @cached_property
    def longest_row(self) -> float:
        """`max_j ||x_j||` over the rows."""
        squares = self.X.multiply(self.X) if hasattr(self.X, "multiply") else self.X * self.X
        return float(np.sqrt(squares.sum(axis=1).max()))

    def with_labels(self, y: NDArray[np.float64]) -> Shard:
        return replace(self, y=y)

    def take(self, rows: Rows) -> Shard:
        """Return the shard that holds only `rows`."""
        return Shard.of(self.X[rows], self.y[rows], self.classes, self.total)
