"""The command `doctor`: the processes, the network and the disk of a job."""

from __future__ import annotations

import signal
from pathlib import Path

import click

from mpirobust.comm.launch import end_after, launched_as, speaks
from mpirobust.commands import job
from mpirobust.commands.options import PATH, examples
from mpirobust.errors import Exit
from mpirobust.terminal import show, tell

_SECONDS = 120  # after which the doctor ends by itself, with code 14


@click.command(epilog=examples("mpirun -n 21 mpirobust doctor --out runs"))
@click.option("--out", type=PATH, default=Path("runs"), show_default=True, help="The folder for the output of runs.")
def doctor(out: Path) -> int:
    """Look at MPI, cores, network and disk, and advise.

    Start it as you would start a run. Code 0: a run works, whatever is advised; 2: it does not, or its results would
    depend on the ranks; 5: nothing can be written to --out.
    """
    if launched_as() is not None:
        if speaks():
            tell(f"if MPI hangs, this ends after {_SECONDS} s with code {Exit.ALARM:d}")
        end_after(_SECONDS)
    comm = job.processes()
    if comm.size > 1:
        end_after(_SECONDS)  # again: under ULFM the start of MPI has an alarm of its own
    from mpirobust.doctor import advice, report

    examined = report.examine(comm, out)
    code = Exit.OK
    if examined is not None:
        findings = advice.findings(examined)
        show(report.as_text(examined, findings))
        code = findings[0].code if findings else Exit.OK
    code = Exit(int(comm.broadcast_bytes(str(int(code)).encode())))
    signal.alarm(0)
    return code
