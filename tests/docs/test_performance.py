"""docs/PERFORMANCE.md is what benchmarks/report.py makes of the committed files."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import text
from tests.support.launching import REPOSITORY

_BENCHMARKS = REPOSITORY / "benchmarks"


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(_BENCHMARKS)
    return runpy.run_path(str(_BENCHMARKS / "report.py"))


def test_the_page_is_made_of_the_committed_files(report: dict[str, Any]) -> None:
    assert report["page"]() == text("PERFORMANCE.md"), "python benchmarks/report.py writes it anew"


def test_every_target_has_a_row_and_every_miss_says_why(report: dict[str, Any]) -> None:
    page = report["page"]()
    for target in report["TARGETS"]:
        [row] = [line for line in page.splitlines() if line.startswith(f"| {target.name} |")]
        assert ("**missed**" in row) == (f"**{target.name}.** {target.missed}\n" in page)
        assert target.missed, f"{target.name}: what is to be said if it is missed?"


@pytest.mark.parametrize(
    ("at_most", "median", "verdict"),
    [(True, 1.5, "met"), (True, 1.6, "**missed**"), (False, 1.5, "met"), (False, 1.4, "**missed**"), (True, None, "-")],
)
def test_the_verdict_is_that_of_the_median(
    report: dict[str, Any], at_most: bool, median: float | None, verdict: str
) -> None:
    target = report["Target"]("start", 1.5, "x", "startup.json", lambda _: None, "why", at_most)
    value = None if median is None else report["Measured"]({"median": median, "low": 0.0, "high": 9.0})
    assert verdict in report["row"](target, value)


def test_what_has_not_been_measured_is_said(
    report: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(report["load"].__globals__, "_HERE", tmp_path)
    page = report["page"]()
    for target in report["TARGETS"]:
        assert any(line.startswith(f"| {target.name} |") and "not measured" in line for line in page.splitlines())
