"""The nouns that every room shares: vectors, shards, norms, and the keyed random streams."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.floating[Any]]  # 1-D, shape (d,)
Rows: TypeAlias = NDArray[np.intp]  # row numbers, ascending
Message: TypeAlias = bytes | bytearray | memoryview
OnFailure: TypeAlias = Literal["stop", "drop", "adopt"]  # what becomes of the workers of a rank that died
Feedback: TypeAlias = Literal["none", "residual", "difference"]  # nothing, P1 Alg. 2, EF21

_SMALL = 512  # matrices up to here are decomposed whole
_SLACK = 1e-6  # relative, of eigenvalues that are iterated for

CENTER = 2**32 - 1  # the center's place in the streams; no worker has this number


class Malformed(ValueError):
    """A message is not the code of any finite vector of the expected length."""


class Purpose(IntEnum):
    """What a stream is drawn for; no two purposes share a number."""

    SPLIT = 1
    PARTITION = 2
    ROWS = 3
    SOLUTION = 4
    START = 5
    BYZANTINE = 6
    POISON = 7
    ANSWER = 8
    CORRUPT = 9
    ENCODE = 10
    SHARED = 11
    TAMPER = 12
    ADVANCE = 13
    CURVATURE = 14
    FORGE = 15


def stream(seed: int, worker: int, round: int, purpose: Purpose) -> np.random.Generator:
    """The random stream of one worker in one round for one purpose.

    Counter-based (Philox 4x64; Salmon et al. 2011): the seed is the key, the
    other three are words of the counter, and a stream has 2^64 blocks before
    it meets its neighbour. Nothing is stored, so nothing needs a checkpoint,
    and no stream depends on which rank asks.
    """
    key = np.array([seed, 0x6D706972_6F627573], dtype=np.uint64)
    counter = np.array([0, purpose, round, worker], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


class Streams:
    """The streams of one worker for one purpose, round after round.

    The same as `stream`, for a fifth of its time; each stream is good until the next is asked for.
    """

    def __init__(self, seed: int, worker: int, purpose: Purpose) -> None:
        self._generator = stream(seed, worker, 0, purpose)
        self._state: Any = self._generator.bit_generator.state

    def of(self, round: int) -> np.random.Generator:
        self._state["state"]["counter"][2] = round
        self._generator.bit_generator.state = self._state
        return self._generator


@dataclass(frozen=True)
class Norm:
    """How the center measures a message.

    `q` is the order of the norm. With `claimed`, the worker sends the norm of
    what it compressed beside the code and the center sorts by that (P1 Alg. 1,
    Option I); otherwise the norm is computed from the code (Option II).
    """

    q: float = 2.0
    claimed: bool = False


@dataclass(frozen=True)
class Shard:
    """The rows of one worker.

    Attributes:
        X: features, shape (n, d), dense or CSR; float64, or float32 where the rows are images (`network` takes
            them as they are, the other losses compute in float64 all the same).
        XT: the transpose of `X`, shape (d, n); CSR as well when `X` is, since
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
        """`||XᵀX / n||`, the largest eigenvalue, from above by a millionth; worked out once per shard."""
        n, d = self.X.shape
        if min(n, d) <= _SMALL:
            gram = self.XT @ self.X if d <= n else self.X @ self.XT
            largest = float(np.linalg.eigvalsh(gram.toarray() if hasattr(gram, "toarray") else gram)[-1])
        else:
            from scipy.sparse.linalg import LinearOperator, eigsh  # slow to import, and seldom needed

            product = LinearOperator((d, d), matvec=lambda v: self.XT @ (self.X @ v), dtype=np.float64)
            v0 = stream(0, 0, 0, Purpose.CURVATURE).standard_normal(d)
            if not (self.X @ v0).any():
                return 0.0
            largest = float(eigsh(product, 1, which="LA", v0=v0, tol=_SLACK, return_eigenvectors=False)[0])
        return max(0.0, largest) * (1 + _SLACK) / float(n)

    def with_labels(self, y: NDArray[np.float64]) -> Shard:
        return replace(self, y=y)

    def take(self, rows: Rows) -> Shard:
        """The shard that holds only `rows`."""
        return Shard.of(self.X[rows], self.y[rows], self.classes, self.total)
