"""One BLAS thread in a run: sums must not depend on how many threads share them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from mpirobust.numerics import blas
from mpirobust.running import rounds
from mpirobust.testing.support.clusters import regression_plan
from tests.support.alone import command_alone, run_alone


def threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_one_thread_in_the_rounds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    loop, seen = rounds.loop, []

    def watched(*arguments: Any) -> Any:
        seen.append(threads())
        return loop(*arguments)

    monkeypatch.setattr(rounds, "loop", watched)
    plan = tmp_path / "plan.toml"
    plan.write_text(regression_plan().toml())
    with threadpool_limits(2):
        assert threads() == {2}
        run_alone(plan, tmp_path / "out")
    assert seen == [{1}]


def test_a_blas_that_is_not_recognised_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its threads go on as before, so the bits may depend on how many there are."""
    plan = tmp_path / "plan.toml"
    plan.write_text(regression_plan().toml())
    monkeypatch.setattr(blas, "limit_threads", lambda: "")
    assert command_alone("run", str(plan), "--out", str(tmp_path / "out")) == 0
    assert capsys.readouterr().err.count("note: no BLAS is recognised, so its threads are not limited") == 1
