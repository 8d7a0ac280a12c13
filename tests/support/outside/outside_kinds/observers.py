"""An observer that writes a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from mpirobust import component
from mpirobust.observers.base import Moment, Observer, RunContext, Status, Watch


@component
class Diary(Observer):
    """Writes a line for every round to a file in the output folder."""

    free_on_resume: ClassVar[frozenset[str]] = frozenset({"file"})

    file: str = "diary.txt"

    def start(self, run: RunContext) -> Watch:
        return _Writer(run.folder / self.file)


class _Writer(Watch):
    def __init__(self, path: Path) -> None:
        self._path = path

    def after_round(self, moment: Moment) -> Status | None:
        assert moment.verdict is not None
        with self._path.open("a") as file:
            file.write(f"{moment.round} {int(moment.verdict.kept.sum())}\n")
        return None
