"""Plans: loaded from a file or a table, and checked."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from mpirobust.components import is_component
from mpirobust.errors import PlanFault
from mpirobust.files import expanded
from mpirobust.plan import Plan, planned
from mpirobust.plan import load_plan as read_plan
from mpirobust.records.plan_record import flat
from mpirobust.reports.forecast import Forecast, foresee
from mpirobust.toml import expect_sound


def load_plan(source: str | PathLike[str] | Mapping[str, Any], /, **overrides: Any) -> Plan:
    """Return the plan in a file or a table; docs/PLANS.md describes the keys. Notes on it are warnings.

    Files beside the plan, of data and of kinds, are looked up in its folder, or for a table in the working directory.

    Args:
        source: the path of a TOML file, or what such a file holds, as dicts, lists, strings and numbers.
        overrides: other values for some keys, as by `--set`. A dict overrides some keys of a table:
            `seed=2, algorithm={"rounds": 50}`, or `**{"algorithm.rounds": 50}`. A new `kind` keeps the keys that it
            has as well.

    Raises:
        SetupFault: the file cannot be read, or a key is unknown, missing or wrong.
        PlanFault: the same of a table; a `SetupFault` and a `ValueError`.
    """
    given = _plain(overrides, "")
    values = [(key.split("."), value) for key, value in flat(given)]
    if isinstance(source, Mapping):
        plan, notes = planned(_plain(source, ""), values)
    else:
        plan, notes = read_plan(expanded(fspath(source)), (), values)
    for note in notes:
        warnings.warn(note, stacklevel=2)
    return plan


def check(plan: Plan | str | PathLike[str]) -> Forecast:
    """Return what `mpirobust check` says of a plan, or of the plan in a file; `Forecast` describes the fields.

    The data are prepared, and the first round of some workers is run, which takes about as long as a few rounds. BLAS
    has one thread meanwhile.

    Raises:
        Fault: the plan does not fit its data, or they cannot be read; otherwise as `load_plan`.
    """
    plan = plan if isinstance(plan, Plan) else load_plan(plan)
    with threadpool_limits(limits=1):  # the forecast limits them for good
        return foresee(plan)


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
