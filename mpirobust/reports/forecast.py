"""A forecast of a plan, computed without running it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpirobust import kernels
from mpirobust.aggregators.base import share
from mpirobust.answers import NORM_PREFIX
from mpirobust.cluster.protocol import HEADER, LENGTH
from mpirobust.cluster.worker_group import MOST_KEPT
from mpirobust.data.sources.base import Dataset, Places
from mpirobust.numerics.exact_sum import LIMBS
from mpirobust.plan import Plan, load_plan
from mpirobust.reports.audit_cost import audit_cost
from mpirobust.reports.constants import Start, contraction
from mpirobust.reports.cubic_check import cubic_regime
from mpirobust.reports.rate_check import rates
from mpirobust.reports.theorem_check import regime
from mpirobust.run import starting
from mpirobust.types import Layout, Rows


def prepared(path: Path, overrides: Sequence[str]) -> list[str]:
    """Prepare the data of the plan at `path`; one line per store, and one with the sizes."""
    plan, _ = load_plan(path, overrides)
    stores = plan.data.prepare(Places.for_plan(path))
    with closing(plan.data.open(stores, plan.seed)) as dataset:
        return [*map(str, stores), _sizes(dataset)]


def forecast(path: Path, overrides: Sequence[str]) -> str:
    """Workers, ranks, bytes and memory of the plan at `path`; raise `Fault` if it does not fit its data."""
    plan, notes = load_plan(path, overrides)
    with closing(plan.data.open(plan.data.prepare(Places.for_plan(path)), plan.seed)) as dataset:
        return _forecast(path, plan, notes, dataset)


def _forecast(path: Path, plan: Plan, notes: Sequence[str], dataset: Dataset) -> str:
    dealt = plan.deal(dataset)
    shards = [rows.size for rows in dealt]
    m, facts = plan.workers, dataset.facts
    layout = plan.problem.layout(facts.features)
    dim = layout.dim
    longest, fixed_length = plan.code_lengths(layout)
    up = longest + (NORM_PREFIX.itemsize if plan.algorithm.norm().claimed else 0)
    at_most = "" if fixed_length else "at most "
    file = None if plan.start is None else starting.file_of(plan.start, str(path))
    start = Start(plan, dataset, dealt, None if file is None else starting.taken(file, layout))
    delta = contraction(start)
    said = cubic_regime(start, dealt, delta) or [*regime(plan, dealt, delta), *rates(start, dealt, delta)]
    bad = plan.byzantine()
    shares = plan.weights(dealt) / plan.weights(dealt).sum()
    beta = plan.aggregator.tolerates()
    at_worker, at_center = (
        8 * dim * sum(getattr(memory, end) for memory in plan.feedback.memories()) for end in ("at_worker", "at_center")
    )
    held = 0 if plan.downlink is None else plan.algorithm.vectors_down()
    each = facts.nbytes / m + at_worker
    thread = 8 * (LIMBS + 4 + held) * dim  # an exact sum, four vectors of work space, those of the way down
    trace = 9 * m * plan.algorithm.rounds  # a norm and a bit for each worker and round
    center = m * (up + at_center) + 10 * 8 * dim + trace  # and ten vectors of work space
    kind = plan.table()["aggregator"]["kind"]
    rule = kind if beta is None else f"{kind}, set for at most {share(beta, m)} Byzantine"
    down, exact = _down(plan, layout)
    lines = [
        *(f"note: {note}" for note in notes),
        f"{path}: a sound plan",
        f"  data        {_sizes(dataset)}; {min(shards)} to {max(shards)} rows a worker",
        f"  dimension   {dim}",
        *([] if file is None else [f"  start       {file}"]),
        f"  workers     {m}, {bad.size} of them Byzantine",
        *([] if plan.weigh == "equal" else [_weighing(shares, bad)]),
        f"  rule        {rule}",
        f"  ranks       1 to {m + 1}; the result is the same on any number",
        f"  rounds      {plan.algorithm.rounds}",
        f"  bytes up    {at_most}{up:,} a worker and round ({8 * up / dim:.3g} bits a coordinate)",
        f"  bytes down  {'' if exact else 'at most '}{down:,} a worker and round",
        f"  together    {'' if exact and fixed_length else 'at most '}{up + down:,}",
        f"  delta       {delta}",
        *(f"  outside     {table}: {each.kind} from {each.file}" for table, each in plan.origins().items()),
        *(f"  theory      {sentence}" for sentence in said),
        f"  audit       {audit_cost(start, dataset, dealt)}",
        f"  kernels     {kernels.in_use()}",
        f"  memory      about {_mib(each)} a worker, {_mib(thread)} a thread of a rank, {_mib(center)} at the center",
        *_kept(plan, dim, min(shards)),
    ]
    return "\n".join(lines)


def _down(plan: Plan, layout: Layout) -> tuple[int, bool]:
    """Return the bytes of the longest query, and whether all are so long."""
    vectors, code = plan.algorithm.vectors_down(), plan.downlink
    each = 8 * layout.dim if code is None else LENGTH.itemsize + code.max_nbytes(layout)
    return HEADER.itemsize + vectors * each, vectors == 1 and (code is None or code.fixed_length())


def _kept(plan: Plan, dim: int, rows: int) -> list[str]:
    """Return a line on the gradients that an audit keeps, if it keeps any."""
    if plan.downlink is not None or not plan.algorithm.asks_gradients(rows):
        return []
    each, most = _mib(min(8 * dim, MOST_KEPT)), _mib(MOST_KEPT)
    return [f"  memory      from audit to round {each} more a worker, at most {most} a rank"]


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
