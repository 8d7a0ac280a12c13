"""The progress of a study on the terminal."""

from __future__ import annotations

from math import ceil, inf
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

from mpirobust.terminal import tell, watched

if TYPE_CHECKING:
    from tqdm import tqdm

_EVERY = 1.0  # seconds between two lines at the least
_BAR = "{n_fmt}/{total_fmt} |{bar:20}| {elapsed}<{remaining}  {desc}"


class StudyMeter:
    """Shows how far a study is: a bar if standard error is a terminal, else a line now and then.

    A context, in which nothing is shown before the first run begins.

    Args:
        total: the number of runs.
        crews: how many at a time share them. With several there are only lines, because each has a meter.
    """

    def __init__(self, total: int, crews: int = 1) -> None:
        self._total = total
        self._crews = crews
        self._first = self._begun = monotonic()
        self._told = -inf
        self._bar: tqdm[NoReturn] | None = None

    def begin(self, at: int, name: str) -> None:
        """Show that the run `at`, counted from 1, begins; the run before it, if there is one, has ended.

        Args:
            name: the study, the curve, and the keys of the run.
        """
        now = monotonic()
        if self._crews == 1 and watched():
            self._draw(at - 1, name)
        elif now - self._told >= _EVERY or at == self._total:
            tell(f"{self.place(at)} {name}{self._times(at, now)}")
            self._told = now
        self._begun = now

    def place(self, at: int) -> str:
        """Return the place of the run `at` as text."""
        return f"[{at}/{self._total}]"

    def end(self) -> None:
        """Show that all runs have ended."""
        if self._bar is not None:
            self._draw(self._total, "")

    def __enter__(self) -> StudyMeter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def _draw(self, done: int, name: str) -> None:
        from tqdm import tqdm

        if self._bar is None:
            self._bar = tqdm(total=self._total, bar_format=_BAR, dynamic_ncols=True)
        self._bar.set_description_str(name, refresh=False)
        self._bar.n = done
        self._bar.refresh()

    def _times(self, at: int, now: float) -> str:
        """Return the seconds of the run before, and how long the rest may take, as text."""
        done = at - self._crews  # as many others are at work
        if done <= 0 or now == self._first:
            return ""
        from tqdm import tqdm

        left = tqdm.format_interval(ceil((now - self._first) / done * (self._total - done)))
        return f" (the last took {now - self._begun:.1f} s, {left} left)"
