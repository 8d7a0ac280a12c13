"""Runs that are shown together: a curve for each, or one for all that differ only in some keys."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.errors import SetupFault
from mpirobust.observers.base import Status
from mpirobust.reports.naming import differing, folder_names, pairs, short_keys
from mpirobust.reports.run_table import RunRow
from mpirobust.reports.summary import DONE

_LONG = 60  # characters of a name in which all keys have room


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that are one curve.

    Attributes:
        label: no other group has it.
        runs: one, or several that differ only in the keys over which they are averaged.
    """

    label: str
    runs: tuple[RunRow, ...]

    @property
    def diverged(self) -> int:
        """The number of its runs that diverged."""
        return sum(run.status == Status.DIVERGED for run in self.runs)


def grouped(runs: Sequence[RunRow], by: Sequence[str] = (), labels: Sequence[str] = ()) -> list[Group]:
    """Return the groups of `runs`, in the order of their first runs. A run that is given twice counts once.

    Args:
        runs: with a plan each.
        by: keys over which runs are averaged, such as `seed`.
        labels: names in place of those made from the plans; none, or one for each group.

    Raises:
        SetupFault: no plan has a key of `by`, or the labels are not as many as the groups, or not distinct.
    """
    runs = list({run.folder.absolute(): run for run in runs}.values())
    _expect_keys(by, runs)
    keys = [key for key in differing([run.plan for run in runs]) if key not in by]
    found: dict[str, list[RunRow]] = {}
    for run in runs:
        alike = [run.plan.get(key) for key in keys] if by else run.folder.absolute()
        found.setdefault(repr(alike), []).append(run)
    groups = [tuple(each) for each in found.values()]
    said = _labels(groups, keys, by)
    if labels and len(labels) != len(groups):
        raise SetupFault(f"--label: {len(labels)} given, {len(groups)} needed, for {'; '.join(said)}")
    if len(set(labels)) < len(labels):
        raise SetupFault("two curves have one label")
    return [Group(*each) for each in zip(labels or said, groups, strict=True)]


def _expect_keys(by: Sequence[str], runs: Sequence[RunRow]) -> None:
    known = {key for run in runs for key in run.plan}
    for key in by:
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            raise SetupFault(f"no plan has the key {key!r}{f' (did you mean {close[0]!r}?)' if close else ''}")


def _labels(groups: Sequence[Sequence[RunRow]], keys: Sequence[str], by: Sequence[str]) -> list[str]:
    """Return names: the values of `keys`, the folder if others have the same, and how many runs there are."""
    noun = by[0] if list(by) == ["seed"] else "run"
    if by and len(groups) == 1:
        return [_count(len(groups[0]), noun)]
    folders = folder_names([runs[0].folder for runs in groups])
    plans = [runs[0].plan for runs in groups]
    said = [pairs(plan, short_keys(keys)) or name for plan, name in zip(plans, folders, strict=True)]
    if max(map(len, said), default=0) > _LONG:
        short = short_keys(_telling_apart(plans, keys))
        said = [pairs(plan, short) or name for plan, name in zip(plans, folders, strict=True)]
    several = Counter(said)
    said = [f"{text} ({name})" if several[text] > 1 else text for text, name in zip(said, folders, strict=True)]
    return [f"{text} ({_count(len(runs), noun)})" if by else text for text, runs in zip(said, groups, strict=True)]


def _telling_apart(plans: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> list[str]:
    """Return a few of the keys, in their order, that tell the plans apart as all do; kinds first."""
    chosen: list[str] = []

    def told(*more: str) -> int:
        return len({repr([plan.get(key) for key in (*chosen, *more)]) for plan in plans})

    for some in ([key for key in keys if key.endswith(".kind")], keys):
        while told(*some) > told():
            chosen.append(max(some, key=told))
    return [key for key in keys if key in chosen]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def aligned(
    runs: Sequence[RunRow], rounds: Sequence[NDArray[np.int64]], columns: Sequence[NDArray[np.float64]]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return all rounds at which one of the runs has a value, and the values, shape (runs, rounds).

    Between its own rounds, and after its end, a run has its last value; before the first, NaN. The rounds end with
    those of the shortest run that is not over.

    Args:
        rounds: those of each run, ascending.
        columns: the value of each run after each of its rounds.
    """
    every = np.unique(np.concatenate(rounds))
    ends = [own.max(initial=0) for own, run in zip(rounds, runs, strict=True) if run.status not in DONE]
    every = every[every <= min(ends, default=every.max(initial=0))]
    values = np.full((len(runs), every.size), np.nan)
    for row, own, column in zip(values, rounds, columns, strict=True):
        last = np.searchsorted(own, every, side="right") - 1
        row[last >= 0] = column[last[last >= 0]]
    return every, values


def measured(
    runs: Sequence[RunRow], rounds: Sequence[NDArray[np.int64]], columns: Sequence[NDArray[np.float64]]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the same as `aligned`, with +inf in a run that diverged: where it is not finite, and from its end on."""
    every, values = aligned(runs, rounds, columns)
    for row, own, run in zip(values, rounds, runs, strict=True):
        if run.status == Status.DIVERGED:
            row[~np.isfinite(row) | (every >= own.max(initial=0))] = np.inf
    return every, values


def equal(curves: Mapping[str, NDArray[np.float64]]) -> list[list[str]]:
    """Return the labels of the curves with the same values, to the last bit: a list for each set of equal ones."""
    found: dict[bytes, list[str]] = {}
    for label, values in curves.items():
        found.setdefault(values.tobytes(), []).append(label)
    return [labels for labels in found.values() if len(labels) > 1]
