"""Checkpoints: the state of the algorithm and the memories of the feedback, in files that are whole or absent."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from mpirobust.algorithms.base import State
from mpirobust.errors import SetupFault
from mpirobust.hdf5 import write_sealed
from mpirobust.records.layout import CHECKPOINTS, FORMAT, KEPT, checkpoint_path, open_record
from mpirobust.records.trace import Tail
from mpirobust.types import Vector

RESIDUALS = "residuals"  # the memory that a file of format 1 may hold


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was loaded: all but the memories, which are loaded one vector at a time."""

    path: Path
    round: int
    state: State
    tail: Tail


def save(
    folder: Path,
    round: int,
    state: State,
    memories: Mapping[str, Generator[Vector, None, None]],
    tail: Tail,
    plan_id: str,
) -> None:
    """Write the checkpoint after `round` rounds, then delete all but the newest two.

    Args:
        memories: what the feedback keeps, by name: one vector per worker, in worker order, or none. A memory goes to
            the file vector by vector and needs no more memory than one vector. It is closed if it is not read to its
            end.
        tail: the rows that the trace on disk lacks.

    Raises:
        StorageFault: the checkpoint was not written; the older ones are untouched.
    """

    def fill(file: Any) -> None:
        file.attrs.update(round=round, plan_id=plan_id)
        for each in fields(state):
            file.create_dataset(f"state/{each.name}", data=getattr(state, each.name))
        for table, columns in tail.items():
            for column, rows in columns.items():
                file.create_dataset(f"tail/{table}/{column}", data=rows)
        for name, vectors in memories.items():
            with closing(vectors):
                _write_rows(file, name, vectors)

    write_sealed(checkpoint_path(folder, round), "checkpoint", FORMAT, fill)
    for old in sorted(folder.glob(CHECKPOINTS))[:-KEPT]:
        old.unlink(missing_ok=True)


def newest(folder: Path, state_type: type[State], plan_id: str) -> tuple[Checkpoint | None, list[str]]:
    """Load the newest undamaged checkpoint of this plan in `folder`; returns also why newer ones were passed over."""
    passed_over: list[str] = []
    for path in sorted(folder.glob(CHECKPOINTS), reverse=True):
        try:
            return load(path, state_type, plan_id), passed_over
        except SetupFault as fault:
            passed_over.append(str(fault))
    return None, passed_over


def load(
    path: Path, state_type: type[State], plan_id: str, dim: int | None = None, *, verify: bool = True
) -> Checkpoint:
    """Load the checkpoint at `path`.

    Args:
        dim: length of its vectors; None: any one length.
        verify: compare the checksum, which reads the whole file. It is done once per resume, by `newest`.

    Raises:
        SetupFault: it is damaged, belongs to another plan, or is not of length `dim`.
    """
    with open_record(path, "checkpoint", verify=verify) as file:
        if file.attrs["plan_id"] != plan_id:
            raise SetupFault(f"{path}: belongs to another plan")
        values = {each.name: file[f"state/{each.name}"][()] for each in fields(state_type)}
        for each in fields(state_type):
            _expect_type(each.name, values[each.name], str(each.type))
        length = values["x"].size if dim is None else dim
        lengths = {value.size for value in values.values() if value.ndim}
        if values["x"].size != length or not lengths <= {0, length}:
            raise ValueError(f"its vectors are not of length {length}")
        tail = {name: {column: rows[:] for column, rows in file[f"tail/{name}"].items()} for name in file["tail"]}
        plain = {name: value if np.ndim(value) else value.item() for name, value in values.items()}
        return Checkpoint(path, int(file.attrs["round"]), state_type(**plain), tail)


def load_memory(path: Path, name: str, workers: Sequence[int], dim: int) -> Iterator[Vector]:
    """Load one vector of length `dim` for each of `workers`, one at a time; none if the file has no such memory.

    The checksum is not compared: every rank calls this, after the center has verified the file for all.

    Raises:
        SetupFault: the memory does not have that shape.
    """
    with open_record(path, "checkpoint", verify=False) as file:
        if name in file:
            rows = file[name]
            if rows.dtype != np.dtype("<f8") or rows.shape[1:] != (dim,) or max(workers, default=-1) >= rows.shape[0]:
                raise ValueError(f"{name} are not {dim} numbers for each worker")
            for worker in workers:
                yield rows[worker]


def _expect_type(name: str, value: Any, declared: str) -> None:
    """Raise `ValueError` unless `value` is a vector or number as the field of the state is declared."""
    dimensions, kinds = {"Vector": (1, "f"), "int": (0, "i"), "float": (0, "f"), "bool": (0, "b")}[declared]
    if np.ndim(value) != dimensions or value.dtype.kind not in kinds:
        raise ValueError(f"state/{name} is not of type {declared}")


def _write_rows(file: Any, name: str, vectors: Iterable[Vector]) -> None:
    rows = None
    for index, vector in enumerate(vectors):
        if rows is None:
            rows = file.create_dataset(name, (0, vector.size), "<f8", maxshape=(None, vector.size))
        rows.resize(index + 1, axis=0)
        rows[index] = vector
