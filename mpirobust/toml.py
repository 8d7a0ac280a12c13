"""TOML that a user has written: plans, families, matrices, and the values of `--set`."""

from __future__ import annotations

import codecs
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mpirobust.errors import PlanFault
from mpirobust.files import open_regular, printable

_LARGEST = 2**20  # bytes of a document
_DEEPEST = 16  # parts of a key; no plan has five
_DOCUMENTS = {  # what a file may be, the keys that only this has, and the command that takes it
    "plan": ({"seed", "workers"}, "`mpirobust run` takes it"),
    "matrix": ({"attacks", "rules", "codes"}, "`mpirobust matrix` takes it"),
    "family": ({"curves"}, "`mpirobust figures` takes the folder that it is in"),
}
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_table(path: Path) -> dict[str, Any]:
    """Return the TOML document at `path`; raise `PlanFault` with the reason."""
    try:
        with open_regular(path) as file:
            content = file.read(_LARGEST + 1)
    except FileNotFoundError as error:
        raise PlanFault("", "no such plan") from error
    except OSError as error:
        raise PlanFault("", f"cannot be read: {error.strerror}") from error
    if len(content) > _LARGEST:
        raise PlanFault("", f"cannot be read: larger than {_LARGEST // 2**20} MiB")
    try:
        table = tomllib.loads(_text(content))
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        raise PlanFault("", f"not TOML: {error}") from error
    expect_sound(table)
    return table


def expect_document(table: dict[str, Any], wanted: str) -> None:
    """Raise `PlanFault` if a document is plainly of another kind than `wanted`, with the command that takes it."""
    for what, (keys, how) in _DOCUMENTS.items():
        if what != wanted and keys <= table.keys():
            raise PlanFault("", f"this is a {what} and no {wanted}: {how}")


def read_assignment(text: str) -> tuple[list[str], Any]:
    """Return the parts of the key and the value of `key=value`; a value that is not TOML is a string.

    Raises:
        PlanFault: there is no key, or the value cannot be one.
    """
    key, equals, value = text.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise PlanFault("", f"--set {text}: expected key=value, as in algorithm.step=0.1")
    if "\n" in value:
        raise PlanFault(key, "expected one line")
    if any("\ud800" <= letter <= "\udfff" for letter in text):  # for bytes of the command line that are no letters
        raise PlanFault("", f"--set {printable(text)}: not UTF-8, as a plan is; a link can have another name")
    parsed = _value(value)
    expect_sound(parsed, path)
    return path, parsed


def _value(text: str) -> Any:
    for reading in (lambda: tomllib.loads(f"v = {text}")["v"], lambda: float(text)):  # .1 is not TOML
        try:
            return reading()
        except (ValueError, RecursionError):
            pass
    return text.strip()


def _text(content: bytes) -> str:
    """Decode UTF-8, or UTF-16 if it begins with a byte-order mark, as Windows PowerShell writes it."""
    try:
        return content.decode("utf-16" if content.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        raise ValueError(f"line {line} is not {error.encoding.upper()}: byte {byte:#04x}") from error


def expect_sound(value: Any, path: Sequence[str] = ()) -> None:
    """Raise `PlanFault` for what the parser takes and nothing after it bears: deep keys, and integers above 64 bits.

    Args:
        path: the parts of the key of `value`.
    """
    if len(path) > _DEEPEST:
        raise PlanFault(".".join(path[:_DEEPEST]), f"a key has at most {_DEEPEST} parts")
    if isinstance(value, dict):
        for key, inner in value.items():
            expect_sound(inner, (*path, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value, start=1):
            expect_sound(inner, (*path[:-1], f"{path[-1]}[{at}]"))
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise PlanFault(".".join(path), "a whole number of TOML has 64 bits, and this one has more")
