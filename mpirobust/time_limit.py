"""The time at which a job must have ended."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from time import monotonic, time

from mpirobust.errors import Interrupted

MARGIN = 2.0  # seconds that no estimate covers: the summary, the end of the other processes
_SLURM = "SLURM_JOB_END_TIME"
_LATEST = 2**37  # a time that can still be written as a date
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def passed(ends: float | None) -> bool:
    """Return whether too little time is left to start a run."""
    return ends is not None and monotonic() + MARGIN > ends


def expect_time(ends: float | None, origin: str) -> None:
    """Raise `Interrupted` if the limit `ends` is over before anything has begun; `origin` as in `shortage`."""
    if ends is not None and ends <= monotonic():
        raise Interrupted(shortage(ends - monotonic(), MARGIN, origin))


def end_of(limit: str | None, environment: Mapping[str, str] = os.environ) -> float | None:
    """Return when a job that starts now must have ended, on `time.monotonic`; None for never.

    Args:
        limit: `4h`, `30m`, `90s`, `HH:MM:SS` or `none`; None for the limit of SLURM in `environment`, if there is one.

    Raises:
        ValueError: `limit` is none of these.
    """
    if limit is None:
        end = environment.get(_SLURM, "")
        return monotonic() + int(end) - time() if end.isdecimal() else None
    return None if limit == "none" else monotonic() + seconds(limit)


def origin_of(limit: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """Return where the limit that `end_of` finds for the same arguments comes from, for messages."""
    end = environment.get(_SLURM, "")
    if limit is None and end.isdecimal():
        return f"{_SLURM} = {end} ({datetime.fromtimestamp(min(int(end), _LATEST), UTC):%F %T} UTC)"
    return f"--time-limit {limit}"


def shortage(left: float, need: float, origin: str) -> str:
    """Return why nothing is begun, and what to do.

    Args:
        left, need: seconds until the end, negative after it, and those that a round may take with all that is saved.
        origin: of the limit, as `origin_of` returns it; "" if unknown.
    """
    if left < 0 and origin.startswith(_SLURM):
        return f"{origin} is the end of a job that is over: unset the variable, or give --time-limit none"
    time = f"{max(left, 0):.1f} s are left, {need:.1f} s may be needed"
    return f"no round fits into {origin or 'the time limit'}: {time}; give more time, or no start gets any further"


def seconds(limit: str) -> float:
    """Return the seconds of `4h`, `30m`, `90s` or `HH:MM:SS`; raise `ValueError` if it is none of these."""
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", limit):
        return float(match[1]) * _UNITS[match[2]]
    if match := re.fullmatch(r"(\d+):([0-5]\d):([0-5]\d)", limit):
        return 3600.0 * int(match[1]) + 60 * int(match[2]) + int(match[3])
    raise ValueError(f"{limit!r} is no time limit: write 4h, 30m, 90s, HH:MM:SS or none")
