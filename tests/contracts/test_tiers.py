"""The tiers of conftest.py: which tests have one, and which are left alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.launching import REPOSITORY


@pytest.mark.parametrize(
    ("root", "test", "tier"),
    [
        (REPOSITORY, "mpirobust/testing/test_aggregators.py::test_it", "unit"),
        (REPOSITORY, "tests/mpirun/test_main_job.py::test_it", "mpi"),
        # A user tries a kind: with the environment in the checkout, and beside tests of a project elsewhere.
        (REPOSITORY, ".venv/lib/python3.11/site-packages/mpirobust/testing/test_aggregators.py::test_it", ""),
        (Path("/elsewhere"), "tests/test_mine.py::test_it", ""),
    ],
)
def test_only_tests_of_the_checkout_have_a_tier(
    root: Path, test: str, tier: str, request: pytest.FixtureRequest
) -> None:
    assert _given(request, root, test) == ([tier] if tier else [])


def test_a_test_of_the_checkout_without_a_tier_ends_the_session(request: pytest.FixtureRequest) -> None:
    with pytest.raises(pytest.UsageError, match="a test has one tier, this 0"):
        _given(request, REPOSITORY, "tests/nowhere/test_any.py::test_it")


def _given(request: pytest.FixtureRequest, root: Path, test: str) -> list[str]:
    marks: list[str] = []
    item = SimpleNamespace(nodeid=test, iter_markers=lambda: (), add_marker=marks.append)
    conftest: Any = request.config.pluginmanager.get_plugin(str(REPOSITORY / "conftest.py"))
    conftest.pytest_collection_modifyitems(SimpleNamespace(rootpath=root), [item])
    return marks
