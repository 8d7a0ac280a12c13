"""The matrix of attacks, rules and codes: one number and one colour for each."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpirobust.comm.communicator import Communicator
from mpirobust.errors import Exit
from mpirobust.files import write_table, write_text
from mpirobust.meter import metered
from mpirobust.reports.curves import expect_drawable
from mpirobust.reports.heatmap import draw_heatmaps
from mpirobust.reports.summary import summary
from mpirobust.studies import matrix_table, origin, tuning
from mpirobust.studies.campaign import Job, Seeds, StudyRequest, job
from mpirobust.studies.claims import counted
from mpirobust.studies.family import Matrix, load_matrix
from mpirobust.studies.outcome import Outcome, libraries, outcome
from mpirobust.studies.side_by_side import carry_out_side_by_side
from mpirobust.terminal import say, show

WORST = "worst case"


@dataclass(frozen=True)
class Cell:
    """An attack, a rule, a code, and the runs by their seeds."""

    attack: str
    rule: str
    code: str
    jobs: dict[int, Job]

    def outcome(self, metric: str) -> Outcome:
        """Return the outcome over the seeds; raises as `outcome.outcome`."""
        return outcome([each.folder for each in self.jobs.values()], metric)


@dataclass(frozen=True)
class Grid:
    """A matrix and its runs; `name` is that of its file, without the suffix.

    Attributes:
        chosen: the values at which each rule is measured, under each code; None if they are those of the file.
    """

    name: str
    matrix: Matrix
    cells: tuple[Cell, ...]
    chosen: tuning.Chosen | None = None

    @property
    def table(self) -> str:
        """The name of the CSV file of its numbers."""
        return f"{self.name}.csv"

    def jobs(self) -> Iterator[Job]:
        for cell in self.cells:
            yield from cell.jobs.values()

    def rows(self, done: Callable[[Path], bool] = lambda _: True, told: bool = False) -> Iterator[dict[str, object]]:
        """Yield the row of each run that is `done`, by the names of the columns of the table.

        Args:
            told: whether to tell the attacker's strength, as the table of a tuned matrix does in any case.
        """
        metric = self.matrix.metric
        for cell in metered(self.cells, "reading runs", " cells"):
            for seed, each in cell.jobs.items():
                if done(each.folder):
                    final = outcome([each.folder], metric).final[0]
                    row = {"code": cell.code, "rule": cell.rule, "attack": cell.attack, "seed": seed, metric: final}
                    if told or self.chosen is not None:
                        strength = summary(each.folder)["strength"]
                        row["strength"] = None if strength is None else strength[1]
                    if self.chosen is not None:
                        row["set"] = shlex.join(self.chosen[cell.code, cell.rule])
                    yield row | {"blas": libraries(each.folder), "run": each.folder.name}

    def write(self, out: Path) -> None:
        """Write the table into `out`; raise `Fault` of a run or the file."""
        write_table(out / self.table, list(self.rows()))

    def draw(self, out: Path) -> None:
        """Draw the picture into `out`; raise `Fault` of a run, and as `curves.canvas`."""
        matrix, every = self.matrix, metered(self.cells, "reading runs", " cells")
        cells = [cell.outcome(matrix.metric) for cell in every]
        means = np.array([each.final.mean() for each in cells])
        labels = [[each.label for each in axis] for axis in (matrix.codes, matrix.rules, matrix.attacks)]
        codes, rules, attacks = labels
        finals = means.reshape([len(axis) for axis in labels])
        start = float(np.median([each.values[:, 0] for each in cells]))
        shown = pictures(self.name, out)
        if matrix.picture == "worst":
            tables, rows = {"": finals.max(axis=2)}, codes
        else:
            tables, rows = dict(zip(codes, map(with_worst, finals), strict=True)), [*attacks, WORST]
        draw_heatmaps(tables, rows, rules, shown, matrix.title, matrix.metric, start)


def with_worst(finals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what is drawn: a row for each attack, and then that of the worst; shape (attacks + 1, rules).

    Args:
        finals: the final metric, shape (rules, attacks); the smaller the better.
    """
    return np.vstack([finals.T, finals.max(axis=1)])


def matrix(path: Path, request: StudyRequest, comm: Communicator, tune: bool = False) -> int:
    """Run the missing runs, side by side, then write and draw at the center; return the exit code.

    Args:
        path: the matrix, a TOML file called `<name>.toml`. It becomes `<name>.png` and `.pdf`, `<name>.csv` with the
            final metric of every run, and `<name>.md` with the worst attack on each rule.
        tune: first try the values of its `[tune]`, and measure each rule at those at which its own worst attack does
            least; `<name>-tuning.csv` has all that were tried.

    Raises:
        Fault: of the matrix, a plan or a file.
    """
    trials: list[tuning.Trial] = []  # at the center, as what follows
    tried: list[tuning.Tried] = []
    found: list[Grid] = []

    def first() -> list[Job]:
        expect_drawable(pictures(path.stem, request.out))
        trials.extend(tuning.trials(path, request.runs, request.overrides))
        return [each for trial in trials for each in trial.jobs.values()]

    def then() -> list[Job]:
        expect_drawable(pictures(path.stem, request.out))
        matrix = load_matrix(path)
        tried.extend(tuning.judged(trials, matrix.metric))
        chosen = tuning.chosen(matrix, tried) if tune else None
        found.append(planned(path, request.runs, request.chosen, request.overrides, chosen))
        return list(found[0].jobs())

    def end() -> bytes:
        told = _written(found[0], tried, request.out)
        found[0].draw(request.out)
        for line in told:
            show(line)
        return b""

    for jobs in (first, then) if tune else (then,):
        code = _carried_out(jobs, request, comm)
        if code != Exit.OK:
            return code
    comm.on_root(end)
    return Exit.OK


def _carried_out(jobs: Callable[[], list[Job]], request: StudyRequest, comm: Communicator) -> int:
    """Carry out the runs side by side; return the exit code, that of a run if one has failed."""
    code, failed = carry_out_side_by_side(jobs, comm, None, request.ends, request.limit)
    if code != Exit.OK:
        return code

    def worst() -> bytes:
        if failed:
            say(f"mpirobust: nothing is drawn: {counted(len(failed), 'run')} failed")
        return bytes([max((each.code for each in failed.values()), default=Exit.OK)])

    return int.from_bytes(comm.on_root(worst))


def _written(grid: Grid, tried: Sequence[tuning.Tried], out: Path) -> list[str]:
    """Write all tables of a matrix; return what is to be said once it is drawn."""
    tables = [out / grid.table, out / f"{grid.name}.md", out / f"{grid.name}-origin.csv"]
    grid.write(out)
    write_text(tables[1], matrix_table.worst_attacks(list(grid.rows(told=True)), grid.matrix.metric, grid.matrix.title))
    jobs = {"measured": list(grid.jobs())}
    if grid.chosen is not None:
        tables.append(out / f"{grid.name}-tuning.csv")
        write_table(tables[-1], list(tuning.rows(grid.matrix.metric, tried, grid.chosen)))
        jobs = {"tuning": [each for one in tried for each in one.trial.jobs.values()], **jobs}
    origins = {name: list(origin.rows(name, each)) for name, each in jobs.items()}
    write_table(tables[2], [row for rows in origins.values() for row in rows])
    hours = {name: sum(float(str(row["hours"])) for row in rows) for name, rows in origins.items()}
    told = [f"{name}: {counted(len(jobs[name]), 'run')}, {hours[name]:.2g} hours one after the other" for name in jobs]
    return [*told, *(f"wrote {path}" for path in (*tables, *pictures(grid.name, out)))]


def matrices(folder: Path) -> list[Path]:
    """Return the matrices of a folder of families."""
    return sorted(folder.glob("robustness*.toml"))


def planned(
    path: Path, runs: Path, seeds: Seeds, overrides: Sequence[str], chosen: tuning.Chosen | None = None
) -> Grid:
    """Return the matrix at `path` for the seeds that `seeds` chooses; raise `SetupFault` if it or a plan is wrong.

    Args:
        chosen: values for each rule under each code, after those of the file.
    """
    matrix = load_matrix(path)
    plan, own = path.parent / matrix.plan, seeds(path.stem, matrix.seeds)
    cells = []
    every = list(product(matrix.codes, matrix.rules, matrix.attacks))
    for code, rule, attack in metered(every, "reading plans", " cells"):
        point = () if chosen is None else chosen[code.label, rule.label]
        keys = [*matrix.set, *code.set, *rule.set, *attack.set, *overrides, *point]
        name = ", ".join([path.stem, code.label, rule.label, attack.label])
        jobs = {seed: job(plan, [*keys, f"seed={seed}"], runs, name) for seed in own}
        cells.append(Cell(attack.label, rule.label, code.label, jobs))
    return Grid(path.stem, matrix, tuple(cells), chosen)


def pictures(name: str, out: Path) -> list[Path]:
    """Return the files that the picture `name` of a study is drawn into."""
    return [out / f"{name}{suffix}" for suffix in (".png", ".pdf")]
