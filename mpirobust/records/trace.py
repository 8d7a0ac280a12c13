"""The trace of a run: kept in memory, written whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mpirobust.errors import SetupFault
from mpirobust.hdf5 import write_sealed
from mpirobust.records.layout import FORMAT, PHASES, open_record
from mpirobust.round_times import RoundTimes
from mpirobust.types import Rows, Vector

Tail: TypeAlias = Mapping[str, Mapping[str, NDArray[Any]]]  # table -> column -> rows

_AUDIT = np.dtype(
    [
        ("round", "<i8"),
        ("loss", "<f8"),
        ("gradient_norm", "<f8"),
        ("distance", "<f8"),
        ("test_accuracy", "<f8"),
        ("lambda_min", "<f8"),
    ]
)
# Columns that files of this format may lack, and what is then in them.
_LATER = {"lambda_min": nan, "escape": False, "absent": False}


def _round_type(workers: int) -> np.dtype[np.void]:
    phases = [(f"seconds_{phase}", "<f8") for phase in PHASES]
    counted = [("round", "<i8"), ("escape", "?"), ("bytes_up", "<i8"), ("bytes_down", "<i8"), ("elapsed", "<f8")]
    by_worker = [("norms", "<f8", (workers,)), ("kept", "?", (workers,)), ("absent", "?", (workers,))]
    return np.dtype([*counted, *phases, *by_worker])


class GrowingTable:
    """Rows of one type that grow by doubling."""

    def __init__(self, dtype: np.dtype[np.void]) -> None:
        self._rows = np.zeros(0, dtype)
        self._used = 0

    @property
    def rows(self) -> NDArray[np.void]:
        """The rows so far; a view."""
        return self._rows[: self._used]

    def append(self) -> np.void:
        """A new row of zeros, to be filled in place."""
        if self._used == self._rows.size:
            grown = np.zeros(max(64, 2 * self._used), self._rows.dtype)  # takes no memory before it is written to
            grown[: self._used] = self._rows
            self._rows = grown
        self._used += 1
        row: np.void = self._rows[self._used - 1]
        return row

    def extend(self, columns: Mapping[str, Any], upto: int) -> None:
        """Add those rows of `columns` that come after the last row here, up to and with round `upto`."""
        last = self.rows["round"][-1] if self._used else -1
        rounds = columns["round"][:]
        first, end = np.searchsorted(rounds, [last, upto], side="right")
        added = np.zeros(end - first, self._rows.dtype)
        for name in self.columns:
            if name in _LATER and name not in columns:
                added[name] = _LATER[name]
                continue
            rows, wanted = columns[name][first:end], added[name]
            if (rows.dtype, rows.shape, len(columns[name])) != (wanted.dtype, wanted.shape, len(rounds)):
                raise ValueError(f"the column {name} is of another type or length")
            added[name] = rows
        if (np.diff(rounds) <= 0).any():
            raise ValueError("the rounds are not in order")
        self._rows = np.concatenate((self.rows, added))
        self._used = self._rows.size

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return self._rows.dtype.names or ()


class RoundTable(GrowingTable):
    """One row for each round.

    The times of the newest row come from the record of its round, which may still change: an observer that sees the
    round after the row was added sets its own time there. So they are read whenever the rows are.
    """

    def __init__(self, workers: int) -> None:
        super().__init__(_round_type(workers))
        self._times: RoundTimes | None = None

    @property
    def rows(self) -> NDArray[np.void]:
        self._read_times()
        return super().rows

    def append(self, times: RoundTimes | None = None) -> np.void:
        """Add a row of zeros, to be filled in place; its times are those of `times` for as long as it is the newest."""
        self._read_times()
        row = super().append()
        self._times = times
        return row

    def extend(self, columns: Mapping[str, Any], upto: int) -> None:
        self._read_times()
        self._times = None
        super().extend(columns, upto)

    def _read_times(self) -> None:
        if self._times is not None:
            newest = super().rows[-1]
            for phase in PHASES:
                newest[f"seconds_{phase}"] = getattr(self._times, phase)


@dataclass
class Trace:
    """One row a round and one row an audit, and what there is to know of the run as a whole.

    Attributes:
        workers: m.
        byzantine: numbers of the Byzantine workers.
        facts: attributes of the file: plan, versions, hosts and the like.
        written: the round up to which the file on disk has the rows; the rest is the tail.
        seconds_writing: time that this session has spent in `write`; not a column, since a row is in the file by then.
    """

    workers: int
    byzantine: Rows
    facts: dict[str, Any]
    rounds: RoundTable = field(init=False)
    audits: GrowingTable = field(init=False)
    written: int = field(init=False, default=-1)
    seconds_writing: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.rounds = RoundTable(self.workers)
        self.audits = GrowingTable(_AUDIT)

    @property
    def elapsed(self) -> float:
        """Seconds of all rounds so far, over all sessions of the run."""
        rows = self.rounds.rows
        return float(rows["elapsed"][-1]) if rows.size else 0.0

    def write(self, path: Path, status: str, round: int, x: Vector) -> None:
        """Put the whole trace at `path`; raises `StorageFault`."""

        def fill(file: Any) -> None:
            file.attrs.update(status=str(status), rounds=round, **self.facts)
            for name, table in self._tables():
                for column in table.columns:
                    file.create_dataset(f"{name}/{column}", data=table.rows[column])
            file.create_dataset("workers/byzantine", data=self.byzantine)
            file.create_dataset("model/x", data=x)

        began = perf_counter()
        write_sealed(path, "run", FORMAT, fill)
        self.written = round
        self.seconds_writing += perf_counter() - began

    def tail(self) -> Tail:
        """The rows that are not on disk yet. A checkpoint carries them, so that it needs no new trace beside it."""
        return {
            name: {column: table.rows[column][table.rows["round"] > self.written] for column in table.columns}
            for name, table in self._tables()
        }

    def restore(self, path: Path, tail: Tail, upto: int) -> None:
        """Take over the rows of an earlier session up to and with round `upto`, from its trace and a checkpoint's tail.

        Raises:
            SetupFault: the file is damaged, or some of these rounds are in neither.
        """
        with open_record(path, "run") as file:
            for name, table in self._tables():
                table.extend(file[name], upto)
                table.extend(tail[name], upto)
        if self.rounds.rows.size != upto:
            raise SetupFault(f"{path}: has {self.rounds.rows.size} of the {upto} rounds before the checkpoint")

    def _tables(self) -> list[tuple[str, GrowingTable]]:
        return [("rounds", self.rounds), ("audits", self.audits)]
