"""The rules between the tables of a plan; those within a table are its kind's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mpirobust import catalog
from mpirobust.aggregators.base import Weighing, bears, share
from mpirobust.comm.communicator import named
from mpirobust.errors import PlanFault, inside

if TYPE_CHECKING:
    from mpirobust.plan import Plan


def check(plan: Plan) -> None:
    """Raise `PlanFault` if two tables of the plan do not fit together."""
    if plan.workers % plan.redundancy:
        raise PlanFault("redundancy", f"the {plan.workers} workers cannot be divided into groups of {plan.redundancy}")
    if plan.attack is not None:
        with inside("attack"):
            plan.attack.admit_workers(plan.workers)
    _check_tolerance(plan)
    with inside("aggregator"):
        plan.aggregator.admit(len(plan.groups), plan.lost().size)
    if plan.aggregator.asks_center() and not plan.center_rows:
        raise PlanFault("center_rows", "the rule judges by rows that the center keeps; choose at least 1")
    if plan.weigh == "rows" and not plan.aggregator.weighs():
        room = catalog.ROOMS["aggregator"]
        able = [kind for kind in catalog.kinds(room) if issubclass(catalog.load(room, kind, ""), Weighing)]
        reason = 'the rule counts every worker once; choose "equal" or a rule among'
        raise PlanFault("weigh", f"{reason}: {', '.join(able)}, or another before one of them")
    if plan.feedback.applies_step() and not plan.algorithm.steps_every_round():
        raise PlanFault("feedback", "what workers send in a round without a step would be lost; choose another")
    if plan.audit.replay is not None and any(half.at_worker for half in plan.feedback.memories()):
        reason = "the center cannot know what feedback keeps at the workers, which is in their messages"
        raise PlanFault("audit.replay", f'{reason}; omit it, or choose feedback = "none"')
    if plan.downlink is not None and not plan.algorithm.steps_every_round():
        kind = plan.table()["algorithm"]["kind"]
        raise PlanFault("downlink", f"{kind} jumps in rounds without a step, and its workers would lag; omit it")
    with inside("algorithm"):
        plan.algorithm.admit(plan.problem, plan.feedback)


def _check_tolerance(plan: Plan) -> None:
    """Compare the messages that may be Byzantine with those that the rule is set for: β, or any minority."""
    beta, attack = plan.aggregator.tolerates(), plan.attack
    if attack is None or beta is None:
        return
    if attack.alpha is not None and plan.redundancy == 1:
        _compare(beta, attack.alpha)
        return
    m, lost = len(plan.groups), plan.lost().size
    if not bears(beta, m, lost):
        what = f"{lost} of the {m} workers are Byzantine"
        if plan.redundancy > 1:
            what = f"in {lost} of the {m} groups the honest workers are no majority"
        key, least = ("aggregator.beta", f"beta = {beta}") if beta < 1 / 2 else ("attack", "a minority")
        raise PlanFault(key, f"{what}, and the rule is set for {least} at most")


def _compare(beta: float, alpha: float) -> None:
    if beta >= 1 / 2 and alpha >= 1 / 2:
        raise PlanFault("attack.alpha", f"{alpha} of the workers are no minority, and the rule tolerates no more")
    if beta < alpha:
        choose = f"choose {alpha} <= beta < 1/2" if alpha < 1 / 2 else "no beta below 1/2 is enough"
        raise PlanFault("aggregator.beta", f"{beta} is below attack.alpha = {alpha}; {choose}")


def surprises(plan: Plan) -> Iterator[str]:
    """Yield notes on what rounding makes of αm and βm where few make much of it, and on groups that are lost."""
    m, beta, attack = len(plan.groups), plan.aggregator.tolerates(), plan.attack
    if attack is not None and attack.alpha and not plan.byzantine().size:
        yield f"attack.alpha = {attack.alpha} of {plan.workers} workers is less than one: none is Byzantine"
    if beta is not None and beta < 1 / 2 <= (dropped := share(beta, m)) / m:
        of = "workers" if plan.redundancy == 1 else "groups"
        yield f"aggregator.beta = {beta} of {m} {of} is rounded up to {dropped}, half of them or more"
    if plan.redundancy > 1 and (lost := plan.lost().tolist()):
        yield f"redundancy = {plan.redundancy}: the honest workers are no majority in {named('group', lost)}"
