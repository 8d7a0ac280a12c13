"""The contract of a compressor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mpirobust.errors import Malformed
from mpirobust.types import Message, Vector

BLOCK = 8192  # coordinates that are decoded together where a rule works block by block


class Compressor(ABC):
    """A code for vectors of known length (P1 Def. 4).

    A message comes from a stranger: `norm` looks at all of it and is the gate;
    `add_to` may trust what passed the gate.
    """

    @abstractmethod
    def admit(self, dim: int) -> None:
        """Raise `PlanFault` with the field that does not fit vectors of length `dim`."""

    @abstractmethod
    def encode(self, v: Vector, rng: np.random.Generator) -> bytes:
        """The message for `v`; `v` is left as it is."""

    @abstractmethod
    def norm(self, message: Message, dim: int, q: float) -> float:
        """`||decode(message)||_q` from the payload alone; q is 1, 2 or inf.

        A result that is not finite means that the message is unsound.

        Raises:
            Malformed: these bytes are no code of a vector of length `dim`.
        """

    @abstractmethod
    def add_to(self, out: Vector, weights: NDArray[np.float64], messages: Sequence[Message]) -> None:
        """`out += Σ_k weights[k] decode(messages[k])`, in order, for messages whose norm is finite."""

    @abstractmethod
    def fill(self, out: NDArray[np.float64], messages: Sequence[Message], dim: int, start: int) -> None:
        """`out[k] = decode(messages[k])[start : start + out.shape[1]]`, for messages whose norm is finite.

        `start` is a multiple of `BLOCK` and `out` is not wider than that: a code that
        can only be read from its beginning lays out its segments so.
        """

    @abstractmethod
    def max_nbytes(self, dim: int) -> int:
        """The longest message that `encode` returns."""

    @abstractmethod
    def fixed_length(self) -> bool:
        """Whether every message is exactly `max_nbytes` long."""

    @abstractmethod
    def delta(self, dim: int) -> float | None:
        """The largest δ with `E||Q(v) - v||² ≤ (1 - δ)||v||²` for all v; None where there is none above 0."""

    def decode(self, message: Message, dim: int) -> Vector:
        """The vector of `message`, shape (dim,), float64, finite.

        Raises:
            Malformed: there is no such vector.
        """
        if not np.isfinite(self.norm(message, dim, 2.0)):
            raise Malformed("not finite")
        out = np.zeros(dim)
        self.add_to(out, np.ones(1), [message])
        return out


class SharedCompressor(ABC):
    """A family of codes of which worker and center draw the same member for every message.

    What both can draw from a stream that they share never crosses the wire.
    """

    @abstractmethod
    def admit(self, dim: int) -> None:
        """As `Compressor.admit`."""

    @abstractmethod
    def draw(self, dim: int, shared: np.random.Generator) -> Compressor:
        """The code of one message; the same on both ends, which pass equal streams."""

    @abstractmethod
    def max_nbytes(self, dim: int) -> int:
        """As `Compressor.max_nbytes`, over all members."""

    @abstractmethod
    def fixed_length(self) -> bool:
        """As `Compressor.fixed_length`, over all members."""

    @abstractmethod
    def delta(self, dim: int) -> float | None:
        """As `Compressor.delta`, in expectation over the draw."""


AnyCompressor = Compressor | SharedCompressor


def code_of(compressor: AnyCompressor, dim: int, shared: Callable[[], np.random.Generator]) -> Compressor:
    """The code for one message; `shared` makes the stream and is called only where it is needed."""
    return compressor if isinstance(compressor, Compressor) else compressor.draw(dim, shared())


def expect_length(message: Message, nbytes: int) -> None:
    """Raise `Malformed` unless `message` has exactly `nbytes` bytes."""
    if len(message) != nbytes:
        raise Malformed(f"{len(message)} bytes, expected {nbytes}")
