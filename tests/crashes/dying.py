"""Runs mpirobust and dies by SIGKILL in the middle of its k-th write, with no change to its code.

    python dying.py AT HOW -- ARGUMENTS     one run, for mpirun: only the center writes; it takes the whole job with it
    python dying.py                         many runs: a JSON list of [AT, HOW, OFTEN, CACHE, ARGUMENTS] on standard
                                            input, each in a fork, since imports take longer than such a run; prints
                                            what became of each

AT counts all that changes what is on the disk: files made, opened, written, synced, renamed, removed. A write of bytes
is torn: half of them arrive. AT -1 never dies. OFTEN writes the trace after every round.

HOW is `kill`, or one of the ways in which a machine without power forgets what was not synced. A file without fsync
keeps half of its bytes in all of them. Of the names in a folder without fsync

    power      nothing happened: renames and removals are undone;
    names      renames did happen, before the data came, and removals are undone;
    unlinks    removals did happen, and renames are undone.
"""

from __future__ import annotations

import builtins
import importlib
import io
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from mpirobust.observers import recorder
from tests.support.instants import replace

_UNDONE: dict[str, set[str]] = {
    "kill": set(),
    "power": {"rename", "unlink"},
    "names": {"unlink"},
    "unlinks": {"rename"},
}
_PRELOADED = ["cli", "cluster.local", "running.root", "reports.summary", "algorithms.first_order"]
_PRELOADED += [
    "problems.least_squares",
    "compressors.l1_qsgd",
    "aggregators.norm_trim",
    "attacks.gaussian",
    "data.sources.libsvm",
]


class RankFailure:
    """Counts the write points of this process, and ends it at one of them."""

    def __init__(self, at: int, how: str) -> None:
        self.passed: list[str] = []
        self._at = at
        self._how = how
        self._file = ""  # what is being written, for those points that do not say
        self._unsynced: set[str] = set()
        self._names: list[tuple[str, str, bytes | None]] = []  # renamed, unlinked; what was there before

    def point(self, step: str, path: Any, half: Callable[[], object] = lambda: None) -> None:
        """`step` is about to happen to `path`; `half` does a part of it."""
        name = Path(path).name
        self._file = name[1:].rpartition(".h5")[0] + ".h5" if name.endswith(".part") else name
        if len(self.passed) == self._at:
            self._at = -1
            half()
            self._lose()
            _die()
        self.passed.append(f"{step} {self._file}")

    def _lose(self) -> None:
        if self._how == "kill":
            return
        for path in self._unsynced:
            if Path(path).exists():
                os.truncate(path, Path(path).stat().st_size // 2)
        for step, path, before in reversed(self._names):
            if step not in _UNDONE[self._how]:
                continue
            if before is None:
                Path(path).unlink(missing_ok=True)
            elif step == "rename" or not Path(path).exists():  # else a later rename to that name did happen
                Path(path).write_bytes(before)

    def arm(self) -> None:
        """Stand before everything that files are written with."""
        os.mkdir = self._before("mkdir", os.mkdir)
        os.chmod = self._before("chmod", os.chmod)
        os.unlink = self._unlink(os.unlink)
        replace(os, "fsync", self._fsync(os.fsync))
        os.replace = self._replace(os.replace)
        os.rename = self._replace(os.rename)
        os.open = self._create(os.open)
        tempfile.mkstemp = self._mkstemp(tempfile.mkstemp)
        io.open = builtins.open = self._open(io.open)

    def _before(self, step: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def changing(path: Any, *arguments: Any, **options: Any) -> Any:
            self.point(step, path)
            return call(path, *arguments, **options)

        return changing

    def _unlink(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def unlink(path: Any, **options: Any) -> None:
            self.point("unlink", path)
            before = _content(path)
            call(path, **options)
            self._names.append(("unlink", os.path.realpath(path), before))

        return unlink

    def _fsync(self, call: Callable[[int], None]) -> Callable[[int], None]:
        def fsync(handle: int) -> None:
            path = str(Path(f"/proc/self/fd/{handle}").readlink())
            if Path(path).is_dir():
                self.point("fsync-folder", self._file)
                self._names = [each for each in self._names if str(Path(each[1]).parent) != path]
            else:
                self.point("fsync-file", path)
                self._unsynced.discard(path)
            call(handle)

        return fsync

    def _replace(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def replace(source: Any, target: Any, **options: Any) -> None:
            self.point("rename", target)
            old, new = os.path.realpath(source), os.path.realpath(target)
            before = _content(target)
            call(source, target, **options)
            self._names.append(("rename", new, before))
            self._unsynced.discard(new)
            if old in self._unsynced:
                self._unsynced = self._unsynced - {old} | {new}

        return replace

    def _mkstemp(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def mkstemp(*arguments: Any, **options: Any) -> tuple[int, str]:
            self.point("mkstemp", f"{options['prefix']}{options['suffix']}")
            handle, name = call(*arguments, **options)
            self._unsynced.add(os.path.realpath(name))
            return handle, name

        return mkstemp

    def _create(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def opened(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            if flags & os.O_CREAT and not str(path).endswith(".part"):  # those are made by mkstemp
                self.point("open", path)
            handle: int = call(path, flags, *arguments, **options)
            return handle

        return opened

    def _open(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def opened(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            if not set(mode) & set("wax+") or isinstance(file, int):
                return call(file, mode, *arguments, **options)
            self.point("open", file)
            self._unsynced.add(os.path.realpath(file))
            return _Torn(call(file, mode, *arguments, **options), file, self)

        return opened


class _Torn:
    """A file whose writes may arrive by half."""

    def __init__(self, file: Any, path: Any, death: RankFailure) -> None:
        self._file = file
        self._path = path
        self._death = death

    def write(self, data: Any) -> Any:
        def half() -> None:
            self._file.write(data[: len(data) // 2])
            self._file.flush()

        self._death.point("write", self._path, half)
        return self._file.write(data)

    def truncate(self, size: int) -> Any:
        self._death.point("truncate", self._path)
        return self._file.truncate(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _Torn:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _content(path: Any) -> bytes | None:
    return Path(path).read_bytes() if Path(path).exists() else None


def _die() -> NoReturn:
    """By SIGKILL, and under mpirun with all other ranks: whoever else the launcher has started."""
    if "OMPI_COMM_WORLD_RANK" in os.environ:
        for children in Path(f"/proc/{os.getppid()}/task").glob("*/children"):
            for pid in set(map(int, children.read_text().split())) - {os.getpid()}:
                os.kill(pid, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def run(at: int, how: str, often: bool, arguments: list[str], passed: Path | None = None) -> NoReturn:
    """`mpirobust ARGUMENTS`; the points it passed go to a file."""
    from mpirobust.cli import main

    seconds = 0.0 if often else 1e9  # else on a slow disk more often than on others
    if often:
        recorder._SHARE = 0
    death = RankFailure(at, how)
    sys.argv = ["mpirobust", *arguments, "--set", f"observers.recorder.every_seconds={seconds}"]
    if os.environ.get("OMPI_COMM_WORLD_RANK", "0") == "0":
        death.arm()
    try:
        main()
    finally:
        points = list(death.passed)
        if passed is not None:
            passed.write_text(json.dumps(points))
    raise AssertionError


def _forked(at: int, how: str, often: bool, cache: str, arguments: list[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        said, passed = Path(folder, "said"), Path(folder, "passed")
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.environ["MPIROBUST_CACHE"] = cache
                said.touch()
                log = os.open(said, os.O_WRONLY)
                os.dup2(log, 1)
                os.dup2(log, 2)
                run(at, how, often, arguments, passed)
            except SystemExit as end:
                code = int(end.code or 0)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        points = json.loads(passed.read_text()) if passed.exists() else []
        return {"code": code, "said": said.read_text(), "points": points}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run(int(sys.argv[1]), sys.argv[2], True, sys.argv[4:])
    for room in _PRELOADED:
        importlib.import_module(f"mpirobust.{room}")
    print(json.dumps([_forked(*job) for job in json.load(sys.stdin)]))
