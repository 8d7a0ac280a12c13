"""What goes wrong ends with one message, the right exit code, and never a hang."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.launching import CONFIGS, finish, mpirobust, start

_QUICK = str(CONFIGS / "quickstart.toml")

_RAISING = """
import sys
from mpirobust.cli import main
from mpirobust.cluster.worker import Worker

answer = Worker._answer

def raising(self, round, query):
    if self.index == 13 and round == 5:
        raise RuntimeError("the disk of node 7 is on fire")
    return answer(self, round, query)

Worker._answer = raising
sys.argv = ["mpirobust", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize("ranks", [None, 2, 5, 21])
def test_a_worker_that_raises_ends_the_job_and_is_named(ranks: int | None, tmp_path: Path) -> None:
    script = tmp_path / "raising.py"
    script.write_text(_RAISING)
    process = start(str(script), "run", _QUICK, "--out", str(tmp_path / "out"), ranks=ranks)
    done = finish(process, timeout=60)
    assert done.returncode == 4
    assert "worker 13 failed in round 6: RuntimeError: the disk of node 7 is on fire" in done.stderr


_WRONG = {
    "misspelt key": (["algorithm.stpe=1"], "algorithm.stpe: unknown key; the keys here are: rounds, step"),
    "wrong type": (["algorithm.step='fast'"], "algorithm.step: input should be a valid number, not 'fast'"),
    "beta too large": (["aggregator.beta=0.5"], "aggregator.beta: input should be less than 0.5, not 0.5"),
    "beta below alpha": (["aggregator.beta=0.05"], "aggregator.beta: 0.05 is below attack.alpha = 0.1"),
    "unknown kind": (["compressor.kind=zip"], "compressor.kind: unknown kind 'zip'; choose one of: identity, l1-qsgd"),
    "k above d": (["compressor.kind=topk", "compressor.k=1001"], "compressor.k: 1001 is more than the dimension 1000"),
    "missing file": (["data.kind=libsvm", "data.path=no/such/file"], "data.path: no file 'no/such/file'"),
    "unknown table": (["agregator.kind=mean"], "agregator: unknown key"),
    "attack without classes": (["attack.kind=label-flip"], "attack.kind: label-flip needs classes"),
    "too many workers": (["workers=4001"], "workers: 4001 workers for 4000 training rows"),
}


@pytest.mark.parametrize("ranks", [None, 3])
@pytest.mark.parametrize("name", _WRONG)
def test_a_wrong_plan_is_one_message_and_exit_2(name: str, ranks: int | None, tmp_path: Path) -> None:
    overrides, message = _WRONG[name]
    sets = [confirm for each in overrides for confirm in ("--set", each)]
    done = mpirobust("run", _QUICK, "--out", str(tmp_path / "out"), *sets, ranks=ranks, timeout=60)
    assert done.returncode == 2, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("mpirobust:")]
    assert len(said) == 1
    assert message in said[0]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_ranks_that_do_not_fit_are_refused_with_the_numbers(tmp_path: Path) -> None:
    done = mpirobust("run", _QUICK, "--out", str(tmp_path), "--set", "workers=2", ranks=4)
    assert done.returncode == 2
    assert done.stderr.count("4 ranks for 2 workers: at most 3 fit") == 1


def test_a_wrong_command_line_is_one_message_and_exit_2() -> None:
    done = mpirobust("run", _QUICK, "--no-such-option", ranks=3)
    assert done.returncode == 2
    assert done.stderr.count("No such option") == 1


@pytest.mark.parametrize("wrong", [["compressor.kind=topk", "compressor.k=1001"], ["workers=4001"]])
def test_a_refused_plan_leaves_the_run_that_was_there(wrong: list[str], tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    assert mpirobust("run", _QUICK, "--out", out, "--set", "algorithm.rounds=2").returncode == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    sets = [confirm for each in wrong for confirm in ("--set", each)]
    assert mpirobust("run", _QUICK, "--out", out, "--overwrite", *sets).returncode == 2
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


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


def test_launcher_and_library_that_do_not_belong_together_are_told_apart() -> None:
    for rank, copies in (("0", 1), ("1", 0)):
        env = {"PMI_SIZE": "21", "PMI_RANK": rank}
        done = mpirobust("run", _QUICK, env=env)
        assert done.returncode == 2
        assert done.stderr.count("the launcher started 21 processes, but MPI sees one") == copies
