"""Codes of one float32 scale and whole numbers of levels, which are entropy-coded."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpirobust import kernels
from mpirobust.compressors import _rice
from mpirobust.compressors.base import BLOCK, Code
from mpirobust.errors import Malformed
from mpirobust.numerics.norms import q_norm
from mpirobust.types import Message, Vector

SCALE = np.dtype("<f4")
_ROOM = 8 * BLOCK  # coordinates at a time: what is between stays in the cache


def max_nbytes(dim: int, levels: int) -> int:
    """Return the length of the longest message of `dim` coordinates of at most so many levels."""
    return SCALE.itemsize + _rice.max_nbytes(dim, levels)


@dataclass(frozen=True)
class LevelsCode(Code):
    """Coordinate i is `scale / levels` times a whole number of magnitude at most `levels`."""

    dim: int
    levels: int

    @abstractmethod
    def scale(self, v: Vector) -> float:
        """Return the value of the highest level for `v`."""

    @abstractmethod
    def round(self, exact: Vector, rng: np.random.Generator) -> Vector:
        """Return the magnitudes in levels, whole numbers, for the magnitudes `exact`."""

    def encode(self, v: Vector, rng: np.random.Generator) -> bytes:
        with np.errstate(over="ignore", invalid="ignore"):  # a scale that overflows is unsound, and the center sees it
            scale = np.array(self.scale(v), SCALE)
        levels = np.zeros(v.size, np.int32)
        if 0 < scale < np.inf:
            for start in range(0, v.size, _ROOM):
                part = v[start : start + _ROOM]
                rounded = self.round(np.abs(part) * (self.levels / float(scale)), rng)
                levels[start : start + _ROOM] = np.copysign(np.minimum(rounded, self.levels), part)
        return scale.tobytes() + _rice.pack(levels, self.levels)

    def norm(self, message: Message, q: float) -> float:
        unit, code = self._open(message)
        sound = 0 <= unit < np.inf
        levels = _rice.NonZeros(self.dim, self.levels, self.dim if sound else 0).read(code)[1]
        if not sound:
            raise Malformed("the scale is negative or not finite")
        return unit * q_norm(np.abs(levels).astype(np.float64), q)

    def add_to(self, out: Vector, weights: NDArray[np.float64], messages: Sequence[Message]) -> None:
        non_zeros = _rice.NonZeros(self.dim, self.levels, min(_ROOM, self.dim))
        for weight, message in zip(weights, messages, strict=True):
            unit, code = self._open(message)
            for start in range(0, self.dim, _ROOM):
                places, levels = non_zeros.read(code, start)
                kernels.add_at(places, weight * (unit * levels), out[start : start + _ROOM])

    def fill(self, out: NDArray[np.float64], messages: Sequence[Message], start: int) -> None:
        non_zeros = _rice.NonZeros(self.dim, self.levels, min(BLOCK, self.dim - start))
        out[:] = 0
        for row, message in zip(out, messages, strict=True):
            unit, code = self._open(message)
            places, levels = non_zeros.read(code, start)
            within = np.searchsorted(places, row.size)
            row[places[:within]] = unit * levels[:within]

    def _open(self, message: Message) -> tuple[float, Message]:
        """Return the value of one level, and the code of the levels."""
        if len(message) < SCALE.itemsize:
            raise Malformed("too short for a scale")
        unit = float(np.frombuffer(message, SCALE, 1)[0]) / self.levels
        return unit, memoryview(message)[SCALE.itemsize :]
