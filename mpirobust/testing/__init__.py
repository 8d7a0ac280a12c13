"""The contract tests of every room, for the kinds of the package and for those of others.

    pytest -p mpirobust.testing --pyargs mpirobust.testing --kind their_package.module:Class --keys 'beta = 0.2'

runs the tests that the kinds of the same room pass. Without `--kind` they run over all kinds of the package.
"""

from __future__ import annotations

from pathlib import Path

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


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the tests of the rooms that the chosen kind is not of."""
    if config.getoption("--kind", None) is None or not collection_path.name.startswith("test_"):
        return None
    return collection_path.name not in examples.chosen_files() or None
