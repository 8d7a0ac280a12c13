"""Byzantine-robust, communication-efficient distributed optimisation over MPI."""

from mpirobust.components import Field, component

__all__ = ["Field", "component"]
__version__ = "0.1.0"
