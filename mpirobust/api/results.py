"""The result of a run, opened while it goes on or afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.api import arguments
from mpirobust.records import model
from mpirobust.records.run_folder import plan_file_of
from mpirobust.records.tables import COUNTED, LATER, open_trace, types
from mpirobust.reports.summary import figures_of, trace_at

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False)
class Run:
    """A run as its file was when it was opened; open it again to see how it went on.

    Attributes:
        path: of its run.h5.
        status: `running` (or killed: `summary["writer"]` tells), `finished`, `converged`, `diverged`, `interrupted`,
            `lost`.
        summary: what `mpirobust inspect --json` says.
        plan: the effective plan as a table.
        plan_file: that the plan was read from, absolute; None if it was none, or is not known.
        x: the newest iterate, shape (d,), float64: what `mpirobust export` writes, and what another run starts from.
        parts: of `x`, by name, each in its shape, as `mpirobust export` writes them.
        round: after which `x` was the iterate. It may be later than the last of `rounds` of a run that goes on or was
            killed, if a checkpoint is newer than run.h5.
        rounds: the columns of the table of rounds, one entry for each round, the first being round 1. `norms`, `kept`,
            `absent`, `reset`, `outvoted`, `replayed` and `refuted` have shape (rounds, workers). docs/FORMAT.md
            describes the columns.
        audits: the columns of the table of audits, one entry for each audit; `round` is that after which it was made.
        byzantine: the numbers of the Byzantine workers, int64, ascending.
    """

    path: Path
    status: str
    summary: Mapping[str, Any] = field(repr=False)
    plan: Mapping[str, Any] = field(repr=False)
    plan_file: Path | None = field(repr=False)
    x: NDArray[np.float64] = field(repr=False)
    parts: Mapping[str, NDArray[np.float64]] = field(repr=False)
    round: int = field(repr=False)
    rounds: Mapping[str, NDArray[Any]] = field(repr=False)
    audits: Mapping[str, NDArray[Any]] = field(repr=False)
    byzantine: NDArray[np.int64] = field(repr=False)

    def table(self) -> pandas.DataFrame:
        """Return one row for each round from 0, the starting point, as a data frame of pandas.

        It has the columns of `rounds`, in row 0 zero, and of `audits`, NaN in rounds without one. In place of those
        with an entry for each worker there are the numbers of workers `kept`, `byzantine_kept`, `absent`, `reset`,
        `outvoted`, `replayed` and `refuted`.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ModuleNotFoundError(f"table() needs pandas ({error}): pip install 'mpirobust[pandas]'") from error
        columns = {name: column for name, column in self.rounds.items() if column.ndim == 1}
        columns |= {name: self.rounds[name].sum(axis=1) for name in COUNTED}
        columns["byzantine_kept"] = self.rounds["kept"][:, self.byzantine].sum(axis=1)
        with_start = {name: np.concatenate([np.zeros(1, column.dtype), column]) for name, column in columns.items()}
        audits = pandas.DataFrame(dict(self.audits)).set_index("round")
        return pandas.DataFrame(with_start).set_index("round").join(audits)


def open_run(path: str | PathLike[str]) -> Run:
    """Return the run at `path`, a run.h5 or its folder; one that still goes on as it was last written.

    Nothing is imported because the file names it, and nothing is locked.

    Raises:
        SetupFault: there is no run, or the file is damaged.
        PlanFault: `path` is no path.
    """
    found = trace_at(arguments.path(path, "path"))
    with open_trace(found) as file:
        summary, newest, plan_file = figures_of(file, found), model.of_trace(file, found), plan_file_of(file)
        tables = {name: _columns(file[name], row) for name, row in types(summary["workers"]).items()}
        return Run(
            path=found,
            status=summary["status"],
            summary=summary,
            plan=summary["plan"],
            plan_file=Path(plan_file) if plan_file else None,
            x=newest.x,
            parts=newest.parts(),
            round=newest.facts["rounds"],
            **tables,
            byzantine=file["workers/byzantine"][:],
        )


def _columns(table: Any, row: np.dtype[np.void]) -> dict[str, NDArray[Any]]:
    """Return the columns of a table; those that a file of an earlier version lacks have the value for this case."""
    length = len(table["round"])
    return {
        name: table[name][:] if name in table else np.full((length, *row[name].shape), LATER[name], row[name].base)
        for name in row.names or ()
    }
