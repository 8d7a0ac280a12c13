"""The one decorator behind every table of a plan: a frozen dataclass whose fields are the TOML keys."""

from __future__ import annotations

from typing import TypeVar, dataclass_transform

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

T = TypeVar("T")

_STRICT = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(Field,))
def component(cls: type[T]) -> type[T]:
    """Make `cls` a frozen dataclass that validates its fields when it is built.

    An unknown, missing, mistyped, non-finite or out-of-range field raises
    `pydantic.ValidationError`; the catalog turns that into a `PlanFault` that
    names the table and the key. A rule over several fields goes into
    `__post_init__` and raises `ValueError`.

    A class attribute `free_on_resume` names the fields that may differ between
    a run and its continuation; without it every field has to stay as it was.
    """
    made: type[T] = dataclass(frozen=True, kw_only=True, config=_STRICT)(cls)  # type: ignore[assignment]
    return made
