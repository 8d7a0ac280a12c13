"""The values at which each rule of a matrix is measured: those at which its own worst attack does least."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from mpirobust.errors import SetupFault
from mpirobust.meter import metered
from mpirobust.studies.campaign import Job, job
from mpirobust.studies.family import Matrix, Rule, load_matrix
from mpirobust.studies.outcome import outcome
from mpirobust.studies.points import Axis, axes, points

Chosen: TypeAlias = Mapping[tuple[str, str], tuple[str, ...]]  # code and rule -> assignments, as `--set` takes them


@dataclass(frozen=True)
class Trial:
    """A rule under a code, with values that are tried for it, against every attack.

    Attributes:
        point: the assignments, as `--set` takes them.
        jobs: the runs by attack, all with the seed of `Tuning`.
    """

    code: str
    rule: str
    point: tuple[str, ...]
    jobs: Mapping[str, Job]


@dataclass(frozen=True)
class Tried:
    """A trial whose runs are done, and the worst attack on it: the first with the largest final value."""

    trial: Trial
    attack: str
    final: float


def trials(path: Path, runs: Path, overrides: Sequence[str]) -> list[Trial]:
    """Return the trials of the matrix at `path`, with their runs in folders below `runs`.

    Raises:
        SetupFault: the matrix has no `[tune]`, or one is no values; the matrix or a plan is wrong.
    """
    matrix = load_matrix(path)
    if matrix.tune is None:
        raise SetupFault(f"{path}: --tune needs a table [tune], which says what is tried (docs/STUDIES.md)")
    plan, asked, found = path.parent / matrix.plan, [], []
    for code in matrix.codes:
        for rule in matrix.rules if matrix.tune.code in (None, code.label) else ():
            asked += [(code, rule, point) for point in points(_axes(path, matrix, rule, overrides))]
    for code, rule, point in metered(asked, "reading plans", " points"):
        jobs = {}
        for attack in matrix.attacks:
            name = ", ".join([path.stem, "tuning", code.label, rule.label, attack.label])
            keys = [*matrix.set, *code.set, *rule.set, *attack.set, *overrides, *point, f"seed={matrix.tune.seed}"]
            jobs[attack.label] = job(plan, keys, runs, name)
        found.append(Trial(code.label, rule.label, point, jobs))
    return found


def _axes(path: Path, matrix: Matrix, rule: Rule, overrides: Sequence[str]) -> list[Axis]:
    """Return the axes of the values for a rule, its own in place of those for all."""
    try:
        own = axes(rule.tune, overrides)
        return [*axes([each for each in _over(matrix) if _key(each) not in map(_key, rule.tune)], overrides), *own]
    except SetupFault as fault:
        raise SetupFault(f"{path}: tune: {str(fault).removeprefix('--over ')}") from fault


def _over(matrix: Matrix) -> Sequence[str]:
    return () if matrix.tune is None else matrix.tune.over


def _key(assignment: str) -> str:
    return assignment.partition("=")[0].strip()


def judged(found: Sequence[Trial], metric: str) -> list[Tried]:
    """Return the trials with their worst attacks; all runs are done."""
    tried = []
    for trial in metered(found, "reading runs", " points"):
        finals = {attack: float(outcome([each.folder], metric).final[0]) for attack, each in trial.jobs.items()}
        worst = max(finals, key=finals.__getitem__)
        tried.append(Tried(trial, worst, finals[worst]))
    return tried


def chosen(matrix: Matrix, tried: Sequence[Tried]) -> Chosen:
    """Return the point at which the worst attack does least, for each code and rule; the first of several."""
    best: dict[tuple[str, str], Tried] = {}
    for each in tried:
        place = (each.trial.code, each.trial.rule)
        if place not in best or each.final < best[place].final:
            best[place] = each
    decided = matrix.tune.code if matrix.tune is not None else None
    places = [(code.label, rule.label) for code in matrix.codes for rule in matrix.rules]
    return {(code, rule): best[decided or code, rule].trial.point for code, rule in places}


def rows(metric: str, tried: Sequence[Tried], best: Chosen) -> Iterator[dict[str, object]]:
    """Yield a row for each trial: the values, the worst attack and what it does."""
    for each in tried:
        code, rule, point = each.trial.code, each.trial.rule, each.trial.point
        yield {
            "code": code,
            "rule": rule,
            "set": shlex.join(point),
            "worst": each.attack,
            metric: each.final,
            "chosen": int(best[code, rule] == point),
        }
