from __future__ import annotations

from collections.abc import Iterator

import pytest
from namespaces import Network, missing, network


@pytest.fixture
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Three hosts h1, h2 and h3."""
    why = missing()
    if why:
        pytest.skip(f"no hosts here: {why}")
    with network(tmp_path_factory.mktemp("net"), ["h1", "h2", "h3"]) as up:
        yield up
