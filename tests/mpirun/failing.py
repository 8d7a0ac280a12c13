"""`mpirobust` with workers that cannot answer.

    ... python failing.py ROUND FIRST LAST run plan.toml ...

From ROUND on (from 0) the workers FIRST to LAST fail, wherever they are hosted.
"""

from __future__ import annotations

import sys
from typing import Any

from mpirobust import cli
from mpirobust.cluster.worker import Worker
from tests.support.instants import replace


def main() -> None:
    fatal, first, last = map(int, sys.argv[1:4])
    answer = Worker._answer

    def failing(worker: Worker, round: int, *arguments: Any) -> Any:
        if round >= fatal and first <= worker.index <= last:
            raise RuntimeError("the disk is on fire")
        return answer(worker, round, *arguments)

    replace(Worker, "_answer", failing)
    sys.argv = ["mpirobust", *sys.argv[4:]]
    cli.main()


if __name__ == "__main__":
    main()
