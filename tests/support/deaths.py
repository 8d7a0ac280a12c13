"""Runs in which ranks die: their plan, what kills them, and what has to come of it, worked out in one process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest

from mpirobust.aggregators.base import Context, bound
from mpirobust.cluster.receiver import RoundReceiver
from mpirobust.cluster.worker import Worker
from mpirobust.cluster.worker_group import WorkerGroup, summarise
from mpirobust.plan import load_plan
from mpirobust.records.layout import checkpoint_path
from mpirobust.round_times import RoundTimes
from mpirobust.streams import CENTER, Purpose, stream
from mpirobust.testing.support.clusters import LocalRun
from tests.support.launching import REPOSITORY

ULFM = ("--with-ft", "ulfm")
ROUNDS = 30
_PROGRAMS = REPOSITORY / "tests" / "mpirun"

# Center and three ranks with 6, 7 and 7 workers; the rule bears 9 of 20, two of them Byzantine.
_PLAN = """
seed = 3
workers = 20
feedback = "{feedback}"
on_failure = "{on_failure}"
[data]
kind = "regression"
rows = 400
features = 50
[problem]
kind = "least-squares"
[algorithm]
kind = "first-order"
rounds = {rounds}
step = 0.05
batch = 10
[compressor]
kind = "qsgd"
levels = 4
[aggregator]
kind = "norm-trim"
beta = 0.45
[attack]
kind = "collude"
alpha = 0.1
[audit]
every = 10
[checkpoint]
every = 10
"""


def plan_of(
    folder: Path, on_failure: str = "drop", feedback: str = "residual", rounds: int = ROUNDS, more: str = ""
) -> Path:
    path = folder / "plan.toml"
    path.write_text(_PLAN.format(on_failure=on_failure, feedback=feedback, rounds=rounds) + more)
    return path


def program(name: str, *arguments: object) -> tuple[str, ...]:
    """Return what runs `mpirobust` by way of a program beside the tests, with the arguments behind it."""
    return (str(_PROGRAMS / f"{name}.py"), *map(str, arguments))


def doomed(notes: Path, instant: str, fatal: int, *ranks: int) -> tuple[str, ...]:
    """Return what runs `mpirobust` and in it these ranks to their death in round `fatal`."""
    return program("doomed", notes, instant, fatal, ",".join(map(str, ranks)))


def assert_as_replayed(
    path: Path, out: Path, absent_from: int, gone: range = range(6, 13), overrides: Sequence[str] = ()
) -> None:
    """The trace of `out` is what one process makes of the plan when the workers `gone` are lost from that round on."""
    plan, _ = load_plan(path, overrides)
    local = LocalRun(plan)
    adopt = plan.on_failure == "adopt"
    receiver = RoundReceiver(local.config, plan.workers)
    workers = list(local.workers)
    algorithm, rule = plan.algorithm, plan.aggregator
    state = algorithm.start(local.x0, local.cluster)
    with h5py.File(out / "run.h5") as run:
        assert run.attrs["status"] == "finished"
        assert run["rounds/round"].shape == (ROUNDS,)
        for t in range(ROUNDS):
            if t == absent_from:
                receiver.lose(*((), gone) if adopt else (gone, ()))
                for index in gone:
                    workers[index] = Worker(index, local.config, workers[index].clean, workers[index].test)
            query = receiver.downlink.coded(t, algorithm.query(state))
            sent = [worker.reply(t, query)[0] if receiver.present[worker.index] else b"" for worker in workers]
            judge = bound(rule, None, Context(t, query, plan.seed))
            exchange = receiver.exchange(t, query, judge, list(sent), RoundTimes())
            verdict = judge(exchange.answers)
            state = algorithm.advance(state, verdict, stream(plan.seed, CENTER, t, Purpose.ADVANCE))
            np.testing.assert_array_equal(run["rounds/norms"][t], exchange.answers.norms, err_msg=f"round {t}")
            np.testing.assert_array_equal(run["rounds/kept"][t], verdict.kept)
            np.testing.assert_array_equal(run["rounds/absent"][t], ~receiver.present)
            np.testing.assert_array_equal(run["rounds/reset"][t], exchange.reset)
            assert run["rounds/bytes_up"][t] == exchange.bytes_up
            assert run["rounds/bytes_down"][t] == exchange.bytes_down
            if (saved := checkpoint_path(out, t + 1)).exists():
                _assert_saved(saved, workers, [*gone, *local.config.byzantine])
        np.testing.assert_array_equal(run["model/x"][:], state.x)
        honest = np.setdiff1d(np.flatnonzero(receiver.present), local.config.byzantine).tolist()
        for name, rows in receiver.memory.items():  # both ends have the same, also of workers that moved
            for index in honest:
                np.testing.assert_array_equal(rows[index], workers[index].memory[name])
        if absent_from < ROUNDS:
            present = WorkerGroup(
                local.config, [worker for worker in workers if receiver.present[worker.index]], lambda _: ()
            )
            audit = summarise(*present.audit(state.x), len(present.workers), ahead=0.0)
            assert run["audits/gradient_norm"][-1] == audit.gradient_norm
            assert run["audits/loss"][-1] == pytest.approx(audit.loss, rel=1e-12)


def _assert_saved(path: Path, workers: Sequence[Worker], but: Sequence[int]) -> None:
    """The checkpoint has one row for each worker, in worker order.

    Those in `but` may have any: those that are gone, and the Byzantine ones, whose messages the center has forged.
    """
    with h5py.File(path) as file:
        for name in file.get("memory", ()):
            rows = file[f"memory/{name}"][:]
            assert len(rows) == len(workers)
            for worker in workers:
                if worker.index not in but:
                    kept = worker.memory[name.removesuffix("_of_workers")]
                    np.testing.assert_array_equal(rows[worker.index], kept, err_msg=path.name)
