"""The trained model of a run as a file for other programs."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from mpirobust import catalog
from mpirobust.errors import SetupFault
from mpirobust.files import write_whole
from mpirobust.observers.base import Status
from mpirobust.records import model
from mpirobust.reports.summary import DONE
from mpirobust.terminal import note


def export(run: Path, to: str, out: Path | None, overwrite: bool) -> Path:
    """Write the newest iterate of a run, its parts by name, and return the path of the file.

    Args:
        run: the folder of the run, or its run.h5.
        to: the suffix of the file: `npz`, with plan and provenance beside the parts; or `pt`, a state_dict of PyTorch.
        out: the file; None for `model.npz` or `model.pt` in the folder of the run.
        overwrite: whether it may replace a file.

    Raises:
        SetupFault: there is no readable run, the file exists, or PyTorch is not installed.
        StorageFault: the file cannot be written.
    """
    folder = run if run.is_dir() else run.parent
    path = out or folder / f"model.{to}"
    if path.suffix != f".{to}":
        raise SetupFault(f"{path}: the name of a file of --to {to} ends with .{to}")
    if os.path.lexists(path) and not overwrite:
        raise SetupFault(f"{path} exists; --overwrite replaces it")
    found = model.of_run(run)
    status, rounds = found.facts["status"], found.facts["rounds"]
    if status not in DONE:
        note(f"the run is {status}: exported is its iterate after {rounds} rounds")
    elif status == Status.DIVERGED:
        note(f"the run has diverged after {rounds} rounds")
    if path.suffix == ".pt":
        _write_state_dict(path, found)
    else:
        model.write(path, found)
    return path


def _write_state_dict(path: Path, found: model.Model) -> None:
    try:
        import torch
    except ImportError as error:
        raise SetupFault(f"a .pt file needs PyTorch ({error}): pip install 'mpirobust[torch]'") from error
    problem = tomllib.loads(found.facts["plan"]).get("problem", {})
    try:
        arrays = _class_of(problem).as_state_dict(found.parts())
    except ValueError as error:
        reason = (
            "its parts are not those of its problem, as in files of earlier versions; --to npz writes what there is"
        )
        raise SetupFault(f"the model cannot be a state_dict: {reason}") from error
    dtype = np.float32 if problem.get("dtype") == "float32" else np.float64
    tensors = {name: torch.from_numpy(np.array(values, dtype)) for name, values in arrays.items()}
    write_whole(path, lambda scratch: torch.save(tensors, scratch))


def _class_of(problem: dict[str, Any]) -> Any:
    """Return the class of a kind of the package; that of the contract for others, because a file leads to no import."""
    room = catalog.ROOMS["problem"]
    kind = problem.get("kind")
    return catalog.load(room, kind, "problem") if kind in catalog.kinds(room) else room.base()
