"""The norm and the weighted sum of a code with random access, one block at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mpirobust.compressors.base import BLOCK, Code
from mpirobust.numerics.norms import q_norm
from mpirobust.types import Message, Vector


def blocks(dim: int) -> list[slice]:
    """Return the blocks of a vector of length `dim`, in order."""
    return [slice(start, min(start + BLOCK, dim)) for start in range(0, dim, BLOCK)]


def norm_by_blocks(code: Code, message: Message, q: float) -> float:
    """Return `||decode(message)||_q` for a message that `code.fill` may read."""
    row = np.empty((1, min(BLOCK, code.dim)))
    norms = []
    for here in blocks(code.dim):
        block = row[:, : here.stop - here.start]
        code.fill(block, [message], here.start)
        norms.append(q_norm(block[0], q))
    return q_norm(np.array(norms), q)


def add_by_blocks(code: Code, out: Vector, weights: NDArray[np.float64], messages: Sequence[Message]) -> None:
    """As `Code.add_to`, through `code.fill`."""
    row = np.empty((1, min(BLOCK, out.size)))
    for here in blocks(out.size):
        block = row[:, : here.stop - here.start]
        for weight, message in zip(weights, messages, strict=True):
            code.fill(block, [message], here.start)
            out[here] += weight * block[0]
