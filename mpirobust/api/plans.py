"""Plans: loaded from a file or a table, or taken from another plan or a run, and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from typing import Any, TypeAlias

import numpy as np
from threadpoolctl import threadpool_limits

from mpirobust.api import arguments
from mpirobust.api.results import Run
from mpirobust.components import is_component
from mpirobust.errors import PlanFault
from mpirobust.plan import Plan, planned
from mpirobust.plan import load_plan as read_plan
from mpirobust.records.layout import TRACE
from mpirobust.records.plan_record import flat
from mpirobust.records.run_folder import holds_run
from mpirobust.reports.forecast import Forecast, foresee
from mpirobust.terminal import warn
from mpirobust.toml import expect_sound

PlanLike: TypeAlias = Plan | Run | str | PathLike[str] | Mapping[str, Any]


def load_plan(source: PlanLike, /, **overrides: Any) -> Plan:
    """Return the plan in a file or a table, or that of another plan or a run; docs/PLANS.md describes the keys.

    Files beside the plan, of data and of kinds, are looked up in the folder of its file, also for a plan and a run that
    came from a file; for a table in the working directory. Notes on the plan are warnings.

    Args:
        source: the path of a TOML file; what such a file holds, as dicts, lists, strings and numbers; a plan; or a run,
            whose file is then trusted: the kinds that it names are imported.
        overrides: other values for some keys, as by `--set`. A dict overrides some keys of a table:
            `seed=2, algorithm={"rounds": 50}`, or `**{"algorithm.rounds": 50}`. A new `kind` keeps the keys that it
            has as well.

    Raises:
        SetupFault: the file cannot be read, or a key is unknown, missing or wrong.
        PlanFault: the same of another source; a `SetupFault` and a `ValueError`.
    """
    given = _plain(overrides, "")
    plan, notes = _loaded(source, [(key.split("."), value) for key, value in flat(given)])
    for each in notes:
        warn(each)
    return plan


def check(plan: PlanLike) -> Forecast:
    """Return what `mpirobust check` says of a plan; `Forecast` describes the fields.

    The data are prepared, and the first round of some workers is run, which takes about as long as a few rounds. BLAS
    has one thread meanwhile.

    Args:
        plan: as `load_plan` takes it.

    Raises:
        Fault: the plan does not fit its data, or they cannot be read; otherwise as `load_plan`.
    """
    with threadpool_limits(limits=1):  # the forecast limits them for good
        return foresee(as_plan(plan))


def as_plan(source: PlanLike) -> Plan:
    """Return a plan as it is, and load another source; raises as `load_plan`."""
    return source if isinstance(source, Plan) else load_plan(source)


def _loaded(source: PlanLike, values: Sequence[tuple[list[str], Any]]) -> tuple[Plan, list[str]]:
    """Return the plan of a source with other values for some keys, and notes."""
    if isinstance(source, Plan):
        return planned(_plain(source.table(), ""), values, source.file)
    if isinstance(source, Run):
        return planned(_plain(source.plan, ""), values, source.plan_file)
    if isinstance(source, Mapping):
        return planned(_plain(source, ""), values)
    if not isinstance(source, str | PathLike):
        raise PlanFault("", f"expected the file of a plan, a table, a plan or a run, not {source!r}")
    path = arguments.path(source, "plan")
    if holds_run(path) or path.name == TRACE:
        raise PlanFault("", f"{path} is a run and no plan; mpirobust.open_run({str(path)!r}) has its plan")
    return read_plan(path, (), values)


def _plain(value: Any, key: str) -> Any:
    """Return `value` in the types of TOML; raise `PlanFault` for a component and for what no TOML file can hold."""
    if isinstance(value, Mapping):
        table = {str(name): _plain(inner, f"{key}.{name}" if key else str(name)) for name, inner in value.items()}
        if not key:
            expect_sound(table)
        return table
    if isinstance(value, list | tuple):
        return [_plain(inner, key) for inner in value]
    if is_component(value):
        raise PlanFault(key, "a plan holds tables with a kind, as TOML does, and no components")
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return fspath(value) if isinstance(value, PathLike) else value
