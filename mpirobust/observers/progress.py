"""Shows the progress of a run on the terminal."""

from __future__ import annotations

from math import isnan
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, ClassVar, NoReturn

from mpirobust.components import Field, component
from mpirobust.observers.base import Moment, Observer, RunContext, Status, Watch
from mpirobust.terminal import tell, watched

if TYPE_CHECKING:
    from tqdm import tqdm

    from mpirobust.records.trace import Trace

_BAR = "{desc}{percentage:3.0f}% |{bar:5}| {n_fmt}/{total_fmt} {elapsed}<{remaining}{postfix}"  # figures need the room


@component
class Progress(Observer):
    """Draws a bar on standard error if that is a terminal, else prints a line now and then.

    Attributes:
        every_seconds: least seconds from line to line where there is no terminal.
    """

    free_on_resume: ClassVar[frozenset[str]] = frozenset({"kind", "every_seconds"})

    every_seconds: Annotated[float, Field(ge=0)] = 10.0

    def start(self, run: RunContext) -> ProgressWatch | None:
        if run.quiet and not run.label:
            return None
        return ProgressWatch(run.trace, run.rounds, self.every_seconds, run.label)


class ProgressWatch(Watch):
    """See `Progress`."""

    def __init__(self, trace: Trace, rounds: int, every_seconds: float, label: str = "") -> None:
        self._trace = trace
        self._rounds = rounds
        self._every_seconds = every_seconds
        self._label = label
        self._bar: tqdm[NoReturn] | None = None
        self._printed = perf_counter()

    def before_first_round(self, moment: Moment) -> Status | None:
        if watched():
            from tqdm import tqdm

            self._bar = tqdm(
                total=self._rounds,
                initial=moment.round,
                bar_format=_BAR,
                dynamic_ncols=True,
                desc=self._label.strip() or None,
                leave=not self._label,  # of a run that is one of many
            )
        return None

    def after_round(self, moment: Moment) -> Status | None:
        if self._bar is not None:
            self._bar.update()
            self._bar.set_postfix_str(self._figures(), refresh=False)
        elif perf_counter() - self._printed > self._every_seconds:
            tell(f"{self._label}round {moment.round}/{self._rounds}  {self._figures()}")
            self._printed = perf_counter()
        return None

    def after_last_round(self, moment: Moment, status: Status) -> None:
        if self._bar is not None:
            self._bar.close()

    def _figures(self) -> str:
        kept = self._trace.rounds.rows["kept"][-1]
        audit = self._trace.audits.rows[-1]
        shown = {"loss": "loss", "gradient_norm": "|grad|", "distance": "|w-w*|", "test_accuracy": "test"}
        figures = [f"{label} {audit[name]:.3g}" for name, label in shown.items() if not isnan(audit[name])]
        figures.insert(1, f"kept {kept.sum()}/{kept.size}")  # a narrow terminal cuts the last ones off
        return "  ".join(figures)
