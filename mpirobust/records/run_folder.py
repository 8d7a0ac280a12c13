"""The output folder of a run: chosen, locked, compared with the plan, and pruned. What is not the run's own stays."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import count, takewhile
from pathlib import Path
from time import sleep
from typing import IO, Any

from mpirobust.errors import SetupFault, StorageFault
from mpirobust.files import sync
from mpirobust.hdf5 import bears_lead
from mpirobust.records.layout import KEPT, LOCK, TRACE, checkpoints, open_record, scratch_files
from mpirobust.records.plan_record import PlanRecord, flat
from mpirobust.terminal import note

_TRIES, _PAUSE = 5, 0.1  # to lock a folder; seconds between two


def holds_run(folder: Path) -> bool:
    """Return whether `folder` has a trace or a checkpoint, or something else of such a name."""
    return os.path.lexists(folder / TRACE) or bool(checkpoints(folder))


def choose_folder(asked: Path | None, stem: str, resume: bool, overwrite: bool) -> Path:
    """Return the output folder for the plan called `stem`.

    If `asked` is None, this is the first of `runs/<stem>`, `runs/<stem>-2`, `runs/<stem>-3`, ... that holds no run, or
    with `resume` or `overwrite` the last before it, which holds one.

    Raises:
        SetupFault: `asked` holds a run, and neither `resume` nor `overwrite` is given; or what it holds is no run.
    """
    if asked is None:
        names = (Path("runs") / (stem if n == 1 else f"{stem}-{n}") for n in count(1))
        taken = list(takewhile(holds_run, names))
        if not (taken and (resume or overwrite)):
            return Path("runs") / (f"{stem}-{len(taken) + 1}" if taken else stem)
        asked = taken[-1]
    if holds_run(asked):
        _expect_own(asked, damaged=resume)
        if not (resume or overwrite):
            raise SetupFault(f"{asked} holds a run; --resume continues it, --overwrite replaces it")
    return asked


def _expect_own(folder: Path, damaged: bool) -> None:
    """Raise `SetupFault` if the folder has what no run wrote, under a name that a run would replace or remove.

    Args:
        damaged: whether a file of the right name may have any content. In a folder that a run continues, it was ours.
    """
    for path in (folder / TRACE, *checkpoints(folder).values()):
        try:
            found = path.lstat()
            regular = stat.S_ISREG(found.st_mode)
            own = regular and (damaged or found.st_size == 0 or bears_lead(path))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StorageFault(f"{path}: cannot be read ({error.strerror}); nothing has been changed") from error
        if not own:
            what = "not a file of mpirobust" if regular else "not a regular file"
            raise SetupFault(f"{path} is {what}, and is left as it is; choose another folder, or move it away")


class Locked(SetupFault):
    """Another run has the lock of the folder."""


def lock(folder: Path) -> IO[str]:
    """Create `folder` and lock it against other runs for as long as the returned file is open.

    If the file system has no locks, this is printed, once.

    Raises:
        Locked: another run has the lock.
        SetupFault: the path is no folder, or something else has the name of the lock.
        StorageFault: the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise SetupFault(f"{folder} is a file or below one; give a folder") from error
    except OSError as error:
        raise StorageFault(f"cannot write to {folder}: {error.strerror}") from error
    lock = _open_lock(folder)
    for tries_left in reversed(range(_TRIES)):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:  # for a moment also by `inspect`, which looks whether it is held
            if not tries_left:
                lock.close()
                message = f"another run is writing to {folder}; wait for it, or choose another folder"
                raise Locked(message) from error
            sleep(_PAUSE)
        except OSError as error:
            _note_no_locks(error.strerror)
            break
        else:
            break
    return lock


def claim(folder: Path) -> int:
    """Create `folder` and lock it as a whole for as long as the returned descriptor is open.

    This is for a study, which holds it from its look at the folder to the end of the run; the run locks as `lock` says.

    Raises:
        Locked: another study has claimed it, or a run has its lock.
        SetupFault, StorageFault: as `lock`.
    """
    lock(folder).close()
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise Locked(f"another study runs what belongs into {folder}") from error
    except OSError:  # no locks here; `lock` has said so
        pass
    return handle


def _open_lock(folder: Path) -> IO[str]:
    """Open the lock file, and do nothing to it: in the place of ours there may be a link to any file of this user."""
    path = folder / LOCK
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    other = SetupFault(f"{path} is a link, hard or soft, or not a regular file, and is left as it is; move it away")
    try:
        handle = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise other from error
        raise StorageFault(f"cannot write to {folder}: {error.strerror}") from error
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(handle)
        raise other
    return os.fdopen(handle, "r+")


@cache
def _note_no_locks(reason: str) -> None:
    note(f"no file locks here ({reason}): two jobs that write to the same folder cannot be told apart")


def prune(folder: Path, after: int = -1) -> None:
    """Delete the files that this run will not resume from, durably, before it writes new ones.

    Deleted are the checkpoints of rounds later than `after`, all but the newest two of the others, the scratch files of
    killed writes, and, if `after` is negative, the trace. `choose_folder` has seen to it that they are a run's own.

    Raises:
        StorageFault: a file cannot be deleted.
    """
    found = checkpoints(folder)
    sound = [path for round, path in found.items() if round <= max(after, 0)][-KEPT:]
    doomed = [path for path in found.values() if path not in sound]
    if after < 0:
        doomed += folder.glob(TRACE)
    try:
        for path in [*doomed, *scratch_files(folder)]:
            path.unlink(missing_ok=True)
        if doomed:
            sync(folder)
    except OSError as error:
        raise StorageFault(f"cannot remove {error.filename}: {error.strerror}") from error


@dataclass(frozen=True)
class Former:
    """The run that was begun in a folder, as its trace describes it.

    Attributes:
        status, rounds: as in the trace.
        plan: the effective plan.
        sources: as in `PlanRecord`.
        plan_file: the file of the plan, absolute; '' if that is not recorded.
        start_digest: of its starting point, if that came from a file; else ''.
    """

    status: str
    rounds: int
    plan: Mapping[str, Any]
    sources: Mapping[str, str]
    plan_file: str
    start_digest: str = ""

    def begun_with(self) -> int:
        """Return the rounds that the plan asked for."""
        rounds = self.plan.get("algorithm", {}).get("rounds")
        return rounds if isinstance(rounds, int) else self.rounds


def former_run(folder: Path) -> Former:
    """Return what the trace in `folder` says; raise `SetupFault` if there is none, or it is damaged."""
    if not (folder / TRACE).exists():
        raise SetupFault(f"{folder} has checkpoints and no {TRACE}: not to be continued; --overwrite replaces them")
    with open_record(folder / TRACE, "run") as file:
        plan = tomllib.loads(file.attrs["plan"])
        sources = dict(line.split(" ", 1) for line in file.attrs.get("sources", "").splitlines())
        plan_file = plan_file_of(file)
        start_digest = str(file.attrs.get("start_digest", ""))
        return Former(str(file.attrs["status"]), int(file.attrs["rounds"]), plan, sources, plan_file, start_digest)


def plan_file_of(file: Any) -> str:
    """Return the file of the plan, absolute, as an open trace has it; '' if that is not recorded."""
    plan_file = str(file.attrs.get("plan_file", ""))
    if "\0" in plan_file:
        raise ValueError("plan_file is no path")
    return plan_file


def check_continues(folder: Path, former: Former, plan: PlanRecord) -> None:
    """Raise `SetupFault` unless the run `former` in `folder` is of this plan."""
    names = {old: name for name, old in plan.former.items()}
    before = dict(plan.added) | {names.get(key, key): value for key, value in flat(former.plan)}
    now = dict(flat(plan.table))
    differing = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    wrong = [f"{key} was {before.get(key)!r}, is {now.get(key)!r}" for key in differing if key not in plan.free]
    if wrong:
        apart = f"{folder} holds a run of another plan: {'; '.join(wrong)}"
        raise SetupFault(f"{apart}; choose another --out, or continue that run with mpirobust resume {folder}")
    changed = ", ".join(sorted(name for name, digest in plan.sources.items() if former.sources.get(name) != digest))
    if changed:
        raise SetupFault(f"the source of {changed} has changed since the run in {folder} began; choose another --out")
