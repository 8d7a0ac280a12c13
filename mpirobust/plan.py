"""The whole experiment, typed; from and to TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import floor
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tomli_w
from numpy.typing import NDArray

from mpirobust import catalog
from mpirobust.aggregators.base import Aggregator, Weighing
from mpirobust.algorithms.base import Algorithm
from mpirobust.attacks.base import Attack
from mpirobust.component import Field, component
from mpirobust.compressors.base import Compressor
from mpirobust.compressors.identity import Identity
from mpirobust.data.sources.base import Dataset, Source
from mpirobust.errors import PlanFault, SetupFault
from mpirobust.feedback.base import Feedback
from mpirobust.feedback.none import NoFeedback
from mpirobust.problems.base import Loss
from mpirobust.streams import CENTER, Purpose, stream
from mpirobust.types import Layout, OnFailure, Rows


@component
class AuditPlan:
    """When the honest objective is evaluated, and at which of these times the smallest eigenvalue of its Hessian."""

    every: Annotated[int, Field(gt=0)] = 1
    curvature_every: Annotated[int, Field(gt=0)] | None = None

    def __post_init__(self) -> None:
        if self.curvature_every is not None and self.curvature_every % self.every:
            raise ValueError(f"curvature_every = {self.curvature_every} must be a multiple of every = {self.every}")


@component
class CheckpointPlan:
    """When a checkpoint is written."""

    every: Annotated[int, Field(gt=0)] = 25


@component
class StopPlan:
    """The run has converged when an audit is at or below one of these; `curvature` makes a demand on the first."""

    gradient_norm: Annotated[float, Field(gt=0)] | None = None
    loss: float | None = None
    curvature: Annotated[float, Field(ge=0)] | None = None

    def __post_init__(self) -> None:
        if self.curvature is not None and self.gradient_norm is None:
            raise ValueError("curvature goes with gradient_norm: both have to be met")


@component
class Plan:
    """An experiment; docs/PLANS.md describes the tables."""

    seed: Annotated[int, Field(ge=0, lt=2**63)]
    workers: Annotated[int, Field(gt=0, lt=2**19)]
    feedback: Feedback = Field(default_factory=NoFeedback)
    weigh: Literal["equal", "rows"] = "equal"
    on_failure: OnFailure = "drop"
    data: Source
    problem: Loss
    algorithm: Algorithm  # type: ignore[type-arg]  # pydantic checks the class, not its parameter
    compressor: Compressor = Field(default_factory=Identity)
    aggregator: Aggregator
    attack: Attack | None = None
    audit: AuditPlan = Field(default_factory=AuditPlan)
    checkpoint: CheckpointPlan = Field(default_factory=CheckpointPlan)
    stop: StopPlan = Field(default_factory=StopPlan)

    @classmethod
    def of(cls, table: dict[str, Any]) -> Plan:
        """Return the plan that a TOML document describes; raise `PlanFault` if it describes none."""
        values = dict(table)
        for name, room in catalog.ROOMS.items():
            if name in values:
                values[name] = catalog.build(room, values[name], name)
        for name, section in _SECTIONS.items():
            if name in values:
                if not isinstance(values[name], dict):
                    raise PlanFault(name, "expected a table")
                values[name] = catalog.validated(section, values[name], name)
        plan: Plan = catalog.validated(cls, values, "")
        plan._check()
        return plan

    def _check(self) -> None:
        """The rules that hold between tables."""
        self._check_tolerance()
        with _inside("aggregator"):
            self.aggregator.admit(self.workers, self.byzantine().size)
        if self.weigh == "rows" and not isinstance(self.aggregator, Weighing):
            room = catalog.ROOMS["aggregator"]
            able = [kind for kind in catalog.kinds(room) if issubclass(catalog.load(room, kind, ""), Weighing)]
            reason = 'the rule counts every worker once; choose "equal" or a rule among'
            raise PlanFault("weigh", f"{reason}: {', '.join(able)}")
        with _inside("algorithm"):
            self.algorithm.admit(self.problem, self.feedback)

    def _check_tolerance(self) -> None:
        """Hold α against what the rule is set for: β, or any minority."""
        beta, alpha = self.aggregator.tolerates(), 0.0 if self.attack is None else self.attack.alpha
        if beta is None:
            return
        if beta >= 1 / 2 and alpha >= 1 / 2:
            raise PlanFault("attack.alpha", f"{alpha} of the workers are no minority, and the rule tolerates no more")
        if beta < alpha:
            choose = f"choose {alpha} <= beta < 1/2" if alpha < 1 / 2 else "no beta below 1/2 is enough"
            raise PlanFault("aggregator.beta", f"{beta} is below attack.alpha = {alpha}; {choose}")

    def byzantine(self) -> Rows:
        """Return the ⌊αm⌋ Byzantine workers, ascending: a function of α, m and the seed."""
        count = 0 if self.attack is None else floor(self.attack.alpha * self.workers + 1e-9)
        return np.sort(stream(self.seed, CENTER, 0, Purpose.BYZANTINE).permutation(self.workers)[:count])

    def deal(self, dataset: Dataset) -> list[Rows]:
        """Return the training rows of each worker; raise `PlanFault` if plan and data do not fit."""
        facts = dataset.facts
        if self.workers > facts.rows:
            raise PlanFault("workers", f"{self.workers} workers for {facts.rows} training rows; at most one per row")
        with _inside("problem"):
            self.problem.admit(facts.classes)
        with _inside("compressor"):
            self.compressor.admit(self.problem.layout(facts.features))
        with _inside("attack"):
            if self.attack is not None:
                self.attack.admit(facts.classes)
        with _inside("data.partition"):
            rng = stream(self.seed, CENTER, 0, Purpose.PARTITION)
            return self.data.partition.deal(facts.rows, dataset.labels(), self.workers, rng)

    def weights(self, dealt: Sequence[Rows]) -> NDArray[np.float64]:
        """Return how often each worker counts, shape (m,): once, or by its rows.

        Rows are divided by what divides all: equal shards count once, and as whole numbers the weights add up
        without rounding. What was dealt counts, so that no worker can claim a weight.
        """
        rows = np.array([each.size for each in dealt])
        return np.ones(rows.size) if self.weigh == "equal" else rows / np.gcd.reduce(rows)

    def code_lengths(self, layout: Layout) -> tuple[int, bool]:
        """Return the length of the longest code of a message, and whether all are that long."""
        compressors = self.feedback.compressors(self.compressor)
        lengths = [each.max_nbytes(layout) for each in compressors]
        return max(lengths), min(lengths) == max(lengths) and all(each.fixed_length() for each in compressors)

    def table(self) -> dict[str, Any]:
        """Return the effective plan: what `of` makes this plan from, with all defaults."""
        return catalog.table_of(self)

    def toml(self) -> str:
        """Return `table` as text."""
        return tomli_w.dumps(self.table())


_SECTIONS: dict[str, type] = {"audit": AuditPlan, "checkpoint": CheckpointPlan, "stop": StopPlan}


@contextmanager
def _inside(table: str) -> Iterator[None]:
    """Name the table in the faults of a component, which knows only its own keys."""
    try:
        yield
    except PlanFault as fault:
        raise PlanFault(f"{table}.{fault.where}", fault.reason) from fault


def load_plan(path: Path, overrides: Sequence[str]) -> tuple[Plan, list[str]]:
    """The plan at `path` with overrides, and what is to be said of them; raises `SetupFault` that names the file."""
    try:
        table, notes = with_overrides(read_table(path), overrides)
        return Plan.of(table), notes
    except PlanFault as fault:
        raise SetupFault(f"{path}: {fault}") from fault


def read_table(path: Path) -> dict[str, Any]:
    """The TOML document at `path`; raises `PlanFault` with file, line and reason."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError as error:
        raise PlanFault("", "no such plan") from error
    except (OSError, UnicodeDecodeError) as error:
        raise PlanFault("", f"cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        raise PlanFault("", f"not TOML: {error}") from error


def with_overrides(table: dict[str, Any], assignments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """`table` with `key=value` assignments applied, and what there is to say about it.

    Values are TOML; what is not is taken as a string. A new `kind` keeps the
    keys that the new kind has too and drops the rest, which is said; kinds are
    set before other keys.
    """
    table = _copied(table)
    notes: list[str] = []
    parsed = [_assignment(each) for each in assignments]
    for path, value in sorted(parsed, key=lambda each: each[0][-1] != "kind"):
        inner = table
        for at, part in enumerate(path[:-1]):
            inner[part] = catalog.long_form(inner.get(part, {}), ".".join(path[: at + 1]))
            inner = inner[part]
            if not isinstance(inner, dict):
                raise PlanFault(".".join(path), f"{'.'.join(path[: at + 1])} is not a table")
        if path[-1] == "kind" and len(path) > 1 and inner.get("kind") not in (None, value):
            _drop_foreign_keys(table, path[:-1], inner, value, notes)
        inner[path[-1]] = value
    return table, notes


def _assignment(text: str) -> tuple[list[str], Any]:
    key, equals, value = text.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise PlanFault("", f"--set {text}: expected key=value, as in algorithm.step=0.1")
    if "\n" in value:
        raise PlanFault(key, "expected one line")
    for reading in (lambda: tomllib.loads(f"v = {value}")["v"], lambda: float(value)):  # .1 is no TOML
        try:
            return path, reading()
        except (ValueError, RecursionError):
            pass
    return path, value.strip()


def _drop_foreign_keys(
    table: dict[str, Any], path: list[str], inner: dict[str, Any], kind: Any, notes: list[str]
) -> None:
    where = ".".join(path)
    names = catalog.defaults(catalog.load(_room_at(table, path), kind, where))
    foreign = [key for key in inner if key != "kind" and key not in names]
    for key in foreign:
        dropped = inner.pop(key)
        notes.append(f"{where}.kind={kind} has no key {key!r}: {where}.{key} = {dropped!r} is dropped")


def _room_at(table: dict[str, Any], path: list[str]) -> str:
    """The room of the table at `path`."""
    room = catalog.ROOMS.get(path[0])
    for depth, part in enumerate(path[1:], start=1):
        if room is None:
            break
        table = table[path[depth - 1]]
        room = catalog.inner_rooms(catalog.load(room, table.get("kind"), ".".join(path[:depth]))).get(part)
    if room is None:
        raise PlanFault(".".join(path), "this table has no kind")
    return room


def _copied(table: dict[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, dict) else value for key, value in table.items()}
