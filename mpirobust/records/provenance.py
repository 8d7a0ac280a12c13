"""Hosts, versions and command line of a run, for its trace."""

from __future__ import annotations

import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import mpirobust
from mpirobust.files import printable

_LIBRARIES = ("numpy", "scipy", "h5py", "msgspec")


def provenance(comm_versions: dict[str, str], hosts: list[str]) -> dict[str, str]:
    """Return attributes for the trace: versions, hosts by rank, git commit, command line and start time in UTC."""
    versions = {"mpirobust": mpirobust.__version__, "python": platform.python_version(), **comm_versions}
    versions |= {name: version(name) for name in _LIBRARIES}
    return {
        **{f"version_{name}": text for name, text in versions.items()},
        "hosts": " ".join(hosts),
        "git_commit": git_commit(Path(mpirobust.__file__).parent.parent),
        "command": printable(shlex.join(sys.argv)),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def git_commit(checkout: Path) -> str:
    """Return the commit that is checked out at `checkout`, or '' if it is no git checkout.

    The files are read without running git, because a fork under MPI is not safe everywhere.
    """
    git = checkout / ".git"
    try:
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        ref = head.removeprefix("ref: ")
        if (git / ref).is_file():
            return (git / ref).read_text().strip()
        for line in (git / "packed-refs").read_text().splitlines():
            if line.endswith(f" {ref}"):
                return line.split()[0]
    except OSError:
        pass
    return ""
