"""The BLAS of this process. It chooses its kernels by the processor, and other kernels round sums differently."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any

from threadpoolctl import ThreadpoolController


def limit_threads() -> str:
    """Limit every BLAS that is loaded to one thread, because sums must not depend on how many threads share them.

    PyTorch, if it is loaded, has kernels and threads of its own.

    Returns:
        each library with its version and the core type whose kernels it uses, as
        `openblas 0.3.30 Haswell, openblas 0.3.31 Haswell`.
    """
    controller = ThreadpoolController()
    controller.limit(limits=1)
    return merged([*_libraries(controller), *_torch()])


class OneThread:
    """Gives each BLAS that is loaded by now one thread for a while: `with one.held(): ...`, in a program of others.

    Attributes:
        libraries: as `limit_threads` returns them; nothing of PyTorch, which is left as it is.
    """

    def __init__(self) -> None:
        self._controller = ThreadpoolController().select(user_api="blas")
        self.libraries = merged(_libraries(self._controller))

    def held(self) -> AbstractContextManager[object]:
        """Return the context in which it is so; after it, each has the threads that it had."""
        held: AbstractContextManager[object] = self._controller.limit(limits=1)
        return held


def _libraries(controller: ThreadpoolController) -> list[str]:
    blas = (library for library in controller.info() if library["user_api"] == "blas")
    return [f"{each['internal_api']} {each['version']} {each.get('architecture', '-')}" for each in blas]


def _torch() -> list[str]:
    """Limit PyTorch, if it is loaded, to one thread, and return its text."""
    if (torch := sys.modules.get("torch")) is None:
        return []
    torch.set_num_threads(1)  # of the calling thread
    return [f"torch {torch.__version__} {torch.backends.cpu.get_cpu_capability()}"]


def loaded(module: str) -> Any:
    """Return a module of SciPy, imported if it is not yet; its BLAS, another than NumPy's, gets one thread as well.

    For what is slow to import and seldom needed.
    """
    if module not in sys.modules:
        import_module(module)
        ThreadpoolController().select(user_api="blas").limit(limits=1)
    return sys.modules[module]


def merged(texts: Iterable[str]) -> str:
    """Return what several processes use, as one text of the same form."""
    return ", ".join(sorted({each for text in texts for each in text.split(", ") if each}))


def mixed(text: str) -> bool:
    """Return whether a library has two core types in it."""
    return any(len(cores) > 1 for cores in _core_types(text).values())


def differ(one: str, other: str) -> bool:
    """Return whether a library that is in both has other core types in the one than in the other.

    A process need not have loaded every library. If the two have none in common, they differ unless one is unknown: ''.
    """
    first, second = _core_types(one), _core_types(other)
    common = first.keys() & second.keys()
    return any(first[each] != second[each] for each in common) or bool(first and second and not common)


def _core_types(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for each in filter(None, text.split(", ")):
        library, _, core = each.rpartition(" ")
        found.setdefault(library, set()).add(core)
    return found
