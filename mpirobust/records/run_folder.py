"""The folder of a run: a new one, or one to continue."""

from __future__ import annotations

import fcntl
import re
import tomllib
from collections.abc import Iterator
from itertools import count, takewhile
from pathlib import Path
from typing import IO, Any

from mpirobust.errors import SetupFault, StorageFault
from mpirobust.files import sync
from mpirobust.records.layout import CHECKPOINTS, KEPT, LOCK, TRACE, checkpoint_path, open_record

# What may differ between a run and its continuation: keys that say when to stop, when to save, and without whom.
_FREE = {"algorithm.rounds", "checkpoint.every", "on_failure", "stop.gradient_norm", "stop.loss", "stop.curvature"}

# Keys younger than the format, each with what held before: a run that was stored without the key has this value.
_LATER = {"weigh": "equal", "on_failure": "drop", "aggregator.start": "geometric-median"}


def holds_run(folder: Path) -> bool:
    """Whether there is a run in `folder`, or what is left of one."""
    return (folder / TRACE).exists() or any(folder.glob(CHECKPOINTS))


def choose_folder(asked: Path | None, stem: str, resume: bool, overwrite: bool) -> Path:
    """The folder for the output of the plan called `stem`.

    Without `asked`: `runs/<stem>`, or with a number behind it the first that
    holds no run; with `resume` or `overwrite` the last that holds one.

    Raises:
        SetupFault: `asked` holds a run and neither resume nor overwrite was said.
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
    """Make `folder` and keep other runs out of it for as long as the returned file stays open.

    Raises:
        SetupFault: it is no folder, or another run is writing to it.
        StorageFault: it cannot be written to.
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
        pass  # a file system without locks
    return lock


def prune(folder: Path, after: int = -1) -> None:
    """Remove what is not to be gone on from: it is gone for good before anything new is written.

    These are the checkpoints of rounds later than `after`, and all but the newest two before; what killed writes left;
    and where `after` is below 0 the trace as well.
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


def check_continues(folder: Path, table: dict[str, Any]) -> None:
    """Raise `SetupFault` unless the run in `folder` is of the plan `table`; rounds and cadences may differ."""
    if not (folder / TRACE).exists():
        raise SetupFault(f"{folder} has checkpoints and no {TRACE}: not to be continued; --overwrite replaces them")
    with open_record(folder / TRACE, "run") as file:
        before = dict(flat(tomllib.loads(file.attrs["plan"])))
    now = dict(flat(table))
    before = {key: _held_before(key) for key in now} | before
    differing = sorted(key for key in before if before[key] != now.get(key))
    wrong = [f"{key} was {before[key]!r}, is {now.get(key)!r}" for key in differing if key not in _FREE]
    if wrong:
        raise SetupFault(f"{folder} holds a run of another plan: {'; '.join(wrong)}; choose another --out")


def identity(table: dict[str, Any]) -> str:
    """The part of a plan that a checkpoint depends on, as text."""
    said = [(key, value) for key, value in flat(table) if key not in _FREE]
    return repr(sorted((key, value) for key, value in said if _held_before(key) != value))


def _held_before(key: str) -> Any:
    """Return the value that a plan without this key has; None if the key is as old as the format.

    A rule inside a rule has the keys of a rule.
    """
    return _LATER.get(re.sub(r"(\.rule)+\.", ".", key))


def flat(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The keys of a plan as `--set` spells them, each with its value."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, list(value) if isinstance(value, tuple) else value
