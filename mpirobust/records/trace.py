"""The trace of a run: a table of rounds and a table of audits, kept in memory and written as one file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mpirobust.errors import SetupFault
from mpirobust.hdf5 import write_sealed
from mpirobust.records.layout import FORMAT, PHASES
from mpirobust.records.tables import LATER, expect_tables, open_trace, types
from mpirobust.round_times import RoundTimes
from mpirobust.types import Layout, Rows, Vector, flat

Tail: TypeAlias = Mapping[str, Mapping[str, NDArray[Any]]]  # table -> column -> rows


class GrowingTable:
    """Rows of one type that grow by doubling."""

    def __init__(self, dtype: np.dtype[np.void]) -> None:
        self._rows = np.zeros(0, dtype)
        self._used = 0

    @property
    def rows(self) -> NDArray[np.void]:
        """The rows so far; a view into the table."""
        return self._rows[: self._used]

    def append(self) -> np.void:
        """Add a row of zeros, to be filled in place."""
        if self._used == self._rows.size:
            grown = np.zeros(max(64, 2 * self._used), self._rows.dtype)  # untouched pages take no memory
            grown[: self._used] = self._rows
            self._rows = grown
        self._used += 1
        row: np.void = self._rows[self._used - 1]
        return row

    def extend(self, columns: Mapping[str, Any], upto: int) -> None:
        """Add the rows of `columns`, which fit (`expect_tables`), after the newest row here, up to round `upto`."""
        last = self.rows["round"][-1] if self._used else -1
        rounds = columns["round"][:]
        first, end = np.searchsorted(rounds, [last, upto], side="right")
        added = np.zeros(end - first, self._rows.dtype)
        for name in self.columns:
            added[name] = columns[name][first:end] if name in columns else LATER[name]
        self._rows = np.concatenate((self.rows, added))
        self._used = self._rows.size

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return self._rows.dtype.names or ()


class RoundTable(GrowingTable):
    """One row per round.

    The times of the newest row are copied from the `RoundTimes` of its round whenever the rows are read, because an
    observer that sees the round after the row was added may still set its own time there.
    """

    def __init__(self, workers: int) -> None:
        super().__init__(types(workers)["rounds"])
        self._times: RoundTimes | None = None

    @property
    def rows(self) -> NDArray[np.void]:
        self._read_times()
        return super().rows

    def append(self, times: RoundTimes | None = None) -> np.void:
        """Add a row of zeros, to be filled in place; it follows `times` for as long as it is the newest row."""
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
    """A row per round, a row per audit, and facts about the run as a whole.

    Attributes:
        workers: m.
        byzantine: numbers of the Byzantine workers.
        facts: attributes of the file: plan, versions, hosts and so on.
        layout: the parts of the iterate; None for one part.
        start: the starting point, if it is not the problem's own; shape (d,).
        written: the last round in the file on disk; later rows are the tail. -1 if there is no file.
        seconds_writing: seconds that this session has spent in `write`. It is not a column: the rows are in the file
            before the time of a write is known.
    """

    workers: int
    byzantine: Rows
    facts: dict[str, Any]
    layout: Layout | None = None
    start: Vector | None = None
    rounds: RoundTable = field(init=False)
    audits: GrowingTable = field(init=False)
    written: int = field(init=False, default=-1)
    seconds_writing: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.rounds = RoundTable(self.workers)
        self.audits = GrowingTable(types(self.workers)["audits"])

    @property
    def elapsed(self) -> float:
        """Seconds that the rounds so far took, over all sessions of the run."""
        rows = self.rounds.rows
        return float(rows["elapsed"][-1]) if rows.size else 0.0

    def write(self, path: Path, status: str, round: int, x: Vector) -> None:
        """Write the whole trace to `path`, with the iterate `x` after `round` rounds; raise `StorageFault`."""

        def fill(file: Any) -> None:
            file.attrs.update(status=str(status), rounds=round, **self.facts)
            for name, table in self._tables():
                for column in table.columns:
                    file.create_dataset(f"{name}/{column}", data=table.rows[column])
            file.create_dataset("workers/byzantine", data=self.byzantine)
            file.create_dataset("model/x", data=x)
            file.create_dataset("model/layout", data=_as_bytes(self.layout or flat(x.size)))
            if self.start is not None:
                file.create_dataset("model/start", data=self.start)

        began = perf_counter()
        write_sealed(path, "run", FORMAT, fill)
        self.written = round
        self.seconds_writing += perf_counter() - began

    def tail(self) -> Tail:
        """Return a copy of the rows that are not on disk yet.

        A checkpoint holds them, so that the trace need not be rewritten for every checkpoint.
        """
        return {
            name: {column: table.rows[column][table.rows["round"] > self.written] for column in table.columns}
            for name, table in self._tables()
        }

    def restore(self, path: Path, tail: Tail, upto: int, *, verify: bool = True) -> None:
        """Add the rows of earlier sessions up to and including round `upto`, from the file and a checkpoint's tail.

        Args:
            verify: as in `open_record`.

        Raises:
            SetupFault: the file is damaged, or some of these rounds are in neither.
        """
        with open_trace(path, self.workers, verify) as file:
            expect_tables(tail, self.workers)
            for name, table in self._tables():
                table.extend(file[name], upto)
                table.extend(tail[name], upto)
        if self.rounds.rows.size != upto:
            raise SetupFault(f"{path}: has {self.rounds.rows.size} of the {upto} rounds before the checkpoint")

    def _tables(self) -> list[tuple[str, GrowingTable]]:
        return [("rounds", self.rounds), ("audits", self.audits)]


def _as_bytes(layout: Layout) -> NDArray[np.uint8]:
    """Return a layout as the bytes of JSON: a file holds only arrays of numbers, and an attribute is at most 64 KiB."""
    return np.frombuffer(json.dumps(layout.parts).encode(), np.uint8)
