"""The contracts of a compressor: the component of a plan, and the code that it draws for a message."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mpirobust import kernels
from mpirobust.errors import Malformed
from mpirobust.types import Given, Layout, Message, Vector

FLOAT32_DELTA = 1 - 2.0**-48  # of a code that loses nothing but the rounding to float32
BLOCK = 8192  # coordinates that are decoded together by the rules that work block by block


@dataclass(frozen=True)
class PackedSigns:
    """Vectors whose entries are plus or minus one number each, still packed: rules can count bits instead of decoding.

    Attributes:
        rows: the signs of each vector; + if a bit is set, the most significant bit of a byte first.
        scales: of each vector, shape (n,), float64, finite, not negative.
        dim: d.
    """

    rows: Sequence[NDArray[np.uint8]]
    scales: NDArray[np.float64]
    dim: int

    def votes(self) -> NDArray[np.int64]:
        """Return how many more of the vectors are positive than negative in each coordinate, shape (d,)."""
        voters = [self.rows[k] for k in np.flatnonzero(self.scales).tolist()]
        return 2 * kernels.count(voters, self.dim).astype(np.int64) - len(voters)

    def order_statistic(self, place: int) -> Vector:
        """Return, of each coordinate, the entry at this place (from 0) in ascending order, shape (d,)."""
        rows, values = self._ascending()
        return kernels.order_statistic(rows, values, place, self.dim)

    def trimmed_mean(self, cut: int) -> Vector:
        """Return, of each coordinate, the mean of the entries without the `cut` lowest and highest, shape (d,)."""
        rows, values = self._ascending()
        return kernels.trimmed_sum(rows, values, cut, self.dim) / (len(rows) - 2 * cut)

    def gram(self) -> NDArray[np.float64]:
        """Return the inner products of the vectors relative to the one of median scale, shape (n, n).

        They are counts of coordinates times sums and differences of two scales, so that nothing common is rounded.
        """
        differ, scales = kernels.differences(self.rows, self.dim), self.scales
        if not scales.size:
            return np.zeros((0, 0))
        origin = np.argsort(scales, kind="stable")[(scales.size - 1) // 2]
        apart = differ[origin]  # in how many coordinates the sign is not that of the origin
        both = (apart[:, None] + apart - differ) // 2
        first = apart[:, None] - both  # the first of the two and not the second
        far, near = scales + scales[origin], scales - scales[origin]
        mixed = first * np.outer(far, near)
        same = both * np.outer(far, far) + (self.dim - differ - both) * np.outer(near, near)
        return np.asarray(same - (mixed + mixed.T))

    def _ascending(self) -> tuple[list[NDArray[np.uint8]], NDArray[np.float64]]:
        """Return the rows by rising scale, and the values that entries may have, ascending."""
        order = np.argsort(self.scales, kind="stable")
        values = self.scales[order]
        return [self.rows[k] for k in order.tolist()], np.concatenate([0.0 - values[::-1], values])


class Code(ABC):
    """Vectors of one layout <-> bytes (P1 Def. 4). Pure: several threads may use one code at once.

    A message is hostile: `norm` looks at all of it and is the gate; `add_to` and `fill` may trust what passed it.

    Attributes:
        dim: d, the length of the vectors.
    """

    dim: int

    @abstractmethod
    def encode(self, v: Vector, rng: np.random.Generator) -> bytes:
        """Return the message for `v`, shape (d,); `v` is left as it is."""

    @abstractmethod
    def norm(self, message: Message, q: float) -> float:
        """Return `||decode(message)||_q` from the payload alone; q >= 1 or inf.

        A result that is not finite means that the message is unsound.

        Raises:
            Malformed: these bytes are no code of a vector of length d.
        """

    def norms(self, messages: Sequence[Message], q: float) -> NDArray[np.float64]:
        """Return the `norm` of each message, shape (len(messages),); +inf for one that is malformed."""
        found = np.full(len(messages), np.inf)
        for at, message in enumerate(messages):
            with suppress(Malformed):
                found[at] = self.norm(message, q)
        return found

    @abstractmethod
    def add_to(self, out: Vector, weights: NDArray[np.float64], messages: Sequence[Message]) -> None:
        """Do `out += Σ_k weights[k] decode(messages[k])`, in order, for messages whose norm is finite."""

    @abstractmethod
    def fill(self, out: NDArray[np.float64], messages: Sequence[Message], start: int) -> None:
        """Do `out[k] = decode(messages[k])[start : start + out.shape[1]]`, for messages whose norm is finite.

        `start` is a multiple of `BLOCK` and `out` is not wider than that: a code that
        can only be read from its beginning lays out its segments so.
        """

    def signs(self, messages: Sequence[Message]) -> PackedSigns | None:
        """Return the vectors of messages whose norm is finite, if they are plus or minus one number each; else None."""
        return None

    def decode(self, message: Message) -> Vector:
        """Return the vector of `message`, shape (d,), float64, finite.

        Raises:
            Malformed: there is no such vector.
        """
        if not np.isfinite(self.norm(message, 2.0)):
            raise Malformed("not finite")
        out = np.zeros(self.dim)
        self.add_to(out, np.ones(1), [message])
        return out


class Compressor(ABC):
    """A family of codes; worker and center draw the same member for every message.

    What both ends draw from a stream that they share never crosses the wire. Most families have one member.
    """

    @abstractmethod
    def draw(self, layout: Layout, stream: np.random.Generator) -> Code:
        """Return the code of one message; the same at both ends, which pass equal streams.

        Called once for each message at either end, or once for all messages if not `draws_for_each`.
        """

    def draws_for_each(self) -> bool:
        """Return whether every message has a code of its own; False if `draw` never uses its stream."""
        return False

    def admit(self, layout: Layout) -> None:
        """Raise `PlanFault` with the field that does not fit vectors of this layout. Called before any rank works."""
        return

    @abstractmethod
    def max_nbytes(self, layout: Layout) -> int:
        """Return the length of the longest message."""

    def fixed_length(self) -> bool:
        """Return whether every message is exactly `max_nbytes` long."""
        return True

    @abstractmethod
    def delta(self, layout: Layout) -> float | None:
        """Return the largest δ with `E||Q(v) - v||² ≤ (1 - δ)||v||²` for all v; None if there is none above 0.

        The expectation is over the draw and over what `encode` draws.
        """


CompressorLike: TypeAlias = Compressor | Given


class Codes:
    """The codes of the messages of one round.

    Attributes:
        common: the code of all messages; None if each has its own.
    """

    def __init__(self, common: Code | None, draw: Callable[[int], Code]) -> None:
        """Take the code of all messages, or `draw: worker -> code`, called once for each worker that is asked for."""
        self.common = common
        self._draw = draw
        self._drawn: dict[int, Code] = {}

    def of(self, worker: int) -> Code:
        """Return the code of this worker's message."""
        if self.common is not None:
            return self.common
        if worker not in self._drawn:
            self._drawn[worker] = self._draw(worker)
        return self._drawn[worker]


def expect_length(message: Message, nbytes: int) -> None:
    """Raise `Malformed` unless `message` has exactly `nbytes` bytes."""
    if len(message) != nbytes:
        raise Malformed(f"{len(message)} bytes, expected {nbytes}")
