"""Ends a job that hangs: what the main thread waits for, a rank or a disk, may never come."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf
from threading import Event, Thread
from time import monotonic
from types import TracebackType

from mpirobust.comm.communicator import Communicator, named
from mpirobust.errors import Exit
from mpirobust.observers.base import Moment, Status, Watch
from mpirobust.running.ranks import RankFacts, stopped
from mpirobust.running.stop_signals import StopSignals
from mpirobust.terminal import say

_GRACE = 10.0  # seconds after the time limit for what is about to end
_TURN = 5.0  # the others wait so much longer than the center, and rank 1 less than the rest: one message
_SUSPENDED = 2.0  # seconds that a wait outlasts its time only if the process was stopped
_SECONDS_TO_SPEAK = 2.0  # the terminal may be what hangs


class Watchdog(Watch):
    """A thread on every rank that ends this process when a time is over, whatever the main thread waits for.

    The thread calls no MPI: the launcher ends the other processes. Under ULFM it does so when a second one has ended;
    this is why every rank has a watchdog, and another reason is that it may be the center that hangs. In any case
    `--resume` continues from the newest checkpoint.

    The times: `_GRACE` seconds after the time limit, the code being INTERRUPTED. At the limit the thread asks the run
    to end, as a signal would. And `patience` after the beginning of a round at the center, or after the last command
    on another rank, the code being LOST.

    A context, for as long as there is something to end; and the first watch of a run, so that it sees the rounds.

    Attributes:
        ranks: all of them, at the center; empty if not known.
    """

    def __init__(
        self, comm: Communicator, signals: StopSignals, ends: float | None = None, patience: float | None = None
    ) -> None:
        """
        Args:
            signals: to be asked when the time limit has passed.
            ends: the time limit, on `time.monotonic`; None for none. A run that begins after it finds out by itself
                that no round fits, and is not asked.
            patience: the longest time of a round with its audit and checkpoint, in seconds; None for any.
        """
        turn, now = _TURN * min(comm.rank, 2), monotonic()
        self.ranks: Sequence[RankFacts] = ()
        self._comm = comm
        self._signals = signals
        self._speaks = comm.rank <= 1
        self._ends = inf if ends is None or ends <= now else ends
        self._killed = inf if ends is None else max(ends, now) + _GRACE + turn
        self._limit = inf if patience is None else patience
        self._patience = self._limit + turn
        self._fed = inf
        self._doing = "set-up"
        self._silent: Callable[[], Sequence[int]] = lambda: ()
        self._over = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watchdog:
        if min(self._killed, self._patience) < inf:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()  # it must not send a signal later

    def feed(self, doing: str = "a round") -> None:
        """Begin to count the time of a round anew."""
        self._doing, self._fed = doing, monotonic()

    def before_first_round(self, moment: Moment) -> None:
        self._silent = moment.cluster.silent
        self.after_round(moment)

    def after_round(self, moment: Moment) -> None:
        self.feed(f"round {moment.round + 1}")

    def after_last_round(self, moment: Moment, status: Status) -> None:
        self.feed(f"what follows round {moment.round}")

    def _watch(self) -> None:
        wait, before = self._wait(), monotonic()
        while not self._over.wait(wait):
            now = monotonic()
            if (suspended := now - before - wait) > _SUSPENDED:  # the whole job, as by Ctrl-Z: it may need all its time
                self._fed += suspended
            late = self._fed + self._patience
            if now >= self._ends:
                self._ends = inf
                self._signals.ask("the time limit")
            if now >= self._killed:
                self._end(Exit.INTERRUPTED, f"the time limit has passed, and {self._doing} has not ended", self._killed)
            if now >= late:
                self._end(Exit.LOST, f"{self._doing} has not ended within {self._limit:g} s", late)
            wait, before = self._wait(), monotonic()

    def _wait(self) -> float:
        """Return the seconds until the next look, a second at most."""
        now = monotonic()
        left = min(self._ends, self._killed, min(self._fed, now) + self._patience) - now
        return min(max(0.0, left), 1.0)

    def _end(self, code: Exit, why: str, due: float) -> None:
        """End this process. Say why, unless another rank has done so: the center, or others while this one hung."""
        if self._speaks and self._comm.active and monotonic() < due + _TURN / 2:
            saved = "nothing new was saved" if self._fed == inf else "--resume continues from the newest checkpoint"
            label = "" if self._comm.is_root else self._comm.label
            speaker = Thread(target=say, args=[f"mpirobust: {label}{why}{self._missing()}; {saved}"], daemon=True)
            speaker.start()
            speaker.join(_SECONDS_TO_SPEAK)
        if self._comm.survives and self._comm.is_root:  # the others are notified of no other end
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(code)

    def _missing(self) -> str:
        """Return the ranks that are known to hang, as text."""
        missing: Sequence[int] = ()
        with suppress(Exception):  # this thread must not fail before it ends the process
            missing = stopped(self.ranks) or self._silent()[:1]
        hosts = ", ".join(dict.fromkeys(rank.host for rank in self.ranks if rank.number in missing))
        return f": no answer from {named('rank', missing)} on {hosts}" if missing else ""
