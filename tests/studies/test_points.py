"""The points of a sweep, from the text of the command line."""

from __future__ import annotations

import re

import pytest

from mpirobust.errors import SetupFault
from mpirobust.studies.points import MOST_POINTS, axes, points

_VALUES = {
    "numbers": ("step=0.1,1e-2", ["0.1", "1e-2"]),
    "one value": ("step=0.1", ["0.1"]),
    "kinds": ("kind=norm-trim,caf", ["norm-trim", "caf"]),
    "blanks": (" step = 0.1 , 0.2 ", ["0.1", "0.2"]),
    "whole numbers": ("seed=0..3", ["0", "1", "2", "3"]),
    "one whole number": ("seed=7..7", ["7"]),
    "negative": ("x=-2..1", ["-2", "-1", "0", "1"]),
    "a range among values": ("seed=1..3,10", ["1", "2", "3", "10"]),
    "logarithmic": ("step=1e-3..1:log4", ["0.001", "0.01", "0.1", "1.0"]),
    "logarithmic, whole": ("rounds=10..1000:log3", ["10", "100", "1000"]),
    "linear": ("step=0.1..0.5:lin5", ["0.1", "0.2", "0.3", "0.4", "0.5"]),
    "linear, whole, large": ("rounds=1000000..1000002:lin3", ["1000000", "1000001", "1000002"]),
    "linear, downwards": ("x=1..0:lin3", ["1", "0.5", "0"]),
    "arrays": ("hidden=[64,32],[128]", ["[64,32]", "[128]"]),
    "tables": ("downlink={kind='uniform',bits=3},{kind='sign'}", ["{kind='uniform',bits=3}", "{kind='sign'}"]),
    "quotes": ("""path='a,b',"c]d",'e"f'""", ["'a,b'", '"c]d"', "'e\"f'"]),
    "a text that looks like a range": ("name='1..3'", ["'1..3'"]),
    "a path": ("path=../a.svm,b.svm", ["../a.svm", "b.svm"]),
    "an empty text": ("path='',a", ["''", "a"]),
}


@pytest.mark.parametrize(("text", "values"), _VALUES.values(), ids=_VALUES)
def test_the_values_of_a_key(text: str, values: list[str]) -> None:
    (axis,) = axes([text], [])
    assert list(axis.values) == values
    assert axis.key == text.partition("=")[0].strip()


def test_the_points_are_the_product_and_the_last_key_varies_fastest() -> None:
    found = list(points(axes(["attack.alpha=0.1,0.2", "seed=0..1"], ["workers=9"])))
    assert found == [
        ("attack.alpha=0.1", "seed=0"),
        ("attack.alpha=0.1", "seed=1"),
        ("attack.alpha=0.2", "seed=0"),
        ("attack.alpha=0.2", "seed=1"),
    ]


_FEW = f"are more than {MOST_POINTS:,}; split the sweep"
_REFUSED = {
    "no values": (["seed"], "--over seed: expected key=values, as in"),
    "no key": (["=1"], "--over =1: expected key=values"),
    "half a key": (["algorithm.=1"], "--over algorithm.=1: expected key=values"),
    "nothing": (["seed="], "--over seed=: a value is missing; an empty text is written ''"),
    "a hole": (["seed=1,,2"], "--over seed=1,,2: a value is missing"),
    "a comma at the end": (["seed=1,"], "--over seed=1,: a value is missing"),
    "twice": (["seed=1", "seed=2"], "--over seed is given twice; one --over has all values"),
    "in both": (["workers=1,2"], "workers is given by --over and by --set; give one of the two"),
    "a million": (["seed=1..1000000"], f"1,000,000 points (seed=1..1000000) {_FEW}"),
    "more than memory": (
        ["seed=0..999999999999999999"],
        "1,000,000,000,000,000,000 points (seed=0..99999999999999999",
    ),
    "a million of a range": (["x=0..1:lin1000000"], f"1,000,000 points (x=0..1:lin1000000) {_FEW}"),
    "a product": (["seed=1..101", "x=1..100"], f"10,100 points (101 of seed x 100 of x) {_FEW}"),
    "downwards": (["seed=3..1"], "--over seed=3..1: the range is empty; the smaller number comes first"),
    "no number of values": (["x=0.1..1"], "--over x=0.1..1: say how many values, as in 0.1..1:lin5"),
    "one value of a range": (["x=0.1..1:lin1"], "expected two different ends, and two values at the least"),
    "one end": (["x=1..1:lin3"], "expected two different ends"),
    "an end that is no number": (["x=1..1e999:log3"], "expected two different ends"),
    "logarithm of zero": (["x=0..1:log3"], "--over x=0..1:log3: a logarithmic range has positive ends"),
    "65 bits": (["seed=99999999999999999999"], "seed: a whole number of TOML has 64 bits"),
    "no text": (["x=\udcff"], r"not UTF-8"),
}


@pytest.mark.parametrize(("over", "said"), _REFUSED.values(), ids=_REFUSED)
def test_what_is_refused(over: list[str], said: str) -> None:
    with pytest.raises(SetupFault, match=re.escape(said)):
        axes(over, ["workers=9"])
