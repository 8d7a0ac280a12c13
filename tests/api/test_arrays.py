"""Rules and codes on arrays: those of a run, to the bit, and one message for what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

import mpirobust
from mpirobust.aggregators.base import Context
from mpirobust.aggregators.caf import CAF
from mpirobust.aggregators.centered_clipping import CenteredClipping
from mpirobust.aggregators.mean import Mean
from mpirobust.aggregators.nnm import NNM
from mpirobust.compressors.base import Compressor
from mpirobust.compressors.identity import Identity
from mpirobust.compressors.qsgd import QSGD
from mpirobust.streams import Purpose, stream
from mpirobust.testing.examples import components
from mpirobust.testing.support.codes import drawn, inbox_of
from mpirobust.types import Layout

ROWS = np.random.default_rng(1).normal(size=(15, 9))
COMPRESSORS: dict[str, Compressor] = components("compressor")
SHAPES: list[tuple[int, ...]] = [(), (1,), (9,), (4, 6), (3, 2, 5)]


def sent(rows: NDArray[np.float64]) -> Any:
    """The inbox of a round in which workers sent these rows."""
    code = drawn(Identity(), rows.shape[1])
    return inbox_of([code.encode(row, np.random.default_rng(0)) for row in rows], rows.shape[1], Identity())


@mpirobust.component
class Drawn(Mean):
    """Keeps one vector, which it draws."""

    def judge(self, answers: Any, memory: Any, context: Context) -> mpirobust.Verdict:
        kept = np.arange(len(answers)) == context.stream().integers(len(answers))
        return mpirobust.Verdict(answers.average(kept), kept)


@mpirobust.component
class Threads(Mean):
    """Notes how many threads BLAS has."""

    def judge(self, answers: Any, memory: Any, context: Context) -> mpirobust.Verdict:
        return mpirobust.Verdict(np.array([max(_threads())]), answers.sound)


def _threads() -> list[int]:
    return [each["num_threads"] for each in ThreadpoolController().info() if each["user_api"] == "blas"]


class TestRules:
    @pytest.mark.parametrize("dtype", ["f8", "f4", ">f8"])
    def test_the_verdict_is_that_of_a_run(self, dtype: str) -> None:
        rows = ROWS.astype(dtype)
        rows[3, 4], rows[5] = np.nan, 50
        found = mpirobust.judge(rows, "caf", beta=0.2)
        expected = CAF(beta=0.2).judge(sent(rows.astype(np.float64)), None, Context())
        assert found.step.tobytes() == expected.step.tobytes()
        assert found.step.tobytes() == mpirobust.aggregate(rows, "caf", beta=0.2).tobytes()
        assert found.kept.tolist() == expected.kept.tolist()
        assert not found.kept[[3, 5]].any()

    def test_the_memory_goes_from_verdict_to_verdict(self) -> None:
        rule = CenteredClipping(radius=0.5, start="previous", iterations=2)
        ours = theirs = None
        for t in range(3):
            expected = rule.judge(sent(ROWS * (t + 1)), theirs, Context())
            found = mpirobust.judge(ROWS * (t + 1), rule, memory=ours)
            assert found.step.tobytes() == expected.step.tobytes()
            ours, theirs = found.memory, expected.memory

    def test_a_rule_that_draws_has_the_stream_of_the_round_of_a_run(self) -> None:
        for seed, t in [(0, 0), (0, 1), (7, 1)]:
            kept = mpirobust.judge(ROWS, Drawn(), seed=seed, round=t).kept
            drawn = stream(seed, 2**32 - 1, t, Purpose.AGGREGATE).integers(15)
            assert np.flatnonzero(kept).tolist() == [drawn]
            assert mpirobust.aggregate(ROWS, Drawn(), seed=seed, round=t).tobytes() == ROWS[drawn].tobytes()

    @pytest.mark.parametrize("inner", [{"kind": "caf", "beta": 0.1}, CAF(beta=0.1)], ids=["table", "component"])
    def test_a_rule_in_a_rule(self, inner: object) -> None:
        assert mpirobust.aggregator("nnm", beta=0.1, rule=inner) == NNM(beta=0.1, rule=CAF(beta=0.1))

    def test_a_class_from_anywhere(self) -> None:
        kind = f"{CAF.__module__}:CAF"
        assert mpirobust.aggregate(ROWS, kind, beta=0.1).tobytes() == CAF(beta=0.1)(ROWS).tobytes()

    def test_nothing_sound_is_no_step(self) -> None:
        verdict = mpirobust.judge([[np.nan, 1.0], [np.inf, 1.0]], "mean")
        assert verdict.step.tolist() == [0.0, 0.0]
        assert not verdict.kept.any()

    def test_blas_has_one_thread_and_gets_its_own_back(self) -> None:
        with ThreadpoolController().limit(limits=2):
            before = _threads()
            assert mpirobust.aggregate(ROWS, Threads()) == 1
            assert _threads() == before

    @pytest.mark.parametrize(
        ("kind", "keys", "says"),
        [
            ("cfa", {}, r"aggregator\.kind: unknown kind 'cfa'; choose one of: .*\(did you mean 'caf'\?\)"),
            ("caf", {}, r"aggregator\.beta: missing"),
            ("caf", {"bta": 0.1}, r"aggregator\.bta: unknown key; the keys here are: beta \(did you mean 'beta'\?\)"),
            (
                "caf",
                {"beta": 0.5},
                r"aggregator\.beta: expected a finite number at least 0 and less than 0\.5, not 0\.5",
            ),
            ("nnm", {"beta": 0.1, "rule": {"kind": "cfa"}}, r"aggregator\.rule\.kind: unknown kind 'cfa'"),
            ("krum", {"beta": 0.49}, r"beta: 0\.49 of 15 workers is f = 8; Krum needs m >= 2f \+ 3 = 19"),
            ("no.such:Rule", {}, r"'no\.such:Rule' cannot be loaded: ModuleNotFoundError"),
        ],
    )
    def test_what_is_wrong_is_named(self, kind: str, keys: dict[str, Any], says: str) -> None:
        with pytest.raises(ValueError, match=says) as caught:
            mpirobust.judge(ROWS, kind, **keys)
        assert isinstance(caught.value, mpirobust.PlanFault)


class TestCodes:
    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    @pytest.mark.parametrize("compressor", COMPRESSORS.values(), ids=COMPRESSORS.keys())
    def test_a_message_is_that_of_a_worker_and_decodes_to_its_shape(
        self, compressor: Compressor, shape: tuple[int, ...]
    ) -> None:
        layout = Layout((("x", shape),))
        try:
            compressor.admit(layout)
        except mpirobust.PlanFault as refused:
            with pytest.raises(mpirobust.PlanFault, match=refused.where):
                mpirobust.max_nbytes(compressor, shape)
            return
        array = np.random.default_rng(2).normal(size=shape)
        message = mpirobust.encode(array, compressor, 3, shared=4)
        code = compressor.draw(layout, stream(4, 0, 0, Purpose.SHARED))
        assert message == code.encode(array.reshape(-1), np.random.default_rng(3))
        longest = mpirobust.max_nbytes(compressor, shape)
        assert len(message) == longest if compressor.fixed_length() else len(message) <= longest
        decoded = mpirobust.decode(message, compressor, shape, shared=4)
        assert (decoded.shape, decoded.dtype) == (shape, np.dtype(np.float64))
        assert decoded.reshape(-1).tobytes() == code.decode(message).tobytes()

    def test_what_both_ends_draw(self) -> None:
        compressor = mpirobust.compressor("randomk", k=3)
        message = mpirobust.encode(ROWS[0], compressor, shared=1)
        same, other = (np.flatnonzero(mpirobust.decode(message, compressor, 9, shared=seed)) for seed in (1, 2))
        assert same.tolist() != other.tolist()

    def test_a_kind_and_a_component_are_the_same(self) -> None:
        assert mpirobust.compressor("qsgd", levels=4) == QSGD(levels=4)
        message = mpirobust.encode(ROWS, "l1-qsgd")
        assert message == mpirobust.encode(ROWS, mpirobust.compressor("l1-qsgd"))
        assert len(message) == mpirobust.max_nbytes("l1-qsgd", ROWS.shape) == 4 + 17

    @pytest.mark.parametrize("compressor", COMPRESSORS.values(), ids=COMPRESSORS.keys())
    def test_hostile_bytes_are_refused_or_finite(self, compressor: Compressor) -> None:
        dim = 1000
        v = np.random.default_rng(2).normal(size=dim)
        message, overflown = (mpirobust.encode(scale * v, compressor, 3) for scale in (1.0, 1e300))
        for bad in (b"", message + b"\0", b"\xff" * len(message), memoryview(message)[:-1], overflown):
            with suppress(mpirobust.Malformed):
                assert np.isfinite(mpirobust.decode(bad, compressor, dim)).all()
        with pytest.raises(mpirobust.Malformed):
            mpirobust.decode(b"", compressor, dim)

    @pytest.mark.parametrize("shape", [[4, 6], np.array([4, 6]), (np.int64(4), 6)], ids=["list", "array", "tuple"])
    def test_a_shape_is_what_numpy_takes(self, shape: Any) -> None:
        assert mpirobust.max_nbytes("l1-qsgd", shape) == 4 + 3
        array = np.random.default_rng(1).normal(size=(4, 6))
        assert mpirobust.decode(
            np.frombuffer(mpirobust.encode(array, "identity"), np.uint8).data, "identity", shape
        ).shape == (4, 6)


_UNTYPED: Any = mpirobust
_CLIPPING = CenteredClipping(radius=1.0, start="previous")
_WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "vector": (
        lambda: mpirobust.aggregate(ROWS[0], "mean"),
        r"vectors: expected an array of shape \(m, d\), not \(9,\)",
    ),
    "no vectors": (
        lambda: mpirobust.aggregate([], "mean"),
        r"vectors: expected an array of shape \(m, d\), not \(0,\)",
    ),
    "complex": (
        lambda: mpirobust.aggregate(1j * ROWS, "mean"),
        "vectors: expected real numbers: there are complex ones",
    ),
    "words": (lambda: mpirobust.aggregate([["a"]], "mean"), "vectors: expected real numbers: could not convert"),
    "ragged": (lambda: Mean()([[1.0], [1.0, 2.0]]), "vectors: expected real numbers: "),
    "another component": (
        lambda: _UNTYPED.aggregate(ROWS, Identity()),
        "aggregator: expected a kind, .* not Identity",
    ),
    "keys of a table": (
        lambda: mpirobust.aggregate(ROWS, {"kind": "caf", "beta": 0.1}, beta=0.2),
        "aggregator: a component or a table has its keys already; give beta with a kind",
    ),
    "keys of a component": (lambda: mpirobust.aggregate(ROWS, CAF(beta=0.1), beta=0.2), "aggregator: a component or"),
    "memory of nothing": (
        lambda: mpirobust.aggregate(ROWS, "mean", memory=3),
        "memory: expected None, because the rule has no memory, not 3",
    ),
    "memory of another class": (
        lambda: mpirobust.judge(ROWS, _CLIPPING, memory=ROWS[0]),
        "memory: expected that of a verdict on vectors of length 9, not array",
    ),
    "memory of another length": (
        lambda: mpirobust.judge(ROWS, _CLIPPING, memory=mpirobust.judge(ROWS[:, 1:], _CLIPPING).memory),
        "memory: expected that of a verdict on vectors of length 9, not Center",
    ),
    "seed": (lambda: mpirobust.judge(ROWS, "mean", seed=-1), "seed: expected a whole number of at least 0, not -1"),
    "round": (lambda: _UNTYPED.judge(ROWS, "mean", round=0.5), "round: expected a whole number"),
    "nothing": (lambda: mpirobust.encode([], "sign"), "array: expected finite numbers, at least one"),
    "nan": (lambda: mpirobust.encode([1.0, np.nan], "sign"), "array: expected finite numbers"),
    "inf": (lambda: mpirobust.encode([np.inf], "sign"), "array: expected finite numbers"),
    "imaginary": (lambda: mpirobust.encode([1j], "sign"), "array: expected real numbers: there are complex ones"),
    "a word": (lambda: mpirobust.encode("a", "sign"), "array: expected real numbers: could not convert"),
    "rng": (
        lambda: _UNTYPED.encode(ROWS, "sign", "x"),
        "rng: expected a generator of NumPy, a seed, or None, not 'x'",
    ),
    "shared": (lambda: mpirobust.encode(ROWS, "sign", shared=-1), "shared: expected a whole number"),
    "text": (lambda: _UNTYPED.decode("0000", "sign", 3), "message: expected bytes, not str"),
    "a number of bytes": (lambda: _UNTYPED.decode(5, "sign", 3), "message: expected bytes, not int"),
    **{
        f"shape {shape}": (partial(_UNTYPED.max_nbytes, "sign", shape), f"shape: expected {wanted}")
        for shape, wanted in [
            *((each, "that of an array with something in it") for each in (0, (3, 0), -1, (-1, -2))),
            *((each, "whole numbers, not") for each in (2.5, "9", [3, "a"], None)),
        ]
    },
}


@pytest.mark.parametrize("name", _WRONG)
def test_a_wrong_argument_is_named(name: str) -> None:
    call, says = _WRONG[name]
    with pytest.raises(mpirobust.PlanFault, match=f"^{says}") as caught:
        call()
    assert isinstance(caught.value, ValueError)
