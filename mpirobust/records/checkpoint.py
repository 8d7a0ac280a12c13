"""Checkpoints: everything that a run needs to continue to the same bits, in files that are whole or absent."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from operator import index
from pathlib import Path
from typing import Any

import numpy as np

from mpirobust.algorithms.base import State
from mpirobust.errors import SetupFault, StorageFault
from mpirobust.hdf5 import write_sealed
from mpirobust.records.fields import arrays_of, read_fields
from mpirobust.records.layout import FORMAT, KEPT, checkpoint_path, checkpoints, open_record
from mpirobust.records.tables import expect_tables
from mpirobust.records.trace import Tail
from mpirobust.types import Held, Vector

_OLD_MEMORY = "residuals"  # in earlier files, the one memory of the feedback


@dataclass(frozen=True)
class Schema:
    """The classes of the contents of a plan's checkpoints.

    Attributes:
        state: the class of the algorithm's state.
        plan_id: hash of the plan's identity.
        rule, attack: the classes of the memories of the aggregation rule and of an omniscient attacker; None if none.
        workers: m; None for any.
        redundancy: r; a rule remembers m/r of what it has of each worker.
        rounds: of the algorithm, or of the trace if it has more; None for any.
        memories: the names of the memories of the feedback.
        byzantine: the workers whose memories may be of any content.
        holds: whether the way down is coded.
    """

    state: type[State]
    plan_id: str
    rule: type | None = None
    attack: type | None = None
    workers: int | None = None
    redundancy: int = 1
    rounds: int | None = None
    memories: Sequence[str] = ()
    byzantine: Collection[int] = ()
    holds: bool = False


@dataclass(frozen=True)
class Snapshot:
    """A run after `round` rounds, without the memories of the feedback, which are too large to hold in memory.

    Attributes:
        state: the state of the algorithm.
        tail: the rows of the trace that the file on disk lacks.
        rule: the memory of the aggregation rule for each kind of query.
        attack: the memory of an omniscient attacker; None if there is none.
        lost: the workers whose memory of the feedback had been lost with their rank; it is zero in the file.
        held: what the workers hold of a coded way down.
    """

    round: int
    state: State
    tail: Tail
    rule: Mapping[int, Any] = field(default_factory=dict)
    attack: Any = None
    lost: Sequence[int] = ()
    held: Held = field(default_factory=dict)


def save(
    folder: Path,
    snapshot: Snapshot,
    plan_id: str,
    memories: Mapping[str, Generator[Vector, None, None]],
    forgotten: Callable[[int], bool] = lambda _: False,
) -> None:
    """Write a checkpoint and delete all but the newest two.

    Args:
        snapshot: its `lost` is not read.
        memories: the memories of the feedback by name, each a generator of rows of shape (d,) in worker order. It is
            streamed row by row with memory O(d), and closed.
        forgotten: returns whether the memory of a worker is lost, so that its row is zero; called as each row comes.

    Raises:
        StorageFault: the file cannot be written; the older checkpoints are unchanged.
    """

    def fill(file: Any) -> None:
        file.attrs.update(round=snapshot.round, plan_id=plan_id, workers=snapshot.tail["rounds"]["norms"].shape[1])
        _write(file, "state", snapshot.state)
        for table, columns in snapshot.tail.items():
            for column, rows in columns.items():
                file.create_dataset(f"tail/{table}/{column}", data=rows)
        for kind, memory in snapshot.rule.items():
            _write(file, f"rule/{kind}", memory)
        if snapshot.attack is not None:
            _write(file, "attack", snapshot.attack)
        for kind, held in snapshot.held.items():
            for number, w in enumerate(held):
                file.create_dataset(f"downlink/{kind}/{number}", data=w)
        lost: set[int] = set()
        for name, vectors in memories.items():
            with closing(vectors):
                lost |= _stream(file, f"memory/{name}", vectors, forgotten)
        if lost:
            file.create_dataset("lost", data=np.array(sorted(lost), np.int64))

    write_sealed(checkpoint_path(folder, snapshot.round), "checkpoint", FORMAT, fill)
    for old in list(checkpoints(folder).values())[:-KEPT]:
        old.unlink(missing_ok=True)


def newest(folder: Path, schema: Schema, dim: int | None = None) -> tuple[Path | None, list[str]]:
    """Return the newest sound checkpoint of this plan in `folder`, if there is one, and the faults of newer ones.

    Args:
        dim: as in `load`.

    Raises:
        StorageFault: one cannot be read at all. It may be sound: to pass over it would be to delete it.
    """
    passed_over: list[str] = []
    for path in reversed(checkpoints(folder).values()):
        try:
            load(path, schema, dim)
            return path, passed_over
        except SetupFault as fault:
            if isinstance(fault.__cause__, OSError) and fault.__cause__.errno is not None:
                raise StorageFault(f"{fault}; nothing has been changed") from fault
            passed_over.append(str(fault))
    return None, passed_over


def load_memory(path: Path, labels: Sequence[str], workers: Sequence[int], dim: int) -> Iterator[Vector]:
    """Yield the rows of these workers, each of length `dim`, one at a time.

    They are of the first of `memory/<label>` that the file has: earlier versions saved one half of each memory.

    The checksum is not compared: every rank calls this, after the center has verified the file for all (`newest`).

    Raises:
        SetupFault: the checkpoint at `path` does not hold it.
    """
    with open_record(path, "checkpoint", verify=False) as file:
        rows = _memory(file, labels, dim)
        if max(workers, default=-1) >= rows.shape[0]:
            raise ValueError(f"{rows.name} is of {rows.shape[0]} workers")
        for worker in workers:
            yield rows[worker]


def load_held(path: Path, dim: int) -> Held:
    """Return what the workers held of a coded way down; the checksum is not compared, as in `load_memory`.

    Raises:
        SetupFault: the checkpoint at `path` does not hold it.
    """
    with open_record(path, "checkpoint", verify=False) as file:
        return _read_held(file, dim)


def load(path: Path, schema: Schema, dim: int | None = None, *, verify: bool = True) -> Snapshot:
    """Return the checkpoint at `path`.

    Args:
        dim: the length of its vectors; None for any one length.
        verify: compare the checksum and look over the memories of the feedback, which reads the whole file twice. It
            is done once per resume, by `newest`.

    Raises:
        SetupFault: it is damaged, of another plan, or what is in it does not fit its name, the plan, or each other.
    """
    with open_record(path, "checkpoint", verify=verify) as file:
        if file.attrs["plan_id"] != schema.plan_id:
            raise SetupFault(f"{path}: belongs to another plan")
        round = index(file.attrs["round"])
        if path != checkpoint_path(path.parent, round):
            raise SetupFault(f"{path}: is the checkpoint of round {round}")
        length = file["state/x"].size if dim is None else dim
        tail = {name: {column: rows[:] for column, rows in file[f"tail/{name}"].items()} for name in file["tail"]}
        workers = int(file.attrs.get("workers", tail["rounds"]["norms"].shape[1]))
        state = read_fields(file, "state", schema.state, length, workers)
        if not np.isfinite(state.x).all():
            raise ValueError("state/x is not finite")
        kinds = list(file["rule"]) if schema.rule is not None and "rule" in file else []
        rule = {
            int(kind): read_fields(file, f"rule/{kind}", schema.rule, length, workers // schema.redundancy)
            for kind in kinds
        }
        attack = None
        if schema.attack is not None and "attack" in file:
            attack = read_fields(file, "attack", schema.attack, length, workers)
        held = _read_held(file, length) if schema.holds else {}
        _expect_tail(tail, round, workers, schema)
        for label in {*schema.memories, *file.get("memory", ())} if verify else ():
            _expect_memory(_memory(file, [label], length), workers, schema.byzantine)
        return Snapshot(round, state, tail, rule, attack, _read_lost(file), held)


def _expect_tail(tail: Tail, round: int, workers: int, schema: Schema) -> None:
    """Raise `ValueError` unless the tail ends at `round`, and the trace may have the rounds before it."""
    expect_tables(tail, workers)
    rounds, audited = tail["rounds"]["round"], tail["audits"]["round"]
    before = round - rounds.size
    if not np.array_equal(rounds, np.arange(before + 1, round + 1)) or (audited > round).any():
        raise ValueError(f"the rounds of the tail are not the last before {round}")
    if schema.workers not in (None, workers) or before < 0 or (schema.rounds is not None and before > schema.rounds):
        raise ValueError(f"round {round} of {workers} workers is not of this run")


def _memory(file: Any, labels: Sequence[str], dim: int) -> Any:
    """Return the dataset of a memory of the feedback, shape (m, dim), under the first of these labels that is there."""
    names = [*(f"memory/{label}" for label in labels), _OLD_MEMORY]
    rows = file[next((name for name in names if name in file), names[0])]
    if rows.dtype != np.dtype("<f8") or rows.shape[1:] != (dim,):
        raise ValueError(f"{rows.name} is not {dim} numbers for each worker")
    return rows


def _expect_memory(rows: Any, workers: int, byzantine: Collection[int]) -> None:
    """Raise `ValueError` unless there is a row for each worker, finite unless the worker's answers were corrupted."""
    if rows.shape[0] != workers:
        raise ValueError(f"{rows.name} is of {rows.shape[0]} workers, not of {workers}")
    for worker in range(workers):
        if worker not in byzantine and not np.isfinite(rows[worker]).all():
            raise ValueError(f"{rows.name} of worker {worker} is not finite")


def _write(file: Any, group: str, value: Any) -> None:
    for name, data in arrays_of(value).items():
        file.create_dataset(f"{group}/{name}", data=data)


def _read_held(file: Any, length: int) -> Held:
    kinds = file["downlink"]
    held = {int(kind): tuple(kinds[kind][str(number)][:] for number in range(len(kinds[kind]))) for kind in kinds}
    for w in chain.from_iterable(held.values()):
        if w.dtype != np.dtype("<f8") or w.shape != (length,) or not np.isfinite(w).all():
            raise ValueError(f"downlink is not {length} finite numbers for each vector")
    return held


def _read_lost(file: Any) -> list[int]:
    if "lost" not in file:
        return []
    lost, workers = file["lost"][:], min(len(rows) for rows in file["memory"].values())
    if lost.dtype != np.dtype("<i8") or lost.ndim != 1 or not np.isin(lost, np.arange(workers)).all():
        raise ValueError("lost is not a list of workers")
    found: list[int] = lost.tolist()
    return found


def _stream(file: Any, name: str, vectors: Iterable[Vector], forgotten: Callable[[int], bool]) -> set[int]:
    """Write one row after the other; return the workers that were forgotten when their row came."""
    rows, lost = None, set()
    for worker, vector in enumerate(vectors):
        if rows is None:
            rows = file.create_dataset(name, (0, vector.size), "<f8", maxshape=(None, vector.size))
        rows.resize(worker + 1, axis=0)
        rows[worker] = vector
        if forgotten(worker):
            lost.add(worker)
    return lost
