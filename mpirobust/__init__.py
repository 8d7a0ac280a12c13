"""Byzantine-robust, communication-efficient distributed optimisation over MPI."""

from importlib import import_module
from typing import TYPE_CHECKING

from mpirobust.components import Field, component

if TYPE_CHECKING:
    from mpirobust.reducer.reducer import RobustReducer

__all__ = ["Field", "RobustReducer", "component"]
__version__ = "0.1.0"

_MODULES = {"RobustReducer": "mpirobust.reducer.reducer"}  # of what is imported when it is asked for


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
