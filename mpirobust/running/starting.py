"""The starting point of a run: the problem's own, or the model that the plan names in `start`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mpirobust.errors import PlanFault, SetupFault
from mpirobust.files import expanded
from mpirobust.plan import Plan
from mpirobust.streams import CENTER, Purpose, stream
from mpirobust.types import Layout, Vector


def file_of(start: str, plan_file: str) -> Path:
    """Return the file or folder that the key `start` names, absolute: beside the plan, else in the working directory.

    Raises:
        PlanFault: there is no such file.
    """
    try:
        name = expanded(start)
    except ValueError as error:
        raise PlanFault("start", str(error)) from error
    tried = list(dict.fromkeys((folder / name).absolute() for folder in (Path(plan_file).parent, Path())))
    for path in tried:
        if path.exists():
            return path
    raise PlanFault("start", f"no run or file {start!r}; looked for {', '.join(map(str, tried))}")


def digest_of(file: Path) -> str:
    """Return the digest of the model in a file; raise `PlanFault` if it cannot be read."""
    from mpirobust.records import model  # h5py

    try:
        return model.read(file).digest
    except SetupFault as fault:
        raise PlanFault("start", str(fault)) from fault


def own(plan: Plan, features: int) -> Vector:
    """Return the starting point of the problem, shape (d,)."""
    return plan.problem.start(features, stream(plan.seed, CENTER, 0, Purpose.START))


def taken(file: Path, layout: Layout, digest: str | None = None) -> Vector:
    """Return the iterate of the model in a file.

    Args:
        layout: of the problem of the plan.
        digest: of the iterate; None for any.

    Raises:
        PlanFault: it cannot be read, does not fit the problem, is not finite, or has another digest.
    """
    from mpirobust.records import model

    try:
        found = model.read(file)
    except SetupFault as fault:
        raise PlanFault("start", str(fault)) from fault
    if digest is not None and found.digest != digest:
        raise PlanFault("start", f"{file} has changed since the center read it, or is another file here")
    theirs, ours = ([shape for _, shape in each.parts] for each in (found.layout, layout))
    if found.x.size != layout.dim:
        raise PlanFault("start", f"{file} has {found.x.size} parameters; the problem of this plan has {layout.dim}")
    if theirs != ours and len(theirs) > 1:
        raise PlanFault("start", f"{file} has parts of the shapes {theirs}; the problem of this plan has {ours}")
    if not np.isfinite(found.x).all():
        raise PlanFault("start", f"{file}: its parameters are not finite")
    return found.x
