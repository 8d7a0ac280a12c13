"""Codes of one float32 scale and whole numbers of levels, which are entropy-coded."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpirobust.compressors import _rice
from mpirobust.compressors._blocks import blocks
from mpirobust.compressors.base import Code
from mpirobust.errors import Malformed
from mpirobust.numerics.norms import q_norm
from mpirobust.types import Message, Vector

SCALE = np.dtype("<f4")


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
        levels = np.zeros(v.size, np.int64)
        if 0 < scale < np.inf:
            rounded = self.round(np.abs(v) * (self.levels / float(scale)), rng).astype(np.int64)
            levels = np.where(v < 0, -1, 1) * np.minimum(rounded, self.levels)
        return scale.tobytes() + _rice.pack(levels, self.levels)

    def norm(self, message: Message, q: float) -> float:
        unit, packed = self._open(message)
        if not 0 <= unit < np.inf:
            raise Malformed("the scale is negative or not finite")
        magnitudes = np.concatenate([np.abs(packed.segment(here.start)[1]) for here in blocks(self.dim)])
        return unit * q_norm(magnitudes.astype(np.float64), q)

    def add_to(self, out: Vector, weights: NDArray[np.float64], messages: Sequence[Message]) -> None:
        for weight, message in zip(weights, messages, strict=True):
            unit, packed = self._open(message)
            for here in blocks(out.size):
                places, levels = packed.segment(here.start)
                out[here.start + places] += weight * (unit * levels)

    def fill(self, out: NDArray[np.float64], messages: Sequence[Message], start: int) -> None:
        out[:] = 0
        for row, message in zip(out, messages, strict=True):
            unit, packed = self._open(message)
            places, levels = packed.segment(start)
            within = np.searchsorted(places, row.size)
            row[places[:within]] = unit * levels[:within]

    def _open(self, message: Message) -> tuple[float, _rice.Packed]:
        """Return the value of one level, and the levels."""
        if len(message) < SCALE.itemsize:
            raise Malformed("too short for a scale")
        unit = float(np.frombuffer(message, SCALE, 1)[0]) / self.levels
        return unit, _rice.Packed(memoryview(message)[SCALE.itemsize :], self.dim, self.levels)
