"""Hosts, versions and command line of a run, for its trace."""

from __future__ import annotations

import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import mpirobust
from mpirobust import kernels
from mpirobust.components import component
from mpirobust.files import printable

_CPU = Path("/proc/cpuinfo")
_LIBRARIES = ("numpy", "scipy", "h5py", "msgspec")


@component
class Records:
    """The facts about the origin of a run that its trace contains.

    Attributes:
        command: whether run.h5 has the command line and the path of the plan.
        hosts: whether run.h5 has the names of the hosts; otherwise #1, #2 and so on.
    """

    free_on_resume: ClassVar[frozenset[str]] = frozenset({"command", "hosts"})

    command: bool = True
    hosts: bool = True


def provenance(
    comm_versions: Mapping[str, str], hosts: Sequence[str], plan_file: str, records: Records
) -> dict[str, str]:
    """Return attributes for the trace: versions, hosts by rank, processor, kernels, git commit, command line and start.

    Args:
        plan_file: the path of the plan; '' if it is not known.
        records: what to leave out.
    """
    from importlib.metadata import version  # slow to import, and only the center needs it

    versions = {"mpirobust": mpirobust.__version__, "python": platform.python_version(), **comm_versions}
    versions |= {name: version(name) for name in _LIBRARIES}
    numbers = {host: f"#{number}" for number, host in enumerate(dict.fromkeys(hosts), start=1)}
    facts = {
        **{f"version_{name}": text for name, text in versions.items()},
        "hosts": " ".join(hosts if records.hosts else [numbers[host] for host in hosts]),
        "processor": processor(),
        "kernels": kernels.in_use(),
        "git_commit": git_commit(Path(mpirobust.__file__).parent.parent),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if records.command:
        facts["command"] = printable(shlex.join(sys.argv))
        if plan_file:
            facts["plan_file"] = printable(plan_file)
    return facts


def processor() -> str:
    """Return the architecture of this machine and, where Linux tells it, the model of its processor."""
    lines = _CPU.read_text(errors="replace").splitlines() if _CPU.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return printable(f"{platform.machine()} {models[0]}" if models else platform.machine())


def git_commit(checkout: Path) -> str:
    """Return the commit that is checked out at `checkout`, or '' if it is no git checkout.

    The files are read without running git, because a fork under MPI is not safe everywhere.
    """
    git = checkout / ".git"
    try:
        if git.is_file():  # of a worktree
            git = checkout / git.read_text().removeprefix("gitdir: ").strip()
        shared = git / (git / "commondir").read_text().strip() if (git / "commondir").exists() else git
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        ref = head.removeprefix("ref: ")
        if (shared / ref).is_file():
            return (shared / ref).read_text().strip()
        for line in (shared / "packed-refs").read_text().splitlines():
            if line.endswith(f" {ref}"):
                return line.split()[0]
    except OSError:
        pass
    return ""
