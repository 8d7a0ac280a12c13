"""The summary of one run, finished or not."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, datetime
from math import isfinite, isinf, isnan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.comm.communicator import named
from mpirobust.errors import SetupFault
from mpirobust.observers.base import Status
from mpirobust.records.layout import PHASES, TRACE
from mpirobust.records.tables import open_trace
from mpirobust.records.writer import Writer, writer_of

DONE = {Status.FINISHED, Status.CONVERGED, Status.DIVERGED}

_WRITERS = {
    Writer.ALIVE: "a process holds run.lock",
    Writer.GONE: "no process holds run.lock: the run was killed, and --resume continues it",
    Writer.UNKNOWN: "that a process of another host holds run.lock could not be seen from here, or there are no locks",
}


def summary(path: Path) -> dict[str, Any]:
    """Return the summary of the trace at `path` (a run.h5 or its folder) as plain numbers; None if there is none.

    `byzantine_kept_mean` is the mean number of Byzantine workers kept per round;
    `kept_mean` that of all workers. Figures of the objective are those of the last audit; `second_order` is the
    smallest ε for which they say second-order stationary to (ε, √ε). `gradient_norm_min` is the least of all audits,
    of which P1's theorems speak: `min_t ||∇F(w_t)||`. `escape_rounds` were spent on getting away
    from saddle points, the first of them after `first_hit` rounds. With redundancy, `outvoted` has for each worker that
    sent other bytes than most of its group the number of rounds in which it did, and `undecided` is the number of
    votes without a majority. With `audit.replay`, `replayed` is the number of messages that the center computed again,
    and `refuted` has for each worker that sent something else how often it was found. `writer` says whether a process
    still holds the lock of a run with status `running`; `strength` is the least, the median and the largest over the
    rounds of how far an omniscient attacker went; `host` was that of the center, and `written` is the time of the last
    write.

    Raises:
        SetupFault: there is no readable trace.
    """
    path = trace_at(path)
    with open_trace(path) as file:
        return figures_of(file, path)


def trace_at(path: Path) -> Path:
    """Return the path of the trace at `path` (a run.h5 or its folder); raise `SetupFault` if there is none."""
    try:
        path = path / TRACE if path.is_dir() else path
        path.stat()
    except FileNotFoundError as error:
        raise SetupFault(f"no run at {path}") from error
    except OSError as error:
        raise SetupFault(f"{path}: cannot be read ({error.strerror})") from error
    return path


def figures_of(file: Any, path: Path) -> dict[str, Any]:
    """Return the `summary` of an open trace; for inside `open_trace`, which turns what is strange into a fault.

    Args:
        path: of the trace.
    """
    host = next((name for name in str(file.attrs.get("hosts", "")).split() if not name.startswith("#")), "")
    running = file.attrs["status"] == Status.RUNNING
    rounds, audits, byzantine = file["rounds"], file["audits"], file["workers/byzantine"][:]
    kept = rounds["kept"][:]
    escape = rounds["escape"][:] if "escape" in rounds else np.zeros(len(kept), dtype=bool)
    done = len(kept)
    phases = {phase: float(rounds[f"seconds_{phase}"][:].sum()) for phase in PHASES}
    objective = _objective(audits)
    norms = audits["gradient_norm"][:]
    norms = norms[np.isfinite(norms)]
    figures: dict[str, Any] = {
        "status": str(file.attrs["status"]),
        "writer": str(writer_of(path.parent, host)) if running else None,
        "host": host,
        "written": datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds"),
        "rounds": done,
        "escape_rounds": int(escape.sum()),
        "first_hit": int(escape.argmax()) if escape.any() else None,
        **objective,
        "loss_at_start": _loss_at_start(audits),
        "gradient_norm_min": float(norms.min()) if norms.size else None,
        "second_order": _second_order(objective["gradient_norm"], objective["lambda_min"]),
        **_bytes(rounds),
        "seconds": float(rounds["elapsed"][-1]) if done else 0.0,
        "seconds_by_phase": phases,
        "threads": _threads(str(file.attrs.get("threads", "1"))),
        "workers": int(kept.shape[1]),
        "byzantine": int(byzantine.size),
        "byzantine_kept_mean": _mean_kept(kept[:, byzantine]) if byzantine.size else None,
        "kept_mean": _mean_kept(kept),
        "strength": _strength(rounds),
        "absent": int(rounds["absent"][-1].sum()) if "absent" in rounds and done else 0,
        "reset": int(rounds["reset"][:].any(axis=0).sum()) if "reset" in rounds else 0,
        "plan": tomllib.loads(file.attrs["plan"]),
    }
    figures |= _votes(rounds, figures["plan"].get("redundancy", 1))
    figures |= _replays(rounds)
    others = {key: figures[key] for key in figures.keys() - objective.keys()}
    json.dumps([others, figures["plan"]["aggregator"]["kind"]], allow_nan=False)  # raise if it cannot be printed
    if figures["plan"].get("workers", figures["workers"]) != figures["workers"]:
        raise ValueError("its plan has another number of workers")
    return figures


def _votes(rounds: Any, size: int) -> dict[str, Any]:
    """Return what the votes of groups of `size` workers have shown: who was outvoted by a majority, and how often."""
    if size == 1:
        return {"outvoted": {}, "undecided": 0}
    done, workers = rounds["outvoted"].shape
    if not isinstance(size, int) or size < 1 or workers % size:
        raise ValueError("its redundancy does not fit its workers")
    outvoted, absent = (rounds[name][:].reshape(done, size, workers // size) for name in ("outvoted", "absent"))
    decided = (~outvoted & ~absent).any(axis=1)  # of each group; worker w is in group w mod m/r
    times = (outvoted & decided[:, None]).sum(axis=0).ravel()
    return {
        "outvoted": {str(worker): int(times[worker]) for worker in np.flatnonzero(times)},
        "undecided": int((outvoted.any(axis=1) & ~decided).sum()),
    }


def _replays(rounds: Any) -> dict[str, Any]:
    """Return how many messages the center computed again, and how often those of a worker were others."""
    if "replayed" not in rounds:
        return {"replayed": 0, "refuted": {}}
    times = rounds["refuted"][:].sum(axis=0)
    refuted = {str(worker): int(times[worker]) for worker in np.flatnonzero(times)}
    return {"replayed": int(rounds["replayed"][:].sum()), "refuted": refuted}


def _strength(rounds: Any) -> list[float] | None:
    told = rounds["strength"][:] if "strength" in rounds else np.zeros(0)
    told = told[np.isfinite(told)]
    return [float(told.min()), float(np.median(told)), float(told.max())] if told.size else None


def _threads(of_ranks: str) -> str:
    """Return the least and the largest number of threads of a rank as text."""
    numbers = sorted(map(int, of_ranks.split()))
    return f"{numbers[0]}" if numbers[0] == numbers[-1] else f"{numbers[0]} to {numbers[-1]}"


def _bytes(rounds: Any) -> dict[str, int]:
    up, down = (int(rounds[f"bytes_{way}"][:].sum()) for way in ("up", "down"))
    return {"bytes_up": up, "bytes_down": down, "bytes": up + down}


def as_json(figures: dict[str, Any]) -> str:
    """Return the summary as JSON, which has no numbers that are not finite: they are "inf", "-inf" and "nan"."""
    strange = {key: str(value) for key, value in figures.items() if isinstance(value, float) and not isfinite(value)}
    return json.dumps({**figures, **strange}, indent=2, allow_nan=False)


def as_text(figures: dict[str, Any], path: Path) -> str:
    """Return the summary as text."""
    plan = figures["plan"]
    lines = [f"{figures['status']} after {figures['rounds']} rounds, {figures['seconds']:.2f} s"]
    if kinds := _kinds(plan):
        lines.append(f"  {'plan':<16}{kinds}")
    if figures["status"] == Status.DIVERGED and figures["loss_at_start"] is not None:
        lines[0] += f"; the loss at the start was {figures['loss_at_start']:.6g}"
    if figures["writer"] is not None:
        lines.append(f"  {'writer':<16}{said_of_writer(figures)}")
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
            lines.append(f"  {label:<16}{figures[key]:.6g}{' (overflowed)' if isinf(figures[key]) else ''}")
    if figures["gradient_norm_min"] is not None:
        least = figures["gradient_norm_min"] * figures["gradient_norm_min"]  # inf if it overflows; ** would raise
        lines.append(f"  {'min ||∇F||²':<16}{least:.6g} over the audits")
    if figures["second_order"] is not None:
        lines.append(f"  second-order stationary to (ε, √ε) with ε = {figures['second_order']:.3g}")
    if figures["escape_rounds"]:
        descent = figures["rounds"] - figures["escape_rounds"]
        apart = f"{figures['escape_rounds']}, the first after {figures['first_hit']}; {descent} of descent"
        lines.append(f"  {'escape rounds':<16}{apart}")
    messages = max(1, figures["rounds"] * figures["workers"])
    for key, label in [("bytes_up", "bytes up"), ("bytes_down", "bytes down"), ("bytes", "bytes together")]:
        lines.append(f"  {label:<16}{figures[key]:,} ({figures[key] / messages:,.1f} per worker and round)")
    phases = ", ".join(f"{phase} {seconds:.3g}" for phase, seconds in figures["seconds_by_phase"].items())
    lines.append(f"  {'seconds':<16}{phases}")
    if figures["threads"] != "1":
        lines.append(f"  {'threads':<16}{figures['threads']} a rank")
    lines += _of_workers(figures)
    lines.append(f"  {'files':<16}{path}")
    return "\n".join(lines)


def _of_workers(figures: dict[str, Any]) -> list[str]:
    """Return lines on the workers whose messages were taken, and on those that lied or were lost."""
    said = []
    if figures["kept_mean"] is not None:
        kept = (
            f"{figures['kept_mean']:.1f} of {figures['workers']} a round with {figures['plan']['aggregator']['kind']}"
        )
        if figures["byzantine"]:
            kept += f"; {figures['byzantine_kept_mean']:.2f} of the {figures['byzantine']} Byzantine"
        said.append(f"  {'workers kept':<16}{kept}")
    if figures["outvoted"]:
        liars, times = sorted(map(int, figures["outvoted"])), figures["outvoted"].values()
        often = f"{max(times)}" if min(times) == max(times) else f"{min(times)} to {max(times)}"
        by = f"by most of their group, in {often} of {figures['rounds']} rounds"
        said.append(f"  {'outvoted':<16}{named('worker', liars)} {by}")
    if figures["undecided"]:
        said.append(f"  {'no majority':<16}{figures['undecided']} times; the group counted as absent")
    if figures["replayed"]:
        liars = sorted(map(int, figures["refuted"]))
        found = f"{named('worker', liars)} sent something else" if liars else "all were what honest workers send"
        said.append(f"  {'replayed':<16}{figures['replayed']} messages; {found}")
    if figures["strength"] is not None and figures["strength"][0] < figures["strength"][2]:
        least, median, most = figures["strength"]
        said.append(
            f"  {'attack strength':<16}{median:.3g} in the median of the rounds, from {least:.3g} to {most:.3g}"
        )
    if figures["absent"]:
        said.append(f"  {'workers absent':<16}{figures['absent']} of {figures['workers']} in the last round")
    if figures["reset"]:
        said.append(
            f"  {'memory lost':<16}of {figures['reset']} workers, with their ranks: feedback began again at zero"
        )
    return said


def _kinds(plan: dict[str, Any]) -> str:
    """Return what the plan is made of, with the fractions of its rule and its attack."""
    tables = [plan.get(name) for name in ("problem", "algorithm", "compressor", "aggregator", "attack")]
    said = []
    for each in tables:
        if isinstance(each, dict) and "kind" in each:
            fractions = [f"{key} {each[key]}" for key in ("beta", "alpha") if key in each]
            said.append(f"{each['kind']}{f' ({fractions[-1]})' if fractions else ''}")
    return ", ".join(said)


def said_of_writer(figures: dict[str, Any]) -> str:
    """Return as text whether a process is still writing the run, whose status is `running`."""
    last = f"last written on {figures['host'] or 'an unknown host'} at {figures['written']}"
    return f"{figures['writer']}: {_WRITERS[Writer(figures['writer'])]}; {last}"


def _mean_kept(kept: NDArray[np.bool_]) -> float | None:
    return float(kept.sum(axis=1).mean()) if len(kept) else None


def _second_order(gradient_norm: float | None, lambda_min: float | None) -> float | None:
    """Return the smallest ε with ||∇f|| <= ε and λ_min >= -√ε (P2 §1, Preliminaries)."""
    if gradient_norm is None or lambda_min is None or not isfinite(gradient_norm) or not isfinite(lambda_min):
        return None
    return max(gradient_norm, min(lambda_min, 0.0) ** 2)


def _objective(audits: Any) -> dict[str, float | None]:
    """Return the figures of the last audit; None for those that it does not have. They need not be finite."""
    columns = {name: audits[name] for name in ("loss", "gradient_norm", "distance", "test_accuracy")}
    for name in ("lambda_min", "test_loss", "balanced_accuracy", "auc"):  # files of earlier versions lack them
        columns[name] = audits.get(name, ())
    last = {name: float(column[-1]) if len(column) else None for name, column in columns.items()}
    missing = {name for name, value in last.items() if value is not None and isnan(value)} - {"loss", "gradient_norm"}
    return {name: None if name in missing else value for name, value in last.items()}


def _loss_at_start(audits: Any) -> float | None:
    known = len(audits["round"]) and audits["round"][0] == 0 and np.isfinite(audits["loss"][0])
    return float(audits["loss"][0]) if known else None
