"""The contract tests of every room, for the kinds of the package and for those of others.

    pytest -p mpirobust.testing --pyargs mpirobust.testing --kind their_package.module:Class --keys 'beta = 0.2'

runs the tests that the kinds of the same room pass. Without `--kind` they run over all kinds of the package.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mpirobust.errors import PlanFault
from mpirobust.testing import examples


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("mpirobust")
    group.addoption("--kind", metavar="KIND", help="as a plan writes it: module:Class, ./file.py:Class, an entry point")
    group.addoption("--keys", metavar="TOML", action="append", help="fields of the kind; repeat for more settings")


def pytest_configure(config: pytest.Config) -> None:
    kind = config.getoption("--kind", None)
    if kind is not None:
        try:
            examples.choose(kind, config.getoption("--keys") or [""])
        except PlanFault as fault:
            raise pytest.UsageError(str(fault)) from fault


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests that try the chosen kind: those with one of its components among their parameters."""
    if examples.chosen is None:
        return
    components = list(examples.chosen.components.values())
    left_out = [item for item in items if not any(each is one for each in _parameters(item) for one in components)]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def _parameters(item: pytest.Item) -> Iterator[Any]:
    """Yield the parameters of a test; those that are pairs, such as a compressor and a dimension, one by one."""
    call = getattr(item, "callspec", None)
    for value in call.params.values() if call is not None else ():
        yield from value if isinstance(value, tuple) else (value,)
