"""A plan to begin with: every key of the chosen kinds, with what it means."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mpirobust import __version__, catalog
from mpirobust.errors import PlanFault
from mpirobust.guide.keys import Key, as_toml, described, keys, rooms, sections
from mpirobust.plan import Plan, with_overrides

CHOICES = ("problem", "algorithm", "data", "compressor", "downlink", "aggregator", "attack", "feedback")

_USUAL = {"problem": "least-squares", "algorithm": "first-order", "compressor": "l1-qsgd", "aggregator": "norm-trim"}
_FOR_DATA = {"mnist": {"problem": "network"}}
_DATA = {"network": "mnist", "saddle": "none", "double-well": "none"}  # of a problem; otherwise the first that fits:
_CLASSES = {"regression": 0, "libsvm": 2}  # that the data have; 0: real targets

# For a table, kind and key; and for a table and key, if the kind has no default for it.
_GUESSES: dict[str, Any] = {
    "seed": 1,
    "workers": 20,
    "center_rows": 100,
    "algorithm.rounds": 100,
    "algorithm.step": 0.1,
    "algorithm.first-order.step": 1.0,
    "algorithm.first-order.schedule": "inverse-smoothness",
    "algorithm.threshold": 0.01,
    "algorithm.radius": 0.01,
    "algorithm.wait": 10,
    "algorithm.M": 10.0,
    "compressor.k": 5,
    "compressor.budget": 2,
    "compressor.levels": 4,
    "compressor.rows": 5,
    "compressor.columns": 50,
    "compressor.samples": 50,
    "compressor.compressor": {"kind": "l1-qsgd"},
    "aggregator.beta": 0.2,
    "aggregator.radius": 1.0,
    "aggregator.size": 2,
    "aggregator.V": 1.0,
    "aggregator.T_A": 100.0,
    "aggregator.T_B": 100.0,
    "aggregator.groups": 10,
    "aggregator.rule": {"kind": "median"},
    "attack.alpha": 0.1,
    "attack.beta": 0.2,
    "attack.inner": {"kind": "alie"},
    "data.libsvm.path": "libsvm/a9a",
    "data.csv.path": "rows.csv",
    "data.csv.label": -1,
    "data.npz.path": "rows.npz",
    "data.npy.path": "X.npy",
    "data.npy.y": "y.npy",
    "data.none.rows": 20,
    "data.none.features": 50,
    "data.regression.rows": 2000,
    "data.regression.features": 100,
    "problem.torch.model": "torch.nn:Linear",
    "problem.torch.arguments": {"in_features": 123, "out_features": 2},
}
_EITHER = ("attack.alpha",)  # the plan has to say this, or in its place another key
_TAKING = ("problem", "attack")  # the tables whose kinds do not take any classes
_COLUMN = 32  # of what stands before the comments


def draft(chosen: Mapping[str, str], overrides: Sequence[str] = (), beside: Path | None = None) -> str:
    """Return the text of a plan of these kinds; kinds that are missing are chosen, and a comment says so.

    Args:
        chosen: the kind for tables among `CHOICES`.
        overrides: `key=value`, as of `--set`.
        beside: the folder in which the plan will be.

    Raises:
        PlanFault: there is no such plan, for the reason that `check` would give.
    """
    kinds = {**_USUAL, **_FOR_DATA.get(chosen.get("data", ""), {}), **chosen}
    kinds.setdefault("data", _fitting_data(kinds, beside))
    table: dict[str, Any] = {key: _GUESSES[key] for key in ("seed", "workers")}
    table |= {name: _guessed(name, kind, beside) for name, kind in kinds.items()}
    if _part("aggregator", kinds["aggregator"], beside).asks_center():
        table["center_rows"] = _GUESSES["center_rows"]
    table, _ = with_overrides(table, overrides, beside)
    Plan.of(table, beside)
    return "\n".join([*_head(), *_root(table), *_tables(table, chosen, beside), ""])


def _fitting_data(kinds: Mapping[str, str], beside: Path | None) -> str:
    """Return a kind of data that the problem and the attack take."""
    parts = [_part(name, kinds[name], beside) for name in _TAKING if name in kinds]
    fitting = (data for data, classes in _CLASSES.items() if all(_takes(part, classes) for part in parts))
    return _DATA.get(kinds["problem"]) or next(fitting, "libsvm")


def _part(table: str, kind: str, beside: Path | None) -> Any:
    return catalog.build(rooms()[table], _guessed(table, kind, beside), table, beside)


def _takes(part: Any, classes: int) -> bool:
    try:
        part.admit(classes)
    except PlanFault:
        return False
    return True


def _guessed(table: str, kind: str, beside: Path | None) -> dict[str, Any]:
    """Return a table of this kind with what is guessed for its keys."""
    found = {key.name: _guess(table, kind, key) for key in keys(catalog.load(rooms()[table], kind, table, beside))}
    return {"kind": kind, **{name: value for name, value in found.items() if value is not None}}


def _guess(table: str, kind: str, key: Key) -> Any:
    table = {"downlink": "compressor"}.get(table, table)
    place = f"{table}.{key.name}"
    usual = _GUESSES.get(place) if key.required or place in _EITHER else None
    return _GUESSES.get(f"{table}.{kind}.{key.name}", usual)


def _head() -> Iterator[str]:
    yield f"# A plan for mpirobust {__version__}. `mpirobust check PLAN` says what it would run."
    yield "# A line that begins with `# key =` shows the default. What is marked (guess) is for you to choose."
    yield "# `mpirobust explain algorithm.first-order` says more about a kind, `explain algorithm` has the others."
    yield ""


def _root(table: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines before the first table."""
    for key in keys(Plan):
        value = table.get(key.name, None if key.table else key.default)
        if (not key.table or isinstance(value, str)) and (key.name != "observers" or value):
            yield _line(key, value, given=key.name in table, guess=_GUESSES.get(key.name))


def _tables(table: Mapping[str, Any], chosen: Mapping[str, str], beside: Path | None) -> Iterator[str]:
    for key in keys(Plan):
        value = table.get(key.name)
        if key.name in sections():
            yield from ("", _commented(f"[{key.name}]", key.meaning))
            yield from _entries(key.name, "", sections()[key.name], value or {})
        elif key.table and value is None:
            yield from ("", _commented(f"# [{key.name}]", key.meaning))
            yield from _choices("kinds", key.name)
        elif isinstance(value, Mapping) and key.table:
            kind = value["kind"]
            cls = catalog.load(rooms()[key.name], kind, key.name, beside)
            yield from ("", _commented(f"[{key.name}]", key.meaning))
            yield _commented(f"kind = {as_toml(kind)}", described(cls)[0])
            yield from _choices("others" if key.name in chosen else "chosen for you; others", key.name, kind)
            yield from _entries(key.name, kind, cls, value)


def _choices(title: str, table: str, but: str = "") -> list[str]:
    others = ", ".join(kind for kind in catalog.kinds(rooms()[table]) if kind != but)
    return textwrap.wrap(
        f"{title}: {others}", 100, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False
    )


def _entries(table: str, kind: str, cls: type, given: Mapping[str, Any]) -> Iterator[str]:
    for key in keys(cls):
        value = given.get(key.name, key.default)
        yield _line(key, value, given=key.name in given, guess=_guess(table, kind, key))


def _line(key: Key, value: Any, given: bool, guess: Any) -> str:
    shown = f"{'' if given else '# '}{key.name} = {'' if value is None else as_toml(value)}"
    return _commented(shown, f"{key.meaning}{' (guess)' if given and value == guess else ''}")


def _commented(text: str, comment: str) -> str:
    return f"{text:<{_COLUMN}}  # {comment}"
