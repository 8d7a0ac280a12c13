"""The code and the machine that a benchmark's file comes from."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path


def commit() -> str:
    """Return the commit of this checkout, 12 digits, with `-dirty` if it has been changed."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    return subprocess.run(git, check=True, capture_output=True, text=True).stdout.strip()


def about() -> dict[str, object]:
    """Return machine, commit and date of a measurement."""
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
    }
