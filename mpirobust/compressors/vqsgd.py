from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpirobust.components import Count, component
from mpirobust.compressors._sparse import pack_positions, position_nbytes, scatter, unpack_positions
from mpirobust.compressors.base import Code, Compressor, expect_length
from mpirobust.errors import Malformed
from mpirobust.numerics.norms import q_norm
from mpirobust.types import Layout, Message, Vector

_NORM = np.dtype("<f4")


@component
class VQSGD(Compressor):
    """The mean of random corners of a cross-polytope around x: sublinear (Gandikota et al. 2019; P1 §3.1).

    With n = ||x|| in float32, each of the `samples` corners ±√d n e_i is drawn with probability
    `±x_i⁺/(√d n) + (1 - ||x||₁/(√d n))/(2d)` and takes at most log2(2d) bits; their order is not sent.
    Unbiased, `E||Q(x) - x||² = (d - 1)/samples ||x||²`: a δ needs as many samples as coordinates.

    Attributes:
        samples: corners that are drawn and sent; δ > 0 needs as many as coordinates.
    """

    samples: Count

    def draw(self, layout: Layout, stream: np.random.Generator) -> Code:
        return _Corners(layout.dim, self.samples, self.max_nbytes(layout))

    def max_nbytes(self, layout: Layout) -> int:
        return _NORM.itemsize + position_nbytes(2 * layout.dim, self.samples)

    def delta(self, layout: Layout) -> float | None:
        error = (layout.dim - 1) / self.samples
        return 1 - error - 2.0**-20 if error < 1 - 2.0**-20 else None  # less the rounding of the norm


@dataclass(frozen=True)
class _Corners(Code):
    dim: int
    samples: int
    nbytes: int

    def encode(self, v: Vector, rng: np.random.Generator) -> bytes:
        with np.errstate(over="ignore", invalid="ignore"):  # a norm that overflows is unsound, and the center sees it
            norm = np.array(np.sqrt(v @ v), _NORM)
        corners = np.zeros(self.samples, np.intp)  # 2i is +e_i, 2i + 1 is -e_i
        if 0 < norm < np.inf:
            radius = np.sqrt(v.size) * float(norm)
            ascending = np.cumsum(np.abs(v) / radius)
            u = np.sort(rng.random(self.samples))
            chosen = np.minimum(np.searchsorted(ascending, u, side="right"), v.size - 1)
            corners = 2 * chosen + (v[chosen] < 0)
            rest = int(np.count_nonzero(u >= ascending[-1]))  # what is left is spread over all corners
            corners[self.samples - rest :] = rng.integers(2 * v.size, size=rest)
        return norm.tobytes() + pack_positions(np.sort(corners), 2 * v.size)

    def norm(self, message: Message, q: float) -> float:
        expect_length(message, self.nbytes)
        if not 0 <= np.frombuffer(message, _NORM, 1)[0] < np.inf:
            raise Malformed("the norm is negative or not finite")
        return q_norm(self._entries(message)[1], q)

    def add_to(self, out: Vector, weights: NDArray[np.float64], messages: Sequence[Message]) -> None:
        for weight, message in zip(weights, messages, strict=True):
            positions, values = self._entries(message)
            out[positions] += weight * values

    def fill(self, out: NDArray[np.float64], messages: Sequence[Message], start: int) -> None:
        for row, message in zip(out, messages, strict=True):
            scatter(row, start, *self._entries(message))

    def _entries(self, message: Message) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        corners = unpack_positions(memoryview(message)[_NORM.itemsize :], 2 * self.dim, self.samples)
        positions, which = np.unique(corners // 2, return_inverse=True)
        counts = np.bincount(which, 1 - 2 * (corners % 2))
        return positions, np.sqrt(self.dim) * float(np.frombuffer(message, _NORM, 1)[0]) / self.samples * counts
