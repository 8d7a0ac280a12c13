"""The matrix of attacks, rules and codes: one number and one colour for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpirobust.comm.communicator import Communicator
from mpirobust.errors import Exit
from mpirobust.files import write_table
from mpirobust.reports.curves import expect_drawable
from mpirobust.reports.heatmap import draw_heatmaps
from mpirobust.studies.campaign import Job, StudyRequest, carry_out, job
from mpirobust.studies.family import Matrix, load_matrix
from mpirobust.studies.outcome import outcome

WORST = "worst case"


@dataclass(frozen=True)
class Cell:
    """An attack, a rule, a code, and the runs by their seeds."""

    attack: str
    rule: str
    code: str
    jobs: dict[int, Job]


def matrix(path: Path, request: StudyRequest, comm: Communicator) -> int:
    """Run the missing runs on all ranks, then draw at the center; return the exit code.

    Args:
        path: the matrix, a TOML file called `<name>.toml`. It becomes `<name>.png` and `.pdf`, and `<name>.csv` with
            the final metric of every run.

    Raises:
        Fault: of the matrix, a plan, a run or a file.
    """
    cells: list[Cell] = []
    stem = request.out / path.stem

    def jobs() -> list[Job]:
        matrix = load_matrix(path)
        cells.extend(planned(path, matrix, matrix.seeds[: request.seeds], request.overrides, request.runs))
        expect_drawable(_pictures(stem))
        return [each for cell in cells for each in cell.jobs.values()]

    code = carry_out(jobs, comm, request.ends, request.limit)
    if code == Exit.OK:
        comm.on_root(lambda: _report(load_matrix(path), cells, stem))
    return code


def matrices(folder: Path) -> list[Path]:
    """Return the matrices of a folder of families."""
    return sorted(folder.glob("robustness*.toml"))


def planned(path: Path, matrix: Matrix, seeds: Sequence[int], overrides: Sequence[str], runs: Path) -> list[Cell]:
    """Return the cells of the matrix at `path` for these seeds; raise `SetupFault` if a plan is wrong."""
    plan = path.parent / matrix.plan
    cells = []
    for code in matrix.codes:
        for rule in matrix.rules:
            for attack in matrix.attacks:
                keys = [*matrix.set, *code.set, *rule.set, *attack.set, *overrides]
                jobs = {seed: job(plan, [*keys, f"seed={seed}"], runs) for seed in seeds}
                cells.append(Cell(attack.label, rule.label, code.label, jobs))
    return cells


def rows(matrix: Matrix, cells: Sequence[Cell], done: Callable[[Path], bool]) -> Iterator[dict[str, object]]:
    """Yield the row of each run that is `done`, by the names of the columns of the table."""
    for cell in cells:
        for seed, each in cell.jobs.items():
            if done(each.folder):
                final = outcome([each.folder], matrix.metric).final[0]
                named = {"code": cell.code, "rule": cell.rule, "attack": cell.attack, "seed": seed}
                yield named | {matrix.metric: final, "run": each.folder.name}


def _report(matrix: Matrix, cells: list[Cell], stem: Path) -> bytes:
    found = {
        (cell.attack, cell.rule, cell.code): outcome([each.folder for each in cell.jobs.values()], matrix.metric)
        for cell in cells
    }
    attacks = [attack.label for attack in matrix.attacks]
    rules = [rule.label for rule in matrix.rules]
    tables: dict[str, NDArray[np.float64]] = {}
    for code in matrix.codes:
        table = np.array([[found[attack, rule, code.label].final.mean() for rule in rules] for attack in attacks])
        tables[code.label] = np.vstack([table, table.max(axis=0)])
    start = float(np.median([each.values[:, 0] for each in found.values()]))

    write_table(stem.with_suffix(".csv"), list(rows(matrix, cells, lambda _: True)))
    draw_heatmaps(tables, [*attacks, WORST], rules, _pictures(stem), matrix.title, matrix.metric, start)
    return b""


def _pictures(stem: Path) -> list[Path]:
    return [stem.with_suffix(suffix) for suffix in (".png", ".pdf")]
