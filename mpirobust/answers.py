"""One round's messages in worker order: norms first, decoded on demand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mpirobust.compressors.base import BLOCK, AnyCompressor, Compressor, code_of
from mpirobust.errors import Malformed
from mpirobust.types import Message, Norm, Rows, Vector

CLAIM = np.dtype("<f8")  # the norm that is_root a message of P1 Option I


class Answers(ABC):
    """The vectors of a round as a rule sees them, in worker order; those that are unsound are never seen.

    Attributes:
        dim: length of the vectors.
        scale: what one unit of a norm is worth in the numbers that `average`, `combine` and `blocks` return.
        q: the order of the norm.
        weights: how often each counts, shape (m,), float64, positive: what the center knows of
            the workers, never what they say. The rules that are `Weighing` go by it.
    """

    dim: int
    scale: float
    q: float
    weights: NDArray[np.float64]

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def norms(self) -> NDArray[np.float64]:
        """Norm of each vector, shape (m,); +inf where it is unsound."""

    @property
    @abstractmethod
    def sound(self) -> NDArray[np.bool_]:
        """Which of them are finite vectors, shape (m,)."""

    @abstractmethod
    def average(self, kept: NDArray[np.bool_]) -> Vector:
        """The weighted mean of the kept vectors times the scale, shape (dim,); zero where none is kept."""

    @abstractmethod
    def combine(self, weights: NDArray[np.float64]) -> Vector:
        """Σ weights[i] times vector i times the scale; those of weight zero are not looked at."""

    @abstractmethod
    def blocks(self, workers: Rows) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """The vectors of these workers (sound ones) times the scale, some coordinates at a time.

        Yields where the coordinates stand and an array of shape (len(workers), at
        most BLOCK), which is overwritten by the next: memory O(m BLOCK), never m d.
        """

    @abstractmethod
    def gram(self, workers: Rows) -> NDArray[np.float64]:
        """Inner products of these vectors (sound ones) times the scale, shape (n, n).

        They are taken from an origin amid the vectors, so that what is read off about
        differences does not drown in what all have in common. Entries of vectors too long
        to be squared are not finite.
        """


class Inbox(Answers):
    """What the workers sent.

    Args:
        messages: one per worker, in worker order; views into the receive buffer.
        dim: length of the decoded vectors.
        compressor: the plan's compressor.
        norm: how a message is measured.
        scale: what one unit of a decoded vector is worth: the step size where
            the workers have not applied it already, else 1. Every way out of
            the inbox to numbers applies it.
        shared: `worker -> stream` for codes that are drawn from shared randomness.
        weights: as `Answers.weights`; None where all count the same.
    """

    def __init__(
        self,
        messages: Sequence[Message],
        dim: int,
        compressor: AnyCompressor,
        norm: Norm,
        scale: float,
        shared: Callable[[int], np.random.Generator],
        weights: NDArray[np.float64] | None = None,
    ) -> None:
        self.messages = messages
        self.weights = np.ones(len(messages)) if weights is None else weights
        self.dim = dim
        self.scale = scale
        self.q = norm.q
        self._claimed = norm.claimed
        lead = CLAIM.itemsize if norm.claimed else 0
        self._codes = [memoryview(message)[lead:] for message in messages]
        self._code_of: Callable[[int], Compressor] = lambda worker: code_of(compressor, dim, lambda: shared(worker))
        self._one_code = isinstance(compressor, Compressor)

    def __len__(self) -> int:
        return len(self.messages)

    @cached_property
    def nbytes(self) -> int:
        """Bytes that crossed: the sum of the lengths of the messages."""
        return sum(map(len, self.messages))

    @cached_property
    def norms(self) -> NDArray[np.float64]:
        """Norm of each message in units of the answer, shape (m,); +inf where it is unsound."""
        return np.array([self._measure(worker) for worker in range(len(self))])

    @property
    def sound(self) -> NDArray[np.bool_]:
        """Which messages are codes of finite vectors, shape (m,)."""
        return np.isfinite(self.norms)

    def average(self, kept: NDArray[np.bool_]) -> Vector:
        """As `Answers.average`: added up in worker order, straight from the packed bytes."""
        workers = np.flatnonzero(kept)
        weights = self.weights[workers]
        return self._sum(workers, self.scale * weights / (weights.sum() or 1.0))

    def combine(self, weights: NDArray[np.float64]) -> Vector:
        workers = np.flatnonzero(weights)
        return self._sum(workers, self.scale * weights[workers])

    def _sum(self, workers: Rows, weights: NDArray[np.float64]) -> Vector:
        out = np.zeros(self.dim)
        if self._one_code and workers.size:
            self._code_of(0).add_to(out, weights, [self._codes[worker] for worker in workers])
        else:
            for at, worker in enumerate(workers.tolist()):
                self._code_of(worker).add_to(out, weights[at : at + 1], [self._codes[worker]])
        return out

    def blocks(self, workers: Rows) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        block = np.empty((workers.size, min(BLOCK, self.dim)))
        codes = [self._code_of(worker) for worker in workers.tolist()]
        for start in range(0, self.dim, BLOCK):
            here = block[:, : min(BLOCK, self.dim - start)]
            if self._one_code and workers.size:
                codes[0].fill(here, [self._codes[worker] for worker in workers], self.dim, start)
            else:
                for row, code, worker in zip(here, codes, workers.tolist(), strict=True):
                    code.fill(row[None], [self._codes[worker]], self.dim, start)
            here *= self.scale
            yield slice(start, start + here.shape[1]), here

    def gram(self, workers: Rows) -> NDArray[np.float64]:
        return gram_of(self.blocks(workers), workers.size)

    def _measure(self, worker: int) -> float:
        try:
            norm = self._code_of(worker).norm(self._codes[worker], self.dim, self.q)
        except Malformed:
            return np.inf
        if self._claimed and np.isfinite(norm):
            norm = float(np.frombuffer(self.messages[worker], CLAIM, 1)[0])
        return norm if 0 <= norm < np.inf else np.inf


def gram_of(blocks: Iterator[tuple[slice, NDArray[np.float64]]], n: int) -> NDArray[np.float64]:
    """`Answers.gram` from blocks, which are overwritten.

    The origin is, block by block, the vector whose norm there is the median: where the
    majority is honest, no longer than an honest one.
    """
    total = np.zeros((n, n))
    if n:
        with np.errstate(over="ignore", invalid="ignore"):
            for _, block in blocks:
                squares = np.einsum("ij,ij->i", block, block)
                block -= block[np.argsort(squares, kind="stable")[(n - 1) // 2]].copy()
                total += block @ block.T
    return total
