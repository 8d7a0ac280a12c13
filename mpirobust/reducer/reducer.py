"""The robust compressed collective of `mpirobust`, for the training loop of any program that uses mpi4py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators.base import AggregatorLike
from mpirobust.comm.communicator import Communicator, by_rank
from mpirobust.comm.launch import communicator_of
from mpirobust.compressors.base import CompressorLike
from mpirobust.errors import PlanFault
from mpirobust.feedback.base import FeedbackLike
from mpirobust.numerics.blas import OneThread, merged, mixed
from mpirobust.reducer.agreement import agreed, told_to_root
from mpirobust.reducer.memory import State, Traffic
from mpirobust.reducer.session import Session, absent
from mpirobust.reducer.settings import Mode, Settings
from mpirobust.reducer.trees import Form, Tree, flattened, unflattened
from mpirobust.terminal import note, warn
from mpirobust.types import Vector


class RobustReducer:
    """Reduces the gradients of all ranks to one aggregate, which some hostile ranks cannot spoil.

    It stands where a program calls `Allreduce`. Each rank, rank 0 as well, is one worker: its gradient is compressed,
    only the packed bytes cross, and the rule decides which of them count. docs/REDUCER.md describes modes, failures and
    checkpoints. The constructor, `reduce` and `leave` are collective: all ranks call them in the same order.

    Args:
        comm: an intracommunicator of mpi4py. The reducer works on a duplicate.
        aggregator: the rule: a component, its kind (`"median"`), or a table, `{"kind": "norm-trim", "beta": 0.2}`.
        compressor: of the gradients, likewise.
        feedback: what is sent in place of a gradient, likewise.
        downlink: a compressor of the aggregate, likewise, on its way from the center; None sends it whole, float64.
        mode: `"center"`: rank 0 gathers, aggregates, and broadcasts. `"symmetric"`: every rank gathers all messages and
            aggregates by itself. Without a downlink both give the same bits.
        seed: of all random streams.

    Raises:
        PlanFault: `comm` is no intracommunicator.
        SetupFault: an argument is wrong on some rank, or not the same on all; on all ranks.
        RankFault: a rank has died; on all ranks.
    """

    def __init__(
        self,
        comm: object,
        *,
        aggregator: AggregatorLike,
        compressor: CompressorLike = "identity",
        feedback: FeedbackLike = "none",
        downlink: CompressorLike | None = None,
        mode: Mode = "center",
        seed: int = 0,
    ) -> None:
        self._comm = communicator_of(comm)
        self._m = self._comm.size

        def settled() -> Settings:
            settings = Settings.of(compressor, aggregator, feedback, downlink, mode, seed, self._m)
            for each in settings.notes if self._comm.is_root else ():
                warn(each)
            return settings

        self._settings = agreed(self._comm, settled, Settings.described)
        self._session: Session | None = None
        self._state: State | None = None
        self._blas = OneThread()
        if mode == "symmetric":
            _tell_of_other_processors(self._comm, self._blas.libraries)

    def reduce(self, gradients: Tree, step: float = 1.0) -> Tree:
        """Return the aggregate of the gradients of all ranks, times `step`; the same bits on all of them.

        Args:
            gradients: of this rank: an array of floating-point numbers, or a list, tuple or dict of such trees. Shapes
                and dtypes are the same on all ranks and in all calls. They are computed with in float64, and not
                changed.
            step: the step size, the same on all ranks. It matters to a feedback that applies it before it compresses
                (`residual`); otherwise it is a factor.

        Returns:
            new arrays, in the containers, shapes and dtypes of `gradients`.

        Raises:
            SetupFault: in the first call: arrays, or the restored states, do not fit together, the compressor or the
                rule; on all ranks.
            PlanFault: in a later call: the arrays or the step are wrong; on this rank. It is a `ValueError`.
            RankFault: another rank has raised, or more ranks have died than the rule is set for, or the center; on all
                other ranks. The round has no effect.
        """
        with self._blas.held(), np.errstate(over="ignore", invalid="ignore"):  # what is not finite is unsound
            if self._session is None:
                self._session = self._begun(gradients)
            session = self._session
            return unflattened(session.reduce(lambda: _vector(gradients, session.form), step), gradients)

    def _begun(self, gradients: Tree) -> Session:
        """Agree on the arrays and on the round, and return the session that begins with it."""
        state = self._state

        def work() -> Session:
            return Session(self._comm, self._settings, flattened(gradients)[0], self._m, state)

        def described(session: Session) -> dict[str, str]:
            return {**session.form.described(), "the round of the state": str(session.memory.round)}

        return agreed(self._comm, work, described)

    def state(self) -> dict[str, Any]:
        """Return what this rank keeps, as a new array for each name; each rank saves its own.

        Empty before the first call of `reduce`. The names have slashes, and `numpy.savez(path, **state)` takes them.
        """
        return dict(self._state or {}) if self._session is None else self._session.memory.arrays()

    def restore(self, state: State) -> None:
        """Go on from what `state` returned on this rank, with the same bits as if there had been no break.

        All ranks restore states of the same round, with the arguments and the number of ranks of then, before the same
        call of `reduce`, which raises if they do not fit.

        Raises:
            PlanFault: this is no mapping.
        """
        if not isinstance(state, Mapping):
            raise PlanFault("state", f"expected what `state` returned, by name, not {state!r}")
        self._session, self._state = None, {name: np.array(array) for name, array in state.items()} or None

    def leave(self, code: int = 0) -> NoReturn:
        """End this process with this exit code, when all survivors have come here; for programs in which ranks may die.

        Once a rank has died, MPI_Finalize, which ends every other program, may hang, and so may MPI_Abort. What Python
        does at its end is left out, but for the output.
        """
        self._comm.leave(code)

    @property
    def round(self) -> int:
        """The number of calls of `reduce` that were done, those before a restored state included."""
        return int(self.state().get("round", 0)) if self._session is None else self._session.memory.round

    @property
    def absent(self) -> tuple[int, ...]:
        """The ranks that have died, by their numbers in the program's communicator; none of them comes back."""
        return tuple(absent(self._comm, self._m))

    @property
    def kept(self) -> NDArray[np.bool_] | None:
        """True for each rank that is in the last aggregate, shape (n,); None on a rank that does not aggregate."""
        return None if self._session is None else self._session.kept

    @property
    def traffic(self) -> Traffic:
        """The bytes of this rank in all calls, those before a restored state included as soon as it is in use."""
        return Traffic() if self._session is None else self._session.memory.traffic


def _vector(gradients: Tree, form: Form) -> Vector:
    """Return the vector of the gradients; raise `PlanFault` if they are not of this form."""
    found, vector = flattened(gradients)
    if found != form:
        was, now = form.described(), found.described()
        name = next(name for name in {**was, **now} if was.get(name) != now.get(name))
        apart = f"{name}: {now.get(name, 'missing')}, but {was.get(name, 'missing')} in the first call"
        raise PlanFault("gradients", apart)
    return vector


def _tell_of_other_processors(comm: Communicator, libraries: str) -> None:
    """Print a note on rank 0 if the ranks use different kernels of BLAS."""
    told = told_to_root(comm, libraries)
    if comm.is_root and mixed(merged(told)):
        note(
            f"the ranks use different kernels of BLAS, so in symmetric mode their aggregates may differ in the "
            f'last bits: {by_rank(told)}; mode = "center" gives all of them the same'
        )
