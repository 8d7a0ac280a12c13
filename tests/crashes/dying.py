"""Runs mpirobust and dies by SIGKILL in the middle of its k-th write, with no change to its code.

    python dying.py AT HOW -- ARGUMENTS     one run, for mpirun: only the center writes, so only the center dies
    python dying.py                         many runs: a JSON list of [AT, HOW, ARGUMENTS] on standard input, each in a
                                            fork, since imports take longer than such a run; prints what became of each

AT counts all that changes what is on the disk: files made, opened, written, closed, synced, renamed, removed. A write
of bytes is torn: half of them arrive. AT -1 never dies.

HOW is `kill`, or `power`: then what was not synced is lost as well. A file without fsync keeps half of its bytes, and a
rename without fsync of the folder did not happen.
"""

from __future__ import annotations

import builtins
import io
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import h5py

import mpirobust.lead  # imported before the forks
import mpirobust.reports.summary  # noqa: F401
from mpirobust.observers import recording

_CHANGING = ("mkdir", "chmod", "unlink", "ftruncate")
_HDF5 = [(h5py.AttributeManager, "create"), (h5py.Group, "create_dataset"), (h5py.Group, "create_group")]
_HDF5 += [(h5py.Dataset, "resize"), (h5py.Dataset, "__setitem__")]


class Death:
    """Counts the write points of this process, and ends it at one of them."""

    def __init__(self, at: int, how: str) -> None:
        self.passed: list[str] = []
        self._at = at
        self._power = how == "power"
        self._unsynced: set[str] = set()
        self._renamed: dict[str, bytes | None] = {}  # what was there before a rename that is not synced

    def point(self, name: str, half: Callable[[], object] = lambda: None) -> None:
        """A write is about to happen; `half` does a part of it."""
        if len(self.passed) == self._at:
            self._at = -1
            half()
            self._lose()
            os.kill(os.getpid(), signal.SIGKILL)
        self.passed.append(name)

    def _lose(self) -> None:
        if not self._power:
            return
        for path in self._unsynced:
            if Path(path).exists():
                os.truncate(path, Path(path).stat().st_size // 2)
        for path, before in self._renamed.items():
            Path(path).write_bytes(before or b"")
            if before is None:
                os.remove(path)  # noqa: PTH107 - Path.unlink is a write point

    def arm(self) -> None:
        """Stand before everything that the records are written with."""
        for name in _CHANGING:
            setattr(os, name, self._before(name, getattr(os, name)))
        for kind, name in _HDF5:
            setattr(kind, name, self._before(f"hdf5 {name}", getattr(kind, name)))
        setattr(os, "fsync", self._fsync(os.fsync))  # noqa: B010
        os.replace = self._replace(os.replace)
        os.rename = self._replace(os.rename)
        tempfile.mkstemp = self._mkstemp(tempfile.mkstemp)
        io.open = builtins.open = self._open(io.open)
        h5py.File.__init__ = self._hdf5_open(h5py.File.__init__)
        h5py.File.close = self._hdf5_close(h5py.File.close)

    def _before(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def changing(*arguments: Any, **options: Any) -> Any:
            self.point(name)
            return call(*arguments, **options)

        return changing

    def _fsync(self, call: Callable[[int], None]) -> Callable[[int], None]:
        def fsync(handle: int) -> None:
            path = str(Path(f"/proc/self/fd/{handle}").readlink())
            folder = Path(path).is_dir()
            self.point("fsync folder" if folder else "fsync file")
            call(handle)
            self._unsynced.discard(path)
            if folder:
                self._renamed = {name: was for name, was in self._renamed.items() if str(Path(name).parent) != path}

        return fsync

    def _replace(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def replace(source: Any, target: Any, **options: Any) -> None:
            self.point("rename")
            old, new = os.path.realpath(source), os.path.realpath(target)
            self._renamed.setdefault(new, Path(new).read_bytes() if Path(new).exists() else None)
            call(source, target, **options)
            if old in self._unsynced:
                self._unsynced = self._unsynced - {old} | {new}

        return replace

    def _mkstemp(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def mkstemp(*arguments: Any, **options: Any) -> tuple[int, str]:
            self.point("mkstemp")
            handle, name = call(*arguments, **options)
            self._unsynced.add(os.path.realpath(name))
            return handle, name

        return mkstemp

    def _open(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def opened(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            if not set(mode) & set("wax+") or isinstance(file, int):
                return call(file, mode, *arguments, **options)
            self.point("open")
            self._unsynced.add(os.path.realpath(file))
            return _Torn(call(file, mode, *arguments, **options), self)

        return opened

    def _hdf5_open(self, call: Callable[..., None]) -> Callable[..., None]:
        def init(file: Any, name: Any, mode: str = "r", **options: Any) -> None:
            if mode != "r":
                self.point("hdf5 open")
            call(file, name, mode, **options)

        return init

    def _hdf5_close(self, call: Callable[[Any], None]) -> Callable[[Any], None]:
        def close(file: Any) -> None:
            if file.id and file.mode != "r":
                self.point("hdf5 close", half=file.flush)
            call(file)

        return close


class _Torn:
    """A file whose writes may arrive by half."""

    def __init__(self, file: Any, death: Death) -> None:
        self._file = file
        self._death = death

    def write(self, data: Any) -> Any:
        def half() -> None:
            self._file.write(data[: len(data) // 2])
            self._file.flush()

        self._death.point("write", half)
        return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _Torn:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def run(at: int, how: str, arguments: list[str], passed: Path | None = None) -> NoReturn:
    """`mpirobust ARGUMENTS`, with the trace written after every round; the points it passed go to a file."""
    from mpirobust.cli import main

    recording.Recorder.__init__.__defaults__ = (0.0,)
    recording._SHARE = 0
    death = Death(at, how)
    sys.argv = ["mpirobust", *arguments]
    if os.environ.get("OMPI_COMM_WORLD_RANK", "0") == "0":
        death.arm()
    try:
        main()
    finally:
        points = list(death.passed)
        if passed is not None:
            passed.write_text(json.dumps(points))


def _forked(at: int, how: str, arguments: list[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        said, passed = Path(folder, "said"), Path(folder, "passed")
        child = os.fork()
        if child == 0:
            code = 1
            try:
                said.touch()
                log = os.open(said, os.O_WRONLY)
                os.dup2(log, 1)
                os.dup2(log, 2)
                run(at, how, arguments, passed)
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
        run(int(sys.argv[1]), sys.argv[2], sys.argv[4:])
    print(json.dumps([_forked(*job) for job in json.load(sys.stdin)]))
