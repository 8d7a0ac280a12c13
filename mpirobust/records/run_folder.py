"""The output folder of a run: chosen, locked, compared with the plan, and pruned."""

from __future__ import annotations

import fcntl
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import IO, Any

from mpirobust.errors import SetupFault, StorageFault
from mpirobust.files import sync
from mpirobust.records.layout import CHECKPOINTS, KEPT, LOCK, TRACE, checkpoint_path, open_record
from mpirobust.records.plan_record import PlanRecord, flat


def holds_run(folder: Path) -> bool:
    """Return whether `folder` has a trace or a checkpoint."""
    return (folder / TRACE).exists() or any(folder.glob(CHECKPOINTS))


def choose_folder(asked: Path | None, stem: str, resume: bool, overwrite: bool) -> Path:
    """Return the output folder for the plan called `stem`.

    If `asked` is None, this is the first of `runs/<stem>`, `runs/<stem>-2`, `runs/<stem>-3`, ... that holds no run, or
    with `resume` or `overwrite` the last before it, which holds one.

    Raises:
        SetupFault: `asked` holds a run, and neither `resume` nor `overwrite` is given.
    """
    if asked is not None:
        if holds_run(asked) and not (resume or overwrite):
            raise SetupFault(f"{asked} holds a run; --resume continues it, --overwrite replaces it")
        return asked
    names = (Path("runs") / (stem if n == 1 else f"{stem}-{n}") for n in count(1))
    taken = list(takewhile(holds_run, names))
    if taken and (resume or overwrite):
        return taken[-1]
    return Path("runs") / (f"{stem}-{len(taken) + 1}" if taken else stem)


def lock(folder: Path) -> IO[str]:
    """Create `folder` and lock it against other runs for as long as the returned file is open.

    Raises:
        SetupFault: the path is no folder, or another run has the lock.
        StorageFault: the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
    except (FileExistsError, NotADirectoryError) as error:
        raise SetupFault(f"{folder} is a file or below one; give a folder") from error
    except OSError as error:
        raise StorageFault(f"cannot write to {folder}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise SetupFault(f"another run is writing to {folder}; wait for it, or choose another folder") from error
    except OSError:
        pass  # the file system has no locks
    return lock


def prune(folder: Path, after: int = -1) -> None:
    """Delete the files that this run will not resume from, durably, before it writes new ones.

    Deleted are the checkpoints of rounds later than `after`, all but the newest two of the others, the scratch files of
    killed writes, and, if `after` is negative, the trace.

    Raises:
        StorageFault: a file cannot be deleted.
    """
    checkpoints = sorted(folder.glob(CHECKPOINTS))
    sound = [path for path in checkpoints if path <= checkpoint_path(folder, max(after, 0))][-KEPT:]
    doomed = [path for path in checkpoints if path not in sound]
    if after < 0:
        doomed += folder.glob(TRACE)
    try:
        for path in [*doomed, *folder.glob(".*.part")]:
            path.unlink(missing_ok=True)
        if doomed:
            sync(folder)
    except OSError as error:
        raise StorageFault(f"cannot remove {error.filename}: {error.strerror}") from error


@dataclass(frozen=True)
class Former:
    """What the trace says of the run that was begun in a folder.

    Attributes:
        status, rounds: as in the trace.
        plan: the effective plan.
        sources: as in `PlanRecord`.
        plan_file: the file of the plan, absolute; '' if that is not recorded.
    """

    status: str
    rounds: int
    plan: Mapping[str, Any]
    sources: Mapping[str, str]
    plan_file: str

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
        plan_file = str(file.attrs.get("plan_file", ""))
        if "\0" in plan_file:
            raise ValueError("plan_file is no path")
        return Former(str(file.attrs["status"]), int(file.attrs["rounds"]), plan, sources, plan_file)


def check_continues(folder: Path, former: Former, plan: PlanRecord) -> None:
    """Raise `SetupFault` unless the run `former` in `folder` is of this plan."""
    before = dict(plan.added) | dict(flat(former.plan))
    now = dict(flat(plan.table))
    differing = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    wrong = [f"{key} was {before.get(key)!r}, is {now.get(key)!r}" for key in differing if key not in plan.free]
    if wrong:
        raise SetupFault(f"{folder} holds a run of another plan: {'; '.join(wrong)}; choose another --out")
    changed = ", ".join(sorted(name for name, digest in plan.sources.items() if former.sources.get(name) != digest))
    if changed:
        raise SetupFault(f"the source of {changed} has changed since the run in {folder} began; choose another --out")
