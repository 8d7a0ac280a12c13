"""`mpirobust` with a rank that dies in a study.

    mpirun ... python doomed_study.py NOTES INSTANT RANK figures ...

INSTANT is `in a run` (round 5 of the first), `between runs` (after the first), `as center` (of a crew, in round 5 of
its first run, when three folders are in NOTES/runs), or `at the end` (in the last broadcast), where the others note in
the folder NOTES with which code they leave.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path
from typing import Any

from mpirobust import cli
from mpirobust.commands import job
from tests.support.instants import die, note_code_on_leaving, rank, replace, wait_for


def doom(instant: str, notes: Path) -> None:
    """Prepare this rank's end."""
    from mpirobust.aggregators.norm_trim import NormTrim
    from mpirobust.cluster.worker import Worker
    from mpirobust.cluster.worker_loop import serve
    from mpirobust.comm.mpi import MpiCommunicator
    from mpirobust.running import experiment
    from mpirobust.studies import figures
    from mpirobust.studies.campaign import carry_out

    reply, judge = Worker.reply, NormTrim.judge
    judged = count(1)
    last = iter([False, True])  # the runs of the matrices come after those of the curves

    def in_a_round(*arguments: Any) -> Any:
        return die() if arguments[1] == 4 else reply(*arguments)

    def when_another_is_done(*arguments: Any) -> Any:
        if next(judged) == 5:
            wait_for(lambda: len(list((notes / "runs").iterdir())) == 3)
            die()
        return judge(*arguments)

    def after(*arguments: Any) -> None:
        serve(*arguments)
        die()

    def then(*arguments: Any) -> int:
        code = carry_out(*arguments)
        if next(last):
            replace(MpiCommunicator, "broadcast", die)
        return code

    match instant:
        case "in a run":
            replace(Worker, "reply", in_a_round)
        case "between runs":
            replace(experiment, "serve", after)
        case "as center":
            replace(NormTrim, "judge", when_another_is_done)
        case "at the end":
            replace(figures, "carry_out", then)
        case _:
            raise ValueError(instant)


def main() -> None:
    notes, instant, doomed, *arguments = sys.argv[1:]
    job.processes()  # as a command starts MPI
    if instant == "at the end":
        note_code_on_leaving(Path(notes), 3)
    if rank() == doomed:
        doom(instant, Path(notes))
    sys.argv = ["mpirobust", *arguments]
    cli.main()


if __name__ == "__main__":
    main()
