"""The run that `--resume` finds in a folder: its plan, and how far it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mpirobust import outside
from mpirobust.errors import PlanFault, SetupFault
from mpirobust.observers.base import Status
from mpirobust.plan import Plan, with_overrides
from mpirobust.records.layout import TRACE
from mpirobust.records.plan_record import PlanRecord
from mpirobust.records.run_folder import Former

_ENDED = (Status.FINISHED, Status.CONVERGED, Status.DIVERGED)


def stored_plan(
    former: Former, overrides: Sequence[str], allowed: Sequence[str], folder: Path
) -> tuple[Plan, list[str]]:
    """Return the plan of the run in `folder` with overrides, and notes.

    Args:
        allowed: the kinds from outside the package that may be imported. A file that names one is no reason to.

    Raises:
        SetupFault: the plan is wrong, or names a kind from outside that is not allowed.
    """
    beside = Path(former.plan_file).parent
    try:
        with outside.only(allowed):
            table, notes = with_overrides(dict(former.plan), overrides, beside)
            for key, value in Plan.of(table, beside).record().added.items():
                _set_default(table, key.split("."), value)
            plan = Plan.of(table, beside)
            return plan, notes + plan.surprises()
    except PlanFault as fault:
        raise SetupFault(f"{folder / TRACE}: {fault}") from fault


def _set_default(table: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set a key that the version which began the run did not have to the value that corresponds to its behaviour."""
    *outer, last = path
    for part in outer:
        table = table[part]
    table.setdefault(last, value)


def note_on(folder: Path, former: Former, plan: PlanRecord, at_checkpoint: bool) -> str:
    """Return what is worth a note when the run in `folder` is resumed; '' if it simply goes on.

    Args:
        at_checkpoint: whether there is a checkpoint to go on from.

    Raises:
        SetupFault: the run is not at its end, and has more rounds already than the plan asks for.
    """
    begun, asked = former.begun_with(), plan.table["algorithm"]["rounds"]
    if former.status not in _ENDED and former.rounds > asked:
        more = f"give --set algorithm.rounds={begun}, or mpirobust resume {folder}"
        done = f"the run in {folder} has done {former.rounds} of {begun} rounds"
        raise SetupFault(f"{done}, and the plan asks for {asked}; {more}")
    if not at_checkpoint:
        return f"{folder} has no checkpoint: the run begins at round 0 again"
    if former.status == Status.DIVERGED:
        return f"the run in {folder} has diverged after {former.rounds} rounds: its last rounds are repeated"
    if former.status in _ENDED and asked <= max(begun, former.rounds) and _stop(former.plan) == _stop(plan.table):
        return f"the run in {folder} has {former.status} already, after {former.rounds} rounds: nothing is left to do"
    if asked < begun:
        return f"the run in {folder} was begun with {begun} rounds, and now ends after {asked}"
    return ""


def _stop(table: Mapping[str, Any]) -> Any:
    return table.get("stop", {})
