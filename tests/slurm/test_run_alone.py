"""jobs/run.sbatch beside launchers and files that misbehave; SLURM and MPI are played (tests/slurm/stage.py)."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.slurm.stage import Stage
from tests.support.launching import REPOSITORY, until

_ASK = "kill -USR1 $PPID; until grep -q asking log; do sleep 0.05; done"  # by then the script has seen the rank
_OUT = ("plan.toml", "--out", "out")
_MPIRUN = "[ $1 != --version ] || exit 0\nshift 2\n"  # mpirun -n 1 COMMAND...
_CODE = "a[$(touch RAN)]"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def _saved(stage: Stage, status: str, rounds: int = 0) -> Path:
    """The folder of a run that an earlier start has left."""
    out = stage.folder / "out"
    out.mkdir()
    (out / "status").write_text(f"{status}\n")
    (out / "run.h5").touch()
    if rounds:
        (out / f"checkpoint-{rounds:09}.h5").touch()
    return out


# What `idle-starts` holds, and the number of starts in a row that saved nothing after one more.
_IDLE = {
    "nothing": (b"", 1),
    "a number": (b"1\n", 2),
    "no line end": (b"1", 2),
    "octal": (b"01\n", 2),
    "no octal": (b"08\n", 9),
    "code": (f"{_CODE}\n".encode(), 1),
    "code in an index of what is set": (b"job[$(touch RAN)]\n", 1),
    "a command": (b"$(touch RAN)\n", 1),
    "another command": (b"1; touch RAN\n", 1),
    "an assignment": (b"IDLE=9\n", 1),
    "the name of what is set": (b"SETUP\n", 1),
    "negative": (b"-5\n", 1),
    "hexadecimal": (b"0x10\n", 1),
    "a fraction": (b"1.5\n", 1),
    "two numbers": (b"1 1\n", 1),
    "other digits": ("\u0661\n".encode(), 1),
    "superscript": ("\u00b2\n".encode(), 1),
    "Latin-1": (b"\xe9\n", 1),
    "huge": (b"9" * 400, 1),
    "not text": (bytes(range(256)), 1),
}


@pytest.mark.parametrize(("content", "count"), _IDLE.values(), ids=_IDLE)
def test_what_stands_in_idle_starts_is_a_number_or_nothing(stage: Stage, content: bytes, count: int) -> None:
    out = _saved(stage, "interrupted")
    (out / "idle-starts").write_bytes(content)
    played = stage.play(*_OUT, env={"SLURM_RESTART_COUNT": "1", "LC_ALL": "C.UTF-8"})
    assert not (stage.folder / "RAN").exists()
    assert (out / "idle-starts").read_text() == f"{count}\n", played.text
    assert (played.code, played.requeued) == (75, [] if count > 1 else ["7"])


def test_nothing_is_written_through_a_link(stage: Stage) -> None:
    out, precious = _saved(stage, "interrupted"), stage.folder / "precious"
    precious.write_text("mine")
    (out / "idle-starts").symlink_to(precious)
    assert stage.play(*_OUT, env={"SLURM_RESTART_COUNT": "1"}).requeued == ["7"]
    assert precious.read_text() == "mine"
    assert (out / "idle-starts").read_text() == "1\n"


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_cannot_be_counted_is_not_repeated_for_ever(stage: Stage, kind: str) -> None:
    out = _saved(stage, "interrupted")
    path = out / "idle-starts"
    os.mkfifo(path) if kind == "pipe" else path.mkdir()
    played = stage.play(*_OUT, env={"SLURM_RESTART_COUNT": "1"})
    assert played.requeued == (["7"] if kind == "pipe" else []), played.text


_ENDS = [_CODE, "$(touch RAN)", "N/A", "NONE", "Unknown", "-1", "09", "", "1\n2", "9" * 40]


@pytest.mark.parametrize("answer", _ENDS)
@pytest.mark.parametrize("source", ["environment", "squeue"])
def test_an_end_that_is_no_number_is_none(stage: Stage, answer: str, source: str) -> None:
    """The run goes on to its own end also where a signal lets the script reckon with the end of the job."""
    (stage.folder / "answer").write_text(answer)
    stage.stub("squeue", "cat answer\n" if source == "squeue" else "exit 1\n")
    stage.rank(f"{_ASK}; exit 75")
    env = {"SLURM_JOB_END_TIME": answer} if source == "environment" else {}
    played = stage.play(*_OUT, env=env)
    assert not (stage.folder / "RAN").exists()
    assert (played.code, played.requeued) == (75, ["7"]), played.text


_NAMES = ["-x", "--", "--resume", "a b", " ", "a\nb", "*", "$(touch RAN)", "a;b", "'", '"', "\\", "caf\udce9"]


@pytest.mark.parametrize("arguments", [("--out", name) for name in _NAMES] + [("--out=-x",), ("--out=a\nb",)])
def test_any_name_of_a_folder(stage: Stage, arguments: tuple[str, ...]) -> None:
    """What a start has saved is found, and starts that saved nothing are counted, in this folder and no other."""
    out = stage.folder / arguments[-1].removeprefix("--out=")
    out.mkdir()
    (out / "status").write_text("interrupted\n")
    (out / "checkpoint-000000012.h5").touch()
    before = {path.name for path in stage.folder.iterdir()}
    played = stage.play("plan.toml", *(os.fsencode(each) for each in arguments))
    assert "unfinished (interrupted); 12 rounds are saved" in played.text
    assert (out / "idle-starts").read_text() == "1\n"
    assert {path.name for path in stage.folder.iterdir()} - before == {"log", "requeued"}


def test_only_checkpoints_of_the_run_count(stage: Stage) -> None:
    """A copy that somebody made is no progress, nor is the order of names that of rounds."""
    out = _saved(stage, "interrupted", rounds=999_999_999)
    for name in ("checkpoint-keep1.h5", "checkpoint-.h5", "checkpoint-0x7fffffffffffffff.h5", f"checkpoint-{_CODE}.h5"):
        (out / name).touch()
    stage.rank("touch out/checkpoint-1000000000.h5 out/checkpoint-best.h5; exit 75")
    played = stage.play(*_OUT)
    assert not (stage.folder / "RAN").exists()
    assert "1000000000 rounds are saved" in played.text
    assert "nothing new was saved" not in played.text


def test_what_an_mpirun_of_the_same_pid_has_left_is_gone(stage: Stage, tmp_path: Path) -> None:
    session = tmp_path / "session"
    pid = int(Path("/proc/loadavg").read_text().split()[-1])  # the newest on this machine
    for offset in range(1, 2000):
        (session / f"ompi.{pid + offset}" / "file").mkdir(parents=True)
    stage.stub("mpirun", '[ $1 = --version ] || [ ! -e "$TMPDIR/ompi.$$" ] || touch LEFT\nexit 75\n')
    played = stage.play(*_OUT, env={"TMPDIR": str(session)})
    assert not (stage.folder / "LEFT").exists(), played.text


def test_a_folder_without_a_name_is_refused(stage: Stage) -> None:
    played = stage.play("plan.toml", "--out=")
    assert played.code == 2
    assert "--out is empty: a variable that is not set?" in played.text


@pytest.mark.parametrize("code", [1, 9, 127, 213])
@pytest.mark.parametrize("before", ["", "interrupted", "running"])
def test_a_launcher_that_fails_is_not_started_again(stage: Stage, code: int, before: str) -> None:
    if before:
        _saved(stage, before, rounds=40)
    stage.stub("mpirun", f"echo no such thing >&2; exit {code}\n")
    played = stage.play(*_OUT)
    assert (played.code, played.requeued) == (code, []), played.text
    assert "not requeued: the launcher failed, or the run before its first round; see above" in played.text
    assert "checkpoint.every" not in played.text


@pytest.mark.parametrize("code", [0, 6, 14, 75, 134, 137, 143])
def test_a_start_that_was_cut_off_is_repeated_once(stage: Stage, code: int) -> None:
    """Before the first round: a host that is lost, a limit, a signal. A second time the advice is about the start."""
    stage.rank(f"exit {code}")
    assert stage.play(*_OUT).requeued == ["7"]
    played = stage.play(*_OUT, env={"SLURM_RESTART_COUNT": "1"})
    assert (played.code, played.requeued) == (code or 75, ["7"])
    assert "not requeued; it came to no round: see above, or give more time, and submit again" in played.text


@pytest.mark.parametrize("code", [2, 3, 4, 5, 130])
def test_a_fault_that_every_start_would_meet_is_final(stage: Stage, code: int) -> None:
    _saved(stage, "running")
    stage.rank(f"touch out/checkpoint-000000040.h5; exit {code}")
    played = stage.play(*_OUT)
    assert (played.code, played.requeued) == (code, []), played.text
    assert "not requeued: another start would fail in the same way" in played.text


def test_a_launcher_that_loses_the_run_and_returns_0_is_not_believed(stage: Stage) -> None:
    _saved(stage, "running")
    stage.rank("touch out/checkpoint-000000040.h5; exit 0")
    played = stage.play(*_OUT)
    assert (played.code, played.requeued) == (75, ["7"]), played.text


@pytest.mark.parametrize("code", [1, 213])
def test_a_run_that_began_and_was_cut_off_is_repeated(stage: Stage, code: int) -> None:
    """The same codes as those of a launcher that fails: that it began shows in its run file."""
    _saved(stage, "running", rounds=40)
    stage.rank(f"echo x >out/new; mv out/new out/run.h5; exit {code}")
    assert stage.play(*_OUT).requeued == ["7"]
    played = stage.play(*_OUT, env={"SLURM_RESTART_COUNT": "1"})
    assert (played.code, played.requeued) == (code, ["7"])
    assert "not requeued; give more time or a smaller checkpoint.every, and submit again" in played.text


@pytest.mark.parametrize(("status", "code"), [("finished", 0), ("converged", 0), ("diverged", 3), ("running", 137)])
def test_a_launcher_that_outlives_its_ranks_is_killed(stage: Stage, status: str, code: int) -> None:
    """One that ignores SIGTERM, too; then the run file says what came of the run."""
    _saved(stage, "running")
    stage.rank(f"{_ASK.replace('PPID', 'SCRIPT')}; echo {status} >out/status; touch out/checkpoint-000000001.h5")
    stage.stub("mpirun", f'{_MPIRUN}trap "" TERM\nSCRIPT=$PPID "$@"\nexec sleep 600\n')
    played = stage.play(*_OUT)
    assert "the launcher has no ranks left here and does not end: ending it" in played.text
    assert (played.code, played.requeued) == (code, ["7"] if status == "running" else []), played.text


def test_a_launcher_with_ranks_is_left_alone(stage: Stage) -> None:
    """Also one whose ranks come late and stay long, by the measure of the patience with one that has none."""
    _saved(stage, "finished")
    stage.stub("mpirun", f'{_MPIRUN}sleep 1.5\n"$@"\n')
    stage.rank("exec env -i sleep 2.5")
    played = stage.play(*_OUT)
    assert played.code == 0
    assert "ending it" not in played.text


def test_ranks_that_hang_are_killed_before_the_limit(stage: Stage) -> None:
    """They do not obey SIGTERM, nor does the launcher."""
    _saved(stage, "running")
    stage.stub("mpirun", f'{_MPIRUN}trap "" TERM\nexec "$@"\n')
    stage.rank("kill -USR1 $PPID; exec sleep 600")
    played = stage.play(*_OUT, env={"SLURM_JOB_END_TIME": str(int(time.time()) + 22)})
    assert "the ranks have not ended: ending them" in played.text
    assert (played.code, played.requeued) == (137, ["7"])


def test_a_signal_too_late_for_patience_ends_nothing(stage: Stage) -> None:
    """Where a job asks for the signal ten seconds before its limit, the ranks have those."""
    stage.rank(f"{_ASK}; sleep 1; exit 75")
    played = stage.play(*_OUT, env={"SLURM_JOB_END_TIME": str(int(time.time()) + 10)})
    assert played.code == 75
    assert "ending them" not in played.text


# A rank that obeys the signal only some time after it was first sent.
_LATE = """
exec python3 -S -c '
import os, signal, sys, time
while "asking for a checkpoint" not in open("log").read():
    time.sleep(0.05)
signal.signal(signal.SIGUSR1, lambda *_: os._exit(75))
time.sleep(100)
'
"""


@pytest.mark.parametrize("early", [False, True], ids=["ranks not ready", "no ranks"])
def test_a_signal_reaches_ranks_that_were_not_ready(stage: Stage, early: bool) -> None:
    """No signal ends launcher or ranks before they are ready, and none is lost."""
    here, go = stage.folder / "here", stage.folder / "go"
    wait = "touch here; until [ -e go ]; do sleep 0.05; done\n"
    stage.stub("squeue", wait if early else "exit 1\n")
    stage.rank(_LATE if early else wait + _LATE)

    def meanwhile(process: subprocess.Popen[bytes]) -> None:
        until(here.exists, 20, stage.text)
        process.send_signal(signal.SIGUSR1)
        if not early:
            stage.until_said("asking for a checkpoint")
        go.touch()

    played = stage.play(*_OUT, meanwhile=meanwhile)
    assert (played.code, played.requeued) == (75, ["7"]), played.text


@pytest.mark.parametrize("code", [1, 75, 143])
def test_after_scancel_the_last_line_says_how_to_go_on(stage: Stage, code: int) -> None:
    """Whatever the launcher makes of the signal."""
    _saved(stage, "interrupted")
    stage.rank(f"trap 'touch out/checkpoint-000000031.h5; exit {code}' TERM; touch here; while :; do sleep 0.05; done")

    def meanwhile(process: subprocess.Popen[bytes]) -> None:
        until((stage.folder / "here").exists, 20, stage.text)
        os.killpg(process.pid, signal.SIGTERM)  # SLURM sends it to all processes of the job

    played = stage.play(*_OUT, meanwhile=meanwhile)
    assert (played.code, played.requeued) == (code, []), played.text
    assert "31 rounds are saved" in played.text
    assert "not requeued after SIGTERM; submit again with the same --out to continue" in played.text.splitlines()[-1]


def test_a_launcher_that_is_not_there(stage: Stage) -> None:
    (stage.folder / "bin" / "mpirun").unlink()
    for name in ("bash", "date", "stat", "rm"):
        (stage.folder / "bin" / name).symlink_to(f"/usr/bin/{name}")
    played = stage.play(*_OUT, env={"PATH": str(stage.folder / "bin")})
    assert played.code == 2
    assert "run.sbatch: no mpirun on PATH: activate the environment or load the module of the MPI" in played.text


def test_mpirun_local_without_mpirun(tmp_path: Path) -> None:
    command = ["/bin/sh", str(REPOSITORY / "jobs" / "mpirun-local"), "-n", "2", "mpirobust"]
    done = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (127, "")
    assert done.stderr.splitlines() == [
        "mpirun-local: no mpirun on PATH: activate the environment (. .venv/bin/activate), or install an MPI"
    ]
