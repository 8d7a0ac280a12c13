"""Ranks killed from outside at random instants under ULFM. MPIROBUST_KILLS says how many times; 200 by default.

The rule by which every result is judged, whatever was killed and when:

1. All ranks end by themselves, and soon. A launcher that stays without ranks is killed: a fault of Open MPI that the
   job script has to bear. It is printed and counts as code 6.
2. The code is 0, 6 or, if a rank was killed before the first round, 14. It is 6 if the center was killed in a round.
3. After 0 the run is finished. After 6 and 14 the same command with `--resume` finishes it in one process.
4. Every round before the first in which a worker was absent or its memory was lost has the bits of an undisturbed run.
   If there is no such round, the whole run has them. Without feedback, `adopt` has them as well.
5. A resume from a checkpoint without some memory says so.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.support.alone import run_alone
from tests.support.deaths import ULFM, plan_of
from tests.support.launching import kill_group, ranks_of, start, until
from tests.support.traces import SAME, assert_same

_KILLS = int(os.environ.get("MPIROBUST_KILLS", "200"))
_HOW = ["one", "two at once", "in recovery", "center", "center and worker", "in set-up"]
_PLANS = [
    ("none", "adopt"),
    ("residual", "drop"),
    ("residual", "adopt"),
    ("difference", "drop"),
    ("difference", "stop"),
]
_ROUNDS, _EVERY, _RANKS = 100, "checkpoint.every=5", 5
_PROGRAM = "from mpirobust.comm import launch; launch._START_SECONDS = 120; from mpirobust import cli; cli.main()"
_LAST_SECONDS = 400


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("undisturbed")


@cache
def undisturbed(folder: Path, feedback: str) -> Path:
    """The policy does not matter: nobody dies."""
    (folder / feedback).mkdir()
    plan = plan_of(folder / feedback, "drop", feedback, _ROUNDS)
    return run_alone(plan, folder / feedback / "out")


@contextmanager
def load(heavy: bool) -> Iterator[None]:
    """Two busy processes beside the job."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 if heavy else 0)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


@pytest.mark.soak
@pytest.mark.parametrize("number", range(_KILLS))
def test_a_kill_at_a_random_instant(
    number: int, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance, how = random.Random(number), _HOW[number % len(_HOW)]
    feedback, policy = chance.choice(_PLANS)
    plan, out, whole = plan_of(tmp_path, policy, feedback, _ROUNDS), tmp_path / "out", undisturbed(folder, feedback)
    command = ["-c", _PROGRAM, "run", str(plan), f"--out={out}", "--set", _EVERY]
    with load(heavy=number // len(_HOW) % 2 == 1):
        process = start(*command, ranks=_RANKS, options=ULFM)
        if how != "in set-up":
            until(lambda: any(out.glob("checkpoint-*.h5")) or process.poll() is not None, 60, lambda: "")
        time.sleep(chance.uniform(0.0, 4.0 if how == "in set-up" else 1.0))
        struck = kill(process, how, chance)
        code, said = outcome(process)
    assert code in ((0, 6, 14) if how == "in set-up" else (0, 6)), said
    if code == 0:
        assert not (struck and how.startswith("center") and not finished(out)), said
    capsys.readouterr()
    if code != 0 or not finished(out):
        assert code != 0
        lost = lost_in(max(out.glob("checkpoint-*.h5"), default=None))
        run_alone(plan, out, _EVERY, resume=True)
        assert ("the bits are not those of an undisturbed run" in capsys.readouterr().err) == lost
    judge(whole, out, exact=(feedback, policy) == ("none", "adopt"))
    with capsys.disabled():
        print(f"\n{number} {how} {feedback} {policy}: code {code}", end=" ")


def kill(process: subprocess.Popen[str], how: str, chance: random.Random) -> bool:
    """Kill ranks as `how` says; return whether all were still there."""
    ranks = ranks_of(process)
    workers = chance.sample(range(1, _RANKS), 2)
    victims = {"center": [0], "center and worker": [0, workers[0]], "one": workers[:1]}.get(how, workers)
    if how == "in set-up":
        victims = [chance.randrange(_RANKS)]
    for rank in victims:
        with suppress(ProcessLookupError, KeyError):
            os.kill(ranks[rank], signal.SIGKILL)
        if how == "in recovery":
            time.sleep(chance.choice([0.001, 0.005, 0.02, 0.05, 0.2]))
    return all(rank in ranks for rank in victims)


def outcome(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return the exit code and what was said."""
    end, alone = time.monotonic() + _LAST_SECONDS, 0
    while True:
        try:
            _, said = process.communicate(timeout=1)
        except subprocess.TimeoutExpired:
            alone = 0 if ranks_of(process) else alone + 1
            if alone > 20:
                kill_group(process)
                return 6, f"the launcher stayed: {process.communicate()}"
            if time.monotonic() > end:
                kill_group(process)
                pytest.fail(f"ranks are left: {process.communicate()}")
        else:
            return process.returncode, said


def finished(out: Path) -> bool:
    if not (out / "run.h5").exists():
        return False
    with h5py.File(out / "run.h5") as run:
        return str(run.attrs["status"]) == "finished"


def lost_in(checkpoint: Path | None) -> bool:
    if checkpoint is None:
        return False
    with h5py.File(checkpoint) as file:
        return "lost" in file


def judge(whole: Path, out: Path, exact: bool) -> None:
    """Compare with the undisturbed run, up to the first round or audit that may differ from it.

    A rank that dies in the audit after the last round is absent from that audit, and from no round.
    """
    if exact:
        assert_same(whole, out)
    with h5py.File(whole / "run.h5") as expected, h5py.File(out / "run.h5") as found:
        touched = (found["rounds/absent"][:] | found["rounds/reset"][:]).any(axis=1)
        upto = int(touched.argmax()) if touched.any() else _ROUNDS
        audits = int(np.searchsorted(expected["audits/round"][:], upto))
        same = {"rounds": upto, "audits": audits, "model": 0 if touched.any() else None}
        for column in SAME:
            rows = same[column.partition("/")[0]]
            np.testing.assert_array_equal(found[column][:rows], expected[column][:rows], err_msg=column)
