"""One bit per coordinate: + if it is set, - if it is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mpirobust import kernels
from mpirobust.types import Vector

Zeros: TypeAlias = Literal["plus", "random"]  # the sign of a coordinate that is exactly 0

_BYTES, _MESSAGES = 1024, 50  # unpacked at a time: as float64 they stay in the cache (benchmarks/aggregation.py)


def pack_signs(v: Vector, zeros: Zeros, rng: np.random.Generator) -> bytes:
    """Return one bit per coordinate; `rng` is used only if the sign of zeros is random and there are any."""
    packed, zero = kernels.pack(v)
    if zeros == "random" and zero:
        at = np.flatnonzero(v == 0)
        plus = np.unpackbits(packed, count=v.size)
        plus[at] = rng.integers(2, size=at.size, dtype=np.bool_)
        packed = np.packbits(plus)
    return packed.tobytes()


def add_signs(out: Vector, weights: NDArray[np.float64], packed: Sequence[NDArray[np.uint8]]) -> None:
    """`out += Σ_k weights[k] signs_k` for at least one vector of signs."""
    # Σ w (2b - 1) = 2 Σ w b - Σ w: unpack a block of some vectors, one product, next block.
    out -= weights.sum()
    for at in range(0, packed[0].size, _BYTES):
        here = out[8 * at : 8 * (at + _BYTES)]
        for first in range(0, len(packed), _MESSAGES):
            some = slice(first, first + _MESSAGES)
            block = np.stack([bits[at : at + _BYTES] for bits in packed[some]])
            bits = np.unpackbits(block, axis=1, count=here.size)
            if len(bits) == 1:  # a worker's own message (error feedback): a product with one row takes longer
                here += 2 * weights[first] * bits[0]
            else:
                here += 2 * weights[some] @ bits.astype(np.float64)


def fill_signs(
    out: NDArray[np.float64], packed: Sequence[NDArray[np.uint8]], start: int, scales: NDArray[np.float64]
) -> None:
    """`out[k] = scales[k] * signs_k[start : start + out.shape[1]]`; `start` is a multiple of 8."""
    if not packed:
        return
    width = out.shape[1]
    block = np.stack([bits[start // 8 : (start + width + 7) // 8] for bits in packed])
    np.multiply(np.unpackbits(block, axis=1, count=width), 2 * scales[:, None], out=out)
    out -= scales[:, None]
