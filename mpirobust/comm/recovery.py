"""Recovery from rank failure, by ULFM (Bland et al. 2013): the states, the agreement bits, and the place of each rank.

States. A rank is
  *active*      its calls go through `Recovery.guard`, and `Recovery.confirm` succeeds;
  *interrupted* a call of its failed because of a rank failure, or it has a report. It has revoked the
                communicator, so that every pending call of another rank returns, and has taken part in one agreement.
                `CommunicatorRevoked` was raised; the next call has to be `recover`;
  *recovering*  in `recover`: shrink the communicator, wait until all have the new one, exchange reports if there are
                any, agree that the exchange succeeded on all, and begin again if it did not. Then it is active under
                a new number, or it ends.

Agreements. `MPI_Comm_agree` is a bitwise AND over the survivors that returns the same on all of them, even if ranks
fail meanwhile. Between two shrinks every rank takes part in exactly one agreement that says "not complete". Two bits:
  COMPLETED          this rank completed the call that is confirmed
  NOTHING_TO_REPORT  this rank has no report
and the votes are
  both               `confirm`, by a rank whose last call succeeded
  COMPLETED          the exchange of reports in `recover` succeeded on this rank
  NOTHING_TO_REPORT  an MPI call returned an error on this rank because of a rank failure
  neither            this rank reports a failed worker, or it is the root and ends; or the exchange of reports failed
Without COMPLETED in the result, `confirm` raises `CommunicatorRevoked` on all. Without NOTHING_TO_REPORT, an exchange
of reports follows the next shrink on all. Two more ask for no bit: the first on each new communicator, which returns
when all have it (Open MPI 5.0 crashes in a rank that is still in the shrink when another revokes what comes of it), and
`all_agree`, when all work is done.

Reports. (failed worker, exit code of the root), combined over the survivors in one Allreduce. If two workers are
reported at once, the one with the lower number is passed on; the other fails again when the call is repeated.

The place of each rank when another fails. In a buffer call: the call fails here, or succeeds here and the next one
fails. In `confirm`: the agreement returns "not complete". In `recover`: the shrink leaves the failed rank out, or the
exchange fails on some rank and all begin again. In worker code, outside of any call: the rank's next call fails. So
every survivor reaches `recover`, and no rank waits for one that is in another call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic, sleep

import numpy as np
from mpi4py import MPI

from mpirobust.comm.communicator import CommunicatorRevoked, Survivors
from mpirobust.errors import Exit, RankFault, ReportedFault

COMPLETED, NOTHING_TO_REPORT = 1, 2

_PATIENCE = 5.0  # seconds until the runtime has detected a failed rank
_FAILURES = (MPI.ERR_PROC_FAILED, MPI.ERR_PROC_FAILED_PENDING, MPI.ERR_REVOKED)
_NO_WORKER = 2**31  # in a report, in place of a worker


class Recovery:
    """The communicator of the surviving ranks, which each recovery replaces.

    Args:
        comm: that of another program, to be copied; any of its ranks may fail, the first as well. None: MPI_COMM_WORLD.
        numbers: the launcher's numbers of the ranks of `comm`, if it is a part of the job, and so not to be copied.

    Attributes:
        comm: the current communicator. Without survival (`mpirun` without `--with-ft ulfm`) it is never replaced.
        survives: whether the MPI library survives a rank failure.
        active: whether the rank is in the first of the states above.
        numbers: the launcher's numbers of the surviving ranks.
    """

    def __init__(self, survives: bool, comm: MPI.Comm | None = None, numbers: Sequence[int] | None = None) -> None:
        self.survives = survives
        self.active = True
        self._rooted = comm is None or numbers is not None
        # A duplicate separates our messages from all others; under ULFM there is none, because a rank may fail in Dup.
        # Another program's communicator must not be revoked: Shrink copies it, but for ranks that have failed.
        if comm is not None and numbers is not None:
            self.comm: MPI.Comm = comm
        elif not survives:
            self.comm = (comm or MPI.COMM_WORLD).Dup()
        else:
            self.comm = MPI.COMM_WORLD if comm is None else comm.Shrink()
        if comm is not None:
            self.comm.Set_errhandler(MPI.ERRORS_RETURN)
        self.numbers = list(range(self.comm.Get_size()) if numbers is None else numbers)
        self._reports_follow = False
        self._failed_worker, self._exit_code = _NO_WORKER, 0  # the report of this rank
        # The library may still write to the buffers of a call that failed: they are never freed.
        self._retired: list[object] = []

    @contextmanager
    def guard(self, *buffers: object) -> Iterator[None]:
        """Turn a failure of the MPI call inside that comes from a rank failure into `CommunicatorRevoked`.

        Args:
            buffers: those of the call.
        """
        try:
            yield
        except MPI.Exception as error:
            if not self.survives or not self._is_rank_failure(error):
                raise
            self._retired += buffers
            self._interrupt(NOTHING_TO_REPORT)
            raise CommunicatorRevoked from error

    def confirm(self) -> None:
        """See `Communicator.confirm`."""
        if self.survives and not self._agree(COMPLETED | NOTHING_TO_REPORT) & COMPLETED:
            raise CommunicatorRevoked

    def all_agree(self, opinion: bool) -> bool:
        """Return whether all survivors are of this opinion; the last agreement of all."""
        return bool(self._agreement(int(opinion)))

    def report_failed_worker(self, worker: int) -> None:
        """See `Communicator.report_failed_worker`."""
        self._failed_worker = worker
        self._interrupt(0)

    def end(self, code: int) -> None:
        """On the root: make all ranks raise `ReportedFault` with this exit code."""
        self._exit_code = code
        self._interrupt(0)
        self.recover()

    def recover(self) -> Survivors:
        """See `Communicator.recover`."""
        former = self.comm.Get_group()
        report: tuple[int, int] | None = None
        while report is None:
            self._retired.append(self.comm)
            self.comm = self.comm.Shrink()
            self._agreement(0)
            report = self._exchange_reports() if self._reports_follow else (_NO_WORKER, 0)
        failed_worker, exit_code = report
        self._reports_follow, self._failed_worker, self.active = False, _NO_WORKER, True
        rank, size = self.comm.Get_rank(), self.comm.Get_size()
        if exit_code and rank:
            raise ReportedFault(exit_code)
        ranks = list(MPI.Group.Translate_ranks(self.comm.Get_group(), range(size), former))
        failed_ranks = [number for at, number in enumerate(self.numbers) if at not in ranks]
        center = self.numbers[0]
        self.numbers = [self.numbers[at] for at in ranks]
        if self._rooted and ranks[0] != 0:
            if rank:
                raise ReportedFault(Exit.LOST)
            raise RankFault(f"rank {center}, the center, died; another start goes on from the newest checkpoint")
        return Survivors(ranks, failed_ranks, None if failed_worker == _NO_WORKER else failed_worker)

    def _exchange_reports(self) -> tuple[int, int] | None:
        """Allreduce (failed worker, exit code) over the survivors; None on all of them if another rank fails meanwhile.

        MIN, with the exit code negated: the lowest worker, and the code of the one rank that may have one.
        """
        mine, least = np.array([self._failed_worker, -self._exit_code]), np.empty(2, np.int64)
        self._retired += [mine, least]
        try:
            self.comm.Allreduce(mine, least, MPI.MIN)
            vote = COMPLETED
        except MPI.Exception:
            self.comm.Revoke()
            vote = 0
        completed = self._agree(vote) & COMPLETED  # NOTHING_TO_REPORT stays unset: if all begin again, reports follow
        return (int(least[0]), -int(least[1])) if completed else None

    def _interrupt(self, vote: int) -> None:
        """Revoke the communicator so that pending calls return, then make pending confirmations fail."""
        self.active = False
        self.comm.Revoke()
        self._agree(vote)

    def _agree(self, vote: int) -> int:
        """Agree, and note whether reports follow."""
        agreed = self._agreement(vote)
        self._reports_follow = not agreed & NOTHING_TO_REPORT
        return agreed

    def _agreement(self, vote: int) -> int:
        """Return the bits that all survivors have set; the same on every rank, even if ranks fail meanwhile."""
        while True:
            self.comm.Ack_failed()
            try:
                return int(self.comm.Agree(vote))
            except MPI.Exception as error:
                if error.Get_error_class() != MPI.ERR_PROC_FAILED:
                    raise

    def _is_rank_failure(self, error: MPI.Exception) -> bool:
        """Return whether a rank failure is the cause of `error`.

        Open MPI raises MPI_ERR_OTHER if a connection breaks before its runtime knows why.
        """
        patience = monotonic() + _PATIENCE
        while error.Get_error_class() not in _FAILURES and self.comm.Get_failed().Get_size() == 0:
            if monotonic() > patience:
                return False
            sleep(0.01)
        return True
