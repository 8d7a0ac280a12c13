"""A rank that hangs ends the job, with one message that names it; the run continues from its checkpoint."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import h5py
import pytest

from tests.support.alone import run_alone
from tests.support.deaths import ULFM, plan_of
from tests.support.launching import finish, ranks_of, start, until
from tests.support.traces import assert_same


@pytest.mark.parametrize(
    ("stopped", "options", "limit", "code", "says"),
    [
        (2, (), "--round-timeout", 6, "has not ended within 5 s: no answer from rank 2 on "),
        (2, ULFM, "--round-timeout", 6, "within 5 s: no answer from rank 2 on "),
        (0, (), "--round-timeout", 6, "rank 1: a round has not ended within 5 s"),
        (0, ULFM, "--round-timeout", 6, "rank 1: a round has not ended within 5 s"),
        (2, (), "--time-limit", 75, "the time limit has passed, and round "),
    ],
)
def test_a_rank_that_is_stopped(
    stopped: int, options: tuple[str, ...], limit: str, code: int, says: str, tmp_path: Path
) -> None:
    """The one test in which a process really hangs in MPI, and a launcher really ends the others."""
    plan, out = plan_of(tmp_path, rounds=10_000_000), tmp_path / "out"
    seconds = "5s" if limit == "--round-timeout" else "30s"
    process = start("-m", "mpirobust", "run", str(plan), f"--out={out}", limit, seconds, ranks=4, options=options)
    until(lambda: any(out.glob("checkpoint-*.h5")), 60, lambda: "")
    ranks = ranks_of(process)
    os.kill(ranks[stopped], signal.SIGSTOP)
    done = finish(process, timeout=60)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in ranks.values()), 60, lambda: "a rank is left")
    assert done.returncode == code, done.stderr
    (told,) = (line for line in done.stderr.splitlines() if line.startswith("mpirobust:"))
    assert says in told
    assert told.endswith("; --resume continues from the newest checkpoint")
    with h5py.File(out / "run.h5") as trace:
        done_rounds = [int(path.stem[-9:]) for path in out.glob("checkpoint-*.h5")] + [int(trace.attrs["rounds"])]
    rounds = f"algorithm.rounds={max(done_rounds) + 5}"
    run_alone(plan, out, rounds, resume=True)
    assert_same(run_alone(plan, tmp_path / "whole", rounds), out)
