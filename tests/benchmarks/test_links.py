"""What is made of the measurements on links: the model, who wins where, and the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from link_bytes import counters
from links_report import FITTED, KAPPA, below, draw, errors, lines, path, section, winners


def run(method: str, rate: int, nbytes: int, alpha: float, disturbed: float = 1.0) -> dict[str, Any]:
    return {
        "problem": "regression",
        "method": method,
        "rate": rate,
        "seconds": (alpha + (1e-6 * KAPPA * nbytes / rate if rate else 0.0)) * disturbed,
        "received": nbytes - 300,
        "sent": 300,
        "one_down": 100,
    }


def result(disturbed: float = 1.0) -> dict[str, Any]:
    rounds = {"float64": 10, "1 bit up": 30, "1 bit up, 3 bits down": 30}
    of = {"float64": (1_600_000, 0.01), "1 bit up": (60_000, 0.005), "1 bit up, 3 bits down": (40_000, 0.03)}
    runs = [run(name, rate, *of[name], disturbed if rate == 100 else 1) for name in of for rate in (10, 100, 1000, 0)]
    methods = {name: {"set": ["algorithm.step=0.5"], "rounds": count} for name, count in rounds.items()}
    about = {"machine": "x", "commit": "c", "date": "d", "hosts": 5}
    return {**about, "problems": {"regression": {"target": 0.001, "methods": methods}}, "runs": runs}


def test_the_model_is_found_on_some_links_and_foretells_the_others() -> None:
    assert lines(result(), "regression")["1 bit up"] == pytest.approx((30 * 0.005, 30 * 60_000 * 1e-6 * KAPPA))
    for off in errors(result()).values():
        assert off == pytest.approx([0, 0, 0], abs=1e-9)
    disturbed = errors(result(disturbed=2.0))
    assert 100 not in FITTED
    assert disturbed[100] == pytest.approx([-0.5] * 3)
    assert disturbed[10] == pytest.approx([0] * 3, abs=1e-9)


def test_a_chain_takes_as_long_as_all_its_links() -> None:
    assert path({"received": 50, "sent": 101, "one_down": 100}, 5) == 450
    assert path({"received": 50, "sent": 401, "one_down": 100}, 5) == 451


@pytest.mark.parametrize(
    ("one", "other", "limit"),
    [
        ((2.0, 10.0), (1.0, 30.0), 20.0),
        ((1.0, 10.0), (2.0, 30.0), np.inf),
        ((1.0, 30.0), (2.0, 10.0), 0.0),
        ((1.0, 10.0), (1.0, 10.0), 0.0),
    ],
)
def test_below(one: tuple[float, float], other: tuple[float, float], limit: float) -> None:
    assert below(one, other) == limit


def test_who_wins_where() -> None:
    lines = {"dense": (1.0, 100.0), "coded": (2.0, 10.0), "slow": (9.0, 9.0), "never": (3.0, 50.0)}
    assert winners(lines) == [("dense", np.inf), ("coded", 90.0), ("slow", 1 / 7)]
    assert winners({"one": (1.0, 1.0)}) == [("one", np.inf)]


def test_the_section_has_measured_and_foretold_seconds() -> None:
    text = section(result())
    line = next(line for line in text.splitlines() if line.startswith("| 1 bit up |"))
    seconds = [30 * each["seconds"] for each in result()["runs"] if each["method"] == "1 bit up"]
    assert [f"{each:.3g} ({each:.3g})" for each in seconds] == line.split(" | ")[4:8]
    assert "100 Mbit/s predicted: median 0 %, largest 0 %" in text
    assert "10 Mbit/s fitted" in text


def test_the_figure_is_drawn(tmp_path: Path) -> None:
    draw(result(), tmp_path / "links.png")
    assert (tmp_path / "links.png").stat().st_size > 0


def test_the_kernels_counters_are_read() -> None:
    table = (
        "Inter-|   Receive  |  Transmit\n face |bytes\n    lo: 1 2 3 4 5 6 7 8 9 10\n  eth0:11 2 3 4 5 6 7 8 19 10\n"
    )
    assert counters(table, "eth0") == (11, 19)
    with pytest.raises(KeyError):
        counters(table, "eth1")
