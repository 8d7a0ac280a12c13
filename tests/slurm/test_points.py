"""jobs/array.sbatch: point N is line N, whatever bytes the file holds; SLURM is played (tests/slurm/stage.py)."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest

from tests.slurm.stage import Played, Stage
from tests.support.alone import command_alone
from tests.support.small_studies import PLAN

# Says what it was given, as Python would: one argument a line.
_SAYS = 'for each; do printf "argument <%q>\\n" "$each"; done\n'


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    made = Stage(tmp_path)
    made.replace_run_script(_SAYS)
    return made


def _task(stage: Stage, number: str, *arguments: str, locale: str = "C.UTF-8", last: str = "3") -> Played:
    facts = {"JOB_ID": "8", "TASK_ID": number, "TASK_MIN": "1", "TASK_MAX": last, "TASK_STEP": "1", "TASK_COUNT": last}
    env = {f"SLURM_ARRAY_{name}": value for name, value in facts.items()}
    return stage.play("plan.toml", *arguments, script="array.sbatch", env={**env, "LC_ALL": locale})


def _given(stage: Stage, content: bytes, task: int, locale: str) -> list[str] | str:
    """The words of a point, of which bytes that are no ASCII are written as bash does; or the refusal."""
    (stage.folder / "points").write_bytes(content)
    played = _task(stage, str(task), "--out=out", "--points=points", locale=locale)
    if played.code:
        assert played.code == 2, played.text
        return played.text.strip().removeprefix("array.sbatch: ")
    lines = [line.removeprefix("argument <").removesuffix(">") for line in played.text.splitlines()]
    assert lines[:3] == ["plan.toml", "--out", f"out/point-{task}"]
    assert not (stage.folder / "RAN").exists()
    return lines[3:]


_THREE = b"--set seed=3\n--set a=%b\n--set seed=5\n"
# The file, the task, and the point or the refusal.
_POINTS = {
    "plain": (_THREE % b"b", 3, ["--set", "seed=5"]),
    "Latin-1, the point after": (_THREE % b"\xe9", 3, ["--set", "seed=5"]),
    "Latin-1, the point itself": (_THREE % b"\xe9", 2, ["--set", r"$'a=\351'"]),
    "Latin-1 in a comment": (b"# caf\xe9\n" + _THREE % b"b", 3, ["--set", "seed=5"]),
    "UTF-8 that is cut off": (_THREE % b"\xe2\x82", 3, ["--set", "seed=5"]),
    "a byte that looks like a blank elsewhere": (_THREE % b"b\xa0c\x85d", 2, ["--set", r"$'a=b\240c\205d'"]),
    "a point that looks empty elsewhere": (b"\xc2\xa0\n\xe2\x80\x83# x\n--set seed=3\n", 3, ["--set", "seed=3"]),
    "all bytes of a line": (_THREE % bytes(b for b in range(128, 256)), 3, ["--set", "seed=5"]),
    "an escape sequence": (_THREE % b"\x1b[2J", 3, ["--set", "seed=5"]),
    "Windows": (_THREE.replace(b"\n", b"\r\n") % b"b", 1, ["--set", "seed=3"]),
    "Windows, empty lines and comments": (
        b"# x\r\n\r\n \t\r\n" + _THREE.replace(b"\n", b"\r\n"),
        3,
        ["--set", "seed=5"],
    ),
    "a mark at the beginning": (b"\xef\xbb\xbf" + _THREE % b"b", 1, ["--set", "seed=3"]),
    "a mark before a comment": (b"\xef\xbb\xbf# x\n" + _THREE % b"b", 2, ["--set", "a=b"]),
    "empty lines and comments": (b"\n  # one\n\t\n#\n" + _THREE % b"b" + b"\n\n", 3, ["--set", "seed=5"]),
    "no comment": (b"--set a=#b # c\n", 1, ["--set", r"a=#b", r"\#", "c"]),
    "no end of line": (b"--set seed=3", 1, ["--set", "seed=3"]),
    "a long line": (_THREE % (b"x" * 100_000), 3, ["--set", "seed=5"]),
    "quotes": (b"--set 'a = b' --set \"c\"=d\\ e\n", 1, ["--set", r"a\ =\ b", "--set", r"c=d\ e"]),
    "code": (
        b"--set a=$(touch RAN)`touch RAN`;touch RAN\n",
        1,
        ["--set", r"a=\$\(touch", r"RAN\)\`touch", r"RAN\`\;touch", "RAN"],
    ),
    "patterns": (b"* ? -n -e --help %s ~ $HOME\n", 1, [r"\*", r"\?", "-n", "-e", "--help", "%s", r"\~", r"\$HOME"]),
    "a NUL": (_THREE % b"\0", 3, "points has NUL bytes; save it as UTF-8 or ASCII"),
    "UTF-16": ("--set seed=3\n".encode("utf-16"), 1, "points has NUL bytes; save it as UTF-8 or ASCII"),
    "too few": (_THREE % b"b", 4, "points has no point 4"),
    "nothing": (b"", 1, "points has no point 1"),
    "point 0": (_THREE % b"b", 0, "points are counted from 1: sbatch --array=1-20"),
    "a line that seems to go on": (
        b"--set seed=3 \\\n--set a=b\n",
        1,
        "points: point 1 ends in a backslash; a point is one line",
    ),
}


@pytest.mark.parametrize(("content", "task", "expected"), _POINTS.values(), ids=_POINTS)
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_point_n_is_line_n(stage: Stage, content: bytes, task: int, expected: list[str] | str, locale: str) -> None:
    assert _given(stage, content, task, locale) == expected


@pytest.mark.parametrize("line", [b"--set 'a\n", b'--set "a\n', b"--set a'b\n"])
def test_unbalanced_quotes_are_refused(stage: Stage, line: bytes) -> None:
    refused = _given(stage, b"--set seed=3\n" + line, 2, "C.UTF-8")
    assert str(refused).endswith("points: unbalanced quotes in point 2")


@pytest.mark.parametrize("name", ["-p", "my points", "a\nb"])
def test_any_name_of_the_file(stage: Stage, name: str) -> None:
    (stage.folder / name).write_text("--set seed=3\n")
    assert "argument <seed=3>" in _task(stage, "1", "--points", name).text


@pytest.mark.parametrize("kind", ["pipe", "folder", "nothing"])
def test_points_that_are_no_file_are_refused(stage: Stage, kind: str) -> None:
    path = stage.folder / "points"
    if kind != "nothing":
        {"pipe": os.mkfifo, "folder": os.mkdir}[kind](path)
    played = _task(stage, "1", "--points=points")
    assert (played.code, played.text) == (2, "array.sbatch: points is no file that can be read\n")


@pytest.mark.parametrize("name", ["-x", "a b", "a\nb", "*", "$(touch RAN)"])
def test_any_name_of_a_folder(stage: Stage, name: str) -> None:
    """Each task has its folder, with a link to its log, and those of all others are there."""
    played = _task(stage, "2", "--out", name)
    assert played.code == 0, played.text
    assert {path.name for path in (stage.folder / name).iterdir()} == {"seed-1", "seed-2", "seed-3"}
    assert (stage.folder / name / "seed-2" / "slurm.log").resolve() == stage.folder / "log"
    assert not (stage.folder / "RAN").exists()


@pytest.mark.parametrize("number", ["a[$(touch RAN)]", "$(touch RAN)", "x", "-1", "08", "1;w RAN", "\u0661", ""])
def test_a_task_is_a_number(stage: Stage, number: str) -> None:
    """So are those of the array: with others, the folders of the other tasks are not made."""
    assert _task(stage, number).code == 2
    assert _task(stage, "1", "--out=out", last=number).code == 0
    assert [path.name for path in (stage.folder / "out").iterdir()] == ["seed-1"]
    assert not (stage.folder / "RAN").exists()


@pytest.mark.parametrize("answer", ["/nowhere/array.sbatch", "", "array.sbatch"])
def test_a_script_that_is_not_there_is_not_run(stage: Stage, answer: str) -> None:
    stage.stub("scontrol", f"echo '   Command={answer}'\n")
    played = _task(stage, "1")
    assert played.code == 2
    assert "array.sbatch: no run.sbatch beside array.sbatch, which SLURM says stands in" in played.text


def test_the_runs_of_a_sweep_are_where_it_looks_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Real runs of the points that it has written, through both scripts; the same sweep then has nothing to run."""
    stage = Stage(tmp_path)
    stage.stub("mpirobust", f'exec {shlex.quote(sys.executable)} -m mpirobust "$@"\n')
    (tmp_path / "plan.toml").write_text(PLAN)
    monkeypatch.chdir(tmp_path)
    sweep = ["sweep", "plan.toml", "--over", "attack.kind='gaussian',negative", "--runs=my runs", "--out=table"]
    assert command_alone(*sweep, "--points=points") == 0
    assert "sbatch --array=1-2 jobs/array.sbatch plan.toml --points points" in capsys.readouterr().out
    assert not (tmp_path / "my runs").exists()
    for task in ("1", "2"):
        played = _task(stage, task, "--points=points", "--out=logs", last="2")
        assert played.code == 0, played.text
    assert len(list(tmp_path.glob("my runs/*/run.h5"))) == 2
    assert command_alone(*sweep) == 0
    said = capsys.readouterr()
    assert said.out.count("finished") == 2
    assert "[1/" not in said.err  # nothing is run
