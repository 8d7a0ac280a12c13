"""The rules between the tables of a plan; those within a table are its kind's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mpirobust import catalog
from mpirobust.aggregators.base import Weighing
from mpirobust.errors import PlanFault, inside

if TYPE_CHECKING:
    from mpirobust.plan import Plan


def check(plan: Plan) -> None:
    """Raise `PlanFault` if two tables of the plan do not fit together."""
    _check_tolerance(plan)
    with inside("aggregator"):
        plan.aggregator.admit(plan.workers, plan.byzantine().size)
    if plan.aggregator.asks_center() and not plan.center_rows:
        raise PlanFault("center_rows", "the rule judges by rows that the center keeps; choose at least 1")
    if plan.weigh == "rows" and not plan.aggregator.weighs():
        room = catalog.ROOMS["aggregator"]
        able = [kind for kind in catalog.kinds(room) if issubclass(catalog.load(room, kind, ""), Weighing)]
        reason = 'the rule counts every worker once; choose "equal" or a rule among'
        raise PlanFault("weigh", f"{reason}: {', '.join(able)}, or another before one of them")
    if plan.feedback.applies_step() and not plan.algorithm.steps_every_round():
        raise PlanFault("feedback", "what workers send in a round without a step would be lost; choose another")
    if plan.downlink is not None and not plan.algorithm.steps_every_round():
        kind = plan.table()["algorithm"]["kind"]
        raise PlanFault("downlink", f"{kind} jumps in rounds without a step, and its workers would lag; omit it")
    with inside("algorithm"):
        plan.algorithm.admit(plan.problem, plan.feedback)


def _check_tolerance(plan: Plan) -> None:
    """Compare α with the fraction that the rule is set for: β, or any minority."""
    beta, alpha = plan.aggregator.tolerates(), 0.0 if plan.attack is None else plan.attack.alpha
    if beta is None:
        return
    if beta >= 1 / 2 and alpha >= 1 / 2:
        raise PlanFault("attack.alpha", f"{alpha} of the workers are no minority, and the rule tolerates no more")
    if beta < alpha:
        choose = f"choose {alpha} <= beta < 1/2" if alpha < 1 / 2 else "no beta below 1/2 is enough"
        raise PlanFault("aggregator.beta", f"{beta} is below attack.alpha = {alpha}; {choose}")
