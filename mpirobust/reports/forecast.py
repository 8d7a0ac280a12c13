"""What a plan would run, worked out without running it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators.base import share
from mpirobust.answers import CLAIM
from mpirobust.cluster.adversary import byzantine
from mpirobust.cluster.protocol import HEADER
from mpirobust.data.sources.base import Dataset, Places
from mpirobust.numerics.exact_sum import LIMBS
from mpirobust.plan import load_plan
from mpirobust.reports.theorem_check import contraction, regime
from mpirobust.types import Rows


def prepared(path: Path, overrides: Sequence[str]) -> list[str]:
    """Prepare the data of the plan at `path`; one line per store, and one with the sizes."""
    plan, _ = load_plan(path, overrides)
    stores = plan.data.prepare(Places.for_plan(path))
    return [*map(str, stores), _sizes(plan.data.open(stores, plan.seed))]


def forecast(path: Path, overrides: Sequence[str]) -> str:
    """Workers, ranks, bytes and memory of the plan at `path`; raises `Fault` where it does not fit its data."""
    plan, notes = load_plan(path, overrides)
    dataset = plan.data.open(plan.data.prepare(Places.for_plan(path)), plan.seed)
    dealt = plan.deal(dataset)
    shards = [rows.size for rows in dealt]
    m, facts = plan.workers, dataset.facts
    dim = plan.problem.dim(facts.features)
    up = plan.compressor.max_nbytes(dim) + (CLAIM.itemsize if plan.algorithm.norm().claimed else 0)
    at_most = "" if plan.compressor.fixed_length() else "at most "
    delta = contraction(plan, dataset, dealt)
    bad = byzantine(plan.attack, m, plan.seed)
    shares = plan.weights(dealt) / plan.weights(dealt).sum()
    beta = plan.aggregator.tolerates()
    kept = 0 if plan.feedback == "none" else 8 * dim
    each, host = facts.nbytes / m + kept, 8 * (LIMBS + 4) * dim
    center = m * up + 80 * dim + (m * kept if plan.feedback == "difference" else 0) + 9 * m * plan.algorithm.rounds
    kind = plan.table()["aggregator"]["kind"]
    rule = kind if beta is None else f"{kind}, set for at most {share(beta, m)} Byzantine"
    two_rounds = plan.table()["algorithm"].get("two_rounds", False)  # point and gradient in every second round
    down = f"{'at most ' if two_rounds else ''}{HEADER.itemsize + 8 * dim * (1 + two_rounds):,}"
    lines = [
        *(f"note: {note}" for note in notes),
        f"{path}: a sound plan",
        f"  data        {_sizes(dataset)}; {min(shards)} to {max(shards)} rows a worker",
        f"  dimension   {dim}",
        f"  workers     {m}, {bad.size} of them Byzantine",
        *([] if plan.weigh == "equal" else [_weighing(shares, bad)]),
        f"  rule        {rule}",
        f"  ranks       1 to {m + 1}; the result is the same on any number",
        f"  rounds      {plan.algorithm.rounds}",
        f"  bytes up    {at_most}{up:,} a worker and round ({8 * up / dim:.3g} bits a coordinate)",
        f"  bytes down  {down} a worker and round",
        f"  delta       {delta}",
        *(f"  theory      {sentence}" for sentence in regime(plan, dealt, delta)),
        f"  memory      about {_mib(each)} a worker plus {_mib(host)} a rank, {_mib(center)} at the center",
    ]
    return "\n".join(lines)


def _sizes(dataset: Dataset) -> str:
    facts = dataset.facts
    targets = f"{facts.classes} classes" if facts.classes else "real targets"
    return f"{facts.rows:,} training and {facts.test_rows:,} test rows, {facts.features:,} features, {targets}"


def _weighing(shares: NDArray[np.float64], bad: Rows) -> str:
    return (
        f"  weights     the rows of each: the heaviest worker has {shares.max():.1%} of the weight, "
        f"the Byzantine {shares[bad].sum():.1%}"
    )


def _mib(nbytes: float) -> str:
    return f"{nbytes / 2**20:.1f} MiB"
