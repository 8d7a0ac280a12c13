"""The nouns that every room shares: vectors, rows, messages and their norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.floating[Any]]  # 1-D, shape (d,)
Rows: TypeAlias = NDArray[np.intp]  # row numbers, ascending
Message: TypeAlias = bytes | bytearray | memoryview
OnFailure: TypeAlias = Literal["stop", "drop", "adopt"]  # what becomes of the workers of a rank that died
Feedback: TypeAlias = Literal["none", "residual", "difference"]  # nothing, P1 Alg. 2, EF21


@dataclass(frozen=True)
class Norm:
    """How the center measures a message.

    `q` is the order of the norm. With `claimed`, the worker sends the norm of
    what it compressed beside the code and the center sorts by that (P1 Alg. 1,
    Option I); otherwise the norm is computed from the code (Option II).
    """

    q: float = 2.0
    claimed: bool = False
