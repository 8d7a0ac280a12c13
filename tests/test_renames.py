"""A key that was renamed: the former name works, with one note, and nothing that is stored under it is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from mpirobust.data.partitions.dirichlet import Dirichlet
from mpirobust.errors import SetupFault
from mpirobust.observers.audit import Audits
from mpirobust.plan import Plan, load_plan
from mpirobust.records.layout import TRACE
from mpirobust.records.run_folder import check_continues, former_run
from mpirobust.records.trace import Trace
from mpirobust.studies.campaign import job
from tests.support.plans import GONE, changed

_KIND = "./rule.py:Shorten"
_RULE = """
from typing import ClassVar
from mpirobust import component
from mpirobust.aggregators.mean import Mean

@component
class Shorten(Mean):
    {key}: float
    {former}
"""


@pytest.fixture
def releases(tmp_path: Path) -> tuple[Path, Path]:
    """A plan beside a rule with the key `length`, and the same plan where the next release calls this key `radius`."""
    former = 'former_keys: ClassVar = {"radius": "length"}'
    plans = []
    for name, rule in [
        ("before", _RULE.format(key="length", former="")),
        ("after", _RULE.format(key="radius", former=former)),
    ]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "rule.py").write_text(rule)
        plans.append(tmp_path / name / "plan.toml")
        plans[-1].write_text(tomli_w.dumps(_plan(length=3.0)))
    return plans[0], plans[1]


def _plan(**keys: float) -> dict[str, Any]:
    return changed(("aggregator", {"kind": _KIND, **keys}))


def test_the_former_name_works_with_one_note(releases: tuple[Path, Path]) -> None:
    _, after = releases
    plan, notes = load_plan(after, [])
    assert notes == [
        "aggregator.length is now called aggregator.radius; the former name is accepted until the next release"
    ]
    after.write_text(tomli_w.dumps(_plan(radius=3.0)))
    assert load_plan(after, []) == (plan, [])
    assert plan.table()["aggregator"] == {"kind": _KIND, "radius": 3.0}


def test_what_is_made_from_the_text_of_a_plan_stays(releases: tuple[Path, Path], tmp_path: Path) -> None:
    before, after = (load_plan(path, [])[0] for path in releases)
    assert before.record().identity() == after.record().identity()
    assert before.toml() == after.former_toml() != after.toml()
    old, new = (job(path, [], tmp_path) for path in releases)
    assert old.folder == new.folder


def test_a_run_that_was_begun_before_is_continued(releases: tuple[Path, Path], tmp_path: Path) -> None:
    before, after = (load_plan(path, [])[0] for path in releases)
    Trace(1, np.zeros(0, np.intp), {"plan": before.toml()}).write(tmp_path / TRACE, "running", 0, np.zeros(1))
    check_continues(tmp_path, former_run(tmp_path), replace(after.record(), sources={}))
    other = replace(after.record(), sources={}, table={**after.table(), "aggregator": {"kind": _KIND, "radius": 4.0}})
    with pytest.raises(SetupFault, match=r"aggregator\.radius was 3\.0, is 4\.0"):
        check_continues(tmp_path, former_run(tmp_path), other)


def test_both_names_are_refused(releases: tuple[Path, Path]) -> None:
    _, after = releases
    after.write_text(tomli_w.dumps(_plan(length=3.0, radius=3.0)))
    with pytest.raises(SetupFault, match=r"aggregator\.length: this is now called 'radius'; give one of the two"):
        load_plan(after, [])


@pytest.mark.parametrize(("given", "other"), [("length", "radius"), ("radius", "length")])
def test_an_override_replaces_the_other_name(releases: tuple[Path, Path], given: str, other: str) -> None:
    _, after = releases
    after.write_text(tomli_w.dumps(_plan(**{other: 3.0})))
    plan, notes = load_plan(after, [f"aggregator.{given}=4.0"])
    assert plan.table()["aggregator"] == {"kind": _KIND, "radius": 4.0}
    assert f"aggregator.{given} = 4.0 excludes aggregator.{other} = 3.0, which is dropped" in notes


def test_another_kind_keeps_a_key_by_its_former_name(releases: tuple[Path, Path]) -> None:
    _, after = releases
    after.write_text(tomli_w.dumps(changed(("aggregator", {"kind": "mean", "length": 3.0}))))
    plan, notes = load_plan(after, [f"aggregator.kind={_KIND}"])
    assert plan.table()["aggregator"] == {"kind": _KIND, "radius": 3.0}
    assert len(notes) == 1


@pytest.mark.parametrize(
    ("owner", "names", "key", "value"),
    [
        (Plan, {"workers": "machines"}, "machines", 10),
        (Audits, {"every": "each"}, "audit.each", 7),
        (Dirichlet, {"concentration": "alpha"}, "data.partition.alpha", 2.0),
    ],
)
def test_in_every_table(
    owner: Any, names: dict[str, str], key: str, value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((name, former),) = names.items()
    current = key.replace(former, name)
    dealt = ("data.partition", {"kind": "dirichlet", "concentration": 1.0})
    now = Plan.of(changed(dealt, (current, value)))
    monkeypatch.setattr(owner, "former_keys", names, raising=False)
    path = tmp_path / "plan.toml"
    path.write_text(tomli_w.dumps(changed(dealt, (current, 1), (current, GONE), (key, value))))
    plan, notes = load_plan(path, [])
    assert plan == now
    assert notes == [f"{key} is now called {current}; the former name is accepted until the next release"]
    plan, notes = load_plan(path, [f"{current}={value}"])
    assert plan == now
    assert notes == [f"{current} = {value!r} excludes {key} = {value!r}, which is dropped"]
