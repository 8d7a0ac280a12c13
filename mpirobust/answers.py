"""The input of a rule: the messages of a round, or the rows of an array."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mpirobust.compressors.base import BLOCK, Codes, PackedSigns
from mpirobust.numerics.norms import q_norm
from mpirobust.types import Message, Norm, Rows, Vector

NORM_PREFIX = np.dtype("<f8")  # the norm that leads a message of P1 Option I


class Answers(ABC):
    """The vectors of a round as a rule sees them, in worker order. Unsound vectors are never read.

    Attributes:
        dim: d, the length of the vectors.
        scale: the factor between the unit of a norm and the numbers that `average`, `combine` and `blocks` return:
            the step size if the center applies it, else 1.
        q: the order of the norm.
        weights: how often each counts, shape (m,), float64, positive. The center knows them from
            the rows it dealt; no worker claims one. The rules that are `Weighing` use them.
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
        """Norm of each vector, shape (m,), in units of the answer; +inf if it is unsound."""

    @property
    def sound(self) -> NDArray[np.bool_]:
        """True for each that is a finite vector, shape (m,)."""
        return np.isfinite(self.norms)

    @abstractmethod
    def average(self, kept: NDArray[np.bool_]) -> Vector:
        """Return the weighted mean of the kept vectors times the scale, shape (d,); zero if none is kept."""

    @abstractmethod
    def combine(self, weights: NDArray[np.float64]) -> Vector:
        """Return Σ weights[i] times vector i times the scale, shape (d,); vectors of weight zero are not read."""

    @abstractmethod
    def blocks(self, workers: Rows, within: slice | None = None) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """Yield the vectors of these workers (sound ones) times the scale, some coordinates at a time.

        Each item is a slice of the coordinates and an array of shape (len(workers), at most BLOCK),
        which is overwritten by the next: memory O(m BLOCK), never m d. Several threads may each read a part.

        Args:
            within: only these coordinates, from a multiple of BLOCK to another or the end; None for all.
        """

    def signs(self, workers: Rows) -> PackedSigns | None:
        """Return the vectors of these workers (sound ones) times the scale; None if no one-bit code sent them."""
        return None

    def gram(self, workers: Rows, beside: Vector | None = None) -> NDArray[np.float64]:
        """Return the inner products of these vectors (sound ones) times the scale, shape (n, n).

        They are relative to an origin among the vectors, so that differences do not cancel
        against a large common part. Entries of vectors too long to be squared are not finite.

        Args:
            beside: one more vector, in the units of `blocks`, which comes last: the shape is then (n + 1, n + 1).
        """
        packed = self.signs(workers) if beside is None else None
        return gram_of(self.blocks(workers), workers.size, beside) if packed is None else packed.gram()


class _Summed(Answers):
    """Answers that are added up in worker order, vector by vector."""

    def average(self, kept: NDArray[np.bool_]) -> Vector:
        workers = np.flatnonzero(kept)
        weights = self.weights[workers]
        return self._sum(workers, self.scale * weights / (weights.sum() or 1.0))

    def combine(self, weights: NDArray[np.float64]) -> Vector:
        workers = np.flatnonzero(weights)
        return self._sum(workers, self.scale * weights[workers])

    @abstractmethod
    def _sum(self, workers: Rows, weights: NDArray[np.float64]) -> Vector:
        """Return Σ_k weights[k] times the vector of workers[k]; the scale is in the weights."""


class Inbox(_Summed):
    """The messages of a round: norms first, decoded on demand.

    Args:
        messages: one per worker, in worker order; views into the receive buffer.
        codes: the code of each message.
        norm: how a message is measured.
        scale: as `Answers.scale`.
        weights: as `Answers.weights`; None if all count the same.
    """

    def __init__(
        self,
        messages: Sequence[Message],
        dim: int,
        codes: Codes,
        norm: Norm,
        scale: float = 1.0,
        weights: NDArray[np.float64] | None = None,
    ) -> None:
        self.messages = messages
        self.weights = np.ones(len(messages)) if weights is None else weights
        self.dim = dim
        self.scale = scale
        self.q = norm.q
        self._claimed = norm.claimed
        prefix = NORM_PREFIX.itemsize if norm.claimed else 0
        self._bodies = [memoryview(message)[prefix:] for message in messages] if prefix else messages
        self._codes = codes

    def __len__(self) -> int:
        return len(self.messages)

    def scaled(self, scale: float) -> Inbox:
        """Return the same messages with another scale."""
        other = copy(self)
        other.scale = scale
        return other

    @cached_property
    def nbytes(self) -> int:
        """Bytes that crossed: the sum of the lengths of the messages."""
        return sum(map(len, self.messages))

    @cached_property
    def norms(self) -> NDArray[np.float64]:
        if self._codes.common is not None:
            norms = self._codes.common.norms(self._bodies, self.q)
        else:
            each = (self._codes.of(worker).norms([body], self.q) for worker, body in enumerate(self._bodies))
            norms = np.concatenate([np.empty(0), *each])
        if self._claimed:
            for worker in np.flatnonzero(np.isfinite(norms)).tolist():
                norms[worker] = np.frombuffer(self.messages[worker], NORM_PREFIX, 1)[0]
        return np.where((norms >= 0) & (norms < np.inf), norms, np.inf)

    def add_to(self, out: Vector, worker: int) -> None:
        """Add the vector of a sound message to `out`, without the scale."""
        self._codes.of(worker).add_to(out, np.ones(1), [self._bodies[worker]])

    def _sum(self, workers: Rows, weights: NDArray[np.float64]) -> Vector:
        out = np.zeros(self.dim)
        if self._codes.common is not None:  # straight from the packed bytes
            self._codes.common.add_to(out, weights, [self._bodies[worker] for worker in workers.tolist()])
        else:
            for at, worker in enumerate(workers.tolist()):
                self._codes.of(worker).add_to(out, weights[at : at + 1], [self._bodies[worker]])
        return out

    def blocks(self, workers: Rows, within: slice | None = None) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        block = np.empty((workers.size, min(BLOCK, self.dim)))
        for start in _starts(self.dim, within):
            here = block[:, : min(BLOCK, self.dim - start)]
            if self._codes.common is not None:
                self._codes.common.fill(here, [self._bodies[worker] for worker in workers.tolist()], start)
            else:
                for row, worker in zip(here, workers.tolist(), strict=True):
                    self._codes.of(worker).fill(row[None], [self._bodies[worker]], start)
            here *= self.scale
            yield slice(start, start + here.shape[1]), here

    def signs(self, workers: Rows) -> PackedSigns | None:
        if self._codes.common is None:
            return None
        packed = self._codes.common.signs([self._bodies[worker] for worker in workers.tolist()])
        return packed and replace(packed, scales=packed.scales * self.scale)


class ArrayAnswers(_Summed):
    """The rows of an array: the states that a feedback keeps, or the argument of a call of a rule.

    Args:
        rows: shape (m, d), float64; a row with an entry that is not finite is unsound.
        sound: rows that are unsound for another reason are False here; None if there is none.
        q, scale, weights: as in `Answers`.
    """

    def __init__(
        self,
        rows: NDArray[np.float64],
        sound: NDArray[np.bool_] | None = None,
        q: float = 2.0,
        scale: float = 1.0,
        weights: NDArray[np.float64] | None = None,
    ) -> None:
        m, self.dim = rows.shape
        self.weights = np.ones(m) if weights is None else weights
        self.q, self.scale = q, scale
        self._rows = rows
        self._trusted = np.ones(m, dtype=bool) if sound is None else sound

    def __len__(self) -> int:
        return len(self._rows)

    @cached_property
    def norms(self) -> NDArray[np.float64]:
        norms = np.full(len(self), np.inf)
        for worker in np.flatnonzero(self._trusted):
            norm = q_norm(self._rows[worker], self.q)
            norms[worker] = norm if norm < np.inf else np.inf  # NaN as well
        return norms

    def _sum(self, workers: Rows, weights: NDArray[np.float64]) -> Vector:
        out = np.zeros(self.dim)
        for weight, worker in zip(weights, workers, strict=True):
            out += weight * self._rows[worker]
        return out

    def blocks(self, workers: Rows, within: slice | None = None) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        block = np.empty((workers.size, min(BLOCK, self.dim)))
        for start in _starts(self.dim, within):
            where = slice(start, min(start + BLOCK, self.dim))
            here = block[:, : where.stop - start]
            np.multiply(self._rows[workers, where], self.scale, out=here)
            yield where, here


def _starts(dim: int, within: slice | None) -> range:
    """Return where each block begins."""
    start, stop, _ = (within or slice(dim)).indices(dim)
    return range(start, stop, BLOCK)


def gram_of(
    blocks: Iterator[tuple[slice, NDArray[np.float64]]], n: int, beside: Vector | None = None
) -> NDArray[np.float64]:
    """Return `Answers.gram` of blocks of n vectors, which are overwritten.

    In each block the origin is the vector of median norm in this block. If the majority is
    honest, it is no longer than an honest vector.
    """
    size = n if beside is None else n + 1
    total = np.zeros((size, size))
    if n:
        with np.errstate(over="ignore", invalid="ignore"):
            for where, block in blocks:
                squares = np.einsum("ij,ij->i", block, block)
                origin = block[np.argsort(squares, kind="stable")[(n - 1) // 2]].copy()
                rows = block if beside is None else np.vstack([block, beside[where]])
                rows -= origin
                total += rows @ rows.T
    return total
