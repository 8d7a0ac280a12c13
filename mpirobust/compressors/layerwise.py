from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mpirobust.components import component
from mpirobust.compressors.base import BLOCK, Code, Compressor, expect_length
from mpirobust.errors import PlanFault
from mpirobust.numerics.norms import q_norm
from mpirobust.types import Layout, Message, Vector, flat


@component
class Layerwise(Compressor):
    """Another compressor on each part of the vector by itself: the weights and biases of a network, layer by layer.

    Scales then fit the layers, which differ in size. A δ of the inner code for every part is one of the whole.

    Attributes:
        compressor: what codes each part; its messages must have a fixed length.
    """

    compressor: Compressor

    def draw(self, layout: Layout, stream: np.random.Generator) -> Code:
        parts = _flat_parts(layout)
        codes = [self.compressor.draw(part, stream) for part in parts]
        starts = np.cumsum([0, *(part.dim for part in parts)]).tolist()
        seams = np.cumsum([0, *(self.compressor.max_nbytes(part) for part in parts)]).tolist()
        return _Parts(layout.dim, codes, starts, seams)

    def draws_for_each(self) -> bool:
        return self.compressor.draws_for_each()

    def admit(self, layout: Layout) -> None:
        if not self.compressor.fixed_length():
            raise PlanFault("compressor", "its messages differ in length, and nothing would say where a part ends")
        for part in _flat_parts(layout):
            try:
                self.compressor.admit(part)
            except PlanFault as fault:
                raise PlanFault(f"compressor.{fault.where}", fault.reason) from fault

    def max_nbytes(self, layout: Layout) -> int:
        return sum(self.compressor.max_nbytes(part) for part in _flat_parts(layout))

    def delta(self, layout: Layout) -> float | None:
        deltas = [self.compressor.delta(part) for part in _flat_parts(layout)]
        known = [delta for delta in deltas if delta is not None]
        return min(known) if len(known) == len(deltas) else None


def _flat_parts(layout: Layout) -> list[Layout]:
    return [flat(Layout((part,)).dim) for part in layout.parts]


@dataclass(frozen=True)
class _Parts(Code):
    """Messages of the parts, one behind the other.

    Attributes:
        starts: the first coordinate of each part, and d.
        seams: the first byte of each part, and the length of a message.
    """

    dim: int
    codes: Sequence[Code]
    starts: Sequence[int]
    seams: Sequence[int]

    def encode(self, v: Vector, rng: np.random.Generator) -> bytes:
        parts = zip(self.codes, pairwise(self.starts), strict=True)
        return b"".join(code.encode(v[first:last], rng) for code, (first, last) in parts)

    def norm(self, message: Message, q: float) -> float:
        expect_length(message, self.seams[-1])
        norms = [code.norm(piece, q) for code, (piece,), _ in self._split([message])]
        return q_norm(np.array(norms), q)

    def add_to(self, out: Vector, weights: NDArray[np.float64], messages: Sequence[Message]) -> None:
        for code, pieces, where in self._split(messages):
            code.add_to(out[where], weights, pieces)

    def fill(self, out: NDArray[np.float64], messages: Sequence[Message], start: int) -> None:
        end = start + out.shape[1]
        for code, pieces, where in self._split(messages):
            first, last = max(start, where.start), min(end, where.stop)
            if first >= last:
                continue
            for block in range((first - where.start) // BLOCK * BLOCK, last - where.start, BLOCK):
                width = min(BLOCK, code.dim - block)
                rows = np.empty((len(pieces), width))
                code.fill(rows, pieces, block)
                begin, stop = max(first, where.start + block), min(last, where.start + block + width)
                offset = where.start + block
                out[:, begin - start : stop - start] = rows[:, begin - offset : stop - offset]

    def _split(self, messages: Sequence[Message]) -> Iterator[tuple[Code, list[memoryview], slice]]:
        """Yield for each part its code, the pieces of the messages, and its coordinates."""
        views = [memoryview(message) for message in messages]
        for code, (at, to), (first, last) in zip(self.codes, pairwise(self.seams), pairwise(self.starts), strict=True):
            yield code, [view[at:to] for view in views], slice(first, last)
