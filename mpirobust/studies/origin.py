"""The origin of the runs of a study: code, machine and hours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mpirobust.meter import metered
from mpirobust.records.layout import TRACE
from mpirobust.records.tables import open_trace
from mpirobust.studies.campaign import Job

# Attributes of a trace, and the columns that they become.
_FACTS = {
    "git_commit": "commit",
    "processor": "processor",
    "kernels": "kernels",
    "hosts": "ranks",
    "threads": "threads",
}


def rows(study: str, jobs: Iterable[Job]) -> Iterator[dict[str, object]]:
    """Yield a row for each origin of the runs of a study, in the order of their first runs.

    A row counts the runs, and the hours of their rounds, one run after the other. A run that two studies share is
    in both. `ranks` and `threads` are those of the last session of a run, `threads` of its first rank.
    """
    seconds: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
    folders = dict.fromkeys(each.folder for each in jobs)
    for folder in metered(folders, "reading origins", " runs"):
        with open_trace(folder / TRACE) as file:
            elapsed = file["rounds/elapsed"][-1:]
            seconds[_origin(file.attrs)].append(float(elapsed.sum()))
    for origin, each in seconds.items():
        yield {
            "study": study,
            **dict(zip(_FACTS.values(), origin, strict=True)),
            "runs": len(each),
            "hours": f"{sum(each) / 3600:.3f}",
        }


def _origin(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the facts of a run; '' for one that its version did not write."""
    known = {name: str(attributes.get(name, "")) for name in _FACTS}
    known["hosts"] = str(len(known["hosts"].split()))
    known["threads"] = known["threads"].split(" ")[0]
    return tuple(known.values())
