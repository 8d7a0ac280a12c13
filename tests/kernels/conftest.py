from __future__ import annotations

from collections.abc import Iterator

import pytest

from mpirobust import kernels


@pytest.fixture(params=kernels.available())
def loops(request: pytest.FixtureRequest) -> Iterator[str]:
    """Use each in turn, and then what was in use."""
    before = kernels.in_use()
    kernels.use(request.param)
    yield request.param
    kernels.use(before)
