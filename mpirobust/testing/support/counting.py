"""A compressor that is counted."""

from __future__ import annotations

import numpy as np

from mpirobust.components import component
from mpirobust.compressors.base import Code, Compressor
from mpirobust.types import Layout


@component
class Counting(Compressor):
    """Another compressor; notes how far along its stream each code was drawn, so that two draws of one message tell."""

    inner: Compressor
    drawn: list[float]

    def draw(self, layout: Layout, stream: np.random.Generator) -> Code:
        code = self.inner.draw(layout, stream)
        self.drawn.append(float(stream.random()))
        return code

    def draws_for_each(self) -> bool:
        return self.inner.draws_for_each()

    def max_nbytes(self, layout: Layout) -> int:
        return self.inner.max_nbytes(layout)

    def fixed_length(self) -> bool:
        return self.inner.fixed_length()

    def delta(self, layout: Layout) -> float | None:
        return self.inner.delta(layout)
