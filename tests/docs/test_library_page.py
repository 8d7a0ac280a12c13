"""The code of docs/LIBRARY.md does what the page prints."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

import pytest

from tests.docs.pages import complete_blocks, outputs
from tests.support.launching import CONFIGS

_PAGE = "LIBRARY.md"


def test_the_page_prints_what_its_code_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only here: every block as a reader runs it, one after the other in one folder, with Matplotlib and pandas."""
    for module in ("matplotlib", "pandas"):
        pytest.importorskip(module)
    (tmp_path / "configs").mkdir()
    shutil.copy(CONFIGS / "quickstart.toml", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    said = {}
    for name, code in complete_blocks(_PAGE).items():
        (tmp_path / name).write_text(code)
        runpy.run_path(name)
        said[name] = "".join(f"{line.rstrip()}\n" for line in capsys.readouterr().out.splitlines())
    assert said == outputs(_PAGE)
    assert (tmp_path / "rules.png").stat().st_size > 1000
