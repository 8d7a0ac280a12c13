"""Whether the rule of a plan is set for its attackers, and what is worth a note about their numbers."""

from __future__ import annotations

from collections.abc import Iterator

from mpirobust.aggregators.base import Aggregator, share
from mpirobust.attacks.base import Attack
from mpirobust.cluster.groups import Groups
from mpirobust.comm.communicator import named
from mpirobust.errors import PlanFault, inside
from mpirobust.types import Rows


def expect_tolerated(rule: Aggregator, attack: Attack | None, groups: Groups, byzantine: Rows) -> None:
    """Raise `PlanFault` if more of the messages that the rule judges may be Byzantine than it is set for."""
    beta, lost = rule.tolerates(), groups.lost(byzantine).size
    if attack is not None and beta is not None:
        if attack.alpha is not None and groups.size == 1:
            _compare(beta, attack.alpha)
        else:
            _count(beta, lost, groups)
    with inside("aggregator"):
        rule.admit(len(groups), lost)


def _compare(beta: float, alpha: float) -> None:
    if beta >= 1 / 2 and alpha >= 1 / 2:
        raise PlanFault("attack.alpha", f"{alpha} of the workers are no minority, and the rule tolerates no more")
    if beta < alpha:
        choose = f"choose {alpha} <= beta < 1/2" if alpha < 1 / 2 else "no beta below 1/2 is enough"
        raise PlanFault("aggregator.beta", f"{beta} is below attack.alpha = {alpha}; {choose}")


def _count(beta: float, lost: int, groups: Groups) -> None:
    m = len(groups)
    what = f"{lost} of the {m} workers are Byzantine"
    if groups.size > 1:
        what = f"in {lost} of the {m} groups of {groups.size} workers the honest ones are no majority"
    if beta >= 1 / 2 and 2 * lost >= m:
        raise PlanFault("attack", f"{what}, and the rule tolerates only a minority")
    if beta < 1 / 2 and lost > share(beta, m):
        raise PlanFault("aggregator.beta", f"{beta} is not enough: {what}")


def surprises(rule: Aggregator, attack: Attack | None, groups: Groups, byzantine: Rows) -> Iterator[str]:
    """Yield notes on what rounding makes of αm and βm where few make much of it, and on lost groups."""
    m, beta, lost = len(groups), rule.tolerates(), groups.lost(byzantine).tolist()
    if attack is not None and attack.alpha and not byzantine.size:
        few = f"attack.alpha = {attack.alpha} of {groups.workers} workers"
        yield f"{few} is less than one: none is Byzantine"
    if beta is not None and beta < 1 / 2 <= (dropped := share(beta, m)) / m:
        of = "workers" if groups.size == 1 else "groups"
        yield f"aggregator.beta = {beta} of {m} {of} is rounded up to {dropped}, half of them or more"
    if groups.size > 1 and lost:
        yield f"redundancy = {groups.size}: the honest workers are no majority in {named('group', lost)}"
