"""The facts that each rank tells the center at set-up, and the check that they fit together."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mpirobust.comm.communicator import by_rank
from mpirobust.errors import SetupFault
from mpirobust.plan import Plan
from mpirobust.running.setup import RunRequest
from mpirobust.terminal import note


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
        cores: the numbers of those that it may use.
        works: whether its workers have so much to do that threads pay.
        threads: how many it uses.
    """

    number: int
    host: str
    process: int
    folder: str
    blas: str
    asked: dict[str, str]
    cores: Sequence[int] = ()
    works: bool = False
    threads: int = 1


def facts(number: int, request: RunRequest, blas: str, works: bool = False) -> bytes:
    """Return the `RankFacts` of this process, with one thread."""
    asked = {"PLAN": _named(request.plan), "--set": " ".join(request.overrides), "--out": str(request.out or "")}
    asked["--threads"] = str(request.threads or "")
    switches = {"--resume": request.resume, "--overwrite": request.overwrite}
    asked |= {name: "yes" if given else "no" for name, given in switches.items()}
    mine = RankFacts(number, platform.node(), os.getpid(), _here(), blas, asked, cores(), works)
    return json.dumps(asdict(mine)).encode()


def _named(plan: Path | Plan | None) -> str:
    """Return a text that is the same on ranks which are given the same plan."""
    if not isinstance(plan, Plan):
        return str(plan)
    digest = hashlib.sha256(repr(plan.table()).encode()).hexdigest()
    return f"{plan.file or 'a table'} (SHA-256 {digest[:8]})"


def with_threads(ranks: Sequence[RankFacts], asked: int | None) -> list[RankFacts]:
    """Return the ranks, each with as many threads as `asked`; if None, with its share of the cores if its threads pay.

    The ranks of a machine that may use a core share it equally.
    """
    users = Counter((rank.host, core) for rank in ranks for core in rank.cores)

    def share(rank: RankFacts) -> int:
        return int(sum(1 / users[rank.host, core] for core in rank.cores) + 1e-9) if rank.works else 1

    return [replace(rank, threads=asked or max(1, share(rank))) for rank in ranks]


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
        note(
            f"rank {apart[0].number} was started in {apart[0].folder}, rank {center.number} in {center.folder}: "
            f"relative paths are below {center.folder}"
        )


def expect_same_kernels(ranks: Sequence[RankFacts], *, replay: bool = False) -> None:
    """Raise `SetupFault` unless the ranks that host workers use the same BLAS: other kernels round sums differently.

    Args:
        replay: whether the center computes messages as well.
    """
    computing = ranks if replay else ranks[1:] or ranks
    if len({rank.blas for rank in computing}) > 1:
        key, so = "redundancy", "honest workers of a group may send other bytes"
        if replay:
            key, so = "audit.replay", "the center may compute other bytes than honest workers send"
        raise SetupFault(
            f"{key}: the ranks use different kernels of BLAS, so {so}: "
            f"{by_rank([rank.blas for rank in ranks])}; set OPENBLAS_CORETYPE to the oldest of their processors"
        )


def stopped(ranks: Sequence[RankFacts]) -> list[int]:
    """Return the numbers of the ranks on this machine whose process is stopped."""
    return [rank.number for rank in ranks if rank.host == platform.node() and _state(rank.process) in ("T", "t")]


def _state(process: int) -> str:
    """Return the letter that Linux has for the state of a process; '' if there is none."""
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def cores() -> list[int]:
    """Return the cores that this process may use, as its launcher has bound it."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _here() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return "a folder that is gone"
