from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mpirobust import kernels
from mpirobust.components import component
from mpirobust.compressors._signs import Zeros, fill_signs, pack_signs
from mpirobust.compressors.base import Code, Compressor, PackedSigns, expect_length
from mpirobust.types import Layout, Message, Vector


@component
class Sign(Compressor):
    """`Q(x) = sign(x)`, one bit per coordinate and no scale (signSGD, Bernstein et al. 2018; P1 §3).

    There is no δ: the error does not shrink with x. A zero is sent as +, or with `zeros = "random"` as a drawn sign.

    Attributes:
        zeros: what is sent for a coordinate that is exactly 0: a drawn sign, or +.
    """

    added_keys: ClassVar = {"zeros": "plus"}

    zeros: Zeros = "plus"

    def draw(self, layout: Layout, stream: np.random.Generator) -> Code:
        return _Signs(layout.dim, self.zeros)

    def max_nbytes(self, layout: Layout) -> int:
        return (layout.dim + 7) // 8

    def delta(self, layout: Layout) -> float | None:
        return None


@dataclass(frozen=True)
class _Signs(Code):
    dim: int
    zeros: Zeros

    def encode(self, v: Vector, rng: np.random.Generator) -> bytes:
        return pack_signs(v, self.zeros, rng)

    def norm(self, message: Message, q: float) -> float:
        expect_length(message, (self.dim + 7) // 8)
        return 1.0 if q == np.inf else self.dim ** (1 / q)

    def add_to(self, out: Vector, weights: NDArray[np.float64], messages: Sequence[Message]) -> None:
        kernels.add_signs([np.frombuffer(message, np.uint8) for message in messages], weights, out)

    def fill(self, out: NDArray[np.float64], messages: Sequence[Message], start: int) -> None:
        packed = [np.frombuffer(message, np.uint8) for message in messages]
        fill_signs(out, packed, start, np.ones(len(packed)))

    def signs(self, messages: Sequence[Message]) -> PackedSigns:
        return PackedSigns([np.frombuffer(each, np.uint8) for each in messages], np.ones(len(messages)), self.dim)
