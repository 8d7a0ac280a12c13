"""What a run says of where it was made, and how to keep it from saying so."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import h5py
import pytest

from mpirobust.errors import PlanFault
from mpirobust.plan import Plan
from mpirobust.records.provenance import Records, git_commit, provenance
from mpirobust.testing.support.clusters import regression_plan
from tests.support.alone import command_alone, run_alone


def attributes(folder: Path) -> dict[str, Any]:
    with h5py.File(folder / "run.h5") as run:
        return dict(run.attrs)


def test_hosts_are_numbered_and_still_counted() -> None:
    hosts = ["a", "a", "b", "a"]
    assert provenance({}, hosts, "", Records())["hosts"] == "a a b a"
    assert provenance({}, hosts, "", Records(hosts=False))["hosts"] == "#1 #1 #2 #1"


def test_a_run_leaves_out_what_it_shall_and_a_finished_one_may_be_written_again(tmp_path: Path) -> None:
    plan, out = tmp_path / "plan.toml", tmp_path / "out"
    plan.write_text(regression_plan(algorithm={"kind": "first-order", "rounds": 2, "step": 0.1}).toml())
    named = attributes(run_alone(plan, out))
    assert named["plan_file"] == str(plan)
    assert named["hosts"] == platform.node()
    assert named["command"]
    x = h5py.File(out / "run.h5")["model/x"][:]
    less = ["--set", "records.command=false", "--set", "records.hosts=false"]
    assert command_alone("resume", str(out), *less) == 0
    shared = attributes(out)
    assert named.keys() - shared.keys() == {"command", "plan_file"}
    assert shared["hosts"] == "#1"
    where = [str(tmp_path), platform.node()]
    assert not [text for text in shared.values() for part in where if part in str(text)]
    assert (h5py.File(out / "run.h5")["model/x"][:] == x).all()
    direct = attributes(run_alone(plan, tmp_path / "direct", "records.command=false", "records.hosts=false"))
    assert direct.keys() == shared.keys()


def test_the_commit_of_a_checkout_and_of_a_worktree(tmp_path: Path) -> None:
    git, own, tree = tmp_path / "main" / ".git", tmp_path / "main" / ".git" / "worktrees" / "w", tmp_path / "w"
    own.mkdir(parents=True)
    tree.mkdir()
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "packed-refs").write_text("# pack-refs with: peeled\n1234 refs/heads/main\n")
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "refs" / "heads" / "w").write_text("5678\n")
    (own / "HEAD").write_text("ref: refs/heads/w\n")
    (own / "commondir").write_text("../..\n")
    (tree / ".git").write_text(f"gitdir: {own}\n")
    assert git_commit(git.parent) == "1234"
    assert git_commit(tree) == "5678"
    (tree / ".git").write_text("gitdir: ../main/.git/worktrees/w\n")
    (own / "HEAD").write_text("9abc\n")
    assert git_commit(tree) == "9abc"
    assert git_commit(tmp_path) == ""


def test_the_text_and_the_identity_of_other_plans_are_as_they_were() -> None:
    """The folders of studies are named after the text, and checkpoints after the identity."""
    plan = regression_plan()
    assert "records" not in plan.toml()
    assert Plan.of({**plan.table(), "records": {"hosts": True}}) == plan
    less = Plan.of({**plan.table(), "records": {"hosts": False}})
    assert less.table()["records"] == {"command": True, "hosts": False}
    assert Plan.of(less.table()) == less
    assert less.record().identity() == plan.record().identity()
    with pytest.raises(PlanFault, match=r"records\.host: unknown key"):
        Plan.of({**plan.table(), "records": {"host": False}})
