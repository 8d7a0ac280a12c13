"""The tables of a trace: the types of their columns, and whether those of a file fit each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import nan
from pathlib import Path
from typing import Any

import numpy as np

from mpirobust.records.layout import PHASES, open_record

# Columns that an older file of this format may lack, with the value to use instead.
LATER = {
    "lambda_min": nan,
    "test_loss": nan,
    "balanced_accuracy": nan,
    "auc": nan,
    "escape": False,
    "absent": False,
    "reset": False,
    "outvoted": False,
    "replayed": False,
    "refuted": False,
    "strength": nan,
}

# Columns of the rounds that say of each worker whether something is so.
COUNTED = ("kept", "absent", "reset", "outvoted", "replayed", "refuted")


def types(workers: int) -> dict[str, np.dtype[np.void]]:
    """Return the type of a row of each table, for so many workers."""
    phases = [(f"seconds_{phase}", "<f8") for phase in PHASES]
    counted = [("round", "<i8"), ("escape", "?"), ("bytes_up", "<i8"), ("bytes_down", "<i8")]
    timed = [("elapsed", "<f8"), *phases, ("strength", "<f8")]
    by_worker = [
        ("norms", "<f8", (workers,)),
        *((name, "?", (workers,)) for name in COUNTED),
    ]
    measured = ("test_loss", "balanced_accuracy", "auc")
    audited = ("loss", "gradient_norm", "distance", "test_accuracy", "lambda_min", *measured)
    return {
        "rounds": np.dtype([*counted, *timed, *by_worker]),
        "audits": np.dtype([("round", "<i8"), *((name, "<f8") for name in audited)]),
    }


def expect_tables(tables: Mapping[str, Mapping[str, Any]], workers: int) -> None:
    """Raise `KeyError`, `TypeError` or `ValueError` unless all columns are there, of these types and of one length."""
    for name, row in types(workers).items():
        columns = tables[name]
        rounds = columns["round"][:]
        for column in row.names or ():
            if column in LATER and column not in columns:
                continue
            wanted, found = row[column], columns[column]
            if (found.dtype, found.shape) != (wanted.base, (len(rounds), *wanted.shape)):
                raise ValueError(f"the column {name}/{column} is of another type or length")
        if (np.diff(rounds) <= 0).any():
            raise ValueError(f"the rounds of {name} are not in order")


@contextmanager
def open_trace(path: Path, workers: int | None = None, verify: bool = True) -> Iterator[Any]:
    """Open a trace for reading, as `open_record` does.

    Args:
        workers: of its plan; None for as many as it has.

    Raises:
        SetupFault: as there; or its tables do not fit each other.
    """
    with open_record(path, "run", verify) as file:
        m = file["rounds/norms"].shape[1] if workers is None else workers
        expect_tables(file, m)
        rounds, audited, byzantine = file["rounds/round"][:], file["audits/round"][:], file["workers/byzantine"][:]
        if file.attrs["rounds"] != rounds.size or not np.array_equal(rounds, np.arange(1, rounds.size + 1)):
            raise ValueError("the rounds are not 1, 2, 3, ... to the last")
        if audited.size and not 0 <= audited[0] <= audited[-1] <= rounds.size:
            raise ValueError("an audit is of a round that is not there")
        if byzantine.dtype.kind != "i" or (np.diff(byzantine, prepend=-1, append=m) <= 0).any():
            raise ValueError(f"the Byzantine workers are not some of 0 to {m - 1}, in order")
        if file["model/x"].dtype != np.dtype("<f8") or file["model/x"].ndim != 1:
            raise ValueError("the iterate is not a vector")
        yield file
