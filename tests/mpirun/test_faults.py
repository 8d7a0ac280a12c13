"""What goes wrong ends with one message, the right exit code, and never a hang."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from mpirobust import cli
from mpirobust.comm import launch
from tests.support.alone import command_alone, run_alone
from tests.support.deaths import program
from tests.support.launching import CONFIGS, finish, mpirobust, start
from tests.support.traces import contents

_QUICK = str(CONFIGS / "quickstart.toml")


def sets_of(overrides: Sequence[str]) -> list[str]:
    return [word for each in overrides for word in ("--set", each)]


@pytest.mark.parametrize("ranks", [None, 2, pytest.param(21, marks=pytest.mark.system)])
def test_a_worker_that_raises_ends_the_job_and_is_named(ranks: int | None, tmp_path: Path) -> None:
    command = (*program("failing", 5, 13, 13), "run", _QUICK, "--out", str(tmp_path / "out"))
    done = finish(start(*command, ranks=ranks), timeout=60)
    assert done.returncode == 4
    assert "worker 13 failed in round 6: RuntimeError: the disk is on fire" in done.stderr


_WRONG = {
    "misspelt key": (["algorithm.stpe=1"], "algorithm.stpe: unknown key; the keys here are: rounds, step"),
    "wrong type": (["algorithm.step='fast'"], "algorithm.step: expected a finite number greater than 0, not 'fast'"),
    "beta too large": (
        ["aggregator.beta=0.5"],
        "aggregator.beta: expected a finite number at least 0 and less than 0.5, not 0.5",
    ),
    "beta below alpha": (["aggregator.beta=0.05"], "aggregator.beta: 0.05 is below attack.alpha = 0.1"),
    "unknown kind": (["compressor.kind=zip"], "compressor.kind: unknown kind 'zip'; choose one of: atomo, identity"),
    "k above d": (["compressor.kind=topk", "compressor.k=1001"], "compressor.k: 1001 is more than the dimension 1000"),
    "missing file": (["data.kind=libsvm", "data.path=no/such/file"], "data.path: no file 'no/such/file'"),
    "unknown table": (["agregator.kind=mean"], "agregator: unknown key"),
    "attack without classes": (["attack.kind=label-flip"], "attack.kind: label-flip needs classes"),
    "too many workers": (["workers=4001"], "workers: 4001 workers for 4000 training rows"),
}


def refused(out: Path, overrides: Sequence[str], said: str, message: str) -> None:
    lines = [line for line in said.splitlines() if line.startswith("mpirobust:")]
    assert len(lines) == 1, overrides
    assert message in lines[0]
    assert "Traceback" not in said
    assert not out.exists()


@pytest.mark.unit
@pytest.mark.parametrize("name", _WRONG)
def test_a_wrong_plan_is_one_message_and_exit_2(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overrides, message = _WRONG[name]
    code = command_alone("run", _QUICK, "--out", str(tmp_path / "out"), *sets_of(overrides))
    assert code == 2
    refused(tmp_path / "out", overrides, capsys.readouterr().err, message)


@pytest.mark.parametrize("name", ["missing file", "attack without classes"])  # found by the center; by every rank
def test_a_wrong_plan_is_one_message_and_exit_2_on_several_ranks(name: str, tmp_path: Path) -> None:
    overrides, message = _WRONG[name]
    command = ["run", _QUICK, "--out", str(tmp_path / "out"), *sets_of(overrides)]
    done = mpirobust(*command, ranks=3, timeout=60)
    assert done.returncode == 2, done.stderr
    refused(tmp_path / "out", overrides, done.stderr, message)


def test_every_wrong_plan_ends_all_ranks_with_one_message(tmp_path: Path) -> None:
    cases = json.dumps({name: [str(tmp_path / "out"), "", overrides] for name, (overrides, _) in _WRONG.items()})
    done = finish(start(*program("several", _QUICK, cases), ranks=3), timeout=60)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for name, (_, message) in _WRONG.items():
        assert sorted((rank, code) for case, rank, code, _ in lines if case == name) == [(0, 2), (1, 2), (2, 2)]
        (told,) = [said for case, _, _, said in lines if case == name and said is not None]
        assert message in told
    assert not (tmp_path / "out").exists()


def test_ranks_that_do_not_fit_are_refused_with_the_numbers(tmp_path: Path) -> None:
    done = mpirobust("run", _QUICK, "--out", str(tmp_path), "--set", "workers=2", ranks=4)
    assert done.returncode == 2
    assert done.stderr.count("4 ranks for 2 workers: at most 3 fit") == 1
    assert "prterun detected that one or more processes exited with non-zero status" in done.stderr  # RUNNING.md


def test_a_wrong_command_line_is_one_message_and_exit_2() -> None:
    done = mpirobust("run", _QUICK, "--no-such-option", ranks=3)
    assert done.returncode == 2
    assert done.stderr.count("No such option") == 1


@pytest.mark.parametrize("options", [[], ["--with-ft", "ulfm"]])
def test_a_log_that_cannot_be_written_ends_all_ranks(options: list[str], tmp_path: Path) -> None:
    """Rank 0 alone sees it. Under ULFM the others would wait for it in MPI_Init."""
    command = ("-m", "mpirobust", "run", _QUICK, "--out", str(tmp_path / "out"), "--log", str(tmp_path))
    done = finish(start(*command, ranks=3, options=options), timeout=60)
    assert done.returncode == 2
    assert done.stderr.count(f"mpirobust: --log: {tmp_path}: Is a directory") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.unit
@pytest.mark.parametrize(("rank", "waits"), [("0", 0), ("2", 1)])
def test_rank_0_is_the_first_to_exit(
    rank: str, waits: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The launcher would kill it before it says what is wrong."""
    waited: list[int] = []
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "3")
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", rank)
    monkeypatch.setattr(launch, "_started_by_launcher", lambda: True)
    monkeypatch.setattr(cli, "let_rank_0_speak", lambda: waited.append(1))
    monkeypatch.setattr("sys.argv", ["mpirobust", "run", _QUICK, "--no-such-option"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert (ended.value.code, len(waited)) == (2, waits)
    assert capsys.readouterr().err.count("No such option") == 1 - waits


@pytest.mark.unit
@pytest.mark.parametrize("wrong", [["compressor.kind=topk", "compressor.k=1001"], ["workers=4001"]])
def test_a_refused_plan_leaves_the_run_that_was_there(wrong: list[str], tmp_path: Path) -> None:
    out = run_alone(Path(_QUICK), tmp_path / "out", "algorithm.rounds=2")
    before = contents(out)
    assert command_alone("run", _QUICK, "--out", str(out), "--overwrite", *sets_of(wrong)) == 2
    assert contents(out) == before


def test_commands_for_one_process_speak_once_under_mpirun() -> None:
    done = mpirobust("inspect", "nowhere", ranks=3)
    assert done.returncode == 2
    assert done.stderr.count("no run at nowhere") == 1


@pytest.mark.parametrize("ranks", [None, 3])
def test_a_diverging_run_ends_at_once_with_exit_3_and_a_whole_trace(ranks: int | None, tmp_path: Path) -> None:
    done = mpirobust("run", _QUICK, "--out", str(tmp_path / "out"), "--set", "algorithm.step=1e30", ranks=ranks)
    assert done.returncode == 3, done.stderr
    assert "diverged after" in done.stdout
    told = mpirobust("inspect", str(tmp_path / "out"), "--json")
    assert '"status": "diverged"' in told.stdout


@pytest.mark.parametrize(
    "claimed",
    [
        {"PMI_SIZE": "21", "PMI_RANK": "0"},
        {"PMI_SIZE": "21", "PMI_RANK": "1"},  # of a shell that is a rank's
        {"SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "0", "PMI_SIZE": "8"},
    ],
)
def test_a_launcher_that_is_claimed_and_not_there_is_told_with_the_way_out(
    claimed: dict[str, str], tmp_path: Path
) -> None:
    done = mpirobust("run", _QUICK, "--out", str(tmp_path / "out"), env=claimed)
    assert done.returncode == 2
    assert done.stderr.count("processes, but MPI sees one") == 1
    assert all(name in done.stderr for name in claimed)
    assert all(f"-u {name}" in done.stderr for name in claimed if name.endswith(("SIZE", "TASKS")))
    assert not (tmp_path / "out").exists()


def test_ranks_with_other_arguments_are_refused(tmp_path: Path) -> None:
    rank = "os.environ['OMPI_COMM_WORLD_RANK']"
    differing = f"'--set', 'seed=' + {rank}, '--out', {str(tmp_path)!r} + '/' + {rank}"
    arguments = f"['mpirobust', 'run', {_QUICK!r}, {differing}]"
    program = f"import os, sys; from mpirobust import cli; sys.argv = {arguments}; cli.main()"
    done = finish(start("-c", program, ranks=3), timeout=60)
    assert done.returncode == 2
    told = [line for line in done.stderr.splitlines() if line.startswith("mpirobust:")]
    assert len(told) == 1
    assert "rank 1 was given other arguments than rank 0: --set 'seed=1', --out" in told[0]
    assert not list(tmp_path.iterdir())


def test_fault_tolerance_that_only_the_environment_asks_for_ends_well(tmp_path: Path) -> None:
    """Without `--with-ft ulfm` the launcher takes a process that leaves MPI without MPI_Finalize for a failed one."""
    short = ["--set", "algorithm.rounds=2", "--out", str(tmp_path / "out")]
    done = mpirobust("run", _QUICK, *short, ranks=3, env={"OMPI_MCA_mpi_ft_enable": "1"})
    assert done.returncode == 0, done.stderr
