"""The whole experiment, typed; from and to TOML."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mpirobust import catalog, plan_checks, renames
from mpirobust.aggregators.base import Aggregator
from mpirobust.algorithms.base import Algorithm
from mpirobust.attacks.base import Attack
from mpirobust.cluster.groups import Groups
from mpirobust.cluster.wire import Wire
from mpirobust.components import MOST, Field, component
from mpirobust.compressors.base import Compressor
from mpirobust.compressors.identity import Identity
from mpirobust.data.sources.base import Dataset, Source
from mpirobust.errors import PlanFault, in_file, inside
from mpirobust.feedback.base import Feedback
from mpirobust.feedback.none import NoFeedback
from mpirobust.observers.audit import Audits
from mpirobust.observers.base import Observer
from mpirobust.observers.checkpoint import Checkpoints
from mpirobust.outside import Origin
from mpirobust.problems.base import Loss
from mpirobust.records.plan_record import PlanRecord, flat
from mpirobust.records.provenance import Records
from mpirobust.stop_rules import StopRules
from mpirobust.streams import CENTER, Purpose, stream
from mpirobust.types import Layout, OnFailure, Rows

Values: TypeAlias = Sequence[tuple[list[str], Any]]

_OBSERVERS = "observers"

# The order in which observers see a round: the audit before the row, the row before the checkpoint. Others
# follow by name. The deadline is last, because it has to know the time that all others took.
_CORE = ("signals", "finite", "audit", "recorder", "checkpoint", "progress")
_LAST = ("deadline",)


@component
class Plan:
    """An experiment; docs/PLANS.md describes the tables.

    Attributes:
        seed: decides everything random: data, split, partition, Byzantine workers, batches, codes, attack.
        workers: m, the number of workers; independent of the number of ranks.
        redundancy: r, how many workers have the same rows and send the same; the center takes the majority of each r.
        feedback: what a worker does with what compression leaves out of its message.
        weigh: whether each worker counts once, or by the rows that it was dealt.
        on_failure: what becomes of the workers of a rank that fails, where MPI survives it.
        center_rows: training rows that the center keeps for the rule, and no worker has.
        start: a run, or an exported .npz, whose iterate is the starting point (default: that of the problem).
        data: the rows, and how the workers share them.
        problem: the loss of a worker on its rows.
        algorithm: the method: what the center asks, and what it does with the step.
        compressor: how a worker codes what it sends.
        downlink: how the center codes the points that it sends (default: they are sent whole).
        aggregator: the rule that makes one step of the messages of a round.
        attack: what the Byzantine workers do (default: all workers are honest).
        audit: when the honest objective is measured, and what else.
        checkpoint: when a checkpoint is written.
        stop: when the run has converged.
        records: what the trace says about who ran it where.
        observers: settings of the observers of a run, and further ones.
        file: that it was read from, absolute, or None; no key. Files are looked up beside it, or in the working folder.
    """

    file: ClassVar[Path | None] = None
    added_keys: ClassVar = {"weigh": "equal", "on_failure": "drop", "center_rows": 0}
    free_on_resume: ClassVar[frozenset[str]] = frozenset({"on_failure"})

    seed: Annotated[int, Field(ge=0, le=2**63 - 1)]
    workers: Annotated[int, Field(gt=0, lt=2**19)]
    redundancy: Annotated[int, Field(gt=0, lt=2**19)] = 1
    feedback: Feedback = Field(default_factory=NoFeedback)
    weigh: Literal["equal", "rows"] = "equal"
    on_failure: OnFailure = "drop"
    center_rows: Annotated[int, Field(ge=0, le=MOST)] = 0
    start: str | None = None
    data: Source
    problem: Loss
    algorithm: Algorithm[Any]
    compressor: Compressor = Field(default_factory=Identity)
    downlink: Compressor | None = None
    aggregator: Aggregator
    attack: Attack | None = None
    audit: Audits = Field(default_factory=Audits)
    checkpoint: Checkpoints = Field(default_factory=Checkpoints)
    stop: StopRules = Field(default_factory=StopRules)
    records: Records = Field(default_factory=Records)
    observers: dict[str, Observer] = Field(default_factory=dict)

    @classmethod
    def of(cls, table: dict[str, Any], beside: Path | None = None) -> Plan:
        """Return the plan that a TOML document describes; raise `PlanFault` if it describes none.

        Args:
            beside: the folder of the document, for kinds in files beside it.
        """
        values = renames.current(cls, table, "")
        for name, room in catalog.inner_rooms(cls).items():
            if name in values:
                values[name] = catalog.build(room, values[name], name, beside)
        for name, section in SECTIONS.items():
            if name in values:
                values[name] = catalog.validated(section, _expect_table(values[name], name), name)
        for name, observer in _observers(values.pop(_OBSERVERS, {}), beside).items():
            if name not in SECTIONS:
                values.setdefault(_OBSERVERS, {})[name] = observer
            elif name in values:
                raise PlanFault(f"{_OBSERVERS}.{name}", f"[{name}] is the same table; give one of the two")
            else:
                values[name] = observer
        plan: Plan = catalog.validated(cls, values, "")
        plan_checks.check(plan)
        return plan

    @property
    def groups(self) -> Groups:
        """The workers that do the same; with `redundancy` = 1 each of them is a group."""
        return Groups(self.workers, self.redundancy)

    def byzantine(self) -> Rows:
        """Return the Byzantine workers, ascending: those that are named, or ⌊αm⌋ by the seed."""
        if self.attack is None:
            return np.empty(0, np.intp)
        return self.attack.attackers(self.workers, stream(self.seed, CENTER, 0, Purpose.BYZANTINE))

    def lost(self) -> Rows:
        """Return the groups in which the honest workers are no majority, ascending: whose message may be Byzantine."""
        return self.groups.lost(self.byzantine())

    def surprises(self) -> list[str]:
        """Return notes on the numbers of Byzantine workers, and of those that the rule drops."""
        return [*plan_checks.surprises(self)]

    def deal(self, dataset: Dataset) -> list[Rows]:
        """Return the training rows of each group of workers; raise `PlanFault` if plan and data do not fit."""
        facts = dataset.facts
        rows = self._rows_of_workers(facts.rows)
        groups = len(self.groups)
        if groups > rows.size:
            what = f"{self.workers} workers" if self.redundancy == 1 else f"{groups} groups of workers"
            raise PlanFault("workers", f"{what} for {rows.size} training rows; at most one per row")
        with inside("problem"):
            self.problem.admit(facts.classes)
            self.problem.admit_rows(facts.features, facts.classes)
        if (dim := self.problem.layout(facts.features).dim) >= 2**48:
            raise PlanFault("problem", f"a model of {dim:.2g} parameters fits into no memory")
        with inside("compressor"):
            for compressor in self.feedback.compressors(self.compressor):
                compressor.admit(self.problem.layout(facts.features))
        with inside("downlink"):
            if self.downlink is not None:
                self.downlink.admit(self.problem.layout(facts.features))
        with inside("attack"):
            if self.attack is not None:
                self.attack.admit(facts.classes)
        with inside("data.partition"):
            rng = stream(self.seed, CENTER, 0, Purpose.PARTITION)
            labels = dataset.labels()
            dealt = self.data.partition.deal(rows.size, None if labels is None else labels[rows], groups, rng)
        return [rows[each] for each in dealt]

    def rows_of_center(self, rows: int) -> Rows:
        """Return the training rows, of `rows`, that the center keeps, ascending; no worker has them."""
        return np.sort(stream(self.seed, CENTER, 0, Purpose.CENTER_ROWS).permutation(rows)[: self.center_rows])

    def _rows_of_workers(self, rows: int) -> Rows:
        return np.setdiff1d(np.arange(rows), self.rows_of_center(rows)) if self.center_rows else np.arange(rows)

    def weights(self, dealt: Sequence[Rows]) -> NDArray[np.float64]:
        """Return how often each group of workers counts, shape (m/r,): once, or by its rows.

        The numbers of rows are divided by their greatest common divisor: equal shards count once, and whole numbers
        add up without rounding. The dealt rows count, so that no worker can claim a weight.
        """
        rows = np.array([each.size for each in dealt])
        return np.ones(rows.size) if self.weigh == "equal" else rows / np.gcd.reduce(rows)

    def all_observers(self) -> list[Observer]:
        """Return the observers of a run, in the order in which they see a round."""
        given: dict[str, Observer] = {"audit": self.audit, "checkpoint": self.checkpoint, **self.observers}
        own = {name: catalog.build(catalog.ROOMS[_OBSERVERS], {"kind": name}, name) for name in _CORE + _LAST}
        others = sorted(given.keys() - own.keys())
        return [{**own, **given}[name] for name in (*_CORE, *others, *_LAST)]

    def wire(self, layout: Layout) -> Wire:
        """Return the codes and the feedback for vectors of this layout."""
        return Wire(self.seed, layout, self.compressor, self.algorithm.norm(), self.feedback)

    def table(self) -> dict[str, Any]:
        """Return the table from which `of` makes this plan, with all defaults.

        [records] is left out if it has its defaults, and a redundancy of 1: the text of earlier plans, and the names
        made from it, stay.
        """
        table = catalog.table_of(self)
        if self.records == Records():
            del table["records"]
        if self.redundancy == 1:
            del table["redundancy"]
        observers = {name: catalog.with_kind(each) for name, each in table.pop(_OBSERVERS).items()}
        return {**table, **({_OBSERVERS: observers} if observers else {})}

    def origins(self) -> dict[str, Origin]:
        """Return where the kinds from outside the package come from, by their table."""
        return catalog.origins(self)

    def record(self) -> PlanRecord:
        """Return the record that a run stores of the plan, and that a resume compares."""
        sources = {table: origin.sha256 for table, origin in self.origins().items()}
        return PlanRecord(self.table(), free_keys(self), catalog.added(self), sources, catalog.former_names(self))

    def toml(self) -> str:
        """Return `table` as text."""
        import tomli_w  # as of `toml`, only the center needs it

        return tomli_w.dumps(self.table())

    def former_toml(self) -> str:
        """Return `toml` with the former names of keys that were renamed, as the release before would."""
        import tomli_w

        return tomli_w.dumps(renames.renamed(self.table(), catalog.former_names(self)))


# Tables of one class. `[observers.audit]` and `[observers.checkpoint]` are other names of two of them.
SECTIONS: dict[str, type] = {"audit": Audits, "checkpoint": Checkpoints, "stop": StopRules, "records": Records}


def free_keys(plan: Plan | type[Plan] = Plan) -> frozenset[str]:
    """Return the keys, as `--set` spells them, that may differ between a run of `plan` and its continuation.

    Without a plan these are the keys that are free in every plan.
    """
    keys = {*catalog.free_keys(plan)}
    observers = {} if isinstance(plan, type) else plan.observers
    core = {name: catalog.load(catalog.ROOMS[_OBSERVERS], name, "") for name in _CORE + _LAST if name not in SECTIONS}
    for name, observer in {**core, **observers}.items():
        keys.update(catalog.free_keys(observer, f"{_OBSERVERS}.{name}."))
    return frozenset(keys)


def _observers(tables: object, beside: Path | None) -> dict[str, Observer]:
    """Return the observers of the tables `[observers.<name>]`; raise `PlanFault` if one is wrong.

    The name is the kind unless the table has one. A table that only repeats defaults is left out: the plan is the same.
    """
    room, built = catalog.ROOMS[_OBSERVERS], {}
    for name, table in _expect_table(tables, _OBSERVERS).items():
        where = f"{_OBSERVERS}.{name}"
        kind = _expect_table(table, where).get("kind", name)
        for own in (name, kind):
            if own in _CORE + _LAST and name != kind:
                taken = f"every run has one observer {own!r}, in [{_OBSERVERS}.{own}]"
                raise PlanFault(f"{where}.kind", f"{taken}; choose another {'name' if own == name else 'kind'}")
        observer: Observer = catalog.build(room, {**table, "kind": kind}, where, beside)
        usual = name in _CORE + _LAST and name not in SECTIONS
        if not usual or observer != catalog.build(room, {"kind": kind}, where, beside):
            built[name] = observer
    return built


def _expect_table(table: object, where: str) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise PlanFault(where, "expected a table")
    return table


def load_plan(path: Path, overrides: Sequence[str], values: Values = ()) -> tuple[Plan, list[str]]:
    """Return the plan at `path` with overrides, and with `values`, and notes; raise `SetupFault` with the file."""
    from mpirobust.toml import expect_document, read_assignment, read_table

    with in_file(path):
        assigned = [read_assignment(each) for each in overrides]
        table = read_table(path)
        expect_document(table, "plan")
        return planned(table, [*assigned, *values], path)


def planned(table: dict[str, Any], values: Values, file: Path | None = None) -> tuple[Plan, list[str]]:
    """Return the plan that a TOML document describes, with other values for some keys, and notes; raise `PlanFault`.

    Args:
        values: for each key its parts, and the value.
        file: of the document; None if it is in no file.
    """
    beside = None if file is None else file.parent
    table, notes = with_values(table, values, beside)
    plan = Plan.of(table, beside)
    if file is not None:
        object.__setattr__(plan, "file", file.absolute())
    former = renames.notes((key for key, _ in flat(table)), catalog.former_names(plan))
    return plan, notes + former + plan.surprises()


def with_overrides(
    table: dict[str, Any], assignments: Sequence[str], beside: Path | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Return `table` with `key=value` assignments applied, and notes; a value that is not TOML is a string."""
    from mpirobust.toml import read_assignment

    return with_values(table, [read_assignment(each) for each in assignments], beside)


def with_values(table: dict[str, Any], values: Values, beside: Path | None = None) -> tuple[dict[str, Any], list[str]]:
    """Return `table` with other values for some keys, and notes on dropped keys.

    The arguments are those of `planned` and `Plan.of`.

    A new `kind` keeps the keys that the new kind also has and drops the others, each with a note. Kinds are set before
    other keys. Of two keys that exclude each other the one assigned last stays, and the other is dropped with a note.
    """
    table = _copied(table)
    notes: list[str] = []
    for path, value in sorted(values, key=lambda each: each[0][-1] != "kind"):
        inner = table
        for at, part in enumerate(path[:-1]):
            if isinstance(inner.get(part), str) and part in catalog.ROOMS and catalog.ROOMS[part].short:
                inner[part] = {"kind": inner[part]}  # the short form
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise PlanFault(".".join(path), f"{'.'.join(path[: at + 1])} is not a table")
        if path[-1] == "kind" and len(path) > 1 and inner.get("kind") not in (None, value):
            _drop_foreign_keys(table, path[:-1], inner, value, notes, beside)
        elif path[-1] != "kind":
            _drop_excluded_keys(table, path, inner, value, notes, beside)
        inner[path[-1]] = value
    return table, notes


def _drop_foreign_keys(
    table: dict[str, Any], path: list[str], inner: dict[str, Any], kind: Any, notes: list[str], beside: Path | None
) -> None:
    where = ".".join(path)
    cls = catalog.load(_room_at(table, path, beside), kind, where, beside)
    names = catalog.defaults(cls)
    foreign = [key for key in renames.current(cls, inner, where) if key != "kind" and key not in names]
    for key in foreign:
        dropped = inner.pop(key)
        notes.append(f"{where}.kind={kind} has no key {key!r}: {where}.{key} = {dropped!r} is dropped")


def _drop_excluded_keys(
    table: dict[str, Any], path: list[str], inner: dict[str, Any], value: Any, notes: list[str], beside: Path | None
) -> None:
    where = ".".join(path[:-1])
    if where and "kind" in inner:
        cls = catalog.load(_room_at(table, path[:-1], beside), inner["kind"], where, beside)
    elif (of_plan := SECTIONS.get(where, None if where else Plan)) is not None:
        cls = of_plan
    else:
        return
    for key in sorted(catalog.excluded_by(cls, path[-1]) & inner.keys()):
        dropped = inner.pop(key)
        other = ".".join([*path[:-1], key])
        notes.append(f"{'.'.join(path)} = {value!r} excludes {other} = {dropped!r}, which is dropped")


def _room_at(table: dict[str, Any], path: list[str], beside: Path | None) -> catalog.Room:
    """Return the room of the table at `path`."""
    room = catalog.ROOMS.get(path[0]) or catalog.inner_rooms(Plan).get(path[0])
    for depth, part in enumerate(path[1:], start=1):
        if room is None:
            break
        table = table[path[depth - 1]]
        if path[:depth] == [_OBSERVERS]:
            continue  # part is the name of an observer, and the room is still that of its table
        room = catalog.inner_rooms(catalog.load(room, table.get("kind"), ".".join(path[:depth]), beside)).get(part)
    if room is None:
        raise PlanFault(".".join(path), "this table has no kind")
    return room


def _copied(table: dict[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, dict) else value for key, value in table.items()}
