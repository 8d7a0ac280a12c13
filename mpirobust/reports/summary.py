"""The summary of one run, finished or not."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.errors import SetupFault
from mpirobust.observers.base import Status
from mpirobust.records.layout import PHASES, TRACE, open_record

DONE = {Status.FINISHED, Status.CONVERGED, Status.DIVERGED}


def summary(path: Path) -> dict[str, Any]:
    """Return the summary of the trace at `path` (a run.h5 or its folder) as plain numbers; None if there is none.

    `byzantine_kept_mean` is the mean number of Byzantine workers kept per round;
    `kept_mean` that of all workers. Figures of the objective are those of the last audit; `second_order` is the
    smallest ε for which they say second-order stationary to (ε, √ε). `escape_rounds` were spent on getting away
    from saddle points, the first of them after `first_hit` rounds.

    Raises:
        SetupFault: there is no readable trace.
    """
    path = path / TRACE if path.is_dir() else path
    if not path.exists():
        raise SetupFault(f"no run at {path}")
    with open_record(path, "run") as file:
        rounds, audits, byzantine = file["rounds"], file["audits"], file["workers/byzantine"][:]
        kept = rounds["kept"][:]
        escape = rounds["escape"][:] if "escape" in rounds else np.zeros(len(kept), dtype=bool)
        done = len(kept)
        phases = {phase: float(rounds[f"seconds_{phase}"][:].sum()) for phase in PHASES}
        objective = {name: _last(audits[name]) for name in ("loss", "gradient_norm", "distance", "test_accuracy")}
        for name in ("lambda_min", "test_loss", "balanced_accuracy", "auc"):  # files of earlier versions lack them
            objective[name] = _last(audits[name]) if name in audits else None
        figures: dict[str, Any] = {
            "status": str(file.attrs["status"]),
            "rounds": done,
            "escape_rounds": int(escape.sum()),
            "first_hit": int(escape.argmax()) if escape.any() else None,
            **objective,
            "second_order": _second_order(objective["gradient_norm"], objective["lambda_min"]),
            "bytes_up": int(rounds["bytes_up"][:].sum()),
            "bytes_down": int(rounds["bytes_down"][:].sum()),
            "seconds": float(rounds["elapsed"][-1]) if done else 0.0,
            "seconds_by_phase": phases,
            "workers": int(kept.shape[1]),
            "byzantine": int(byzantine.size),
            "byzantine_kept_mean": _mean_kept(kept[:, byzantine]) if byzantine.size else None,
            "kept_mean": _mean_kept(kept),
            "absent": int(rounds["absent"][-1].sum()) if "absent" in rounds and done else 0,
            "plan": tomllib.loads(file.attrs["plan"]),
        }
        json.dumps([figures, figures["plan"]["aggregator"]["kind"]], allow_nan=False)  # raise if it cannot be printed
        return figures


def as_text(figures: dict[str, Any], path: Path) -> str:
    """Return the summary as text."""
    plan = figures["plan"]
    lines = [f"{figures['status']} after {figures['rounds']} rounds, {figures['seconds']:.2f} s"]
    for key, label in [
        ("loss", "loss"),
        ("gradient_norm", "gradient norm"),
        ("distance", "distance to w*"),
        ("test_accuracy", "test accuracy"),
        ("test_loss", "test loss"),
        ("balanced_accuracy", "balanced acc."),
        ("auc", "area under ROC"),
        ("lambda_min", "lambda_min"),
    ]:
        if figures[key] is not None:
            lines.append(f"  {label:<16}{figures[key]:.6g}")
    if figures["second_order"] is not None:
        lines.append(f"  second-order stationary to (ε, √ε) with ε = {figures['second_order']:.3g}")
    if figures["escape_rounds"]:
        descent = figures["rounds"] - figures["escape_rounds"]
        apart = f"{figures['escape_rounds']}, the first after {figures['first_hit']}; {descent} of descent"
        lines.append(f"  {'escape rounds':<16}{apart}")
    per_message = figures["bytes_up"] / max(1, figures["rounds"] * figures["workers"])
    lines.append(f"  {'bytes up':<16}{figures['bytes_up']:,} ({per_message:.1f} per worker and round)")
    lines.append(f"  {'bytes down':<16}{figures['bytes_down']:,}")
    phases = ", ".join(f"{phase} {seconds:.3g}" for phase, seconds in figures["seconds_by_phase"].items())
    lines.append(f"  {'seconds':<16}{phases}")
    if figures["kept_mean"] is not None:
        kept = f"{figures['kept_mean']:.1f} of {figures['workers']} a round with {plan['aggregator']['kind']}"
        if figures["byzantine"]:
            kept += f"; {figures['byzantine_kept_mean']:.2f} of the {figures['byzantine']} Byzantine"
        lines.append(f"  {'workers kept':<16}{kept}")
    if figures["absent"]:
        lines.append(f"  {'workers absent':<16}{figures['absent']} of {figures['workers']} in the last round")
    lines.append(f"  {'files':<16}{path}")
    return "\n".join(lines)


def _mean_kept(kept: NDArray[np.bool_]) -> float | None:
    return float(kept.sum(axis=1).mean()) if len(kept) else None


def _second_order(gradient_norm: float | None, lambda_min: float | None) -> float | None:
    """Return the smallest ε with ||∇f|| <= ε and λ_min >= -√ε (P2 §1, Preliminaries)."""
    if gradient_norm is None or lambda_min is None:
        return None
    return max(gradient_norm, min(lambda_min, 0.0) ** 2)


def _last(column: Any) -> float | None:
    return float(column[-1]) if len(column) and np.isfinite(column[-1]) else None
