"""The contract of every observer: it is a table of the plan, and it sees a run without changing it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from mpirobust import catalog
from mpirobust.answers import Inbox
from mpirobust.observers.base import Moment, Observer, Status, Watch
from mpirobust.plan import Plan, free_keys
from mpirobust.running import rounds
from mpirobust.testing.examples import components
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.contexts import context
from mpirobust.testing.support.witness import Witness

ROOM = catalog.ROOMS["observers"]
OBSERVERS: dict[str, Observer] = components("observers")
FIRST = {kind: catalog.build(ROOM, {"kind": kind}, "") for kind in catalog.kinds(ROOM)}
HOOKS = ["before_first_round", "after_round", "final_queries", "after_last_round"]
ROUNDS = 9

each = pytest.mark.parametrize("observer", OBSERVERS.values(), ids=OBSERVERS.keys())
each_kind = pytest.mark.parametrize("kind", FIRST)


def run() -> LocalRun:
    """Rounds with an attack, compression and error feedback, so that much could be changed."""
    return LocalRun(
        regression_plan(
            feedback="residual",
            algorithm={"kind": "first-order", "rounds": ROUNDS, "step": 0.1, "batch": 4},
            compressor={"kind": "randomk", "k": 3},
            aggregator={"kind": "norm-trim", "beta": 0.34},
            attack={"kind": "gaussian", "alpha": 0.34},
        )
    )


class Ledger(Witness):
    """Remembers all that a round leaves, as bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.left: list[bytes] = []

    def after_round(self, moment: Moment) -> Status | None:
        assert moment.exchange is not None
        assert moment.verdict is not None
        answers = moment.exchange.answers
        assert isinstance(answers, Inbox)
        sent = [bytes(message) for message in answers.messages]
        judged = [moment.verdict.kept.tobytes(), moment.verdict.step.tobytes(), answers.norms.tobytes()]
        kept = [residual.tobytes() for residual in moment.cluster.memory("residual", moment.round)]
        self.left.append(b"".join([moment.state.x.tobytes(), *sent, *judged, *kept]))
        return super().after_round(moment)


class Calls(Watch):
    """Passes everything on, and remembers what was called."""

    def __init__(self, inner: Watch) -> None:
        self.inner = inner
        self.made: list[tuple[str, int]] = []

    def before_first_round(self, moment: Moment) -> Status | None:
        self.made.append(("before_first_round", moment.round))
        return self.inner.before_first_round(moment)

    def after_round(self, moment: Moment) -> Status | None:
        self.made.append(("after_round", moment.round))
        return self.inner.after_round(moment)

    def final_queries(self, moment: Moment, status: Status) -> Status | None:
        self.made.append(("final_queries", moment.round))
        return self.inner.final_queries(moment, status)

    def after_last_round(self, moment: Moment, status: Status) -> None:
        self.made.append(("after_last_round", moment.round))
        self.inner.after_last_round(moment, status)


def seen(folder: Path, observer: Observer | None = None, **changes: Any) -> tuple[Ledger, list[tuple[str, int]]]:
    """A whole run: what its rounds left, and the calls of the observer's watch.

    The observers that others build on go before it: rows are there to be read, and to be saved.
    """
    local, ledger, calls = run(), Ledger(), []
    run_context = context(local, folder, **changes)
    before = [] if observer is None else [FIRST[kind] for kind in ("audit", "recorder") if FIRST[kind] != observer]
    watches = [one.start(run_context) for one in before]
    if observer is not None and (watch := observer.start(run_context)) is not None:
        assert isinstance(watch, Watch)
        counted = Calls(watch)
        watches.append(counted)
        calls = counted.made
    plan = local.plan
    state = plan.algorithm.start(local.x0, local.cluster)
    begun = [*(watch for watch in watches if watch is not None), ledger]
    status = rounds.loop(plan.algorithm, plan.aggregator, local.cluster, begun, state, 0, plan.seed)
    assert status is Status.FINISHED
    return ledger, calls


@each
def test_sees_every_round_in_order_and_changes_none(observer: Observer, tmp_path: Path) -> None:
    alone, _ = seen(tmp_path / "alone")
    watched, calls = seen(tmp_path / "watched", observer, ends=monotonic() + 3600)
    assert len(alone.left) == ROUNDS
    assert watched.left == alone.left
    hooks, rounds_seen = zip(*calls, strict=True)
    assert list(hooks) == [HOOKS[0], *[HOOKS[1]] * ROUNDS, *HOOKS[2:]]
    assert list(rounds_seen) == [*range(ROUNDS + 1), ROUNDS, ROUNDS]


@each
def test_begins_anew_for_every_session(observer: Observer, tmp_path: Path) -> None:
    """All that is remembered is in the watch: the component stays as it was, and serves again."""
    before = catalog.with_kind(observer)
    one, first = seen(tmp_path / "one", observer, ends=monotonic() + 3600)
    other, second = seen(tmp_path / "other", observer, ends=monotonic() + 3600)
    assert (one.left, first) == (other.left, second)
    assert catalog.with_kind(observer) == before
    contexts = [context(run(), tmp_path / name, ends=monotonic() + 3600) for name in "ab"]
    watches = [observer.start(each) for each in contexts]
    assert watches[0] is not watches[1]


@each_kind
def test_needs_no_key(kind: str) -> None:
    """The core observers are in every plan."""
    assert FIRST[kind] == catalog.build(ROOM, {"kind": kind}, "")
    assert issubclass(type(FIRST[kind]), Observer)


@each
def test_keys_are_frozen_and_checked(observer: Observer) -> None:
    table = catalog.with_kind(observer)
    own = table["kind"] in IN_ORDER
    name = table["kind"] if own else "mine"
    plan = regression_plan(observers={name: table})
    if own:
        assert plan == regression_plan(observers={name: {key: value for key, value in table.items() if key != "kind"}})
    assert Plan.of(plan.table()) == plan
    order = IN_ORDER if own else [*IN_ORDER[:-1], name, IN_ORDER[-1]]
    assert [place for place, each in zip(order, plan.all_observers(), strict=True) if each == observer] == [name]
    as_ever = own and observer == FIRST[name]
    assert (plan.table() == regression_plan().table()) == as_ever
    prefix = name if name in plan.table() else f"observers.{name}"
    free = {key.removeprefix(f"{prefix}.") for key in free_keys(plan) if key.startswith(f"{prefix}.")}
    assert free == type(observer).free_on_resume
    with pytest.raises(FrozenInstanceError):
        setattr(observer, next(iter(table)), None)


IN_ORDER = ["signals", "finite", "audit", "recorder", "checkpoint", "progress", "deadline"]


def test_the_order_is_the_same_in_every_run() -> None:
    assert [catalog.with_kind(each)["kind"] for each in regression_plan().all_observers()] == IN_ORDER
    assert sorted(IN_ORDER) == catalog.kinds(ROOM)
