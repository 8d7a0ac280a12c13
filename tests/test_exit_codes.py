"""The exit codes are one table: the enum, the page, and what each path through `main` returns."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from mpirobust.cluster.worker import Worker
from mpirobust.errors import (
    DataFault,
    Exit,
    PlanFault,
    RankFault,
    ReportedFault,
    SetupFault,
    StorageFault,
    WorkerFault,
)
from mpirobust.observers.checkpoint import Checkpointer
from tests.docs.pages import text
from tests.support.alone import command_alone
from tests.support.broken_streams import broken
from tests.support.small_studies import PLAN

# What a command may raise, with the code and the message.
_RAISED: dict[str, tuple[BaseException, Exit, str]] = {
    "bug": (KeyError("no such thing"), Exit.INTERNAL, "internal error\nTraceback"),
    "recursion": (RecursionError(), Exit.INTERNAL, "internal error\nTraceback"),
    "exit of a kind": (SystemExit(0), Exit.INTERNAL, "internal error\nTraceback"),
    "usage": (click.UsageError("no such option"), Exit.SETUP, "no such option"),
    "set-up": (SetupFault("no plan"), Exit.SETUP, "no plan"),
    "plan": (PlanFault("a.b", "missing"), Exit.SETUP, "mpirobust: a.b: missing"),
    "data": (DataFault("no rows"), Exit.SETUP, "no rows"),
    "worker": (WorkerFault(3, "failed"), Exit.WORKER, "worker 3 failed"),
    "storage": (StorageFault("cannot write"), Exit.STORAGE, "cannot write"),
    "memory": (MemoryError("8 TiB"), Exit.STORAGE, "not enough memory: 8 TiB"),
    "disk": (OSError(28, "No space left on device"), Exit.STORAGE, "No space left on device"),
    "rank": (RankFault("rank 2 died"), Exit.LOST, "rank 2 died"),
    "told by another rank": (ReportedFault(Exit.STORAGE), Exit.STORAGE, ""),
    "Ctrl-C": (KeyboardInterrupt(), Exit.ABANDONED, "ended at once"),
    "abort": (click.Abort(), Exit.ABANDONED, "ended at once"),
}


@pytest.mark.parametrize("state", [None, "none", "full", "without-reader", "ascii"])
@pytest.mark.parametrize("name", _RAISED)
def test_what_is_raised_has_its_code_and_message(
    name: str, state: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error, code, message = _RAISED[name]
    monkeypatch.setattr("mpirobust.guide.listing.listing", _raising(error))
    if state is None:
        assert command_alone("list") == code
        said = capsys.readouterr()
        assert said.out == ""
        assert message in said.err
        assert said.err.lstrip().startswith("mpirobust: ") or not message  # click begins a line after Ctrl-C
        return
    with broken(state) as out, broken(state) as err:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        assert command_alone("list") == code


def _raising(error: BaseException) -> Callable[..., object]:
    def fail(*_: object, **__: object) -> object:
        raise error

    return fail


def _second_interrupt(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)


def _interrupt(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


# Runs of a small plan: options, what happens meanwhile (a method and what it does instead), and the code.
_RUNS: dict[str, tuple[list[str], tuple[type, str, Callable[..., object]] | None, Exit]] = {
    "finished": ([], None, Exit.OK),
    "converged": (["--set", "stop.gradient_norm=1e9"], None, Exit.OK),
    "bug": ([], (Checkpointer, "after_round", _raising(KeyError("x"))), Exit.INTERNAL),
    "plan": (["--set", "workers=0"], None, Exit.SETUP),
    "contradiction": (["--resume", "--overwrite"], None, Exit.SETUP),
    "diverged": (["--set", "algorithm.step=1e200"], None, Exit.DIVERGED),
    "worker": ([], (Worker, "_answer", _raising(ZeroDivisionError())), Exit.WORKER),
    "worker in a thread": (["--threads", "3"], (Worker, "_answer", _raising(ZeroDivisionError())), Exit.WORKER),
    "disk": ([], (Path, "replace", _raising(OSError(28, "No space left on device"))), Exit.STORAGE),
    "memory": ([], (Worker, "__init__", _raising(MemoryError())), Exit.STORAGE),
    "signal": ([], (Worker, "_answer", _interrupt), Exit.INTERRUPTED),
    "signal in a thread": (["--threads", "3"], (Worker, "_answer", _interrupt), Exit.INTERRUPTED),
    "time limit": (["--time-limit", "1s"], None, Exit.INTERRUPTED),
    "second Ctrl-C": ([], (Worker, "_answer", _second_interrupt), Exit.ABANDONED),
}


@pytest.mark.parametrize("state", [None, "none", "full", "without-reader", "ascii"])
@pytest.mark.parametrize("name", _RUNS)
def test_a_run_ends_with_its_code(
    name: str, state: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, meanwhile, code = _RUNS[name]
    (tmp_path / "plan.toml").write_text(PLAN)
    if meanwhile is not None:
        owner, method, instead = meanwhile
        monkeypatch.setattr(owner, method, _before(instead, getattr(owner, method)))
    with broken(state or "ascii") as out, broken(state or "ascii") as err:
        if state is not None:
            monkeypatch.setattr(sys, "stdout", out)
            monkeypatch.setattr(sys, "stderr", err)
        assert command_alone("run", str(tmp_path / "plan.toml"), "--out", str(tmp_path / "out"), *options) == code


def _before(first: Callable[..., object], then: Callable[..., object]) -> Callable[..., object]:
    def both(*arguments: object, **options: object) -> object:
        first(*arguments)
        return then(*arguments, **options)

    return both


# What needs several ranks and ULFM, and the test that has it.
_ELSEWHERE = {Exit.LOST: "tests/mpirun/test_deaths.py", Exit.ALARM: "tests/mpirun/test_deaths_in_set_up.py"}


def test_every_code_is_produced() -> None:
    produced = {code for _, code, _ in _RAISED.values()} | {code for _, _, code in _RUNS.values()} | {*_ELSEWHERE}
    assert produced == {*Exit}


def test_the_page_has_the_codes_of_the_enum() -> None:
    table = re.findall(r"^\| (\d+) \|", text("RUNNING.md"), re.MULTILINE)
    assert [int(code) for code in table] == sorted(Exit)
