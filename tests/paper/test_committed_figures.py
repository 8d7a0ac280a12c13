"""The cheap figures of docs/p1 and docs/p2 are what a run of their families says today."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from mpirobust.files import write_table
from tests.support.alone import command_alone
from tests.support.launching import REPOSITORY


def _only(figures: list[str], titles: list[str], committed: Path, out: Path) -> None:
    """Write what is committed of these figures to `out`."""
    out.mkdir()
    with (committed / "values.csv").open(newline="") as file:
        write_table(out / "values.csv", [row for row in csv.DictReader(file) if row["figure"] in figures])
    head, *sections = (committed / "claims.md").read_text().split("\n## ")
    kept = [section for section in sections if section.splitlines()[0] in titles]
    assert len(kept) == len(titles)
    (out / "claims.md").write_text("\n## ".join([head, *kept]))


@pytest.mark.parametrize(
    ("paper", "titles"),
    [
        pytest.param(
            "p2",
            {
                "figure-1a": "P2 Figure 1 (a): leaving the saddle of the toy",
                "figure-1f": "P2, a saddle: escapes that can succeed",
            },
            id="P2 without data",
        ),
        pytest.param("p1", {"figure-1": "P1 Figure 1: thresholding by norm against plain averaging"}, id="P1 Figure 1"),
    ],
)
def test_what_is_committed_is_what_the_runs_say(paper: str, titles: dict[str, str], tmp_path: Path) -> None:
    """Alone compares committed results with new runs, of today's code: 160 runs of P2 in two or three minutes, most of
    them searches for a way out of a saddle, and those of P1 in half a minute."""
    shutil.copytree(REPOSITORY / "configs", tmp_path / "configs", ignore=shutil.ignore_patterns("p1", "p2"))
    families = tmp_path / "configs" / paper
    families.mkdir()
    for figure in titles:
        shutil.copy(REPOSITORY / "configs" / paper / f"{figure}.toml", families)
    _only(list(titles), list(titles.values()), REPOSITORY / "docs" / paper, tmp_path / "out")
    asked = ["--check", "--run-missing", "--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs")]
    assert command_alone("figures", str(families), *asked) == 0
