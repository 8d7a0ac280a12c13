"""An observer that counts what the center's link carries in each round."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, ClassVar

from mpirobust.components import Field, component
from mpirobust.files import write_whole
from mpirobust.observers.base import Moment, Observer, RunContext, Status, Watch

COUNTED = "link.json"  # in the folder of the run
_RECEIVED, _SENT = 0, 8  # columns of /proc/net/dev


@component
class LinkBytes(Observer):
    """Writes `link.json`: for each round the bytes that the interface has received and sent, by the kernel's count.

    Attributes:
        interface: its name on the center's host.
    """

    free_on_resume: ClassVar[frozenset[str]] = frozenset({"kind", "interface"})

    interface: Annotated[str, Field(min_length=1)] = "eth0"

    def start(self, run: RunContext) -> LinkBytesWatch:
        return LinkBytesWatch(self.interface, run.folder / COUNTED)


class LinkBytesWatch(Watch):
    """See `LinkBytes`."""

    def __init__(self, interface: str, out: Path) -> None:
        self._interface = interface
        self._out = out
        self._counts: list[tuple[int, int]] = []

    def before_first_round(self, moment: Moment) -> Status | None:
        self._counts.append(counters(Path("/proc/self/net/dev").read_text(), self._interface))
        return None

    def after_round(self, moment: Moment) -> Status | None:
        return self.before_first_round(moment)

    def after_last_round(self, moment: Moment, status: Status) -> None:
        write_whole(self._out, lambda path: _write(path, json.dumps(self._counts)))


def counters(table: str, interface: str) -> tuple[int, int]:
    """Return the bytes received and sent by an interface; `table` is the text of /proc/net/dev.

    Raises:
        KeyError: it has no such interface.
    """
    lines = (line.partition(":") for line in table.splitlines())
    columns = {name.strip(): rest.split() for name, colon, rest in lines if colon}[interface]
    return int(columns[_RECEIVED]), int(columns[_SENT])


def _write(path: Path, text: str) -> None:
    path.write_text(text)
