"""The run that a watch is started for, around workers in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mpirobust.observers.base import RunContext
from mpirobust.records.trace import Trace
from mpirobust.testing.support.clusters import LocalRun


def context(local: LocalRun, folder: Path, **changes: Any) -> RunContext:
    """A new run of `local` that writes to `folder`; `changes` replace fields."""
    plan = local.plan
    trace = Trace(plan.workers, local.config.byzantine, {"plan": plan.toml(), "data_digest": "abc"})
    w = local.dataset.solution()
    given: dict[str, Any] = {
        "trace": trace,
        "folder": folder,
        "plan_id": "0123abcd",
        "rounds": plan.algorithm.rounds,
        "solutions": () if w is None else plan.problem.solutions(w),
        "stop": plan.stop,
    }
    return RunContext(**{**given, **changes})
