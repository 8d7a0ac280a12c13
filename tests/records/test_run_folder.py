"""The folder of a run: chosen, claimed, cleared, and never lost by mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from mpirobust.errors import SetupFault
from mpirobust.records.layout import TRACE, checkpoint_path
from mpirobust.records.plan_record import PlanRecord
from mpirobust.records.run_folder import check_continues, choose_folder, former_run, lock, prune
from mpirobust.records.trace import Trace


def test_the_default_folder_is_the_first_that_holds_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert choose_folder(None, "plan", resume=False, overwrite=False) == Path("runs/plan")
    assert choose_folder(None, "plan", resume=True, overwrite=False) == Path("runs/plan")
    for name in ("plan", "plan-2"):
        Path("runs", name).mkdir(parents=True)
        Path("runs", name, "run.h5").touch()
    assert choose_folder(None, "plan", resume=False, overwrite=False) == Path("runs/plan-3")
    assert choose_folder(None, "plan", resume=True, overwrite=False) == Path("runs/plan-2")
    assert choose_folder(None, "plan", resume=False, overwrite=True) == Path("runs/plan-2")


@pytest.mark.parametrize("name", ["run.h5", "checkpoint-000000010.h5"])
def test_a_folder_with_a_run_is_refused_unless_told(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(SetupFault, match="--resume continues it, --overwrite replaces it"):
        choose_folder(tmp_path, "plan", resume=False, overwrite=False)
    assert choose_folder(tmp_path, "plan", resume=True, overwrite=False) == tmp_path
    assert choose_folder(tmp_path, "plan", resume=False, overwrite=True) == tmp_path


def test_checkpoints_without_a_trace_are_not_continued(tmp_path: Path) -> None:
    checkpoint_path(tmp_path, 10).touch()
    with pytest.raises(SetupFault, match=r"has checkpoints and no run\.h5"):
        check_continues(tmp_path, former_run(tmp_path), PlanRecord({}, set(), {}))


@pytest.mark.parametrize(
    ("now", "says"),
    [
        ({"a": 1, "b": {"c": 3}}, "b.c was 2, is 3"),
        ({"a": 1}, "b.c was 2, is not given"),
        ({"a": 1, "b": {"c": 2, "d": 4}}, "b.d was not given, is 4"),
    ],
)
def test_another_plan_is_not_continued(now: dict[str, Any], says: str, tmp_path: Path) -> None:
    """A value is another, a key is gone, or there is one more."""
    before = {"a": 1, "b": {"c": 2}}
    trace = Trace(1, np.zeros(0, np.intp), {"plan": tomli_w.dumps(before)})
    trace.write(tmp_path / TRACE, "running", 0, np.zeros(1))
    check_continues(tmp_path, former_run(tmp_path), PlanRecord(before, set(), {}))
    check_continues(tmp_path, former_run(tmp_path), PlanRecord(now, {"b.c", "b.d"}, {}))
    with pytest.raises(SetupFault, match=f"holds a run of another plan: {says}; choose another --out"):
        check_continues(tmp_path, former_run(tmp_path), PlanRecord(now, set(), {}))


def test_only_one_run_at_a_time(tmp_path: Path) -> None:
    with lock(tmp_path / "a" / "b"), pytest.raises(SetupFault, match="another run is writing"):
        lock(tmp_path / "a" / "b")
    lock(tmp_path / "a" / "b").close()


@pytest.mark.parametrize("below", ["", "x"])
def test_a_file_is_no_folder(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupFault, match="give a folder"):
        lock(tmp_path / "file" / below)


def test_clearing_spares_what_is_gone_on_from(tmp_path: Path) -> None:
    for round in (5, 10, 15):
        checkpoint_path(tmp_path, round).touch()
    (tmp_path / "run.h5").touch()
    prune(tmp_path, after=10)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["checkpoint-000000005.h5", "checkpoint-000000010.h5", "run.h5"]
    prune(tmp_path)
    assert not list(tmp_path.iterdir())
