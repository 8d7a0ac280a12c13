"""The committed tables of the figures of a paper, compared with the runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mpirobust.comm.communicator import Communicator
from mpirobust.errors import Exit, SetupFault
from mpirobust.meter import metered
from mpirobust.studies.campaign import Job, StudyRequest, carry_out, is_done
from mpirobust.studies.claims import counted
from mpirobust.studies.committed import Claims, Rounded, Row, Table
from mpirobust.studies.figures import CLAIMS, TITLE, VALUES, Figure, planned, section, values
from mpirobust.studies.matrix import Grid, matrices
from mpirobust.studies.matrix import planned as planned_grid
from mpirobust.studies.sampling import Sampled, measured, samplings
from mpirobust.terminal import say, show


def compare(folder: Path, request: StudyRequest, comm: Communicator, run_missing: bool = False) -> int:
    """Compare at the center, after the missing runs have been run on all ranks if that is asked; return the exit code.

    Args:
        folder: as in `figures.figures`.
        request: `out` has the tables and the `claims.md` that are compared; if `seeds` is None, they are those that
            the tables have.

    Raises:
        Fault: of a family, a plan or a run; also if the tables have fewer seeds than are asked for.
    """
    found: list[Comparison] = []  # at the center

    def jobs() -> list[Job]:
        found.append(Comparison.planned(folder, request))
        return [job for each in found for job in each.jobs()] if run_missing else []

    code = carry_out(jobs, comm, request.ends, request.limit)
    if code != Exit.OK:
        return code
    return int.from_bytes(comm.on_root(lambda: bytes([found[0].told()])))


@dataclass(frozen=True)
class Comparison:
    """The studies of a folder, and the tables in `out` by the names of their files."""

    out: Path
    figures: Sequence[Figure]
    samples: Sequence[Sampled]
    grids: Sequence[Grid]
    tables: Mapping[str, Table]

    @classmethod
    def planned(cls, folder: Path, request: StudyRequest) -> Comparison:
        """Return the studies of `folder` for the seeds of `request`, or for those that their tables have.

        Raises:
            Fault: of a family, a plan or its data; also if the tables have fewer seeds than are asked for.
        """
        families, grids = samplings(folder), matrices(folder)
        own = [VALUES, *(f"{path.stem}.csv" for path in (*families, *grids))]
        others = [path.name for kind in ("sampling-*.csv", "robustness*.csv") for path in request.out.glob(kind)]
        tables = {name: Table.read(request.out / name) for name in dict.fromkeys([*own, *sorted(others)])}
        there = {row.get("seed") for table in tables.values() for row in table.rows}
        if there and len(there) < (request.seeds or 0):
            raise SetupFault(f"--seeds {request.seeds}: the tables in {request.out} have {counted(len(there))}")

        def chosen(rows: Iterable[Row], seeds: Sequence[int]) -> Sequence[int]:
            has = {row.get("seed") for row in rows}
            return seeds[: request.seeds] if request.seeds else [each for each in seeds if str(each) in has]

        def of_figure(name: str, seeds: Sequence[int]) -> Sequence[int]:
            return chosen((row for row in tables[VALUES].rows if row.get("figure") == name), seeds)

        def of_table(name: str, seeds: Sequence[int]) -> Sequence[int]:
            return chosen(tables[f"{name}.csv"].rows, seeds)

        overrides = request.overrides
        return cls(
            request.out,
            planned(folder, request.runs, of_figure, overrides),
            [measured(path, each, of_table(path.stem, each.seeds), overrides) for path, each in families.items()],
            [planned_grid(path, request.runs, of_table, overrides) for path in grids],
            tables,
        )

    def jobs(self) -> Iterator[Job]:
        for figure in self.figures:
            yield from figure.jobs()
        for grid in self.grids:
            yield from grid.jobs()

    def told(self) -> Exit:
        """Say every difference; return the exit code."""
        found = list(self.differences())
        differences = [each for each in found if not isinstance(each, Rounded)]
        for each in found:
            say(f"note: {each}" if isinstance(each, Rounded) else each)
        if differences:
            say(f"{self.out} does not agree with the runs: {counted(len(differences), 'difference')}")
            return Exit.SETUP
        show(f"{self.out} agrees with its {counted(sum(1 for _ in self.jobs()), 'run')}")
        return Exit.OK

    def differences(self) -> Iterator[str]:
        """Yield every difference between the tables in `out` and the runs and samples; see docs/STUDIES.md.

        Nothing is run: missing runs are named, and differ.

        Raises:
            SetupFault: a trace cannot be read.
        """
        claims = Claims.read(self.out / CLAIMS)
        if claims.fault:
            yield claims.fault
        yield from claims.of_lines("the beginning", claims.head, [TITLE])
        yield from self._of_figures(claims)
        for each in self.samples:
            table, found = self.tables[each.table], _as_text(each.rows())
            yield from table.faults
            yield from table.of_columns(found)
            yield from table.of_rows(each.name, ("data", "seed", "rows"), table.rows, found)
            old = claims.take(each.family.title)
            if each.seeds:
                yield from claims.of_lines(each.name, old, each.section())
            elif table.columns:
                yield f"{table.path}: no row is of a seed of the family"
        for grid in self.grids:
            table, found = self.tables[grid.table], _as_text(grid.rows(is_done))
            yield from table.faults
            yield from table.of_columns(found)
            keys = ("code", "rule", "attack", "seed")
            yield from _of_runs(table, grid.name, keys, table.rows, found, _missing(grid))
        known = {VALUES, *(each.table for each in self.samples), *(grid.table for grid in self.grids)}
        yield from (f"{self.out / name}: there is no such family" for name in self.tables if name not in known)
        yield from claims.strangers()

    def _of_figures(self, claims: Claims) -> Iterator[str]:
        """Yield the differences of values.csv and of the sections of the figures, which are taken out of `claims`."""
        table = self.tables[VALUES]
        yield from table.faults
        every: list[Row] = []
        for figure in metered(self.figures, "reading runs", " figures"):
            found = _as_text(row for panel in figure.panels for row in values(figure, panel, is_done))
            every += found
            own = [row for row in table.rows if row.get("figure") == figure.name]
            missing = _missing(figure)
            keys = ("panel", "curve", "seed")
            of_runs = list(_of_runs(table, figure.name, keys, own, found, missing))
            yield from of_runs
            old = claims.take(figure.family.title)
            if figure.seeds and not missing:
                rounded = any(isinstance(each, Rounded) for each in of_runs)
                yield from claims.of_lines(figure.name, old, section(figure), rounded)
        yield from table.of_columns(every)
        strangers = sorted({str(row.get("figure")) for row in table.rows} - {figure.name for figure in self.figures})
        yield from (f"{table.path} has a figure {name!r}, and there is no such family" for name in strangers)


def _of_runs(
    table: Table, name: str, keys: Sequence[str], own: Sequence[Row], found: Sequence[Row], missing: Sequence[Path]
) -> Iterator[str]:
    """Yield what is missing and what differs in the rows of one figure or matrix."""
    if table.columns and not own:
        yield f"{name}: the table that is committed has no row of it"
    yield from (f"{name}: no finished run in {folder}" for folder in missing)
    gone = {folder.name for folder in missing}
    yield from table.of_rows(name, keys, [row for row in own if row.get("run") not in gone], found)


def _missing(study: Figure | Grid) -> list[Path]:
    return [each.folder for each in study.jobs() if not is_done(each.folder)]


def _as_text(rows: Iterable[Mapping[str, object]]) -> list[Row]:
    """Return rows as they are read from a CSV file."""
    return [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows]
