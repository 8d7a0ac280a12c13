"""The matrix of attacks, rules and codes: one number and one colour for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpirobust.comm.communicator import Communicator
from mpirobust.errors import Exit
from mpirobust.files import write_table
from mpirobust.meter import metered
from mpirobust.reports.curves import expect_drawable
from mpirobust.reports.heatmap import draw_heatmaps
from mpirobust.studies.campaign import Job, Seeds, StudyRequest, carry_out, job
from mpirobust.studies.family import Matrix, load_matrix
from mpirobust.studies.outcome import Outcome, outcome
from mpirobust.terminal import show

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
    """A matrix and its runs; `name` is that of its file, without the suffix."""

    name: str
    matrix: Matrix
    cells: tuple[Cell, ...]

    @property
    def table(self) -> str:
        """The name of the CSV file of its numbers."""
        return f"{self.name}.csv"

    def jobs(self) -> Iterator[Job]:
        for cell in self.cells:
            yield from cell.jobs.values()

    def rows(self, done: Callable[[Path], bool] = lambda _: True) -> Iterator[dict[str, object]]:
        """Yield the row of each run that is `done`, by the names of the columns of the table."""
        metric = self.matrix.metric
        for cell in metered(self.cells, "reading runs", " cells"):
            for seed, each in cell.jobs.items():
                if done(each.folder):
                    final = outcome([each.folder], metric).final[0]
                    named = {"code": cell.code, "rule": cell.rule, "attack": cell.attack, "seed": seed}
                    yield named | {metric: final, "run": each.folder.name}

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
        tables = dict(zip(codes, map(with_worst, means.reshape([len(axis) for axis in labels])), strict=True))
        start = float(np.median([each.values[:, 0] for each in cells]))
        shown = pictures(self.name, out)
        draw_heatmaps(tables, [*attacks, WORST], rules, shown, matrix.title, matrix.metric, start)


def with_worst(finals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what is drawn: a row for each attack, and then that of the worst; shape (attacks + 1, rules).

    Args:
        finals: the final metric, shape (rules, attacks); the smaller the better.
    """
    return np.vstack([finals.T, finals.max(axis=1)])


def matrix(path: Path, request: StudyRequest, comm: Communicator) -> int:
    """Run the missing runs on all ranks, then draw at the center; return the exit code.

    Args:
        path: the matrix, a TOML file called `<name>.toml`. It becomes `<name>.png` and `.pdf`, and `<name>.csv` with
            the final metric of every run.

    Raises:
        Fault: of the matrix, a plan, a run or a file.
    """
    found: list[Grid] = []  # at the center

    def jobs() -> list[Job]:
        found.append(planned(path, request.runs, request.chosen, request.overrides))
        expect_drawable(pictures(path.stem, request.out))
        return [each for grid in found for each in grid.jobs()]

    code = carry_out(jobs, comm, request.ends, request.limit)
    if code == Exit.OK:
        comm.on_root(lambda: report(found, request.out))
    return code


def report(grids: Sequence[Grid], out: Path) -> bytes:
    """Write the tables of the runs, which are all finished, and then draw, at the center."""
    for grid in grids:
        grid.write(out)
    for grid in grids:
        grid.draw(out)
        show("\n".join(f"wrote {path}" for path in [out / grid.table, *pictures(grid.name, out)]))
    return b""


def matrices(folder: Path) -> list[Path]:
    """Return the matrices of a folder of families."""
    return sorted(folder.glob("robustness*.toml"))


def planned(path: Path, runs: Path, seeds: Seeds, overrides: Sequence[str]) -> Grid:
    """Return the matrix at `path` for the seeds that `seeds` chooses; raise `SetupFault` if it or a plan is wrong."""
    matrix = load_matrix(path)
    plan, chosen = path.parent / matrix.plan, seeds(path.stem, matrix.seeds)
    cells = []
    every = list(product(matrix.codes, matrix.rules, matrix.attacks))
    for code, rule, attack in metered(every, "reading plans", " cells"):
        keys = [*matrix.set, *code.set, *rule.set, *attack.set, *overrides]
        name = ", ".join([path.stem, code.label, rule.label, attack.label])
        jobs = {seed: job(plan, [*keys, f"seed={seed}"], runs, name) for seed in chosen}
        cells.append(Cell(attack.label, rule.label, code.label, jobs))
    return Grid(path.stem, matrix, tuple(cells))


def pictures(name: str, out: Path) -> list[Path]:
    """Return the files that the picture `name` of a study is drawn into."""
    return [out / f"{name}{suffix}" for suffix in (".png", ".pdf")]
