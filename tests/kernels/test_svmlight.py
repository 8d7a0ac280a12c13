"""The compiled reader of the grammar of LIBSVM text against its pattern: the same lines are wrong."""

from __future__ import annotations

from random import Random

import pytest

from mpirobust import kernels
from mpirobust.kernels import twins

pytestmark = pytest.mark.usefixtures("loops")

_RIGHT = [
    *(
        "",
        " ",
        "\t",
        "1",
        "-1 ",
        " +1 2:3",
        "1 1:.5 2:5. 3:-1e-3",
        "1\t+1:2 2:  3 ",
        "0.5 10:1E+2",
        "1e5 1:0",
        "1 2:\t3",
    ),
]
_WRONG = [
    *(".", "-", "1e", "1e+", "1 2", "1 :2", "1 2:", "1 2:.", "1 2:3e", "1 2:3x", "1 2:3:4", "1 2 :3", "1.2.3", "+-1"),
    *("nan", "inf", "1 -1:2", "1 1.0:2", "1 ++1:2", "1,2 1:1", "1:2 3:4", "1 1:0x1p3", "1 1:2\0", "1 1:2 e", "x", "\r"),
]


@pytest.mark.parametrize("line", _RIGHT)
def test_a_row(line: str) -> None:
    assert kernels.wrong_line(f"{line}\n".encode()) == len(line) + 1


@pytest.mark.parametrize("line", _WRONG)
@pytest.mark.parametrize("before", ["", "1 1:1\n\n"])
def test_no_row(line: str, before: str) -> None:
    assert kernels.wrong_line(f"{before}{line}\n1 1:1\n".encode()) == len(before)


def test_no_text() -> None:
    assert kernels.wrong_line(b"") == 0


def test_any_text() -> None:
    rng = Random(0)
    verdicts = set()
    for _ in range(30_000):
        text = "".join(rng.choices("01:.+-e \t\nx", [4, 4, 4, 2, 1, 1, 2, 4, 1, 2, 0.1], k=rng.randrange(14))) + "\n"
        at = twins.wrong_line(text.encode())
        assert kernels.wrong_line(text.encode()) == at, text
        verdicts.add((at == len(text), at > 0, ":" in text[:at]))
    assert len(verdicts) >= 5
