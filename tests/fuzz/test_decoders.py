"""Every decoder on bytes that Hypothesis draws: a vector or `Malformed`, in bounded memory and steps."""

from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpirobust.compressors.qsgd import QSGD
from mpirobust.feedback.none import NoFeedback
from mpirobust.reducer.settings import Mode as ReducerMode
from mpirobust.testing.examples import EXAMPLES
from mpirobust.types import flat
from tests.fuzz import reducers
from tests.fuzz.decoders import MODES, Case, Mode, cases, vector_or_malformed
from tests.fuzz.mutations import mutated
from tests.fuzz.targets import TARGETS

ALL = {
    f"{kind}-{number}-d{case.dim}": case for kind in EXAMPLES["compressor"] for number, case in enumerate(cases(kind))
}
SMALL = {name: case for name, case in ALL.items() if case.dim < 1000}


@pytest.mark.parametrize("name", SMALL)
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), mode=st.sampled_from(MODES))
def test_mutations(name: str, seed: int, mode: Mode) -> None:
    rng, case = Random(seed), ALL[name]
    with np.errstate(over="ignore", invalid="ignore"):
        mode.judge(case, mutated(rng.choice(case.seeds()), rng))


@pytest.mark.parametrize("name", ALL)
def test_memory_and_steps_are_bounded(name: str) -> None:
    """No hostile message takes more than some multiples of an honest one, whatever it says of itself."""
    case, rng = ALL[name], Random(1)
    honest = case.seeds()
    most = max(_cost(case, message)[0] for message in honest), max(_cost(case, message)[1] for message in honest)
    room = case.compressor.max_nbytes(flat(case.dim)) + 8 * case.dim
    for _ in range(30):
        memory, steps = _cost(case, mutated(rng.choice(honest), rng))
        assert memory <= 2 * most[0] + 40 * room + 2**16
        assert steps <= 4 * most[1] + 500


@pytest.mark.parametrize("mode", ["center", "symmetric"])
@pytest.mark.parametrize("claim", [0, -1, 1, 2**31, 2**62, -(2**63), 7])
def test_no_claimed_length_takes_memory_or_stops_a_reducer(claim: int, mode: ReducerMode) -> None:
    packet = bytes(range(1, 9))
    reducers.reducer_takes(QSGD(levels=4), 9, packet, NoFeedback(), mode, claim)


def _cost(case: Case, message: bytes) -> tuple[int, int]:
    """Peak of bytes, and calls of functions, that a look at the message takes."""
    steps = 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1

    with np.errstate(over="ignore", invalid="ignore"):
        vector_or_malformed(case, message)  # what is worked out once
        tracemalloc.start()
        try:
            vector_or_malformed(case, message)
            memory = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        before = sys.getprofile()
        sys.setprofile(count)
        try:
            vector_or_malformed(case, message)
        finally:
            sys.setprofile(before)
    return memory, steps


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_takes_its_own_seeds(name: str, tmp_path: Path) -> None:
    """And changes of them: the search itself may have no fuzzer to run on."""
    target, rng = TARGETS[name], Random(7)
    seeds = target.seeds()
    for seed in seeds[:40]:
        target.judge(seed, tmp_path)
    for _ in range(60):
        seed = rng.choice(seeds)
        target.judge(seed[: target.lead] + mutated(seed[target.lead :], rng), tmp_path)
