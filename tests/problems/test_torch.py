"""The kind `torch`: the contract tests of all losses try it as well (mpirobust/testing)."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from mpirobust import catalog
from mpirobust.errors import PlanFault
from mpirobust.numerics import threads
from mpirobust.problems.base import Loss
from mpirobust.problems.network import Network
from mpirobust.testing.support.shards import made_shard
from mpirobust.types import Vector

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'mpirobust[torch]'")
torch_modules = pytest.importorskip("tests.support.torch_modules")

_MODULES = "tests.support.torch_modules:"


def _loss(model: str, **keys: Any) -> Loss:
    loss = catalog.build(catalog.ROOMS["problem"], {"kind": "torch", "model": _MODULES + model, **keys}, "problem")
    assert isinstance(loss, Loss)
    return loss


def _relu_network(features: int, hidden: int, **keys: Any) -> Loss:
    return _loss("relu_network", arguments={"features": features, "hidden": hidden, "outputs": 10}, **keys)


@pytest.fixture
def two_threads() -> Any:
    threads.use(2)
    yield
    threads.use(1)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-4)])
def test_a_relu_network_is_that_of_the_kind_network(dtype: Any, tolerance: float) -> None:
    """P1's, with the weights transposed: value, gradient, Hessian product and accuracy."""
    ours, theirs = Network(hidden=(20,), dtype=dtype), _relu_network(784, 20, dtype=dtype)
    shard = made_shard(50, 784, 10)
    x, v = np.random.default_rng(1).standard_normal((2, ours.dim(784))) / 20

    def turned(flat: Vector) -> Vector:
        parts, at = [], 0
        for _, shape in ours.layout(784).parts:
            size = int(np.prod(shape))
            parts.append(flat[at : at + size].reshape(shape).T.ravel())
            at += size
        return np.concatenate(parts)

    assert theirs.value(turned(x), shard) == pytest.approx(ours.value(x, shard), rel=tolerance)
    for own, other in (
        (ours.gradient(x, shard), theirs.gradient(turned(x), shard)),
        (ours.hessian(x, shard)(v), theirs.hessian(turned(x), shard)(turned(v))),
    ):
        np.testing.assert_allclose(other, turned(own), rtol=tolerance, atol=tolerance * np.abs(own).max())
    assert theirs.metrics(turned(x), shard) == ours.metrics(x, shard)
    assert [shape for _, shape in theirs.layout(784).parts] == [(20, 784), (20,), (10, 20), (10,)]


def _admitted(model: str, keys: dict[str, Any], classes: int) -> Loss:
    loss = _loss(model, **keys)
    loss.admit(classes)
    loss.admit_rows(6, classes)
    return loss


_REFUSED: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "no such function": ("nothing", {}, 2, r"problem\.model: '.*:nothing' cannot be loaded: AttributeError"),
    "no function": ("no_function", {}, 2, r"problem\.model: '.*:no_function' is no function"),
    "no module": ("text", {}, 2, r"model: '.*:text' returns a str, not an nn\.Module"),
    "an argument too many": ("text", {"arguments": {"width": 3}}, 2, r"model: fails: TypeError: .*'width'"),
    "a date": ("linear", {"arguments": {"outputs": date(2026, 1, 1)}}, 2, r"problem\.arguments: expected numbers"),
    "not finite": ("linear", {"arguments": {"outputs": np.nan}}, 2, r"problem\.arguments: expected numbers"),
    "no table": ("linear", {"arguments": 3}, 2, r"problem\.arguments: expected a table, not 3"),
    "no loss": ("linear", {"loss": "hinge"}, 2, r"loss: expected 'cross-entropy' or 'mse' or module:function"),
    "other features": ("relu_network", {"arguments": {"features": 5, "hidden": 2, "outputs": 2}}, 2, r"rows of 6 numb"),
    "other classes": ("linear", {}, 3, r"model: .* outputs of shape \(3, 2\); cross-entropy .* need \(3, 3\)"),
    "two tensors": ("that_returns_two", {}, 2, r"model: .* makes a module that returns a tuple, not a tensor"),
    "no gradient": ("linear", {"loss": _MODULES + "detached"}, 0, r"model: fails in the gradient of the loss: Runtime"),
    "two outputs": ("linear", {"loss": "mse"}, 0, r"model: .* outputs of shape \(3, 2\); mse .* need \(3,\)"),
    "real targets": ("linear", {}, 0, r"loss: cross-entropy needs classes"),
    "many classes": ("linear", {"loss": "mse"}, 3, r"loss: mse needs real targets or two classes"),
    "no parameters": ("frozen", {}, 2, r"without real parameters to train"),
    "dropout": ("with_dropout", {}, 2, "makes a module that draws random numbers, as dropout does, when it computes"),
    "batch norm": ("with_batch_norm", {}, 2, r"changes its buffers, as BatchNorm does,"),
    "a loss of a matrix": ("linear", {"loss": _MODULES + "as_column"}, 0, r"loss: returns .* shape \(3, 2\)"),
}


@pytest.mark.parametrize(("model", "keys", "classes", "message"), _REFUSED.values(), ids=_REFUSED.keys())
def test_what_cannot_be_trained_is_one_message(model: str, keys: dict[str, Any], classes: int, message: str) -> None:
    with pytest.raises(PlanFault, match=message):
        _admitted(model, keys, classes)


@pytest.mark.parametrize(
    ("model", "keys"),
    [
        ("with_dropout", {"arguments": {"training": False}}),
        ("with_batch_norm", {"arguments": {"training": False}}),
        ("lazy", {}),
        ("half_frozen", {}),
        ("with_shared_weights", {}),
        ("linear", {"loss": _MODULES + "sum_of_squares"}),
    ],
)
def test_what_computes_the_same_each_time_is_trained(model: str, keys: dict[str, Any]) -> None:
    """Loss and gradient are those of PyTorch's own loop, and of another object of the plan."""
    loss, other = (_admitted(model, {**keys, "dtype": "float64"}, 2) for _ in range(2))
    shard, x = made_shard(11, 6, 2), loss.start(6, np.random.default_rng(4))
    value, gradient = loss.value_and_gradient(x, shard)
    assert (value, gradient.tobytes()) == (other.value(x, shard), other.gradient(x, shard).tobytes())

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = getattr(torch_modules, model)(**keys.get("arguments", {})).to(torch.float64)
        X, y = torch.tensor(shard.X), torch.tensor(shard.y).long()
        module(X)
    trained = [each for each in module.parameters() if each.requires_grad]
    torch.nn.utils.vector_to_parameters(torch.tensor(x), trained)
    outputs = module(X)
    expected = (
        torch_modules.sum_of_squares(outputs, y).mean()
        if "loss" in keys
        else torch.nn.functional.cross_entropy(outputs, y)
    )
    expected.backward()
    assert value == pytest.approx(expected.item(), rel=1e-12)
    slopes = torch.cat([each.grad.flatten() for each in trained]).numpy()
    np.testing.assert_allclose(gradient, slopes, rtol=1e-12, atol=1e-14)


def test_the_start_is_the_modules_own_under_the_seed_of_the_plan() -> None:
    loss = _loss("linear")
    before = torch.get_rng_state()
    starts = [loss.start(6, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(starts[0], starts[1])
    assert not np.array_equal(starts[0], starts[2])
    torch.manual_seed(int(np.random.default_rng(1).integers(2**63)))
    made = torch.nn.Linear(6, 2)
    torch.set_rng_state(before)
    expected = torch.cat([made.weight.flatten(), made.bias]).detach().numpy()
    assert np.array_equal(starts[0], expected)


@pytest.mark.usefixtures("two_threads")
def test_workers_side_by_side_have_the_bits_of_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """`functional_call` changes the module while it computes; each thread has its own."""
    loss, shard = _loss("that_meets"), made_shard(11, 6, 2)
    points = [*np.random.default_rng(1).standard_normal((2, loss.dim(6)))]
    alone = [loss.gradient(x, shard).tobytes() for x in points]
    monkeypatch.setattr(torch_modules, "meeting", Barrier(2, timeout=60))
    assert threads.each(lambda x: loss.gradient(x, shard).tobytes(), points) == alone


def test_a_file_beside_the_plan_and_its_digest(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("from torch import nn\nmake = lambda: nn.Linear(6, 2)\n")
    table = {"kind": "torch", "model": "./mine.py:make", "loss": "cross-entropy"}
    loss = catalog.build(catalog.ROOMS["problem"], table, "problem", tmp_path)
    assert catalog.with_kind(loss)["model"] == "./mine.py:make"
    [origin] = catalog.origins(loss).items()
    assert origin[0] == "model"
    assert origin[1].file == str(tmp_path / "mine.py")
