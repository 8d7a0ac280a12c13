from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpirobust import kernels
from mpirobust.components import component
from mpirobust.compressors._blocks import blocks, norm_by_blocks
from mpirobust.compressors.base import BLOCK, Code, Compressor, expect_length
from mpirobust.errors import Malformed
from mpirobust.types import Layout, Message, Vector

_SCALE = np.dtype("<f4")
_POWERS = 3 ** np.arange(5, dtype=np.uint8)
_BYTES = -(-BLOCK // 5)  # five trits a byte; every block begins with a byte of its own


@component
class TernGrad(Compressor):
    """`Q(x)_i = s · sign(x_i) · Ber(|x_i|/s)`, s = max |x| in float32; 1.6 bits per coordinate (Wen et al. 2017).

    Unbiased. `E||Q(x) - x||² = s||x||₁ - ||x||² ≤ (√d - 1)/2 ||x||²`, which leaves a δ only below d = 9.
    """

    def draw(self, layout: Layout, stream: np.random.Generator) -> Code:
        return _Trits(layout.dim, self.max_nbytes(layout))

    def max_nbytes(self, layout: Layout) -> int:
        return _SCALE.itemsize + layout.dim // BLOCK * _BYTES + -(-(layout.dim % BLOCK) // 5)

    def delta(self, layout: Layout) -> float | None:
        return (3 - layout.dim**0.5) / 2 - 2.0**-20 if layout.dim < 9 else None  # less the rounding of the scale


@dataclass(frozen=True)
class _Trits(Code):
    dim: int
    nbytes: int

    def encode(self, v: Vector, rng: np.random.Generator) -> bytes:
        with np.errstate(over="ignore"):  # a scale that overflows is unsound, and the center sees it
            scale = np.array(np.abs(v).max(), _SCALE)
        parts = [scale.tobytes()]
        for here in blocks(v.size):
            part = v[here]
            digits = np.ones(-(-part.size // 5) * 5, np.uint8)
            digits[part.size :] = 0
            up = rng.random(part.size) * scale < np.abs(part)
            digits[: part.size] += up
            digits[: part.size] -= 2 * (up & (part < 0)).view(np.uint8)
            parts.append((digits.reshape(-1, 5) @ _POWERS).tobytes())
        return b"".join(parts)

    def norm(self, message: Message, q: float) -> float:
        expect_length(message, self.nbytes)
        if not 0 <= _scale(message) < np.inf:
            raise Malformed("the scale is negative or not finite")
        if _packed(message).max() >= 3**5:
            raise Malformed("a byte is not five trits")
        return norm_by_blocks(self, message, q)

    def add_to(self, out: Vector, weights: NDArray[np.float64], messages: Sequence[Message]) -> None:
        scales = np.array([_scale(message) for message in messages])
        kernels.add_trits([_packed(message) for message in messages], BLOCK, scales, weights, out)

    def fill(self, out: NDArray[np.float64], messages: Sequence[Message], start: int) -> None:
        for row, message in zip(out, messages, strict=True):
            kernels.trits(_packed(message)[start // BLOCK * _BYTES :], _scale(message), row)


def _packed(message: Message) -> NDArray[np.uint8]:
    return np.frombuffer(message, np.uint8, offset=_SCALE.itemsize)


def _scale(message: Message) -> float:
    return float(np.frombuffer(message, _SCALE, 1)[0])
