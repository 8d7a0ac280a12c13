"""The reducer on ranks that are threads: to the bit what the parts of a run make of the same gradients."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust.aggregators.base import Aggregator, Context, Verdict
from mpirobust.aggregators.caf import CAF
from mpirobust.aggregators.centered_clipping import CenteredClipping
from mpirobust.aggregators.fltrust import FLTrust
from mpirobust.aggregators.median import Median
from mpirobust.aggregators.nnm import NNM
from mpirobust.aggregators.norm_trim import NormTrim
from mpirobust.aggregators.zeno import Zeno
from mpirobust.algorithms.base import Query
from mpirobust.answers import Answers
from mpirobust.cluster.downlink import Downlink
from mpirobust.cluster.protocol import HEADER
from mpirobust.cluster.wire import Wire
from mpirobust.comm.communicator import Communicator
from mpirobust.comm.local import LocalCommunicator
from mpirobust.components import component
from mpirobust.compressors.base import Compressor
from mpirobust.compressors.identity import Identity
from mpirobust.compressors.l1_qsgd import L1QSGD
from mpirobust.compressors.layerwise import Layerwise
from mpirobust.compressors.qsgd import QSGD
from mpirobust.compressors.topk import TopK
from mpirobust.compressors.uniform import Uniform
from mpirobust.errors import PlanFault, RankFault, SetupFault
from mpirobust.feedback.base import Feedback
from mpirobust.feedback.difference import Difference
from mpirobust.feedback.none import NoFeedback
from mpirobust.feedback.residual import Residual
from mpirobust.numerics.blas import OneThread
from mpirobust.reducer import reducer as reducer_module
from mpirobust.reducer.memory import Traffic
from mpirobust.reducer.reducer import RobustReducer
from mpirobust.reducer.settings import Mode
from mpirobust.testing.examples import components, one_of_each_kind, wire_formats
from mpirobust.testing.support.feedback_rounds import SEED, Ends
from mpirobust.testing.support.marina import Marina
from mpirobust.types import Norm, Vector, flat
from tests.support.ranks import one_of_all, raised, together

M, DIM, ROUNDS = 5, 9, 3
MODES: tuple[Mode, ...] = ("center", "symmetric")
STEP = 0.5
_RULES = [NormTrim(beta=0.3), CenteredClipping(radius=1.0, start="previous"), CAF(beta=0.1)]


def gradients(t: int) -> NDArray[np.float64]:
    """Of all ranks in round `t`, the last one hostile."""
    rows = np.random.default_rng(t).standard_normal((M, DIM))
    rows[-1] *= -20
    return rows


def expected(
    compressor: Compressor, rule: Aggregator, feedback: Feedback, downlink: Compressor | None = None
) -> list[Vector]:
    """The aggregate of each round, by the two ends of the feedback, the rule and the way down of a run."""
    ends, memory, made = Ends(feedback, compressor, M, DIM), None, []
    wire, way = Wire(SEED, flat(DIM), compressor, Norm(), feedback), Downlink(SEED, flat(DIM), downlink, np.zeros(DIM))
    for t in range(ROUNDS):
        inbox = wire.inbox(wire.codes(t), ends.sent(t, gradients(t), STEP))
        verdict = rule.judge(feedback.receive(ends.center, inbox, STEP, wire.coin(t)), memory, Context(t, None, SEED))
        memory, query = verdict.memory, way.coded(t, Query((verdict.step,)))
        way = way.after(query)
        made.append(query.vectors[0].copy())
    return made


def aggregates(comm: Communicator, **settings: Any) -> list[NDArray[np.float64]]:
    reducer = RobustReducer(comm, seed=SEED, **settings)
    return [reducer.reduce(gradients(t)[comm.rank], STEP) for t in range(ROUNDS)]


@pytest.mark.parametrize("compressor", wire_formats(DIM))
def test_every_code_gives_the_bits_of_a_run_in_both_modes(compressor: str) -> None:
    code = wire_formats(DIM)[compressor]
    for fed, rule in zip(components("feedback").values(), _RULES, strict=True):
        wanted = expected(code, rule, fed)
        for mode in MODES:
            of_rank = partial(aggregates, compressor=code, aggregator=rule, feedback=fed, mode=mode)
            for found in together(M, of_rank):
                np.testing.assert_array_equal(found, wanted, err_msg=f"{fed} {mode}")


def test_every_rule_gives_the_bits_of_a_run_in_both_modes() -> None:
    code, fed = QSGD(levels=4), Residual()
    alone = {name: rule for name, rule in components("aggregator").items() if not rule.asks_center()}
    for name, rule in one_of_each_kind(alone).items():
        wanted = expected(code, rule, fed)
        for mode in MODES:
            of_rank = partial(aggregates, compressor=code, aggregator=rule, feedback=fed, mode=mode)
            for found in together(M, of_rank):
                np.testing.assert_array_equal(found, wanted, err_msg=name)


@pytest.mark.parametrize("rule", [FLTrust(), NNM(beta=0.0, rule=Zeno(beta=0.5))], ids=repr)
def test_a_rule_that_asks_the_center_is_refused(rule: Aggregator) -> None:
    with pytest.raises(SetupFault, match=r"aggregator\.kind: the rule judges by rows that the center of a plan keeps"):
        together(2, partial(RobustReducer, aggregator=rule))


def test_the_way_down_is_coded_as_that_of_a_run() -> None:
    code, rule = QSGD(levels=4), Median()
    for downlink in (TopK(k=2), QSGD(levels=2), Uniform(bits=3), Identity()):
        wanted = expected(code, rule, NoFeedback(), downlink)
        for found in together(M, partial(aggregates, compressor=code, aggregator=rule, downlink=downlink)):
            np.testing.assert_array_equal(found, wanted)


def test_kinds_and_tables_are_those_of_a_plan() -> None:
    table = {"kind": "nnm", "beta": 0.2, "rule": {"kind": "median"}}
    one = together(
        M, partial(aggregates, compressor={"kind": "qsgd", "levels": 4}, aggregator=table, feedback="residual")
    )
    rule = NNM(beta=0.2, rule=Median())
    other = together(M, partial(aggregates, compressor=QSGD(levels=4), aggregator=rule, feedback=Residual()))
    np.testing.assert_array_equal(one, other)


def test_a_key_that_was_renamed_is_told_on_one_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NormTrim, "former_keys", {"beta": "share"}, raising=False)
    with pytest.warns(UserWarning, match=r"^aggregator\.share is now called aggregator\.beta;") as told:
        together(M, lambda comm: RobustReducer(comm, aggregator={"kind": "norm-trim", "share": 0.3}))
    assert len(told) == 1


def test_a_warning_that_is_an_exception_is_a_fault_on_all_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under `python -W error`: rank 0 alone warns, and no rank waits for it."""
    monkeypatch.setattr(NormTrim, "former_keys", {"beta": "share"}, raising=False)

    def of_rank(comm: Communicator) -> str:
        return str(raised(lambda: RobustReducer(comm, aggregator={"kind": "norm-trim", "share": 0.3})))

    assert one_of_all(together(M, of_rank)).startswith("rank 0: UserWarning: aggregator.share is now called")


def tree_of(vector: NDArray[np.float64]) -> Any:
    return {"layers": [(vector[:4].reshape(2, 2), np.float32(vector[4:6]))], "bias": vector[6:].astype(np.float32)}


@pytest.mark.parametrize("mode", MODES)
def test_many_arrays_layer_by_layer(mode: Mode) -> None:
    """With `layerwise` each array comes back as if it had been reduced alone."""

    def of_rank(comm: Communicator) -> None:
        tree = tree_of(gradients(0)[comm.rank])
        code = Layerwise(compressor=L1QSGD())
        whole = RobustReducer(comm, aggregator="mean", compressor=code, mode=mode).reduce(tree)
        alone = RobustReducer(comm, aggregator="mean", compressor=L1QSGD(), mode=mode).reduce(tree["bias"])
        np.testing.assert_array_equal(whole["bias"], alone)
        alone = RobustReducer(comm, aggregator="mean", compressor=L1QSGD(), mode=mode).reduce(tree["layers"][0][0])
        np.testing.assert_array_equal(whole["layers"][0][0], alone)
        assert [whole["bias"].dtype, whole["layers"][0][1].dtype] == [np.float32, np.float32]
        flat_code = RobustReducer(comm, aggregator="mean", compressor=L1QSGD(), mode=mode).reduce(tree)
        assert (flat_code["bias"] != whole["bias"]).any()

    together(M, of_rank)


_KEEPING: dict[str, dict[str, Any]] = {
    "residual": {"feedback": Residual(), "compressor": TopK(k=2), "aggregator": "median"},
    "difference": {"feedback": Difference(), "compressor": TopK(k=2), "aggregator": "median"},
    "rule": {"aggregator": {"kind": "centered-clipping", "radius": 1.0, "start": "previous"}},
    "downlink": {"aggregator": "mean", "downlink": {"kind": "topk", "k": 2}, "feedback": Residual()},
}


@pytest.mark.parametrize(
    ("kept", "mode"), [(kept, mode) for kept in _KEEPING for mode in MODES if (kept, mode) != ("downlink", "symmetric")]
)
def test_a_restored_state_gives_the_bits_of_a_run_without_a_break(kept: str, mode: Mode, tmp_path: Path) -> None:
    def of_rank(comm: Communicator, stop: int) -> NDArray[np.float64]:
        whole = RobustReducer(comm, mode=mode, seed=SEED, **_KEEPING[kept])
        made = [whole.reduce(gradients(t)[comm.rank], STEP) for t in range(6)]
        assert whole.state().keys() >= {"round", "traffic"}
        first = RobustReducer(comm, mode=mode, seed=SEED, **_KEEPING[kept])
        assert first.state() == {}
        for t in range(stop):
            first.reduce(gradients(t)[comm.rank], STEP)
        np.savez(tmp_path / f"{comm.rank}.npz", **first.state())
        second = RobustReducer(comm, mode=mode, seed=SEED, **_KEEPING[kept])
        with np.load(tmp_path / f"{comm.rank}.npz") as state:
            second.restore(state)
        assert (second.state().keys(), second.round) == (first.state().keys(), stop)
        rest = [second.reduce(gradients(t)[comm.rank], STEP) for t in range(stop, 6)]
        np.testing.assert_array_equal(rest, made[stop:])
        assert (second.round, second.traffic) == (6, whole.traffic)
        first.restore({})  # from the beginning
        np.testing.assert_array_equal(first.reduce(gradients(0)[comm.rank], STEP), made[0])
        return np.array(rest)

    for stop in (1, 4):
        together(M, partial(of_rank, stop=stop))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: {**state, "round": np.array(7)}, "the round of the state: rank 2 has 7, rank 0 has 2"),
        (lambda _: {}, "the round of the state: rank 2 has 0, rank 0 has 2"),
        (lambda state: {**state, "more": np.zeros(1)}, "rank 2: the state has more, which this reducer does not keep"),
        (
            lambda state: {name: each for name, each in state.items() if name != "worker/residual"},
            "rank 2: the state has no worker/residual",
        ),
        (
            lambda state: {**state, "worker/residual": np.zeros(DIM + 1)},
            rf"rank 2: worker/residual of the state: expected float64 \({DIM},\), not float64 \({DIM + 1},\)",
        ),
    ],
)
def test_a_state_that_does_not_fit_is_refused_on_all_ranks(change: Any, said: str) -> None:
    def of_rank(comm: Communicator) -> str:
        reducer = RobustReducer(comm, aggregator="mean", feedback="residual")
        for t in range(2):
            reducer.reduce(gradients(t)[comm.rank])
        state = reducer.state()
        reducer.restore(change(state) if comm.rank == 2 else state)
        error = raised(lambda: reducer.reduce(gradients(2)[comm.rank]))
        assert isinstance(error, SetupFault)
        return str(error)

    assert re.search(said, one_of_all(together(M, of_rank)))


_SAME: dict[str, Any] = {"aggregator": {"kind": "norm-trim", "beta": 0.2}, "compressor": "l1-qsgd"}


@pytest.mark.parametrize(
    ("theirs", "ours", "said"),
    [
        ({"compressor": "zip"}, {}, "rank 2: compressor.kind: unknown kind 'zip'"),
        ({"compressor": {"kind": "qsgd", "levels": 0}}, {}, "rank 2: compressor.levels: expected"),
        (
            {"compressor": Median()},
            {},
            "rank 2: compressor: expected a kind, .* of Compressor, not Median",
        ),
        ({"aggregator": {"kind": "krum", "beta": 0.45}}, None, "aggregator.*5"),
        ({"mode": "ring"}, None, "mode: expected 'center' or 'symmetric', not 'ring'"),
        ({"seed": -1}, None, "seed: expected"),
        ({"seed": 1.5}, None, "seed: expected"),
        ({"mode": "symmetric", "downlink": "sign"}, None, 'downlink: nothing goes down in mode "symmetric"'),
        ({"seed": 2}, {}, "seed: rank 2 has 2, rank 0 has 0; it must be the same on all ranks"),
        ({"compressor": "sign"}, {}, "compressor: rank 2 has .*sign.*, rank 0 has .*l1-qsgd"),
        ({"mode": "symmetric"}, {}, "mode: rank 2 has 'symmetric', rank 0 has 'center'"),
        ({"downlink": "sign"}, {}, "downlink: rank 2 has .*sign.*, rank 0 has None"),
    ],
)
def test_wrong_and_differing_arguments_are_refused_on_all_ranks(
    theirs: dict[str, Any], ours: dict[str, Any] | None, said: str
) -> None:
    """Those of rank 2; `ours` None: of all."""

    def of_rank(comm: Communicator) -> str:
        given = theirs if ours is None or comm.rank == 2 else ours
        error = raised(lambda: RobustReducer(comm, **{**_SAME, **given}))
        assert isinstance(error, SetupFault)
        return str(error)

    assert re.search(said, one_of_all(together(M, of_rank)))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        (np.zeros(DIM + 1), r"array x: rank 2 has \(10,\) float64, rank 0 has \(9,\) float64"),
        (np.zeros(DIM, np.float32), r"array x: rank 2 has \(9,\) float32, rank 0 has \(9,\) float64"),
        ({"w": np.zeros(DIM)}, r"array x: rank 2 has none, rank 0 has \(9,\)|array w"),
        (np.arange(DIM), "rank 2: gradients: expected an array of floating-point numbers"),
    ],
)
def test_arrays_that_differ_are_refused_on_all_ranks_and_the_reducer_goes_on(
    theirs: Any, said: str, mode: Mode
) -> None:
    def of_rank(comm: Communicator) -> str:
        reducer = RobustReducer(comm, mode=mode, **_SAME)
        error = raised(lambda: reducer.reduce(theirs if comm.rank == 2 else np.zeros(DIM)))
        assert isinstance(error, SetupFault)
        good = reducer.reduce(gradients(0)[comm.rank])
        later = raised(lambda: reducer.reduce(theirs if comm.rank == 2 else gradients(1)[comm.rank]))
        if comm.rank == 2:
            assert isinstance(later, PlanFault)
            assert later.where == "gradients"
        else:
            assert isinstance(later, RankFault)
            assert str(later).startswith("rank 2 failed in round 2 of the reducer")
        fresh = RobustReducer(comm, mode=mode, **_SAME)
        np.testing.assert_array_equal(fresh.reduce(gradients(0)[comm.rank]), good)
        np.testing.assert_array_equal(fresh.reduce(gradients(1)[comm.rank]), reducer.reduce(gradients(1)[comm.rank]))
        assert fresh.traffic == reducer.traffic  # a round without effect is not counted
        return str(error)

    assert re.search(said, one_of_all(together(M, of_rank)))


def test_a_state_is_a_mapping() -> None:
    reducer: Any = RobustReducer(LocalCommunicator(), aggregator="mean")
    with pytest.raises(PlanFault, match=r"^state: expected what `state` returned, by name, not 5"):
        reducer.restore(5)


def test_a_compressor_that_does_not_fit_the_arrays_is_refused_on_all_ranks() -> None:
    def of_rank(comm: Communicator) -> str:
        reducer = RobustReducer(comm, aggregator="mean", compressor={"kind": "topk", "k": 100})
        return str(raised(lambda: reducer.reduce(np.zeros(DIM))))

    assert one_of_all(together(M, of_rank)).startswith("compressor.k: ")


@component
class Broken(Aggregator):
    """Fails in its second round."""

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        if context.round == 1:
            raise ZeroDivisionError("of the rule")
        return Verdict(np.zeros(answers.dim), np.ones(len(answers), dtype=bool))

    def tolerates(self) -> float | None:
        return None


@pytest.mark.parametrize("mode", MODES)
def test_a_rule_that_raises_ends_the_call_on_all_ranks(mode: Mode) -> None:
    def of_rank(comm: Communicator) -> str:
        reducer = RobustReducer(comm, aggregator=Broken(), mode=mode)
        reducer.reduce(np.ones(3))
        return type(raised(lambda: reducer.reduce(np.ones(3)))).__name__

    others = "RankFault" if mode == "center" else "ZeroDivisionError"
    assert together(3, of_rank) == ["ZeroDivisionError", others, others]


@pytest.mark.parametrize("step", [0.0, -1.0, float("nan"), float("inf"), "0.1", None, 1j])
def test_a_step_that_is_none_is_refused(step: Any) -> None:
    def of_rank(comm: Communicator) -> type[Exception]:
        return type(raised(lambda: RobustReducer(comm, aggregator="mean").reduce(np.ones(3), step)))

    assert set(together(3, of_rank)) == {PlanFault}


def test_a_feedback_that_asks_elsewhere_is_told_that_it_cannot() -> None:
    def of_rank(comm: Communicator) -> str:
        return str(
            raised(lambda: RobustReducer(comm, aggregator="mean", feedback=Marina(chance=0.0)).reduce(np.ones(3)))
        )

    assert "it asks for the gradient at another point" in one_of_all(together(1, of_rank))


def test_the_bytes_are_those_of_the_messages() -> None:
    """L1-QSGD: four bytes and a bit for each coordinate; and one byte that says that the rank takes part."""
    packet = 4 + (DIM + 7) // 8 + 1

    def of_rank(comm: Communicator, **settings: Any) -> Traffic:
        reducer = RobustReducer(comm, **{**_SAME, **settings})
        for t in range(2):
            reducer.reduce(gradients(t)[comm.rank].astype(np.float32))
        return reducer.traffic

    ring, whole = 2 * (2 * (M - 1) * 4 * DIM // M), HEADER.itemsize + 8 * DIM
    worker = Traffic(2 * packet, 2 * whole, ring)
    assert together(M, of_rank) == [Traffic((M - 1) * 2 * whole, (M - 1) * 2 * packet, ring), *([worker] * (M - 1))]
    each = 2 * (M - 1) * packet
    assert together(M, partial(of_rank, mode="symmetric")) == [Traffic(each, each, ring)] * M
    coded = HEADER.itemsize + 4 + 4 + (DIM + 7) // 8  # with the length of the one message
    down = together(M, partial(of_rank, downlink="l1-qsgd"))
    assert down == [
        Traffic((M - 1) * 2 * coded, (M - 1) * 2 * packet, ring),
        *([Traffic(2 * packet, 2 * coded, ring)] * 4),
    ]


def test_messages_of_varying_length_are_counted_with_their_lengths() -> None:
    def of_rank(comm: Communicator) -> Traffic:
        reducer = RobustReducer(comm, aggregator="mean", compressor=QSGD(levels=1), mode="symmetric", seed=SEED)
        reducer.reduce(gradients(0)[comm.rank])
        return reducer.traffic

    sent = [len(each) for each in Ends(NoFeedback(), QSGD(levels=1), M, DIM).sent(0, gradients(0))]
    assert len(set(sent)) > 1
    found = together(M, of_rank)
    assert [each.sent for each in found] == [(M - 1) * (8 + size + 1) for size in sent]
    assert [each.received for each in found] == [sum(sent) - size + 9 * (M - 1) for size in sent]


@pytest.mark.parametrize("mode", MODES)
def test_a_hostile_rank_is_outvoted_and_seen(mode: Mode) -> None:
    def of_rank(comm: Communicator) -> Any:
        reducer = RobustReducer(comm, aggregator={"kind": "norm-trim", "beta": 0.2}, mode=mode)
        mine = np.full(3, np.nan) if comm.rank == 4 else np.ones(3)
        return reducer.reduce(mine).tolist(), None if reducer.kept is None else reducer.kept.tolist()

    found = together(M, of_rank)
    assert all(aggregate == [1.0, 1.0, 1.0] for aggregate, _ in found)
    told = [kept for _, kept in found if kept is not None]
    assert told == [[True] * 4 + [False]] * (M if mode == "symmetric" else 1)


@pytest.mark.parametrize(
    ("mode", "cores", "notes"),
    [
        ("symmetric", ("Haswell", "Haswell", "Prescott"), 1),
        ("symmetric", ("Haswell", "Haswell", "Haswell"), 0),
        ("center", ("Haswell", "Haswell", "Prescott"), 0),
    ],
)
def test_ranks_on_other_processors_are_told_of(
    mode: Mode,
    cores: Sequence[str],
    notes: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    libraries = iter(f"openblas 0.3.30 {core}" for core in cores)

    class Other(OneThread):
        def __init__(self) -> None:
            super().__init__()
            self.libraries = next(libraries)

    monkeypatch.setattr(reducer_module, "OneThread", Other)
    together(3, lambda comm: RobustReducer(comm, aggregator="mean", mode=mode))
    said = capsys.readouterr().err
    assert (
        said.count("note: the ranks use different kernels of BLAS, so in symmetric mode their aggregates may") == notes
    )
    assert said.count("Prescott") == notes
