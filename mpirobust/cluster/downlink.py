"""The way down: what the center sends of a query, and what the workers hold of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import repeat

import numpy as np

from mpirobust.algorithms.base import Query
from mpirobust.compressors.base import Code, Compressor
from mpirobust.feedback.base import absorbed
from mpirobust.streams import CENTER, Purpose, stream
from mpirobust.types import Held, Layout, Vector, flat


@dataclass(frozen=True)
class Downlink:
    """One end of the way down. Both ends hold the same: the vectors at which the workers were asked last.

    With a compressor the center sends C(x - w) for each vector x of a query, w being that vector in the last query of
    its kind, and both ends take w + C(x - w) for x (EF21-P; Gruntkowska, Tyurin, Richtárik 2023). Before the first
    query of a kind, w is the starting point for the first vector, which every rank knows, and 0 for the others.
    A difference that is not finite, or too large for the code, moves no end. Without a compressor nothing is held.

    Attributes:
        seed: of the run.
        layout: the parts of the vectors, of total length d.
        compressor: C; None to send the vectors themselves.
        start: the starting point, shape (d,), float64.
        held: w of each vector, shape (d,), float64, for each kind of query.
    """

    seed: int = 0
    layout: Layout = field(default_factory=lambda: flat(0))
    compressor: Compressor | None = None
    start: Vector = field(default_factory=lambda: np.zeros(0))
    held: Held = field(default_factory=dict)

    def coded(self, round: int, query: Query) -> Query:
        """Center: return the query as the workers will have it, with the messages that tell them."""
        if self.compressor is None:
            return query
        rng = stream(self.seed, CENTER, round, Purpose.ENCODE)
        each = zip(query.vectors, self._bases(query.kind), self._codes(round), strict=False)
        return self.decoded(round, replace(query, coded=tuple(code.encode(x - base, rng) for x, base, code in each)))

    def decoded(self, round: int, query: Query) -> Query:
        """Either end: return the query with the vectors that its messages tell."""
        each = zip(query.coded, self._bases(query.kind), self._codes(round), strict=False)
        return replace(query, vectors=tuple(absorbed(code, message, base, 2.0) for message, base, code in each))

    def after(self, query: Query) -> Downlink:
        """Return this end after the workers were asked `query`, whose vectors must not change any more."""
        return self if self.compressor is None else replace(self, held={**self.held, query.kind: query.vectors})

    def max_nbytes(self, vectors: int) -> int:
        """Return the length of the longest messages for so many vectors, together."""
        return 0 if self.compressor is None else vectors * self.compressor.max_nbytes(self.layout)

    def _codes(self, round: int) -> Iterator[Code]:
        """Yield the codes of the messages of a round, as both ends draw them."""
        assert self.compressor is not None
        shared = stream(self.seed, CENTER, round, Purpose.DOWNLINK)
        while True:
            yield self.compressor.draw(self.layout, shared)

    def _bases(self, kind: int) -> Iterator[Vector]:
        """Yield what each vector is sent relative to: w, or 0 if the code loses nothing, so that no sum is rounded."""
        assert self.compressor is not None
        if self.compressor.delta(self.layout) != 1:
            yield from self.held.get(kind, (self.start,))
        yield from repeat(np.zeros(self.layout.dim))


WHOLE = Downlink()  # for runs without a coded way down
