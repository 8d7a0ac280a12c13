"""One bit per coordinate: + if it is set, - if it is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mpirobust import kernels
from mpirobust.types import Vector

Zeros: TypeAlias = Literal["plus", "random"]  # the sign of a coordinate that is exactly 0


def pack_signs(v: Vector, zeros: Zeros, rng: np.random.Generator) -> bytes:
    """Return one bit per coordinate; `rng` is used only if the sign of zeros is random and there are any."""
    packed, zero = kernels.pack(v)
    if zeros == "random" and zero:
        at = np.flatnonzero(v == 0)
        plus = np.unpackbits(packed, count=v.size)
        plus[at] = rng.integers(2, size=at.size, dtype=np.bool_)
        packed = np.packbits(plus)
    return packed.tobytes()


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
