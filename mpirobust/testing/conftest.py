"""A fixture that several contracts share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest


@pytest.fixture
def as_in_a_run() -> Iterator[None]:
    """Numbers may overflow, as `experiment.run` lets them: what is not finite is unsound."""
    with np.errstate(over="ignore", invalid="ignore"):
        yield
