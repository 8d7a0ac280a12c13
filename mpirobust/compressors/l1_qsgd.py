from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mpirobust import kernels
from mpirobust.components import component
from mpirobust.compressors._signs import Zeros, fill_signs, pack_signs
from mpirobust.compressors.base import FLOAT32_DELTA, Code, Compressor, PackedSigns, expect_length
from mpirobust.errors import Malformed
from mpirobust.types import Layout, Message, Vector

_SCALE = np.dtype("<f4")
_BYTE = np.dtype(np.uint8)


@component
class L1QSGD(Compressor):
    """`Q(x) = ||x||₁/d · sign(x)`: one float32 scale, one bit per coordinate (P1 §3 ex. 4, P1 §8).

    δ(x) = ||x||₁²/(d ||x||²) ≥ 1/d (Karimireddy et al. 2019), whatever the sign of a zero: it is drawn, because a
    common sign for all workers is a drift that no average removes; `zeros = "plus"` sends +.

    Attributes:
        zeros: what is sent for a coordinate that is exactly 0: a drawn sign, or +.
    """

    added_keys: ClassVar = {"zeros": "plus"}

    zeros: Zeros = "random"

    def draw(self, layout: Layout, stream: np.random.Generator) -> Code:
        return _ScaledSigns(layout.dim, self.zeros)

    def max_nbytes(self, layout: Layout) -> int:
        return _SCALE.itemsize + (layout.dim + 7) // 8

    def delta(self, layout: Layout) -> float | None:
        return min(1 / layout.dim, FLOAT32_DELTA)


@dataclass(frozen=True)
class _ScaledSigns(Code):
    dim: int
    zeros: Zeros

    def encode(self, v: Vector, rng: np.random.Generator) -> bytes:
        with np.errstate(over="ignore"):  # a scale that overflows is unsound, and the center sees it
            scale = np.array(np.abs(v).mean(), _SCALE)
        return scale.tobytes() + pack_signs(v, self.zeros, rng)

    def norm(self, message: Message, q: float) -> float:
        expect_length(message, self._nbytes)
        scale = float(np.frombuffer(message, _SCALE, 1)[0])
        if scale < 0:
            raise Malformed("negative scale")
        return scale * self._norm_of_signs(q)

    def norms(self, messages: Sequence[Message], q: float) -> NDArray[np.float64]:
        nbytes, refused = self._nbytes, np.array(-1, _SCALE).tobytes()
        heads = b"".join([message[: _SCALE.itemsize] if len(message) == nbytes else refused for message in messages])
        scales = np.frombuffer(heads, _SCALE).astype(np.float64)
        return np.where(scales < 0, np.inf, scales * self._norm_of_signs(q))

    @property
    def _nbytes(self) -> int:
        return _SCALE.itemsize + (self.dim + 7) // 8

    def _norm_of_signs(self, q: float) -> float:
        return 1.0 if q == np.inf else float(self.dim ** (1 / q))

    def add_to(self, out: Vector, weights: NDArray[np.float64], messages: Sequence[Message]) -> None:
        kernels.add_signs(_packed(messages), weights * _scales(messages), out)

    def fill(self, out: NDArray[np.float64], messages: Sequence[Message], start: int) -> None:
        fill_signs(out, _packed(messages), start, _scales(messages))

    def signs(self, messages: Sequence[Message]) -> PackedSigns:
        return PackedSigns(_packed(messages), _scales(messages), self.dim)


def _packed(messages: Sequence[Message]) -> list[NDArray[np.uint8]]:
    head = _SCALE.itemsize
    return [np.frombuffer(message, _BYTE, -1, head) for message in messages]


def _scales(messages: Sequence[Message]) -> NDArray[np.float64]:
    heads = b"".join([message[: _SCALE.itemsize] for message in messages])  # a call of NumPy for each takes longer
    return np.frombuffer(heads, _SCALE).astype(np.float64)
