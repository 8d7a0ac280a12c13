"""The one decorator behind every table of a plan: a frozen dataclass whose fields are the TOML keys.

Kinds declare with `Field` which values are valid; they do not depend on the library that checks them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import cache, wraps
from math import isfinite
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, dataclass_transform, get_args, get_origin, get_type_hints

import msgspec

from mpirobust.errors import PlanFault

__all__ = ["MOST", "Count", "Field", "Function", "component", "is_component", "wanted"]

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Function:
    """A function, or a class to be called, that a key of the plan names: `module:name`, or `./file.py:name`.

    Attributes:
        name: as the plan writes it.
        call: the function.
        file, sha256: of its source.
    """

    name: str
    call: Callable[..., Any]
    file: str
    sha256: str


_WORDS = {
    float: "a finite number",
    int: "a whole number",
    str: "a string",
    bool: "true or false",
    dict: "a table",
    Function: "module:function",
}
_BOUNDS = {
    "gt": "greater than",
    "ge": "at least",
    "lt": "less than",
    "le": "at most",
    "min_length": "of length at least",
}


def Field(  # noqa: N802  # as a type is written
    *,
    default_factory: Callable[[], Any] | None = None,
    gt: float | None = None,
    ge: float | None = None,
    lt: float | None = None,
    le: float | None = None,
    min_length: int | None = None,
) -> Any:
    """Return the bounds of a field, inside `Annotated`, or its default, right of `=`, which a factory makes.

    Bounds of integers have to be within int64.
    """
    if default_factory is not None:
        return dataclasses.field(default_factory=default_factory)
    bounds: dict[str, Any] = {"gt": gt, "ge": ge, "lt": lt, "le": le, "min_length": min_length}
    return msgspec.Meta(**bounds)


MOST = 10**9  # rows, rounds, ...: more makes no sense, and the size of an array of two such sides is within int64
Count = Annotated[int, Field(gt=0, le=MOST)]


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(Field,))
def component(cls: type[T]) -> type[T]:
    """Make `cls` a frozen dataclass that validates its fields when it is built.

    A whole number given for a float becomes one, and a list given for a tuple. Defaults are not checked. A rule over
    several fields goes into `__post_init__` and raises `ValueError`.

    Raises:
        PlanFault: when the class is called, with the key that is mistyped, not finite or out of range.
    """
    made: type[T] = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    assign = made.__init__

    @cache
    def hints() -> dict[str, Any]:  # at the first build: a hint may name a class that is defined further down
        return get_type_hints(made, include_extras=True)

    @wraps(assign)
    def build(self: T, **values: Any) -> None:
        assign(self, **{key: _checked(value, hints().get(key, Any), key) for key, value in values.items()})

    made.__init__ = build  # type: ignore[method-assign, assignment]
    made.__component__ = True  # type: ignore[attr-defined]
    return made


def newest(cls: type, *methods: str) -> str:
    """Return which of these methods is defined by the most derived class; the first if that defines several."""
    return next(name for each in cls.__mro__ for name in methods if name in vars(each))


def is_component(it: object) -> bool:
    """Return whether `it`, a class or an object, was made by `component`."""
    return hasattr(it, "__component__")


def _checked(value: Any, hint: Any, key: str) -> Any:
    if isinstance(value, float):
        value = float(value)  # a float64 of NumPy is a float as well
    try:
        return _converted(value, hint)
    except msgspec.ValidationError as error:
        raise PlanFault(key, f"expected {wanted(hint)}, not {value!r}") from error


def _converted(value: Any, hint: Any) -> Any:
    """Return `value` converted to `hint`; raise `msgspec.ValidationError` if it does not fit.

    The library converts numbers, texts and their containers. It cannot check components: it would build them from
    tables, and refuse those of a derived class. So these are checked here.
    """
    if not _has_objects(hint):
        converted = msgspec.convert(value, hint)
        numbers = converted if isinstance(converted, tuple) else (converted,)
        if not all(isfinite(number) for number in numbers if isinstance(number, float)):
            raise msgspec.ValidationError("not finite")
        return converted
    kind, args = get_origin(hint), get_args(hint)
    if kind is Annotated:
        converted = _converted(value, args[0])
        return msgspec.convert(converted, Annotated[tuple, *args[1:]]) if isinstance(converted, tuple) else converted
    if kind in (Union, UnionType):
        return None if value is None and NoneType in args else _one_of(value, args)
    if kind is tuple and isinstance(value, tuple | list):
        return tuple(_converted(each, args[0]) for each in value)
    if kind in (dict, Mapping) and isinstance(value, Mapping):
        return {name: _converted(each, args[1]) for name, each in value.items()}
    if not isinstance(value, kind or hint):
        raise msgspec.ValidationError("another class")
    return value


def _one_of(value: Any, options: tuple[Any, ...]) -> Any:
    """Return `value` as the first of the options that it fits."""
    for option in options:
        try:
            return _converted(value, option)
        except msgspec.ValidationError:
            continue
    raise msgspec.ValidationError("none of the options")


def _has_objects(hint: Any) -> bool:
    """Return whether `hint` names a class that is not built into Python."""
    kind = get_origin(hint)
    if kind in (Union, UnionType, Annotated, tuple, dict, Mapping):
        return any(_has_objects(each) for each in get_args(hint))
    return getattr(kind or hint, "__module__", "builtins") not in ("builtins", "typing", "types", "msgspec")


def wanted(hint: Any) -> str:
    """Return a description of the values that `hint` allows."""
    kind, args = get_origin(hint), get_args(hint)
    if kind is Annotated:
        values = [(word, getattr(meta, name)) for meta in args[1:] for name, word in _BOUNDS.items()]
        bounds = [f"{word} {value}" for word, value in values if value is not None]
        return f"{wanted(args[0])} {' and '.join(bounds)}".rstrip()
    if kind is Literal:
        return " or ".join(map(repr, args))
    if kind in (Union, UnionType):
        return " or ".join(wanted(each) for each in args if each is not NoneType)
    if kind in (tuple, list):
        return f"a list, each {wanted(args[0])}"
    return _WORDS.get(kind or hint) or str(getattr(kind or hint, "__name__", hint))
