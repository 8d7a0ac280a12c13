"""What is made of the measurements on several numbers of ranks: the tables, and 10,000 workers on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scaling_report import Layout, draw, layouts, on_paper, section

PAPER = Layout(alpha=1.0, beta=0.01, stage=0.5, work=3.0, message=0.5, rule=0.25, up=20, partial=80, down=160)


def size(processes: int, workers: int, up: int) -> dict[str, Any]:
    """A byte takes 1 µs, a stage 4 ms, a rank in the gather 3, the gradient 2, a message in the rule 1."""
    phases = {
        "broadcast": 30e-3 + 4e-3 * (processes - 1).bit_length(),
        "compute": 2e-3 * -(-workers // (processes - 1)),
        "encode": 0.0,
        "gather": 5e-3 + 3e-3 * (processes - 1) + 1e-6 * up * workers,
        "forge": 0.0,
        "aggregate": 1e-3 * workers,
    }
    made = {"folder": "x", "processes": processes, "nodes": processes, "workers": workers, "kernels": ""}
    return {**made, "seconds": sum(phases.values()), "phases": phases, "nbytes": up * workers}


def result() -> dict[str, Any]:
    about = {"machine": "x", "commit": "c", "date": "d", "d": 1000, "workers": 24, "rate": 25}
    slow = [size(each, 24, 900) for each in (3, 5, 9, 17, 25)]  # has no part in what is on paper
    studies: list[dict[str, Any]] = [{"mode": "strong", "code": "1 bit up", "tree": False, "sizes": slow}]
    for code, up in (("float64", 8000), ("1 bit up", 129)):
        ranks = (3, 5, 9, 17, 25)
        studies.append({"mode": "strong", "code": code, "tree": True, "sizes": [size(each, 24, up) for each in ranks]})
        studies.append(
            {"mode": "weak", "code": code, "tree": True, "sizes": [size(each, each - 1, up) for each in ranks]}
        )
    return {**about, "studies": studies}


def test_what_is_on_paper_comes_from_the_fitted_terms() -> None:
    of = layouts(result())["float64"]
    assert (of.alpha, of.beta, of.stage) == pytest.approx(((35e-3 - 2 * 8032e-6) / 2, 1e-6, 4e-3))
    assert (of.work, of.message, of.rule) == pytest.approx((2e-3, 3e-3, 1e-3))
    assert (of.up, of.partial, of.down) == (8000, 4000, 8032)
    of = layouts(result())["1 bit up"]
    assert (of.up, of.partial) == (129, 4000)


def test_a_star_is_the_fitted_round_of_a_worker_on_each_host() -> None:
    measured = size(25, 24, 8000)["seconds"]
    assert layouts(result())["float64"].star(24) == pytest.approx(measured)


def test_layouts_on_paper() -> None:
    apart = 3 + 2 * 1.6 + 2 * 1  # work, two copies of a point, two collectives
    assert PAPER.star(10) == pytest.approx(apart + 4 * 0.5 + 10 * (0.2 + 0.5 + 0.25))
    assert PAPER.star(8) == pytest.approx(apart + 4 * 0.5 + 8 * (0.2 + 0.5 + 0.25))  # nine hosts: four stages
    assert PAPER.sharded(10, 5) == pytest.approx(apart + 4 * 0.5 + 2 * (0.2 + 0.25) + (10 + 4) * 0.5)
    norms = 10 * (0.5 + 0.08)  # of a level
    assert PAPER.tree(10, 10) == pytest.approx(apart + 4 * 0.5 + norms + 2 + 10 * (0.2 + 0.5 + 0.25))
    three = 3 * (norms + 2 + 10 * (0.5 + 0.25)) + 10 * (0.2 + 2 * 0.8)
    assert PAPER.tree(1000, 10) == pytest.approx(apart + 10 * 0.5 + three)


def test_the_best_number_of_centers_and_fan_in_are_taken() -> None:
    found = on_paper(PAPER, 1000)
    assert found["star"] == (1, PAPER.star(1000))
    for name, time in (("sharded center", PAPER.sharded), ("tree", PAPER.tree)):
        count, seconds = found[name]
        assert seconds == time(1000, count)
        assert seconds <= min(time(1000, each) for each in (2, 5, 10, 22, 100, 1000))


def test_the_section_says_what_is_foretold_and_what_was_not_run() -> None:
    text = section(result())
    measured = size(9, 8, 8000)["seconds"]
    weak = text[text.index("**Weak, float64**") :]
    line = next(line for line in weak.splitlines() if line.startswith("| 9 |"))
    assert line.endswith(f"| {1e3 * measured:.3g} | {1e3 * measured:.3g} | +0 % |") or "-0 %" in line
    assert text.index("nothing below was run") < text.index("| float64 | 10,000 |")


def test_the_figure_is_drawn(tmp_path: Path) -> None:
    draw(result(), tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").stat().st_size > 0
