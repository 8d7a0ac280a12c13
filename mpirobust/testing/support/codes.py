"""Codes and inboxes as the two ends of a run make them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mpirobust.answers import Inbox
from mpirobust.compressors.base import Code, Codes, Compressor
from mpirobust.types import Message, Norm, Vector, flat

Shared = Callable[[int], np.random.Generator]  # worker -> the stream that both ends draw its code from


def drawn(compressor: Compressor, dim: int, stream: np.random.Generator | None = None) -> Code:
    """The code of one message, as one end draws it from `stream`."""
    return compressor.draw(flat(dim), np.random.default_rng(0) if stream is None else stream)


def code_of(compressor: Compressor, dim: int, worker: int, shared: Shared) -> Code:
    """The code of a worker's message, as one end draws it."""
    return drawn(compressor, dim, shared(worker))


def codes_of(compressor: Compressor, dim: int, shared: Shared) -> Codes:
    """The codes of a round, as one end draws them."""

    def draw(worker: int) -> Code:
        return code_of(compressor, dim, worker, shared)

    return Codes(None if compressor.draws_for_each() else draw(0), draw)


def length(v: Vector, q: float) -> float:
    """||v||_q by NumPy, of numbers whose q-th powers neither overflow nor vanish."""
    largest = float(np.abs(v).max(initial=0.0)) or 1.0
    return largest * float(np.linalg.norm(v / largest, q))


def inbox_of(
    messages: Sequence[Message],
    dim: int,
    compressor: Compressor,
    norm: Norm | None = None,
    scale: float = 1.0,
    shared: Shared = np.random.default_rng,
    weights: NDArray[np.float64] | None = None,
) -> Inbox:
    """Return the inbox of a round."""
    return Inbox(messages, dim, codes_of(compressor, dim, shared), norm or Norm(), scale, weights)
