"""The code and the machine that a benchmark's file comes from."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from mpirobust import kernels
from mpirobust.records.provenance import processor

_WRITTEN = ("benchmarks/*.json", "benchmarks/*.csv", "docs/PERFORMANCE.md")


def commit() -> str:
    """Return the commit of this checkout, 12 digits, with `-dirty` if more was changed than benchmarks write."""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", *(f":!{each}" for each in _WRITTEN))
    return _git("rev-parse", "--short=12", "HEAD") + ("-dirty" if changed else "")


def _git(*arguments: str) -> str:
    git = ["git", "-C", str(Path(__file__).parent.parent), *arguments]
    return subprocess.run(git, check=True, capture_output=True, text=True).stdout.strip()


def about() -> dict[str, object]:
    """Return machine, commit, date and versions; called before a measurement, as the load is of the last minute."""
    return {
        "machine": f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "versions": f"Python {platform.python_version()}, numpy {version('numpy')}, kernels {kernels.in_use()}",
    }
