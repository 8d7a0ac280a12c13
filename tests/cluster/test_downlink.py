"""The coded way down: both ends hold the same, the workers answer there, and what crosses is counted."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust.aggregators.base import Context, bound
from mpirobust.aggregators.mean import Mean
from mpirobust.algorithms.base import Query
from mpirobust.cluster.downlink import Downlink
from mpirobust.cluster.protocol import HEADER, LENGTH, Channel, bytes_down
from mpirobust.cluster.receiver import RoundReceiver
from mpirobust.comm.local import LocalCommunicator
from mpirobust.compressors.base import Compressor
from mpirobust.compressors.identity import Identity
from mpirobust.compressors.l1_qsgd import L1QSGD
from mpirobust.compressors.qsgd import QSGD
from mpirobust.compressors.randomk import RandomK
from mpirobust.compressors.topk import TopK
from mpirobust.compressors.uniform import Uniform
from mpirobust.errors import PlanFault
from mpirobust.plan import Plan
from mpirobust.round_times import RoundTimes
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.witness import Witness, ran
from mpirobust.types import Vector, flat

D = 8
UNIFORM = {"kind": "uniform"}
TWO_ROUNDS = {"kind": "cubic-newton", "rounds": 8, "M": 10.0, "two_rounds": True}
CODES = [Uniform(bits=2), Identity(), Identity(dtype="float32"), QSGD(levels=4), RandomK(k=3)]


def points(count: int, seed: int = 0) -> list[Vector]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(D) / (t + 1) for t in range(count)]


def end(compressor: Compressor | None) -> Downlink:
    return Downlink(3, flat(D), compressor, np.full(D, 0.3))


def iterates(**changes: Any) -> list[Vector]:
    return ran(LocalRun(regression_plan(**changes))).iterates


class _Wire(LocalCommunicator):
    """The center's end, or with `sender` the end of a rank, which receives what that one sent."""

    def __init__(self, sender: _Wire | None = None) -> None:
        self.sender = sender
        self.sent: deque[NDArray[Any]] = deque()

    def broadcast(self, buffer: NDArray[Any]) -> None:
        if self.sender is None:
            self.sent.append(buffer.copy())
        else:
            told = self.sender.sent.popleft()
            assert (told.nbytes, told.dtype) == (buffer.nbytes, buffer.dtype)
            buffer[:] = told


@pytest.mark.parametrize("compressor", CODES, ids=repr)
@pytest.mark.parametrize("vectors", [1, 2])
def test_a_rank_has_the_vectors_of_the_center_whatever_else_it_was_sent(vectors: int, compressor: Compressor) -> None:
    """Of two kinds of query in turn; the tenth and the next cross whole, in a new channel, as after a failure."""
    center = end(compressor)
    wire = _Wire()
    sends, receives = Channel(wire, D, end(compressor)), Channel(_Wire(wire), D, end(compressor))
    for t, x in enumerate(points(20)):
        if t == 10:
            sends, receives = Channel(wire, D, end(compressor)), Channel(_Wire(wire), D, end(compressor))
        query = center.coded(t, Query((x, 2 * x)[:vectors], 0.5, kind=t % 2))
        center = center.after(query)
        sends.ask(t, replace(query, coded=()) if t in (10, 11) else query)
        crossed = sum(each.nbytes for each in wire.sent)
        assert crossed == bytes_down(1, replace(query, coded=()) if t in (10, 11) else query)
        header, told = receives.receive()
        assert (header["round"], header["kind"], header["scale"], len(told)) == (t, t % 2, 0.5, vectors)
        for one, other in zip(told, query.vectors, strict=True):
            assert one.tobytes() == other.tobytes()
        sends.curvature(x, -x)
        np.testing.assert_array_equal(receives.receive()[1], (x, -x))
        assert not wire.sent


def test_w_moves_by_the_code_of_the_difference() -> None:
    """EF21-P: w ← w + C(x - w), from the starting point for the first vector and from 0 for the others."""
    center, code = end(Uniform(bits=3)), Uniform(bits=3).draw(flat(D), np.random.default_rng(0))
    w: Vector = np.full(D, 0.3)
    v: Vector = np.zeros(D)
    for t, x in enumerate(points(5)):
        query = center.coded(t, Query((x, -x)))
        w = w + code.decode(code.encode(x - w, np.random.default_rng(0)))
        v = v + code.decode(code.encode(-x - v, np.random.default_rng(0)))
        np.testing.assert_array_equal(query.vectors, (w, v))
        center = center.after(query)


@pytest.mark.parametrize("compressor", [QSGD(levels=4), RandomK(k=3)], ids=repr)
def test_what_is_drawn_is_of_the_round_and_not_of_the_calls(compressor: Compressor) -> None:
    center, (x,) = end(compressor), points(1)
    first = center.coded(4, Query((x, x)))
    assert center.coded(4, Query((x, x))).coded == first.coded
    assert center.coded(5, Query((x, x))).coded != first.coded


def test_a_difference_that_no_code_can_tell_moves_nobody() -> None:
    for strange in (1e300, np.nan, np.inf):
        query = end(Uniform()).coded(0, Query((np.full(D, strange),)))
        np.testing.assert_array_equal(query.vectors[0], 0.3)


def test_a_code_that_loses_nothing_tells_every_vector_to_the_bit() -> None:
    """Where w + (x - w) is not x: from far away to near."""
    center = end(Identity())
    for scale in (1e12, 1.0, -1e9, 1e-7):
        query = center.coded(0, Query((np.full(D, scale / 3),)))
        np.testing.assert_array_equal(query.vectors[0], scale / 3)
        center = center.after(query)


@pytest.mark.parametrize("compressor", [TopK(k=1), RandomK(k=1), L1QSGD()], ids=repr)
def test_a_code_that_loses_only_the_rounding_makes_up_for_it(compressor: Compressor) -> None:
    """A code of all coordinates in float32 still rounds: what it lost follows with the next query."""
    center, x = Downlink(3, flat(1), compressor, np.zeros(1)), np.array([1 / 3])
    for t in range(3):
        query = center.coded(t, Query((x,)))
        center = center.after(query)
    np.testing.assert_allclose(query.vectors[0], x, rtol=1e-15)


@pytest.mark.parametrize(
    "algorithm", [{"kind": "first-order", "rounds": 30, "step": 0.1}, TWO_ROUNDS, {"kind": "newton", "rounds": 5}]
)
def test_without_loss_the_iterates_are_those_without_it_to_the_bit(algorithm: dict[str, Any]) -> None:
    for attack in ({}, {"attack": {"kind": "collude", "alpha": 0.34}}):
        plain = iterates(algorithm=algorithm, **attack)
        coded = iterates(algorithm=algorithm, downlink={"kind": "identity"}, **attack)
        assert [x.tobytes() for x in plain] == [x.tobytes() for x in coded]


def test_the_workers_answer_at_w_and_the_audit_is_of_x() -> None:
    local = LocalRun(regression_plan(downlink={"kind": "uniform", "bits": 2}))
    (x,) = points(1)
    query = local.cluster.coded(0, Query((x,)))
    assert not np.array_equal(query.vectors[0], x)
    exchange = local.ask(0, query)
    for worker in local.workers:
        answer = exchange.answers.combine(np.eye(6)[worker.index])
        np.testing.assert_array_equal(answer, local.config.loss.gradient(query.vectors[0], worker.clean))
    np.testing.assert_array_equal(local.cluster.held[0], query.vectors)
    assert local.cluster.audit(x) == LocalRun(regression_plan()).cluster.audit(x)


def test_a_rule_and_an_attacker_see_what_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Query] = []
    judge = Mean.judge

    def noting(self: Mean, answers: Any, memory: Any, context: Context) -> Any:
        assert context.query is not None
        seen.append(context.query)
        return judge(self, answers, memory, context)

    monkeypatch.setattr(Mean, "judge", noting)
    local = LocalRun(regression_plan(downlink=UNIFORM, attack={"kind": "under-cut", "alpha": 0.34, "beta": 0.34}))
    ran(local)
    assert len(seen) >= 30
    assert all(query.coded for query in seen)
    np.testing.assert_array_equal(seen[-1].vectors, local.cluster.held[0])


def test_each_kind_of_query_holds_its_own_vectors() -> None:
    local = LocalRun(regression_plan(algorithm=TWO_ROUNDS, downlink=UNIFORM))
    ran(local)
    assert {kind: len(vectors) for kind, vectors in local.cluster.held.items()} == {0: 2, 1: 1}


def _exchanged(receiver: RoundReceiver, local: LocalRun, t: int, x: Vector) -> tuple[Query, int]:
    query = receiver.downlink.coded(t, Query((x,)))
    sent = [worker.reply(t, query)[0] for worker in local.workers]
    judge = bound(local.plan.aggregator, None, Context())
    return query, receiver.exchange(t, query, judge, list(sent), RoundTimes()).bytes_down


def test_the_ledger_counts_the_messages_and_after_a_loss_once_the_vectors() -> None:
    local = LocalRun(regression_plan(downlink=UNIFORM))
    receiver = RoundReceiver(local.config, 6)
    for t, x in enumerate(points(6)):
        if t == 3:
            receiver.lose([], [2])
        query, down = _exchanged(receiver, local, t, x)
        vectors = 8 * D if t == 3 else LENGTH.itemsize + len(query.coded[0])
        assert down == 6 * (HEADER.itemsize + vectors)


def test_three_bits_lose_few_rounds() -> None:
    """Of a regression with 100 unknowns: until the distance is at most a thousandth of that of the start."""

    def rounds(downlink: dict[str, Any] | None) -> int:
        data = {"kind": "regression", "rows": 1200, "features": 100}
        algorithm = {"kind": "first-order", "rounds": 120, "step": 0.5}
        more = {} if downlink is None else {"downlink": downlink}
        local = LocalRun(regression_plan(data=data, algorithm=algorithm, **more))
        witness: Witness = ran(local)
        solution = local.dataset.solution()
        assert solution is not None
        distances = np.array([np.linalg.norm(x - solution) for x in witness.iterates])
        return int(np.argmax(distances <= 1e-3 * distances[0]))

    plain = rounds(None)
    assert 0 < plain < 60
    assert plain <= rounds({"kind": "uniform", "bits": 3}) <= 1.2 * plain


class TestPlan:
    @pytest.mark.parametrize(
        "algorithm",
        [
            {"kind": "byzantine-pgd", "rounds": 9, "step": 0.1, "threshold": 0.1},
            {"kind": "perturbed-gd", "rounds": 9, "step": 0.1, "threshold": 0.1, "radius": 1.0, "wait": 3},
        ],
        ids=lambda algorithm: str(algorithm["kind"]),
    )
    def test_refuses_algorithms_that_jump(self, algorithm: dict[str, Any]) -> None:
        with pytest.raises(PlanFault, match=rf"^downlink: {algorithm['kind']} jumps in rounds without a step"):
            regression_plan(algorithm=algorithm, downlink=UNIFORM)

    @pytest.mark.parametrize(
        ("downlink", "said"),
        [
            ({"kind": "unifrom"}, r"^downlink\.kind: unknown kind 'unifrom'; .*did you mean 'uniform'"),
            ({"bits": 3}, r"^downlink\.kind: missing"),
            ("uniform", r"^downlink: expected a table with a kind"),
            ({"kind": "uniform", "bits": 1}, r"^downlink\.bits: "),
            ({"kind": "uniform", "bits": 9}, r"^downlink\.bits: "),
            ({"kind": "topk"}, r"^downlink\.k: missing"),
        ],
    )
    def test_says_what_is_wrong(self, downlink: object, said: str) -> None:
        with pytest.raises(PlanFault, match=said):
            regression_plan(downlink=downlink)

    def test_refuses_a_code_that_does_not_fit_the_model(self) -> None:
        with pytest.raises(PlanFault, match=r"^downlink\.k: 9 is more than the dimension 8"):
            LocalRun(regression_plan(downlink={"kind": "topk", "k": 9}))

    def test_a_plan_without_it_says_nothing_of_it(self) -> None:
        plain, coded = regression_plan(), regression_plan(downlink=UNIFORM)
        assert "downlink" not in plain.toml()
        assert Plan.of(coded.table()) == coded
        assert plain.record().identity() != coded.record().identity()
