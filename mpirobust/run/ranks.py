"""The facts that each rank tells the center at set-up, and the check that they fit together."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from mpirobust.errors import SetupFault
from mpirobust.run.setup import RunRequest
from mpirobust.terminal import say


@dataclass(frozen=True)
class RankFacts:
    """One rank.

    Attributes:
        number: the launcher's.
        host: its machine.
        process: its process there.
        folder: in which it was started.
        blas: its libraries, as `numerics/blas.py` names them.
        asked: its command line, option by option.
    """

    number: int
    host: str
    process: int
    folder: str
    blas: str
    asked: dict[str, str]


def facts(number: int, request: RunRequest, blas: str) -> bytes:
    """Return the `RankFacts` of this process."""
    asked = {"PLAN": str(request.plan), "--set": " ".join(request.overrides), "--out": str(request.out or "")}
    switches = {"--resume": request.resume, "--overwrite": request.overwrite}
    asked |= {name: "yes" if given else "no" for name, given in switches.items()}
    return json.dumps(asdict(RankFacts(number, platform.node(), os.getpid(), _here(), blas, asked))).encode()


def expect_same_arguments(ranks: Sequence[RankFacts]) -> None:
    """Raise `SetupFault` if a rank was given other arguments than the center; say it if it is in another folder."""
    center = ranks[0]
    for rank in ranks:
        differing = [name for name, value in center.asked.items() if rank.asked[name] != value]
        if differing:
            theirs, ours = (", ".join(f"{key} {one.asked[key]!r}" for key in differing) for one in (rank, center))
            raise SetupFault(
                f"rank {rank.number} was given other arguments than rank {center.number}: {theirs} instead of {ours}; "
                f"start all ranks with one command line"
            )
    apart = [rank for rank in ranks if rank.folder != center.folder]
    if apart:
        say(
            f"note: rank {apart[0].number} was started in {apart[0].folder}, rank {center.number} in {center.folder}: "
            f"relative paths are below {center.folder}"
        )


def stopped(ranks: Sequence[RankFacts]) -> list[int]:
    """Return the numbers of the ranks on this machine whose process is stopped."""
    return [rank.number for rank in ranks if rank.host == platform.node() and _state(rank.process) in ("T", "t")]


def _state(process: int) -> str:
    """Return the letter that Linux has for the state of a process; '' if there is none."""
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def _here() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return "a folder that is gone"
