"""The time at which a job must have ended."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from time import monotonic, time

MARGIN = 2.0  # seconds that no estimate covers: the summary, the end of the other processes
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def passed(ends: float | None) -> bool:
    """Return whether too little time is left to start a run."""
    return ends is not None and monotonic() + MARGIN > ends


def end_of(limit: str | None, environment: Mapping[str, str] = os.environ) -> float | None:
    """Return when a job that starts now must have ended, on `time.monotonic`; None for never.

    Args:
        limit: `4h`, `30m`, `90s`, `HH:MM:SS` or `none`; None for the limit of SLURM in `environment`, if there is one.

    Raises:
        ValueError: `limit` is none of these.
    """
    if limit is None:
        end = environment.get("SLURM_JOB_END_TIME", "")
        return monotonic() + int(end) - time() if end.isdecimal() else None
    return None if limit == "none" else monotonic() + seconds(limit)


def seconds(limit: str) -> float:
    """Return the seconds of `4h`, `30m`, `90s` or `HH:MM:SS`; raise `ValueError` if it is none of these."""
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", limit):
        return float(match[1]) * _UNITS[match[2]]
    if match := re.fullmatch(r"(\d+):([0-5]\d):([0-5]\d)", limit):
        return 3600.0 * int(match[1]) + 60 * int(match[2]) + int(match[3])
    raise ValueError(f"{limit!r} is no time limit: write 4h, 30m, 90s, HH:MM:SS or none")
