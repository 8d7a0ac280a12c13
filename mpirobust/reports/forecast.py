"""A forecast of a plan, computed without running it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpirobust import kernels
from mpirobust.aggregators.base import share
from mpirobust.cluster.groups import Groups
from mpirobust.cluster.protocol import HEADER, LENGTH
from mpirobust.cluster.worker_group import MOST_KEPT
from mpirobust.comm.communicator import named
from mpirobust.data.sources.base import Dataset, Facts, Places
from mpirobust.errors import in_file
from mpirobust.numerics.exact_sum import LIMBS
from mpirobust.outside import Origin
from mpirobust.plan import Plan, load_plan
from mpirobust.records.fields import nbytes_of
from mpirobust.reports.audit_cost import audit_cost
from mpirobust.reports.constants import Contraction, Start, contraction
from mpirobust.reports.cubic_check import cubic_regime
from mpirobust.reports.guarantees import guarantees
from mpirobust.reports.rate_check import rates
from mpirobust.reports.theorem_check import regime
from mpirobust.running import starting
from mpirobust.types import Layout, Rows


@dataclass(frozen=True)
class Forecast:
    """The sizes, costs and guarantees of a plan, as far as they are known without a run. Sizes are in bytes.

    Attributes:
        data: sizes of the data set.
        start: the file that the run begins from; None if it begins at the problem's own point.
        rows: the fewest and the most rows of a worker.
        dim: d, the number of parameters.
        workers, byzantine, rounds: of the plan; up to `workers` + 1 ranks can share the work.
        weights: the weight of each group of workers, shape (groups,), of sum 1.
        rule: the kind of the aggregation rule.
        tolerated: how many Byzantine workers, or groups, the rule is set for; None if no number describes it.
        bytes_up, bytes_down: of a worker and round, at most.
        exact_up, exact_down: whether every round has so many.
        delta: of the compressor, measured at the start and proved.
        theory: what the theorems of the papers say of the plan, sentence by sentence.
        guarantees: what is proved of the rule, and of any rule among such shards, sentence by sentence.
        audit: what an audit costs.
        kernels: the compiled loops that are in use.
        memory_of_worker, memory_of_thread, memory_of_center: about so much.
        memory_of_gradient: that a rank keeps for each worker from an audit to the next round; None if it keeps nothing.
        outside: the kinds from outside the package, by their table.
    """

    data: Facts
    start: Path | None
    rows: tuple[int, int]
    dim: int
    workers: int
    byzantine: int
    rounds: int
    weights: NDArray[np.float64]
    rule: str
    tolerated: int | None
    bytes_up: int
    exact_up: bool
    bytes_down: int
    exact_down: bool
    delta: Contraction
    theory: tuple[str, ...]
    guarantees: tuple[str, ...]
    audit: str
    kernels: str
    memory_of_worker: float
    memory_of_thread: int
    memory_of_center: int
    memory_of_gradient: int | None
    outside: Mapping[str, Origin]


def forecast(path: Path, overrides: Sequence[str]) -> str:
    """Workers, ranks, bytes and memory of the plan at `path`; raise `Fault` if it does not fit its data."""
    plan, notes = load_plan(path, overrides)
    with in_file(path):
        return _as_text(path, plan, notes, foresee(plan))


def foresee(plan: Plan) -> Forecast:
    """Return the forecast of a plan; the data are prepared, and the first round of some workers is run.

    Raises:
        Fault: the plan does not fit its data, or they cannot be read.
    """
    with closing(plan.data.open(plan.data.prepare(Places.for_plan(plan.file or Path())), plan.seed)) as dataset:
        return _foreseen(plan, dataset)


def _foreseen(plan: Plan, dataset: Dataset) -> Forecast:
    dealt = plan.deal(dataset)
    shards = [rows.size for rows in dealt]
    m, groups, facts = plan.workers, len(dealt), dataset.facts
    layout = plan.problem.layout(facts.features)
    dim = layout.dim
    wire = plan.wire(layout)
    file = None if plan.start is None else starting.file_of(plan.start, str(plan.file or ""))
    start = Start(plan, dataset, dealt, None if file is None else starting.taken(file, layout))
    delta = contraction(start)
    beta = plan.aggregator.tolerates()
    at_worker, at_center = (
        8 * dim * sum(getattr(memory, end) for memory in plan.feedback.memories()) for end in ("at_worker", "at_center")
    )
    held = 0 if plan.downlink is None else plan.algorithm.vectors_down()
    trace = 9 * m * plan.algorithm.rounds  # a norm and a bit for each worker and round
    weights, remembers = plan.weights(dealt), plan.aggregator.memory()
    of_rule = 0 if remembers is None else 2 * nbytes_of(remembers, dim, groups)  # of the last round, and the next
    received = m * wire.message_limit() + groups * at_center
    down, exact = _down(plan, layout)
    return Forecast(
        data=facts,
        start=file,
        rows=(min(shards), max(shards)),
        dim=dim,
        workers=m,
        byzantine=plan.byzantine().size,
        rounds=plan.algorithm.rounds,
        weights=weights / weights.sum(),
        rule=plan.table()["aggregator"]["kind"],
        tolerated=None if beta is None else share(beta, groups),
        bytes_up=wire.message_limit(),
        exact_up=wire.fixed_length(),
        bytes_down=down,
        exact_down=exact,
        delta=delta,
        theory=tuple(cubic_regime(start, dealt, delta) or [*regime(plan, dealt, delta), *rates(start, dealt, delta)]),
        guarantees=tuple(guarantees(start)),
        audit=audit_cost(start, dataset, dealt),
        kernels=kernels.in_use(),
        memory_of_worker=facts.nbytes / groups + at_worker,
        memory_of_thread=8
        * (LIMBS + 4 + held)
        * dim,  # an exact sum, four vectors of work space, those of the way down
        memory_of_center=received + of_rule + 10 * 8 * dim + trace,  # ten vectors of work space
        memory_of_gradient=_kept(plan, dim, min(shards)),
        outside=plan.origins(),
    )


def _as_text(path: Path, plan: Plan, notes: Sequence[str], seen: Forecast) -> str:
    up, down = seen.bytes_up, seen.bytes_down
    at_most_up, at_most_down = ("" if exact else "at most " for exact in (seen.exact_up, seen.exact_down))
    of = "" if plan.redundancy == 1 else " groups"
    rule = seen.rule if seen.tolerated is None else f"{seen.rule}, set for at most {seen.tolerated} Byzantine{of}"
    memory = [f"{_mib(seen.memory_of_worker)} a worker", f"{_mib(seen.memory_of_thread)} a thread of a rank"]
    lines = [
        *(f"note: {note}" for note in notes),
        f"{path}: a sound plan",
        f"  data        {sizes(seen.data)}; {seen.rows[0]} to {seen.rows[1]} rows a worker",
        f"  dimension   {seen.dim}",
        *([] if seen.start is None else [f"  start       {seen.start}"]),
        f"  workers     {seen.workers}, {seen.byzantine} of them Byzantine",
        *([] if plan.redundancy == 1 else [_redundancy(plan.groups, plan.lost())]),
        *([] if plan.weigh == "equal" else [_weighing(seen.weights, plan.lost())]),
        f"  rule        {rule}",
        f"  ranks       1 to {seen.workers + 1}; the result is the same on any number",
        f"  rounds      {seen.rounds}",
        f"  bytes up    {at_most_up}{up:,} a worker and round ({8 * up / seen.dim:.3g} bits a coordinate)",
        f"  bytes down  {at_most_down}{down:,} a worker and round",
        f"  together    {at_most_up or at_most_down}{up + down:,}",
        f"  delta       {seen.delta}",
        *(f"  outside     {table}: {each.kind} from {each.file}" for table, each in seen.outside.items()),
        *(f"  theory      {sentence}" for sentence in seen.theory),
        *(f"  guarantee   {sentence}" for sentence in seen.guarantees),
        f"  audit       {seen.audit}",
        f"  kernels     {seen.kernels}",
        f"  memory      about {', '.join(memory)}, {_mib(seen.memory_of_center)} at the center",
    ]
    if seen.memory_of_gradient is not None:
        each = _mib(seen.memory_of_gradient)
        lines.append(f"  memory      from audit to round {each} more a worker, at most {_mib(MOST_KEPT)} a rank")
    return "\n".join(lines)


def _down(plan: Plan, layout: Layout) -> tuple[int, bool]:
    """Return the bytes of the longest query, and whether all are so long."""
    vectors, code = plan.algorithm.vectors_down(), plan.downlink
    each = 8 * layout.dim if code is None else LENGTH.itemsize + code.max_nbytes(layout)
    return HEADER.itemsize + vectors * each, vectors == 1 and (code is None or code.fixed_length())


def _kept(plan: Plan, dim: int, rows: int) -> int | None:
    """Return the bytes of a gradient that an audit keeps; None if it keeps none."""
    if plan.downlink is not None or not plan.algorithm.asks_gradients(rows):
        return None
    return min(8 * dim, MOST_KEPT)


def sizes(facts: Facts) -> str:
    """Return how many rows, features and classes there are, in a line."""
    targets = f"{facts.classes} classes" if facts.classes else "real targets"
    return f"{facts.rows:,} training and {facts.test_rows:,} test rows, {facts.features:,} features, {targets}"


def _redundancy(groups: Groups, lost: Rows) -> str:
    most, where = (groups.size - 1) // 2, named("group", lost.tolist())
    exact = f"exact with at most {most} Byzantine in a group" if most else "two that differ are told, not corrected"
    but = f"; no honest majority in {where}" if lost.size else ""
    return f"  redundancy  {len(groups)} groups of {groups.size}; {exact}{but}"


def _weighing(shares: NDArray[np.float64], bad: Rows) -> str:
    return (
        f"  weights     the rows of each: the heaviest worker has {shares.max():.1%} of the weight, "
        f"the Byzantine {shares[bad].sum():.1%}"
    )


def _mib(nbytes: float) -> str:
    return f"{nbytes / 2**20:.1f} MiB"
