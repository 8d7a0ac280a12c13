"""What a dataclass declares is what is stored of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pytest

from mpirobust.records.fields import arrays_of, expect_storable, nbytes_of, read_fields
from mpirobust.types import Vector, WorkerNumbers, WorkerVectors


@dataclass(frozen=True)
class Kept:
    """A memory of each kind of field, one of them with a remark of its author."""

    v: Vector
    each: WorkerVectors
    good: WorkerNumbers
    n: Annotated[int, "how many"]
    mean: Annotated[Vector, "of the honest"]


def test_a_remark_is_no_axis() -> None:
    expect_storable(Kept)
    assert nbytes_of(Kept, length=4, workers=3) == 8 * (4 + 12 + 3 + 1 + 4)
    kept = Kept(np.arange(4.0), np.ones((3, 4)), np.zeros(3), 7, np.full(4, 2.0))
    file = {f"rule/{name}": values for name, values in arrays_of(kept).items()}
    again = read_fields(file, "rule", Kept, 4, 3)
    for name in ("v", "each", "good", "n", "mean"):
        np.testing.assert_array_equal(getattr(again, name), getattr(kept, name))


@dataclass(frozen=True)
class Wrong:
    """Neither a vector nor a number."""

    words: Annotated[str, "of the author"]


def test_what_is_neither_a_vector_nor_a_number() -> None:
    with pytest.raises(ValueError, match=r"Wrong\.words is neither a vector"):
        expect_storable(Wrong)
