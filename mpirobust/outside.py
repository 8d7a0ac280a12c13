"""Code from outside the package that a plan names: in an installed module, or in a file beside the plan."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from mpirobust.components import Function
from mpirobust.errors import PlanFault

_allowed: ContextVar[Set[str] | None] = ContextVar("allowed", default=None)  # None: all


@dataclass(frozen=True)
class Origin:
    """The origin of a kind or a function from outside the package.

    Attributes:
        kind: as the plan writes it.
        file: of its source.
        sha256: of that file when the code was loaded.
    """

    kind: str
    file: str
    sha256: str


@contextmanager
def only(allowed: Iterable[str]) -> Iterator[None]:
    """Refuse to import, inside, anything from outside the package but these.

    Args:
        allowed: as a plan writes them, but with files relative to the working directory: who allows a file names it.
    """
    token = _allowed.set({_absolute(name, None) for name in allowed})
    try:
        yield
    finally:
        _allowed.reset(token)


@contextmanager
def loading(name: str, key: str, beside: Path | None) -> Iterator[None]:
    """Raise `PlanFault` if `name` is not allowed, or for any exception inside, where code from outside is executed.

    Args:
        name: as the plan writes it: `module:Name`.
        key: of the plan.
        beside: the folder of the plan, for files beside it.
    """
    allowed = _allowed.get()
    if allowed is not None and (own := _absolute(name, beside)) not in allowed:
        raise PlanFault(key, f"{name!r} is code from outside mpirobust; to run it, give --allow-kind {own}")
    try:
        yield
    except (Exception, SystemExit) as error:  # the module may do anything
        reason = f"{type(error).__name__}: {error}{_near(name, error, beside)}"
        raise PlanFault(key, f"{name!r} cannot be loaded: {reason}") from error


def _near(name: str, error: BaseException, beside: Path | None) -> str:
    """Return what the plan has to name in place of a module that is not installed, if that is a file beside it."""
    module, _, attribute = name.rpartition(":")
    file = Path(f"{module.replace('.', '/')}.py")
    missing = isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]
    return f" (did you mean './{file}:{attribute}'?)" if missing and ((beside or Path()) / file).is_file() else ""


def module(name: str, beside: Path | None) -> ModuleType:
    """Return a module by its name, or the one in the file `name`, relative to `beside`; executed once for each content.

    A program that loads a file again after it has changed, as in a notebook, gets another module.
    """
    return _module_beside(name, beside) if name.endswith(".py") else import_module(name)


def member(of: ModuleType, name: str) -> Any:
    """Return what is called `name` in a module; raise `AttributeError` with its file."""
    if not hasattr(of, name):
        raise AttributeError(f"there is no {name!r} in {getattr(of, '__file__', None) or of.__name__}")
    return getattr(of, name)


def function(name: str, key: str, beside: Path | None) -> Function:
    """Return the function that a plan names; the arguments are those of `loading`.

    Raises:
        PlanFault: it cannot be loaded, or it is nothing that can be called.
    """
    module_name, _, attribute = name.rpartition(":")
    with loading(name, key, beside):
        found = module(module_name, beside)
        call = member(found, attribute)
        origin = origin_of(name, call if inspect.isfunction(call) or inspect.isclass(call) else found)
    if not callable(call):
        raise PlanFault(key, f"{name!r} is no function")
    return Function(name, call, origin.file, origin.sha256)


def origin_of(name: str, code: Any) -> Origin:
    """Return the origin of a class, a function or a module that a plan calls `name`."""
    return Origin(name, *_source_of(code))


@cache  # the file may change afterwards; the code does not
def _source_of(code: Any) -> tuple[str, str]:
    """Return the file of a class, a function or a module, and its SHA-256."""
    file = Path(inspect.getfile(code))
    return str(file), hashlib.sha256(file.read_bytes()).hexdigest()


def _absolute(name: str, beside: Path | None) -> str:
    """Return the name with its file, if it is in one, as an absolute path."""
    module, _, attribute = name.rpartition(":")
    return f"{((beside or Path()) / module).resolve()}:{attribute}" if module.endswith(".py") else name


def _module_beside(name: str, beside: Path | None) -> ModuleType:
    file = ((beside or Path()) / name).resolve()
    unique = f"mpirobust_outside_{hashlib.sha256(bytes(file) + file.read_bytes()).hexdigest()[:16]}"
    if unique not in sys.modules:
        spec = spec_from_file_location(unique, file)
        if spec is None or spec.loader is None:
            raise ImportError(f"{file} is no Python file")
        made = module_from_spec(spec)
        sys.modules[unique] = made  # before it is executed, as `import` does: classes are looked up there
        try:
            spec.loader.exec_module(made)
        except BaseException:
            del sys.modules[unique]
            raise
    return sys.modules[unique]
