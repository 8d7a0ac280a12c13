"""The schema of plans refuses what is refused, and takes what no key alone makes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from mpirobust import catalog
from mpirobust.errors import PlanFault
from mpirobust.guide.keys import keys, rooms, sections
from mpirobust.guide.schema import schema
from mpirobust.plan import Plan
from mpirobust.testing.examples import EXAMPLES
from mpirobust.toml import read_table
from tests.support.alone import command_alone
from tests.support.launching import REPOSITORY

_SCHEMA = schema()
_VALIDATOR = Draft202012Validator(_SCHEMA)
_PLAN = read_table(REPOSITORY / "configs" / "a9a-cubic.toml")
# No 1.0 among them: it is a whole number to JSON, and none to TOML.
_PROBES: list[Any] = [-1, 0, 1, 2, 0.25, 0.5, 1.5, 10**9, 10**9 + 1, 2**62, "", "x", "II", "a:b", True]
_PROBES += [[], [1], [0.5], ["auc"], ["x"], {}, {"a": 1}]


def _of(table: str) -> Draft202012Validator:
    return Draft202012Validator({**_SCHEMA["$defs"][table], "$defs": _SCHEMA["$defs"]})


def test_is_a_schema_and_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    Draft202012Validator.check_schema(_SCHEMA)
    assert command_alone("schema") == 0
    assert json.loads(capsys.readouterr().out) == _SCHEMA


@pytest.mark.parametrize("path", sorted((REPOSITORY / "configs").glob("*.toml")), ids=lambda path: path.stem)
def test_takes_the_plans_of_the_project(path: object) -> None:
    assert isinstance(path, type(REPOSITORY))
    _VALIDATOR.validate(read_table(path))


# Changes of a good plan: the table, the keys, and whether the plan is good still.
_CHANGES: dict[str, tuple[str, dict[str, Any], bool]] = {
    "unknown key": ("", {"sed": 1}, False),
    "unknown table": ("", {"atack": {}}, False),
    "unknown kind": ("aggregator", {"kind": "krumm"}, False),
    "kind missing": ("aggregator", {"kind": None}, False),
    "required key missing": ("algorithm", {"M": None}, False),
    "key of another kind": ("algorithm", {"step": 1.0}, False),
    "out of range": ("aggregator", {"beta": 0.5}, False),
    "no choice": ("", {"weigh": "row"}, False),
    "two that exclude each other": ("data", {"split": 0.5, "test": "a9a.t"}, False),
    "table in place of a value": ("", {"seed": {}}, False),
    "short": ("", {"feedback": "none"}, True),
    "short and wrong": ("", {"feedback": "som"}, False),
    "short where there is no short form": ("", {"aggregator": "mean"}, False),
    "from a file": ("aggregator", {"kind": "./own.py:Own", "beta": None, "anything": [1]}, True),
    "short and from a package": ("", {"feedback": "package.module:Own"}, True),
    "inner kind": ("algorithm", {"solver": {"kind": "exact"}}, True),
    "inner key": ("algorithm", {"solver": {"kind": "exact", "products": 1}}, False),
    "observers": ("", {"observers": {"progress": {"every_seconds": 1}, "own": {"kind": "./own.py:Own"}}}, True),
    "observer without a kind": ("", {"observers": {"own": {}}}, False),
    "observer with a key of another": ("", {"observers": {"progress": {"every": 1}}}, False),
    "downlink": ("", {"downlink": {"kind": "uniform", "bits": 9}}, False),
    "rule of a rule": ("aggregator", {"kind": "nnm", "rule": {"kind": "mean"}}, True),
}


@pytest.mark.parametrize("name", _CHANGES)
def test_takes_what_a_plan_may_say(name: str) -> None:
    table, changes, good = _CHANGES[name]
    plan = {key: dict(value) if isinstance(value, dict) else value for key, value in _PLAN.items()}
    inside = plan[table] if table else plan
    inside |= changes
    for key in [key for key, value in changes.items() if value is None]:
        del inside[key]
    assert _VALIDATOR.is_valid(plan) == good


def _examples() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for room, kinds in EXAMPLES.items():
        table = {"partition": "data.partition"}.get(room, room)
        for kind, settings in kinds.items():
            yield table, kind, settings[0]


@pytest.mark.parametrize(("table", "kind", "example"), [*_examples()])
def test_agrees_with_the_component_on_every_value_of_every_key(table: str, kind: str, example: dict[str, Any]) -> None:
    """A rule over several keys may refuse more than the schema; it never begins with "expected"."""
    cls, validator = catalog.load(rooms()[table], kind, table), _of(table)
    assert validator.is_valid({"kind": kind, **example})
    for key in keys(cls):
        if key.table or catalog.missing_package(cls):
            continue
        for probe in _PROBES:
            changed = {"kind": kind, **example, key.name: probe}
            reason = _refusal(lambda changed=changed: catalog.build(rooms()[table], changed, table))
            if validator.is_valid(changed):
                assert not reason.startswith("expected"), (key.name, probe)
            else:
                assert reason, (key.name, probe)


@pytest.mark.parametrize("table", [*sections()])
def test_agrees_on_the_tables_without_kinds(table: str) -> None:
    cls = sections()[table]
    validator = _of(table) if table else _VALIDATOR
    for key in keys(cls):
        if key.table or key.name == "observers":
            continue
        for probe in _PROBES:
            changed = {key.name: probe} if table else {**_PLAN, key.name: probe}
            reason = _refusal(
                lambda changed=changed: catalog.validated(cls, changed, table) if table else Plan.of(changed)
            )
            assert validator.is_valid(changed) or reason, (key.name, probe)
            assert not validator.is_valid(changed) or not reason.startswith("expected"), (key.name, probe)


def _refusal(build: Any) -> str:
    try:
        build()
    except PlanFault as fault:
        return fault.reason
    return ""


def test_says_what_a_key_means_and_what_it_is_by_default() -> None:
    kinds = {kind.get("title"): kind for kind in _SCHEMA["$defs"]["algorithm"]["oneOf"]}
    momentum = kinds["cubic-newton"]["properties"]["momentum"]
    assert momentum["description"].startswith("ρ")
    assert (momentum["default"], momentum["minimum"], momentum["exclusiveMaximum"]) == (0.0, 0, 1)
    assert _SCHEMA["properties"]["weigh"]["enum"] == ["equal", "rows"]
