"""The trace: what is written is what is restored, up to the round that is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mpirobust.errors import SetupFault
from mpirobust.records.layout import PHASES, open_record
from mpirobust.records.trace import Tail, Trace
from mpirobust.round_times import RoundTimes
from tests.support.sealing import resealed

WORKERS = 3
FACTS = {"plan": "seed = 1\n", "started": "now"}
NOTHING: Tail = Trace(WORKERS, np.array([1]), FACTS).tail()


def trace(rounds: int, audit_every: int = 1, first: int = 0) -> Trace:
    """A trace of made-up rounds from `first` + 1 on; every number tells its round and its column."""
    made = Trace(WORKERS, np.array([1]), dict(FACTS))
    extend(made, first, rounds, audit_every)
    return made


def extend(made: Trace, first: int, rounds: int, audit_every: int = 1) -> None:
    for t in range(first, rounds + 1):
        if t % audit_every == 0 and (t > first or t == 0):
            fill(made.audits.append(), t)
        if t > first:
            fill(made.rounds.append(), t)


def fill(row: Any, t: int) -> None:
    for at, name in enumerate(row.dtype.names):
        shape = row.dtype[name].shape
        if name == "kept":
            row[name] = (np.arange(WORKERS) + t) % 2 == 0
        else:
            row[name] = t if name == "round" else t + (np.arange(WORKERS) if shape else at) / 16


def same(one: Trace, other: Trace) -> None:
    for ours, theirs in ((one.rounds, other.rounds), (one.audits, other.audits)):
        np.testing.assert_array_equal(ours.rows, theirs.rows)


@pytest.mark.parametrize("rounds", [0, 1, 5, 64, 65, 300])
def test_round_trip(tmp_path: Path, rounds: int) -> None:
    path, written = tmp_path / "run.h5", trace(rounds)
    written.write(path, "running", rounds, np.arange(4.0))
    restored = trace(0)
    restored.audits = Trace(WORKERS, np.array([1]), FACTS).audits
    restored.restore(path, NOTHING, rounds)
    same(restored, written)
    assert restored.elapsed == written.elapsed


def test_what_is_in_the_file(tmp_path: Path) -> None:
    path, written = tmp_path / "run.h5", trace(5, audit_every=2)
    written.write(path, "finished", 5, np.arange(4.0))
    with open_record(path, "run") as file:
        attributes = dict(file.attrs)
        assert attributes == {"kind": "run", "format": 1, "status": "finished", "rounds": 5, **FACTS}
        np.testing.assert_array_equal(file["model/x"][:], np.arange(4.0))
        np.testing.assert_array_equal(file["workers/byzantine"][:], [1])
        assert file["rounds/norms"].shape == file["rounds/kept"].shape == (5, WORKERS)
        np.testing.assert_array_equal(file["rounds/round"][:], [1, 2, 3, 4, 5])
        np.testing.assert_array_equal(file["audits/round"][:], [0, 2, 4])
        assert {f"seconds_{phase}" for phase in PHASES} < set(file["rounds"])


@pytest.mark.parametrize(("upto", "audited"), [(0, [0]), (1, [0]), (2, [0, 2]), (3, [0, 2]), (5, [0, 2, 4])])
def test_later_rounds_are_forgotten(tmp_path: Path, upto: int, audited: list[int]) -> None:
    path = tmp_path / "run.h5"
    trace(5, audit_every=2).write(path, "running", 5, np.zeros(4))
    restored = Trace(WORKERS, np.array([1]), FACTS)
    restored.restore(path, NOTHING, upto)
    same(restored, trace(upto, audit_every=2))
    assert restored.audits.rows["round"].tolist() == audited


class TestTimes:
    """A row holds what its record holds when the row is read, until there is a newer row."""

    def test_the_newest_row_follows_its_record(self) -> None:
        made, times = Trace(WORKERS, np.array([1]), FACTS), RoundTimes(broadcast=0.25, gather=0.5)
        made.rounds.append(times)["round"] = 1
        times.checkpoint = 3.0
        row = made.rounds.rows[-1]
        assert [row[f"seconds_{phase}"] for phase in PHASES] == [0.25, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 3.0]
        assert made.tail()["rounds"]["seconds_checkpoint"].tolist() == [3.0]

    def test_a_row_keeps_the_last_of_its_record(self) -> None:
        made, first, second = Trace(WORKERS, np.array([1]), FACTS), RoundTimes(), RoundTimes(audit=2.0)
        made.rounds.append(first)
        first.audit = 1.0
        made.rounds.append(second)
        first.audit = 9.0
        assert made.rounds.rows["seconds_audit"].tolist() == [1.0, 2.0]

    def test_what_is_known_when_a_tail_is_taken_is_in_it(self) -> None:
        made, times = Trace(WORKERS, np.array([1]), FACTS), RoundTimes()
        made.rounds.append(times)["round"] = 1
        tail = made.tail()
        times.checkpoint = 3.0
        assert tail["rounds"]["seconds_checkpoint"].tolist() == [0.0]
        assert made.rounds.rows["seconds_checkpoint"].tolist() == [3.0]

    def test_what_is_written_has_the_newest_times(self, tmp_path: Path) -> None:
        path, made, times = tmp_path / "run.h5", Trace(WORKERS, np.array([1]), FACTS), RoundTimes()
        made.rounds.append(times)["round"] = 1
        times.forge = 4.0
        made.write(path, "running", 1, np.zeros(4))
        with open_record(path, "run") as file:
            assert file["rounds/seconds_forge"][:].tolist() == [4.0]
        assert made.seconds_writing > 0

    def test_rows_of_an_earlier_session_keep_theirs(self, tmp_path: Path) -> None:
        path, made, times = tmp_path / "run.h5", trace(5), RoundTimes(encode=7.0)
        made.write(path, "running", 5, np.zeros(4))
        restored = trace(3)
        restored.rounds.append(times)["round"] = 4
        restored.restore(path, NOTHING, 5)
        times.encode = 9.0
        assert restored.rounds.rows["seconds_encode"][3:].tolist() == [7.0, made.rounds.rows["seconds_encode"][4]]

    def test_the_columns_are_those_of_the_format(self) -> None:
        """Files of format 1 have these, in this order."""
        of_format_1 = "broadcast", "compute", "encode", "gather", "forge", "aggregate", "audit", "checkpoint"
        assert of_format_1 == PHASES


def test_goes_on_after_a_recall(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    trace(70).write(path, "running", 70, np.zeros(4))
    restored = Trace(WORKERS, np.array([1]), FACTS)
    restored.restore(path, NOTHING, 67)
    extend(restored, 67, 200)
    same(restored, trace(200))


class TestTail:
    """A checkpoint carries the rows that the file lacks."""

    def test_is_what_the_file_lacks(self, tmp_path: Path) -> None:
        made = trace(3)
        assert made.tail()["rounds"]["round"].tolist() == [1, 2, 3]
        made.write(tmp_path / "run.h5", "running", 3, np.zeros(4))
        assert all(rows.size == 0 for table in made.tail().values() for rows in table.values())
        extend(made, 3, 5, audit_every=5)
        assert made.tail()["rounds"]["round"].tolist() == [4, 5]
        assert made.tail()["audits"]["round"].tolist() == [5]

    def test_a_failed_write_changes_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        made = trace(3)

        def fail(*_: object, **__: object) -> None:
            raise OSError("full")

        monkeypatch.setattr(h5py, "File", fail)
        with pytest.raises(Exception, match="full"):
            made.write(tmp_path / "run.h5", "running", 3, np.zeros(4))
        assert made.tail()["rounds"]["round"].tolist() == [1, 2, 3]

    @pytest.mark.parametrize("on_disk", [2, 4, 5, 7, 9])
    def test_file_and_tail_make_the_whole(self, tmp_path: Path, on_disk: int) -> None:
        """The file may have been written again after the checkpoint, up to any round, before the kill."""
        path, made = tmp_path / "run.h5", trace(2)
        made.write(path, "running", 2, np.zeros(4))
        extend(made, 2, 5)
        tail = {name: {column: rows.copy() for column, rows in table.items()} for name, table in made.tail().items()}
        if on_disk > 2:
            trace(on_disk).write(path, "running", on_disk, np.zeros(4))
        restored = Trace(WORKERS, np.array([1]), FACTS)
        restored.restore(path, tail, 5)
        same(restored, trace(5))


def test_a_gap_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    trace(5).write(path, "running", 5, np.zeros(4))
    with pytest.raises(SetupFault, match=r"run\.h5: has 5 of the 7 rounds before the checkpoint"):
        Trace(WORKERS, np.array([1]), FACTS).restore(path, NOTHING, 7)


@pytest.mark.parametrize("name", ["rounds", "audits", "rounds/norms", "rounds/round", "audits/loss"])
def test_a_missing_part_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "run.h5"
    trace(5).write(path, "running", 5, np.zeros(4))
    with resealed(path) as file:
        del file[name]
    with pytest.raises(SetupFault, match=r"run\.h5: not a whole trace"):
        Trace(WORKERS, np.array([1]), FACTS).restore(path, NOTHING, 5)


@pytest.mark.parametrize(
    ("name", "instead"), [("audits/lambda_min", np.nan), ("audits/auc", np.nan), ("rounds/escape", False)]
)
def test_a_column_of_later_versions_may_be_missing(tmp_path: Path, name: str, instead: object) -> None:
    """From the file and from the tail."""
    path, made = tmp_path / "run.h5", trace(5)
    made.write(path, "running", 5, np.zeros(4))
    extend(made, 5, 7)
    table, column = name.split("/")
    tail = {each: {at: rows for at, rows in made.tail()[each].items() if at != column} for each in made.tail()}
    with resealed(path) as file:
        del file[name]
    restored = Trace(WORKERS, np.array([1]), FACTS)
    restored.restore(path, tail, 7)
    wanted = getattr(made, table).rows.copy()
    wanted[column] = instead
    for each in wanted.dtype.names:
        np.testing.assert_array_equal(getattr(restored, table).rows[each], wanted[each])


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("rounds/elapsed", np.full(5, 7)),
        ("rounds/bytes_up", np.full(5, np.nan)),
        ("rounds/bytes_up", np.full(5, 2**63 + 9, "<u8")),
        ("rounds/norms", np.zeros((5, 1))),
        ("rounds/norms", np.zeros(WORKERS)),
        ("rounds/kept", np.ones((5, WORKERS))),
        ("rounds/seconds_audit", np.zeros(9)),
        ("rounds/seconds_audit", np.zeros(1)),
        ("rounds/round", np.array([1, 2, 2, 4, 5])),
        ("rounds/round", np.array([5, 4, 3, 2, 1])),
        ("audits/round", np.arange(6.0)),
        ("audits/loss", np.zeros((6, 2))),
    ],
)
def test_a_column_of_another_type_or_length_is_refused(tmp_path: Path, name: str, instead: Any) -> None:
    """Neither cast, nor cut, nor repeated until it fits."""
    path = tmp_path / "run.h5"
    trace(5).write(path, "running", 5, np.zeros(4))
    with resealed(path) as file:
        del file[name]
        file[name] = instead
    with pytest.raises(SetupFault, match=r"run\.h5: not a whole trace"), np.errstate(invalid="ignore"):
        Trace(WORKERS, np.array([1]), FACTS).restore(path, NOTHING, 5)


def test_other_workers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    trace(5).write(path, "running", 5, np.zeros(4))
    with pytest.raises(SetupFault, match=r"run\.h5: not a whole trace"):
        Trace(WORKERS + 1, np.array([1]), FACTS).restore(path, NOTHING, 5)


@pytest.mark.parametrize(("name", "value"), [("kind", "checkpoint"), ("format", 2), ("kind", None), ("format", None)])
def test_other_files_are_refused(tmp_path: Path, name: str, value: object) -> None:
    path = tmp_path / "run.h5"
    trace(5).write(path, "running", 5, np.zeros(4))
    with resealed(path) as file:
        del file.attrs[name]
        if value is not None:
            file.attrs[name] = value
    with pytest.raises(SetupFault, match="expected a run of format 1"):
        Trace(WORKERS, np.array([1]), FACTS).restore(path, NOTHING, 5)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    trace(5).write(path, "running", 5, np.zeros(4))
    whole = path.read_bytes()
    for nbytes in range(0, len(whole), 997):
        path.write_bytes(whole[:nbytes])
        with pytest.raises(SetupFault, match=r"run\.h5"):
            Trace(WORKERS, np.array([1]), FACTS).restore(path, NOTHING, 5)
