"""The list of deliberate breaks fits the code: what it takes out is there. `make breaks` shows that tests notice."""

from __future__ import annotations

import pytest

from tests.breaks.catalogue import ROOT, TIERS, Break, compiles, load

_ALL = load()


def test_each_has_a_name_of_its_own() -> None:
    names = [each.id for each in _ALL]
    assert len(set(names)) == len(names) >= 70


@pytest.mark.parametrize("each", _ALL, ids=lambda each: each.id)
def test_what_is_taken_out_is_there_once(each: Break) -> None:
    text = each.applied(ROOT)
    assert text is not None, f"{each.file}: to be found {(ROOT / each.file).read_text().count(each.find)} times"
    assert text != (ROOT / each.file).read_text()
    assert compiles(each.file, text)


@pytest.mark.parametrize("each", _ALL, ids=lambda each: each.id)
def test_the_tests_that_notice_are_there(each: Break) -> None:
    assert each.tier in TIERS
    places = [argument.split("::") for argument in each.tests if argument.startswith(("tests/", "mpirobust/"))]
    assert places
    for file, *names in places:
        assert (ROOT / file).exists(), file
        for name in names:
            assert f" {name.partition('[')[0]}(" in (ROOT / file).read_text(), name
