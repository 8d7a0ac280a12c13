"""Two axes of cases, most of whose power is in each axis alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest


def in_turn(first: Iterable[Any], second: Sequence[Any]) -> list[Any]:
    """Return all pairs; the second axis in turn stays in its tier, the rest is `system`."""
    return [
        pytest.param(one, other, marks=() if (i + j) % len(second) == 0 else pytest.mark.system)
        for i, one in enumerate(first)
        for j, other in enumerate(second)
    ]
