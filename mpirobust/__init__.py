"""Byzantine-robust, communication-efficient distributed optimisation over MPI. The names of `__all__` are public.

docs/LIBRARY.md describes them. They are imported when they are first used: every rank of a job imports this file.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mpirobust.components import Field, component

if TYPE_CHECKING:
    from mpirobust.aggregators.base import Aggregator, AggregatorLike, Context, Verdict
    from mpirobust.answers import Answers
    from mpirobust.api.arrays import aggregate, aggregator, compressor, decode, encode, judge, max_nbytes
    from mpirobust.api.plans import PlanLike, check, load_plan
    from mpirobust.api.results import Run, open_run
    from mpirobust.api.runs import run
    from mpirobust.compressors.base import Code, Compressor, CompressorLike, expect_length
    from mpirobust.errors import (
        DataFault,
        Exit,
        Fault,
        Interrupted,
        Malformed,
        PlanFault,
        RankFault,
        SetupFault,
        StorageFault,
        WorkerFault,
    )
    from mpirobust.feedback.base import FeedbackLike
    from mpirobust.numerics.norms import q_norm
    from mpirobust.plan import Plan
    from mpirobust.reducer.memory import Traffic
    from mpirobust.reducer.reducer import RobustReducer
    from mpirobust.reports.forecast import Forecast
    from mpirobust.types import Layout, Message, Vector

__all__ = [
    "Aggregator",
    "AggregatorLike",
    "Answers",
    "Code",
    "Compressor",
    "CompressorLike",
    "Context",
    "DataFault",
    "Exit",
    "Fault",
    "FeedbackLike",
    "Field",
    "Forecast",
    "Interrupted",
    "Layout",
    "Malformed",
    "Message",
    "Plan",
    "PlanFault",
    "PlanLike",
    "RankFault",
    "RobustReducer",
    "Run",
    "SetupFault",
    "StorageFault",
    "Traffic",
    "Vector",
    "Verdict",
    "WorkerFault",
    "aggregate",
    "aggregator",
    "check",
    "component",
    "compressor",
    "decode",
    "encode",
    "expect_length",
    "judge",
    "load_plan",
    "max_nbytes",
    "open_run",
    "q_norm",
    "run",
]
__version__ = "0.1.0"

# The modules of the public names.
_MODULES = {
    "aggregators.base": ["Aggregator", "AggregatorLike", "Context", "Verdict"],
    "answers": ["Answers"],
    "compressors.base": ["Code", "Compressor", "CompressorLike", "expect_length"],
    "errors": [
        "DataFault",
        "Exit",
        "Fault",
        "Interrupted",
        "Malformed",
        "PlanFault",
        "RankFault",
        "SetupFault",
        "StorageFault",
        "WorkerFault",
    ],
    "api.arrays": ["aggregate", "aggregator", "compressor", "decode", "encode", "judge", "max_nbytes"],
    "api.plans": ["PlanLike", "check", "load_plan"],
    "api.results": ["Run", "open_run"],
    "api.runs": ["run"],
    "feedback.base": ["FeedbackLike"],
    "numerics.norms": ["q_norm"],
    "plan": ["Plan"],
    "reducer.memory": ["Traffic"],
    "reducer.reducer": ["RobustReducer"],
    "reports.forecast": ["Forecast"],
    "types": ["Layout", "Message", "Vector"],
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            globals()[name] = getattr(import_module(f"mpirobust.{module}"), name)
            return globals()[name]
    raise AttributeError(f"module 'mpirobust' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
