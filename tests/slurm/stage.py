"""Runs the job scripts without SLURM and MPI: what they call is played by small shell scripts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.launching import REPOSITORY, processes_with, until

JOBS = REPOSITORY / "jobs"
_CONSTANT = r"^readonly {}=[0-9]+ "
# Seconds of the scripts, in the time of a play.
_QUICK = {"TICK": 0.1, "ALONE_SECONDS": 3, "KILL_SECONDS": 1}
_STUBS = {
    "mpirobust": 'case $1 in --version) echo stub ;; inspect) cat "$2/status" ;; run) . ./rank ;; esac\n',
    "mpirun": '[ $1 != --version ] || exit 0\nshift 2\nexec "$@"\n',
    "scontrol": 'case $1 in requeue) echo "$2" >>requeued ;; show) printf "   Command=%s\\n" "$ARRAY" ;; esac\n',
    "squeue": "exit 1\n",
}


@dataclass(frozen=True)
class Played:
    """How a script ended, what it said on either stream, and the jobs that it asked SLURM to requeue."""

    code: int
    text: str
    requeued: list[str]


class Stage:
    """A folder with the scripts, a `bin` with the stubs, and `rank`: the shell script that a rank runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._jobs = folder / "jobs of mine"
        self._jobs.mkdir()
        for name in ("run.sbatch", "array.sbatch"):
            text = (JOBS / name).read_text()
            for constant, seconds in _QUICK.items() if name == "run.sbatch" else ():
                text, n = re.subn(
                    _CONSTANT.format(constant), f"readonly {constant}={seconds} ", text, flags=re.MULTILINE
                )
                assert n == 1, constant
            (self._jobs / name).write_text(text)
        for name, text in _STUBS.items():
            self.stub(name, text)
        self.rank("exit 75")

    def stub(self, name: str, text: str) -> None:
        """Let the command `name` be this shell script."""
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}")
        path.chmod(0o755)

    def rank(self, text: str) -> None:
        """Let a rank do this."""
        (self.folder / "rank").write_text(text)

    def replace_run_script(self, text: str) -> None:
        """Let this be what array.sbatch hands over to."""
        (self._jobs / "run.sbatch").write_text(text)

    def play(
        self,
        *arguments: str | bytes,
        script: str = "run.sbatch",
        env: Mapping[str, str] | None = None,
        meanwhile: Callable[[subprocess.Popen[bytes]], None] | None = None,
        timeout: float = 10,
    ) -> Played:
        """Run a script to its end; fail if a process that it started is there afterwards.

        Args:
            meanwhile: what to do while it runs.
        """
        mark = f"STAGE={uuid.uuid4()}"
        log = self.folder / "log"
        own = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "MPIROBUST_"))}
        facts = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "1", "SLURM_JOB_NODELIST": "n1", "MPIROBUST_LAUNCHER": "mpirun"}
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        environment = {**own, **facts, "PATH": path, "ARRAY": str(self._jobs / "array.sbatch"), **(env or {})}
        environment["STAGE"] = mark.partition("=")[2]
        with log.open("wb") as file:
            process = subprocess.Popen(
                ["bash", str(self._jobs / script), *arguments],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
            try:
                if meanwhile is not None:
                    meanwhile(process)
                code = process.wait(5 * timeout)
                left = processes_with(mark)
            finally:
                for pid in (process.pid, *processes_with(mark)):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                process.wait()
        text = self.text()
        assert not left, f"left behind: {left}\n{text}"
        return Played(code, text, self._lines("requeued"))

    def text(self) -> str:
        """What the script has said up to now."""
        return (self.folder / "log").read_text(errors="surrogateescape")

    def until_said(self, words: str) -> None:
        until(lambda: words in self.text(), 20, self.text)

    def _lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []
