"""The tutorial of docs/TORCH.md on ranks."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from tests.docs.pages import complete_blocks
from tests.support.launching import kill_group, mpirobust, start, until
from tests.support.traces import assert_same

pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'mpirobust[torch]'")


def test_a_network_of_the_users_killed_on_five_ranks_ends_on_three_with_the_bits_of_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one test in which PyTorch computes on several ranks, hosting other workers before and after the kill."""
    for name, content in complete_blocks("TORCH.md").items():
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    runpy.run_path("rings.py")
    plan = str(tmp_path / "net.toml")
    sets = ("--set", "checkpoint.every=10", "--set", "feedback=residual")
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = start("-m", "mpirobust", "run", plan, "--out", str(killed), *sets, ranks=5)
    until(lambda: len([*killed.glob("checkpoint-*.h5")]) > 1, 60, lambda: "nothing is saved")
    kill_group(process)
    process.communicate()
    done = max(int(path.stem.partition("-")[2]) for path in killed.glob("checkpoint-*.h5"))
    more = (*sets, "--set", f"algorithm.rounds={done + 30}")
    ended = mpirobust("run", plan, "--out", str(killed), "--resume", *more, ranks=3)
    assert ended.returncode == 0, ended.stderr
    alone = mpirobust("run", plan, "--out", str(whole), *more, "--threads", "2")
    assert alone.returncode == 0, alone.stderr
    assert_same(whole, killed)
