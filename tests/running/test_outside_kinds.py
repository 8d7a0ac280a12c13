"""A kind in a file beside the plan is the same file on all ranks, and in every session of a run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mpirobust.errors import SetupFault
from mpirobust.running import root
from mpirobust.running.setup import RunRequest, build_rank
from mpirobust.testing.support.clusters import regression_plan
from tests.support.alone import run_alone
from tests.support.launching import REPOSITORY

_RULES = REPOSITORY / "tests" / "support" / "outside" / "outside_kinds" / "rules.py"


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    shutil.copy(_RULES, tmp_path)
    path = tmp_path / "plan.toml"
    path.write_text(regression_plan().toml().replace('kind = "mean"', 'kind = "./rules.py:Shorten"'))
    return path


def test_another_source_on_a_rank_than_at_the_center_is_refused(plan: Path) -> None:
    setup = root.prepare(RunRequest(plan, out=plan.parent / "out", quiet=True), 1)
    assert [*setup.sources] == ["aggregator"]
    assert build_rank(setup, range(6), survives=False).plan.workers == 6
    with pytest.raises(SetupFault, match=r"aggregator\.kind: .*rules\.py on .* is not the file that the center"):
        build_rank(replace(setup, sources={"aggregator": "0" * 64}), range(6), survives=False)


def test_a_run_is_not_continued_with_another_source(plan: Path) -> None:
    out = plan.parent / "out"
    run_alone(plan, out, "algorithm.rounds=3")
    run_alone(plan, out, "algorithm.rounds=4", resume=True)
    with (plan.parent / "rules.py").open("a") as file:
        file.write("# another file\n")
    with pytest.raises(SetupFault, match=r"the source of aggregator has changed since the run in .* began"):
        run_alone(plan, out, "algorithm.rounds=5", resume=True)
