"""What every rank has of an experiment: the request, the center's brief, and the workers built from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.attacks.base import WireAttack
from mpirobust.cluster.adversary import byzantine
from mpirobust.cluster.host import Host
from mpirobust.data.sources.base import Facts
from mpirobust.errors import SetupFault
from mpirobust.plan import Plan
from mpirobust.types import CENTER, Purpose, Shard, Vector, stream
from mpirobust.worker import Orders, Worker


@dataclass(frozen=True)
class Request:
    """What the command line asked for."""

    plan: Path
    overrides: Sequence[str] = ()
    out: Path | None = None
    resume: bool = False
    overwrite: bool = False
    quiet: bool = False  # no notes and no progress on the terminal
    ends: float | None = None  # when all has to be over, on `time.monotonic` of the center's machine


@dataclass(frozen=True)
class Brief:
    """What the center has worked out and every rank needs; crosses as JSON."""

    plan: dict[str, Any]
    stores: list[str]
    folder: str
    resumes: bool
    checkpoint: str  # '' to begin at round 0
    quiet: bool
    ends: float | None  # of the request; for the center alone


@dataclass(frozen=True)
class Team:
    """What one rank has built from the brief."""

    plan: Plan
    host: Host
    facts: Facts
    x0: Vector
    solutions: Sequence[Vector]  # what the audited distance is measured to


def assemble(brief: Brief, mine: range) -> Team:
    """Read the rows of the workers that live here; raises `SetupFault`."""
    plan = Plan.of(brief.plan)
    dataset = plan.data.open([Path(store) for store in brief.stores], plan.seed)
    facts = dataset.facts
    dealt = plan.deal(dataset)
    tests = np.array_split(np.arange(facts.test_rows), plan.workers)
    x0 = plan.problem.start(facts.features, stream(plan.seed, CENTER, 0, Purpose.START))
    orders = orders_of(plan, x0.size, plan.weights(dealt))
    workers = []
    for index in mine:
        test: Shard | None = dataset.test(tests[index]) if tests[index].size else None
        workers.append(Worker(index, orders, dataset.train(dealt[index]), test))
    if brief.checkpoint and orders.feedback != "none":
        _give_back_residuals(Path(brief.checkpoint), workers, x0.size)
    w = dataset.solution()
    dataset.close()
    return Team(plan, Host(orders, workers), facts, x0, () if w is None else plan.problem.solutions(w))


def orders_of(plan: Plan, dim: int, weights: NDArray[np.float64]) -> Orders:
    """What the plan tells every worker, for vectors of length `dim`; the weights are `Plan.weights`."""
    return Orders(
        seed=plan.seed,
        loss=plan.problem,
        algorithm=plan.algorithm,
        compressor=plan.compressor,
        norm=plan.algorithm.norm(),
        feedback=plan.feedback,
        lengths_vary=isinstance(plan.attack, WireAttack) or not plan.compressor.fixed_length(),
        dim=dim,
        attack=plan.attack,
        byzantine=byzantine(plan.attack, plan.workers, plan.seed),
        weights=weights,
    )


def _give_back_residuals(path: Path, workers: Sequence[Worker], dim: int) -> None:
    from mpirobust.records.checkpoint import residuals_of

    found = list(residuals_of(path, [each.index for each in workers], dim))
    if len(found) != len(workers):
        raise SetupFault(f"{path}: not a whole checkpoint (no residuals)")
    for worker, residual in zip(workers, found, strict=True):
        worker.residual = residual
