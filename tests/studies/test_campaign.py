"""Many runs in one job: faults and signals meet all ranks alike, and what another command has done is left alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mpirobust.comm.local import LocalCommunicator
from mpirobust.errors import Exit, SetupFault
from mpirobust.records.layout import TRACE
from mpirobust.records.run_folder import claim, lock
from mpirobust.reports.summary import summary
from mpirobust.running import experiment, rounds
from mpirobust.running.setup import RunRequest
from mpirobust.studies import campaign
from mpirobust.studies.campaign import Job, carry_out, job
from tests.support.launching import mpirobust
from tests.support.small_studies import FAMILY, lay_out


def jobs(folder: Path, count: int) -> list[Job]:
    return [job(folder / "plan.toml", [f"seed={seed}"], folder / "runs") for seed in range(count)]


def test_a_signal_after_the_last_look_of_a_run_ends_the_campaign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ran(*arguments: Any) -> Any:
        status = honest(*arguments)
        os.kill(os.getpid(), signal.SIGTERM)
        return status

    honest = rounds.loop
    monkeypatch.setattr(rounds, "loop", ran)
    todo = jobs(lay_out(tmp_path / "study"), 2)
    assert carry_out(lambda: todo, LocalCommunicator()) == Exit.INTERRUPTED
    assert [each.folder.exists() for each in todo] == [True, False]


def test_what_another_command_has_done_meanwhile_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    todo = jobs(lay_out(tmp_path / "study"), 2)
    assert carry_out(lambda: todo[1:], LocalCommunicator()) == Exit.OK
    before = (todo[1].folder / TRACE).stat().st_mtime_ns
    told, asked = campaign.is_done, []

    def late(folder: Path) -> bool:
        asked.append(folder)
        return len(asked) > 2 and told(folder)  # while the list is made, neither is done

    monkeypatch.setattr(campaign, "is_done", late)
    assert carry_out(lambda: todo, LocalCommunicator()) == Exit.OK
    assert (todo[1].folder / TRACE).stat().st_mtime_ns == before
    assert summary(todo[1].folder)["status"] == "finished"


@pytest.mark.parametrize("held", [lambda folder: lock(folder).close, lambda folder: partial(os.close, claim(folder))])
def test_what_another_command_has_begun_comes_last(
    held: Callable[[Path], Callable[[], None]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo = jobs(lay_out(tmp_path / "study"), 3)
    let_go = held(todo[0].folder)
    begun: list[Path] = []

    def ran(request: RunRequest, *arguments: Any) -> Any:
        assert request.out is not None
        begun.append(request.out)
        if len(begun) == 2:
            let_go()  # of what was asked for twice by then
        return honest(request, *arguments)

    honest = experiment.run
    monkeypatch.setattr(experiment, "run", ran)
    monkeypatch.setattr(campaign, "_PAUSE", 0.0)
    assert carry_out(lambda: todo, LocalCommunicator()) == Exit.OK
    assert begun == [todo[1].folder, todo[2].folder, todo[0].folder]
    assert [summary(each.folder)["status"] for each in todo] == ["finished"] * 3


def test_a_damaged_trace_is_named_with_what_to_do(tmp_path: Path) -> None:
    (todo,) = jobs(lay_out(tmp_path / "study"), 1)
    todo.folder.mkdir(parents=True)
    (todo.folder / TRACE).write_bytes(b"no trace")
    with pytest.raises(SetupFault, match=f"remove {todo.folder} to run it again"):
        carry_out(lambda: [todo], LocalCommunicator())


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ('"attack.kind=label-flip"', "label-flip needs classes"),  # found on every rank
        ('"workers=1", "aggregator.kind=mean"', "3 ranks for 1 workers"),  # before anything runs
    ],
)
def test_a_fault_in_a_run_ends_all_ranks(setting: str, said: str, tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "study", FAMILY.replace('"algorithm.step=1e200"', setting))
    done = mpirobust("figures", str(folder), "--runs", str(tmp_path / "runs"), ranks=3, timeout=60)
    assert done.returncode == Exit.SETUP, done.stderr
    assert said in done.stderr


@pytest.mark.mpi
def test_a_fault_that_only_the_center_meets_ends_all_ranks(tmp_path: Path) -> None:
    """At a start where the Hessian is zero there is no step of 1/L."""
    still = '"data.kind=none", "data.sigma=0.0", "algorithm.schedule=inverse-smoothness"'
    folder = lay_out(tmp_path / "study", FAMILY.replace('"algorithm.step=1e200"', still))
    done = mpirobust("figures", str(folder), "--runs", str(tmp_path / "runs"), ranks=3, timeout=60)
    assert done.returncode == Exit.SETUP, done.stderr
    assert "the Hessian at the start has norm 0.0" in done.stderr


@pytest.mark.mpi
def test_a_picture_that_cannot_be_written_ends_all_ranks(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "study")
    (tmp_path / "out").write_text("a file where the folder should be")
    command = ["figures", str(folder), "--seeds", "1", "--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs")]
    done = mpirobust(*command, ranks=3, timeout=60)
    assert done.returncode == Exit.STORAGE, done.stderr
