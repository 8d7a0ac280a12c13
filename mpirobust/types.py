"""Types that every room shares: vectors, rows, messages, layouts and norms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.floating[Any]]  # 1-D, shape (d,)
WorkerVectors: TypeAlias = Annotated[NDArray[np.float64], "workers", "dim"]  # a vector of each worker, shape (m, d)
WorkerNumbers: TypeAlias = Annotated[NDArray[np.float64], "workers"]  # a number of each worker, shape (m,)
Rows: TypeAlias = NDArray[np.intp]  # row numbers, ascending
Message: TypeAlias = bytes | bytearray | memoryview
Given: TypeAlias = str | Mapping[str, Any]  # from Python, in place of a component: its kind, or its table with a kind
Held: TypeAlias = Mapping[int, tuple[Vector, ...]]  # what workers hold of a coded way down: kind of query -> vectors
Audited: TypeAlias = Literal[  # columns of the audits that can be drawn
    "distance", "loss", "gradient_norm", "test_accuracy", "test_loss", "balanced_accuracy", "auc"
]
OnFailure: TypeAlias = Literal["stop", "drop", "adopt"]  # what happens to the workers of a rank that fails


@dataclass(frozen=True)
class Layout:
    """The parts of a vector, in order, each with its name and shape; a part is stored in C order.

    A loss defines them (the weights and biases of a network, for example), so that a compressor can work part by part.
    """

    parts: tuple[tuple[str, tuple[int, ...]], ...]

    @cached_property
    def dim(self) -> int:
        """d, the length of the vector."""
        return sum(prod(shape) for _, shape in self.parts)


def flat(dim: int) -> Layout:
    """Return the layout of a vector of one part."""
    return Layout((("x", (dim,)),))


@dataclass(frozen=True)
class Norm:
    """The norm by which the center sorts messages.

    `q` is the order of the norm. With `claimed`, the worker sends the norm of its answer before the
    code, and the center sorts by this number (P1 Alg. 1, Option I); otherwise the center computes the
    norm from the code (Option II).
    """

    q: float = 2.0
    claimed: bool = False


def of_workers(hint: Any) -> bool:
    """Return whether a field with this type has something of each worker: `WorkerVectors` or `WorkerNumbers`."""
    return hint in (WorkerVectors, WorkerNumbers)
