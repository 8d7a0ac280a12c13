from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from mpirobust.components import Count, Field, component
from mpirobust.compressors._blocks import add_by_blocks, blocks, norm_by_blocks
from mpirobust.compressors.base import Code, Compressor, expect_length
from mpirobust.errors import Malformed, PlanFault
from mpirobust.types import Layout, Message, Vector

_VALUE = np.dtype("<f4")
_PRIME = 2**31 - 1


@component
class Sketch(Compressor):
    """A count sketch: `rows` times `columns` float32 sums of coordinates under random signs (Ivkin et al. 2019).

    The hashes are linear polynomials modulo 2³¹ - 1 (Carter and Wegman 1979) that both ends draw. A coordinate is the
    median of its `rows` estimates, each of them unbiased: `E||Q(x) - x||² ≤ c(d - 1)/columns ||x||²`, c = 1 for one
    row and 2 for more. So only a sketch longer than x has a δ; heavy coordinates come out well from a short one.

    Attributes:
        rows: estimates of a coordinate, of which the median counts.
        columns: sums in a row; δ > 0 needs about d.
    """

    rows: Count
    columns: Annotated[int, Field(gt=0, lt=2**20)]

    def admit(self, layout: Layout) -> None:
        if layout.dim >= _PRIME:
            raise PlanFault("rows", f"a sketch takes fewer than {_PRIME} coordinates, not {layout.dim}")

    def draw(self, layout: Layout, stream: np.random.Generator) -> Code:
        return _Hashed(layout.dim, self.rows, self.columns, stream)

    def draws_for_each(self) -> bool:
        return True

    def max_nbytes(self, layout: Layout) -> int:
        return self.rows * self.columns * _VALUE.itemsize

    def delta(self, layout: Layout) -> float | None:
        error = (1 if self.rows == 1 else 2) * (layout.dim - 1) / self.columns + 2.0**-10  # and what the hashes lack
        return 1 - error if error < 1 else None


class _Hashed(Code):
    def __init__(self, dim: int, rows: int, columns: int, stream: np.random.Generator) -> None:
        self.dim, self._shape = dim, (rows, columns)
        self._slopes = stream.integers(1, _PRIME, size=(2, rows, 1), dtype=np.uint64)
        self._offsets = stream.integers(_PRIME, size=(2, rows, 1), dtype=np.uint64)

    def encode(self, v: Vector, rng: np.random.Generator) -> bytes:
        rows, columns = self._shape
        table = np.zeros(rows * columns)
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is unsound, and the center sees it
            for here in blocks(v.size):
                cells, signs = self._hashes(here)
                table += np.bincount(cells.ravel(), (signs * v[here]).ravel(), table.size)
            return table.astype(_VALUE).tobytes()

    def norm(self, message: Message, q: float) -> float:
        expect_length(message, self._shape[0] * self._shape[1] * _VALUE.itemsize)
        if not np.isfinite(np.frombuffer(message, _VALUE)).all():
            raise Malformed("a sum is not finite")
        return norm_by_blocks(self, message, q)

    def add_to(self, out: Vector, weights: NDArray[np.float64], messages: Sequence[Message]) -> None:
        add_by_blocks(self, out, weights, messages)

    def fill(self, out: NDArray[np.float64], messages: Sequence[Message], start: int) -> None:
        cells, signs = self._hashes(slice(start, start + out.shape[1]))
        for row, message in zip(out, messages, strict=True):
            row[:] = np.median(signs * np.frombuffer(message, _VALUE)[cells], axis=0)

    def _hashes(self, here: slice) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """For each row and each of these coordinates the cell of the table, and the sign."""
        rows, columns = self._shape
        cell, sign = (self._slopes * np.arange(here.start, here.stop, dtype=np.uint64) + self._offsets) % _PRIME
        cells = (cell % columns).astype(np.intp) + columns * np.arange(rows)[:, None]
        return cells, 1.0 - 2.0 * (sign % 2)
