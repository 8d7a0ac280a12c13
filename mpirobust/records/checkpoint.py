"""Checkpoints: the state of the algorithm and the residuals, in files that are whole or absent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from mpirobust.algorithms.base import State
from mpirobust.cluster.base import Cluster
from mpirobust.errors import SetupFault
from mpirobust.hdf5 import write_sealed
from mpirobust.records.layout import CHECKPOINTS, FORMAT, KEPT, checkpoint_path, open_record
from mpirobust.records.trace import Tail
from mpirobust.types import Vector


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that has been read and checked."""

    path: Path
    round: int
    state: State
    tail: Tail


def save(folder: Path, round: int, state: State, cluster: Cluster, tail: Tail, plan_id: str) -> None:
    """Write the checkpoint after `round` rounds and drop all but the newest two.

    `tail` are the rows that the trace on disk lacks. Residuals go from worker to file one by one: memory O(d).

    Raises:
        StorageFault: not written; the older checkpoints are untouched.
    """

    def fill(file: Any) -> None:
        file.attrs.update(round=round, plan_id=plan_id)
        for each in fields(state):
            file.create_dataset(f"state/{each.name}", data=getattr(state, each.name))
        for table, columns in tail.items():
            for column, rows in columns.items():
                file.create_dataset(f"tail/{table}/{column}", data=rows)
        with closing(cluster.residuals(round)) as residuals:
            _stream(file, residuals)

    write_sealed(checkpoint_path(folder, round), "checkpoint", FORMAT, fill)
    for old in sorted(folder.glob(CHECKPOINTS))[:-KEPT]:
        old.unlink(missing_ok=True)


def newest(folder: Path, state_type: type[State], plan_id: str) -> tuple[Checkpoint | None, list[str]]:
    """The newest sound checkpoint of this plan in `folder`, and why newer ones were passed over."""
    passed_over: list[str] = []
    for path in sorted(folder.glob(CHECKPOINTS), reverse=True):
        try:
            return read(path, state_type, plan_id), passed_over
        except SetupFault as fault:
            passed_over.append(str(fault))
    return None, passed_over


def residuals_of(path: Path, workers: Sequence[int], dim: int) -> Iterator[Vector]:
    """The residuals of `workers`, each of length `dim`, one at a time; nothing where the checkpoint has none."""
    with open_record(path, "checkpoint") as file:
        if "residuals" in file:
            rows = file["residuals"]
            if rows.dtype != np.dtype("<f8") or rows.shape[1:] != (dim,) or max(workers, default=-1) >= rows.shape[0]:
                raise ValueError(f"residuals are not {dim} numbers for each worker")
            for worker in workers:
                yield rows[worker]


def read(path: Path, state_type: type[State], plan_id: str, dim: int | None = None) -> Checkpoint:
    """The checkpoint at `path`; raises `SetupFault` where it is damaged, of another plan, or not of length `dim`."""
    with open_record(path, "checkpoint") as file:
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


def _expect_type(name: str, value: Any, declared: str) -> None:
    """Raise `ValueError` unless `value` is a vector or number as the state's field is declared."""
    dimensions, kinds = {"Vector": (1, "f"), "int": (0, "i"), "float": (0, "f"), "bool": (0, "b")}[declared]
    if np.ndim(value) != dimensions or value.dtype.kind not in kinds:
        raise ValueError(f"state/{name} is not of type {declared}")


def _stream(file: Any, residuals: Iterator[Vector]) -> None:
    rows = None
    for worker, residual in enumerate(residuals):
        if rows is None:
            rows = file.create_dataset("residuals", (0, residual.size), "<f8", maxshape=(None, residual.size))
        rows.resize(worker + 1, axis=0)
        rows[worker] = residual
