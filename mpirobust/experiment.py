"""Plan + processes -> a run, new or resumed. The one place that branches on center and worker."""

from __future__ import annotations

import json
import platform
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from mpirobust.cluster.placement import hosted
from mpirobust.cluster.world import World
from mpirobust.errors import Exit, ReportedFault
from mpirobust.observers.signals import SignalWatch
from mpirobust.team import Brief, Request, assemble

_ENDS = {
    Exit.OK,
    Exit.DIVERGED,
    Exit.INTERRUPTED,
    Exit.LOST,
}  # the codes of a run that came to its end, one way or another


def run(request: Request, world: World, watch: SignalWatch | None = None) -> tuple[int, Path]:
    """Run or resume on all ranks; returns the exit code and the folder of the output.

    Args:
        watch: who takes note of signals already; by default one of its own.

    Raises:
        Fault: see `errors`; one rank raises the message and the others `ReportedFault`.
    """
    threadpool_limits(1)  # sums must not depend on how many threads share them
    with (
        nullcontext(watch) if watch else SignalWatch() as watch,
        np.errstate(over="ignore", invalid="ignore"),
    ):  # divergence is told by the status
        brief = Brief(**json.loads(world.at_center(lambda: _brief(request, world.size))))
        placement = hosted(brief.plan["workers"], world.size)
        team = world.together(lambda: assemble(brief, placement[world.rank], world.survives))
        cluster = world.together(lambda: world.connect(team.host, placement))
        hosts = [name.decode() for name in world.gather(platform.node().encode())]
        if cluster is None:
            world.together(lambda: None)
            code = world.serve(team.host, placement)
            if code not in _ENDS:
                raise ReportedFault(code)
            return code, Path(brief.folder)

        from mpirobust import lead

        start = world.together(lambda: lead.restore(brief, team, world.versions(), hosts))
        with start.lock:
            return lead.lead(brief, team, cluster, watch, start), Path(brief.folder)


def _brief(request: Request, size: int) -> bytes:
    from mpirobust import lead  # what only the center needs is imported only there: start-up of many ranks stays cheap

    return json.dumps(lead.brief(request, size).__dict__).encode()
