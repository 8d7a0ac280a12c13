"""`mpirobust explain` has a page for everything in a plan, and every key of it has a meaning."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mpirobust import catalog
from mpirobust.components import component, wanted
from mpirobust.errors import PlanFault, SetupFault
from mpirobust.guide.keys import as_toml, keys, meanings, rooms, sections
from mpirobust.guide.pages import explain, names

_KINDS = [(table, kind) for table, room in rooms().items() for kind in catalog.kinds(room)]
_CLASSES = {f"[{table}]": cls for table, cls in sections().items()} | {
    f"{table}.{kind}": catalog.load(rooms()[table], kind, table) for table, kind in _KINDS
}


@pytest.mark.parametrize("name", _CLASSES)
def test_every_key_has_a_meaning_of_one_sentence(name: str) -> None:
    for key in keys(_CLASSES[name]):
        assert re.fullmatch(r"[^\n]{8,160}[^.\n]", key.meaning), f"{name}: {key.name}: {key.meaning!r}"


def test_everything_has_a_page() -> None:
    for name in names():
        assert re.search(
            rf"^(The kinds of )?\[?{re.escape(name)}\b|\.{re.escape(name.rpartition('.')[2])}$", explain(name), re.M
        )


@pytest.mark.parametrize(("table", "kind"), _KINDS)
def test_the_page_of_a_kind_has_its_keys_with_values_and_default(table: str, kind: str) -> None:
    page = explain(f"{table}.{kind}")
    for key in keys(_CLASSES[f"{table}.{kind}"]):
        entry = page.partition(f"\n  {key.name} ")[2]
        facts = entry.splitlines()[1]
        assert entry.lstrip().startswith(key.meaning)
        assert key.table or wanted(key.hint) in facts
        assert ("required" in facts) == key.required
        assert key.default is None or f"default: {as_toml(key.default)}" in facts


def test_a_page_says_more_than_its_keys() -> None:
    page = explain("algorithm.first-order")
    assert "gradient descent, P1 Alg. 1" in page
    assert "'constant' or 'inverse-sqrt' or 'inverse-smoothness'; default: \"constant\"" in page
    assert "P1: Ghosh, Maity, Kadhe" in page
    assert "P2: " not in page
    assert explain("algorithm.rounds").splitlines()[0] == "algorithm.byzantine-pgd.rounds"
    assert explain(None).count("; required") == 6


@pytest.mark.parametrize(
    ("name", "said"),
    {
        "cubic-newtn": "did you mean algorithm.cubic-newton",
        "step": "did you mean algorithm.step, ",
        "algoritm": "did you mean algorithm",
        "algorithm.first-order.stp": "did you mean algorithm.first-order.step",
        "feature": "did you mean data.features",
        "qqqq": "mpirobust explain lists the tables",
        "data.rows.x": "nothing in a plan is called 'data.rows.x'",
    }.items(),
)
def test_what_has_no_page(name: str, said: str) -> None:
    with pytest.raises(SetupFault, match=re.escape(said)):
        explain(name)


@pytest.mark.parametrize(
    ("alone", "name"),
    [("cubic-newton", "algorithm.cubic-newton"), ("dirichlet", "data.partition.dirichlet")],
)
def test_a_name_that_only_one_thing_has_may_stand_alone(alone: str, name: str) -> None:
    assert explain(alone) == explain(name)


def test_none_is_no_kind_of_attack() -> None:
    with pytest.raises(PlanFault, match="leave out"):
        explain("attack.none")


def test_a_kind_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(
        "from mpirobust import Aggregator, component\n"
        "@component\nclass Own(Aggregator):\n"
        '    """Mine.\n\n    Attributes:\n        c: how\n            far.\n    """\n'
        "    c: float = 1.0\n"
        "    def judge(self, answers, memory, context): ...\n"
        "    def tolerates(self): ...\n"
    )
    page = explain("aggregator../own.py:Own")
    assert "Mine.\n\nKeys:\n  c                     how far\n" in page
    assert f"From {tmp_path / 'own.py'}" in page


def test_meanings_are_those_of_the_class_that_is_nearest() -> None:
    @component
    class Base:
        """A base.

        Attributes:
            a, b: of both.
            c: of the base,
                on two lines: with a colon.

        More: no attribute.
        """

    class Derived(Base):
        """Derived.

        Attributes:
            b: its own.
        """

    assert meanings(Derived) == {"a": "of both", "b": "its own", "c": "of the base, on two lines: with a colon"}
    assert meanings(type("Silent", (), {})) == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), (0.1, "0.1"), (True, "true"), ('a"ü', '"a\\"ü"'), ([1, 2], "[1, 2]"), ({"k": []}, "{ k = [] }")],
)
def test_a_value_as_toml(value: object, text: str) -> None:
    assert as_toml(value) == text
