"""Runs and commands in this process, where the start of another Python would prove nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from mpirobust import cli
from mpirobust.comm.local import LocalCommunicator
from mpirobust.commands import job
from mpirobust.running import experiment
from mpirobust.running.setup import RunRequest


def run_alone(plan: Path, out: Path, *overrides: str, resume: bool = False) -> Path:
    """Run the plan to its end and return the folder of the run."""
    request = RunRequest(plan, overrides, out=out, quiet=True, resume=resume)
    code, folder = experiment.run(request, LocalCommunicator())
    assert code == 0
    return folder


def command_alone(*arguments: str) -> int:
    """Carry out `mpirobust ARGUMENTS` and return its exit code."""
    with (
        patch.object(sys, "argv", ["mpirobust", *arguments]),
        patch.object(job, "opened", None),
        pytest.raises(SystemExit) as end,
    ):
        cli.main()
    return int(end.value.code or 0)
