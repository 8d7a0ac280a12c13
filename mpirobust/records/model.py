"""The model that a run has trained: its iterate, and the parts of the problem in it."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from mpirobust.data.sources._arrays import member_names, read_member
from mpirobust.errors import SetupFault
from mpirobust.files import write_whole
from mpirobust.records.layout import TRACE, checkpoints, open_record
from mpirobust.records.tables import open_trace
from mpirobust.types import Layout, Vector, flat

_ABOUT = "mpirobust/"  # begins the names of what is no part of the model in an exported file
_NO_FACTS = {"kind", "format"}  # attributes of the file, not of the run


@dataclass(frozen=True)
class Model:
    """A trained model.

    Attributes:
        x: the iterate, shape (d,), float64.
        layout: its parts.
        facts: the attributes of the run's trace, among them `status`, `rounds` and `plan`; empty if `x` is from
            another file.
    """

    x: NDArray[np.float64]
    layout: Layout
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The SHA-256 of the iterate."""
        return hashlib.sha256(self.x.tobytes()).hexdigest()

    def parts(self) -> dict[str, NDArray[np.float64]]:
        """Return the parts by name, each in its shape."""
        ends = np.cumsum([prod(shape) for _, shape in self.layout.parts])
        pieces = zip(self.layout.parts, np.split(self.x, ends[:-1]), strict=True)
        return {name: piece.reshape(shape) for (name, shape), piece in pieces}


def read(path: Path) -> Model:
    """Return the model in `path`: a run (its folder or run.h5), or a file that `mpirobust export` wrote as npz.

    Raises:
        SetupFault: there is no such file, or it is damaged or something else.
    """
    suffix = "" if path.is_dir() else path.suffix
    if suffix == ".pt":
        raise SetupFault(f"{path}: expected a run or an npz file, and no state_dict of PyTorch")
    return _exported(path) if suffix == ".npz" else of_run(path)


def of_run(path: Path) -> Model:
    """Return the newest iterate of a run, in its trace or in a later checkpoint.

    Args:
        path: of run.h5, or of its folder.

    Raises:
        SetupFault: there is no run, or it is damaged.
    """
    path = path / TRACE if path.is_dir() else path
    if not path.exists():
        raise SetupFault(f"no run at {path}")
    with open_trace(path) as file:
        return of_trace(file, path)


def of_trace(file: Any, path: Path) -> Model:
    """Return the model of `of_run`; for inside `open_trace`, which turns what is strange into a fault.

    Args:
        file, path: the open trace, and its path.
    """
    facts = {name: value for name, value in file.attrs.items() if name not in _NO_FACTS}
    x, rounds, plan = file["model/x"][:], int(facts["rounds"]), str(facts["plan"])
    tomllib.loads(plan)  # raises if it is none
    facts |= {"status": str(facts["status"]), "rounds": rounds, "plan": plan}
    model = Model(x, _stored_layout(file, x.size), facts)
    for round, later in reversed(checkpoints(path.parent).items() if path.name == TRACE else ()):
        if round <= rounds:
            break
        with suppress(SetupFault), open_record(later, "checkpoint") as newer:  # the newest may be damaged
            if newer["state/x"].shape == x.shape:
                return replace(model, x=newer["state/x"][:].astype("<f8"), facts={**model.facts, "rounds": round})
    return model


def started_from(folder: Path, dim: int) -> Vector:
    """Return the starting point that the run in `folder` has taken from elsewhere, shape (dim,); raise `SetupFault`."""
    with open_record(folder / TRACE, "run", verify=False) as file:  # the center has verified it
        x: Vector = file["model/start"][:]
        if x.shape != (dim,) or x.dtype != np.dtype("<f8"):
            raise ValueError(f"its start is not of length {dim}")
        return x


def write(path: Path, model: Model) -> None:
    """Write the parts of a model as an npz file, with the plan and provenance of its run; raises as `write_whole`."""
    others = {name: value for name, value in model.facts.items() if name != "plan"}
    about = {"plan": model.facts["plan"], "provenance": json.dumps(others, default=str, indent=1)}
    arrays = {**model.parts(), **{_ABOUT + name: np.array(text) for name, text in about.items()}}

    def fill(scratch: Path) -> None:
        with ZipFile(scratch, "w") as archive:  # not numpy.savez: a part may have the name of one of its arguments
            for name, values in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, values)

    write_whole(path, fill)


def _stored_layout(file: Any, dim: int) -> Layout:
    """Return the layout in a trace; one part if it is of an earlier version, which did not store it."""
    if "model/layout" not in file:
        return flat(dim)
    parts = json.loads(file["model/layout"][:].tobytes())
    layout = Layout(tuple((str(name), tuple(int(side) for side in shape)) for name, shape in parts))
    if layout.dim != dim or min((side for _, shape in layout.parts for side in shape), default=1) < 0:
        raise ValueError("its layout is not that of the iterate")
    return layout


def _exported(path: Path) -> Model:
    names = [name for name in member_names(path) if not name.startswith(_ABOUT)]
    arrays = [read_member(path, name, lambda: None) for name in names]
    if not arrays:
        raise SetupFault(f"{path}: holds no arrays")
    layout = Layout(tuple((name, each.shape) for name, each in zip(names, arrays, strict=True)))
    return Model(np.concatenate([each.ravel() for each in arrays]), layout)
