"""A PyTorch module as a function of one flat vector of parameters and of rows; for the kind `torch` alone.

The number of ranks and threads changes no bit: torch has one thread, its deterministic algorithms are on, and all that
enters a computation is copied into torch's memory, because MKL promises the same sums only if memory is aligned alike.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import reduce
from operator import add
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.func import functional_call
from torch.nn import functional

from mpirobust.components import Function
from mpirobust.errors import PlanFault
from mpirobust.numerics import blas
from mpirobust.shard import Shard
from mpirobust.types import Layout, Vector

Tensor: TypeAlias = torch.Tensor

_NOTHING: Vector = np.empty(0)
_PROBES = 3  # rows of zeros with which a module is tried


class Settings(Protocol):
    """The keys of the plan."""

    @property
    def model(self) -> Function: ...
    @property
    def arguments(self) -> dict[str, Any]: ...
    @property
    def loss(self) -> str | Function: ...
    @property
    def dtype(self) -> str: ...
    @property
    def chunk(self) -> int: ...


class Autograd:
    """The module of a plan for rows of `features` numbers.

    `functional_call` replaces the parameters of a module while it computes, so each thread has a copy of the module.

    Attributes:
        layout: the parameters that are trained, in the module's order.
    """

    def __init__(self, settings: Settings, features: int) -> None:
        """Raise `PlanFault` if the module cannot be made, fails on such rows, or does not compute the same twice."""
        blas.limit_threads()  # before a run does so for all that its kinds have loaded
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # it takes time, and no kernel reads such memory
        self._settings = settings
        self._dtype: torch.dtype = getattr(torch, settings.dtype)
        self._features = features
        self._module = self._made(0)
        self._copies = threading.local()
        trained = self._trained(self._module)
        self.layout = Layout(tuple((name, tuple(each.shape)) for name, each in trained.items()))
        self._sizes = [each.numel() for each in trained.values()]
        places = {id(each): at for at, each in enumerate(trained.values())}
        named = self._module.named_parameters(remove_duplicate=False)  # a parameter may have several names
        self._places = {name: places[id(each)] for name, each in named if id(each) in places}
        if not self.layout.dim or any(each.is_complex() for each in trained.values()):
            raise PlanFault("model", f"{settings.model.name!r} makes a module without real parameters to train")

    def start(self, seed: int) -> Vector:
        """Return the parameters of a module that is made under this seed of torch, shape (dim,), float64."""
        trained = self._trained(self._made(seed)).values()
        return _joined([each.to(torch.float64) for each in trained])

    def expect_fitting(self, classes: int) -> None:
        """Raise `PlanFault` unless outputs and loss fit data of that many classes, and nothing changes in between."""
        loss, name = self._settings.loss, self._settings.model.name
        X = torch.zeros(_PROBES, self._features, dtype=self._dtype)
        y = torch.zeros(_PROBES, dtype=self._target_type(classes))
        buffers = {key: each.clone() for key, each in self._module.named_buffers()}
        drawn = torch.get_rng_state()
        with torch.random.fork_rng(devices=[]):
            outputs = self._module(X)
            wanted = {"cross-entropy": ((_PROBES, classes),), "mse": ((_PROBES,), (_PROBES, 1))}
            if not isinstance(loss, Function) and outputs.shape not in wanted[loss]:
                reason = f"{name!r} makes of {_PROBES} rows outputs of shape {tuple(outputs.shape)}"
                raise PlanFault("model", f"{reason}; {loss} and the data need {wanted[loss][0]}")
            losses = _tried("loss", lambda: self._row_losses(outputs, y))
            random = not torch.equal(drawn, torch.get_rng_state())
        if losses.shape != (_PROBES,):
            reason = f"returns for {_PROBES} rows a tensor of shape {tuple(losses.shape)}"
            raise PlanFault("loss", f"{reason}; expected a loss for each row, or their mean")
        if random or any(not torch.equal(each, buffers[key]) for key, each in self._module.named_buffers()):
            what = "draws random numbers, as dropout does," if random else "changes its buffers, as BatchNorm does,"
            advice = "return it in evaluation mode, model.eval(), or leave such layers out"
            raise PlanFault("model", f"{name!r} makes a module that {what} when it computes; {advice}")
        trained = [*self._trained(self._module).values()]
        _tried("model", lambda: self._slopes(losses, trained, _PROBES), " in the gradient of the loss")

    def value(self, x: Vector, shard: Shard) -> float:
        """Return the mean loss."""
        parameters = self._parameters(x)
        with torch.no_grad():
            return sum(_total(self._losses(parameters, rows)) for rows in self._chunks(shard)) / shard.rows

    def gradient(self, x: Vector, shard: Shard, values: list[float] | None = None) -> Vector:
        """Return the gradient of the mean loss, shape (dim,); append to `values` the loss of each chunk of rows."""
        parameters = self._parameters(x, trained=True)
        gradient = _NOTHING
        for number, rows in enumerate(self._chunks(shard)):
            losses = self._losses(parameters, rows)
            if values is not None:
                values.append(_total(losses.detach()))
            part = _joined(self._slopes(losses, parameters, shard.rows))
            gradient = gradient + part if number else part
        return gradient

    def hessian(self, x: Vector, shard: Shard) -> Callable[[Vector], Vector]:
        """Return `v -> Hv`; the graph of the gradient is kept if all rows are one chunk."""
        parameters = self._parameters(x, trained=True)

        def slopes() -> Iterator[Sequence[Tensor]]:
            for rows in self._chunks(shard):
                yield self._slopes(self._losses(parameters, rows), parameters, shard.rows, again=True)

        kept = list(slopes()) if shard.rows <= self._settings.chunk else None

        def product(v: Vector) -> Vector:
            along = self._parameters(v)
            some = slopes() if kept is None else kept
            return reduce(add, (_joined(_derivative(each, parameters, along)) for each in some))

        return product

    def outputs(self, x: Vector, shard: Shard) -> NDArray[np.floating[Any]]:
        """Return the outputs of all rows, one after the other along the first axis."""
        parameters = self._parameters(x)
        with torch.no_grad():
            found = [self._outputs(parameters, X).numpy() for X, _ in self._chunks(shard)]
        return np.concatenate(found)

    def _made(self, seed: int) -> Any:
        """Return a new module under this seed; torch's own random state is left as it is."""
        settings = self._settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = _tried("model", lambda: settings.model.call(**deepcopy(settings.arguments)))
            if not isinstance(made, torch.nn.Module):
                raise PlanFault("model", f"{settings.model.name!r} returns a {type(made).__name__}, not an nn.Module")
            made = made.to(device="cpu", dtype=self._dtype)
            probe = torch.zeros(_PROBES, self._features, dtype=self._dtype)
            with torch.no_grad():  # the first call: lazy modules make their parameters
                outputs = _tried("model", lambda: made(probe), f" on rows of {self._features} numbers")
        if not torch.is_tensor(outputs):
            reason = f"makes a module that returns a {type(outputs).__name__}, not a tensor"
            raise PlanFault("model", f"{settings.model.name!r} {reason}")
        return made

    def _trained(self, module: Any) -> dict[str, Tensor]:
        return {name: each for name, each in module.named_parameters() if each.requires_grad}

    def _parameters(self, x: Vector, trained: bool = False) -> list[Tensor]:
        """Return the parts of a vector of parameters, copied, as the module has them."""
        parts = torch.tensor(x, dtype=self._dtype).split(self._sizes)
        shaped = zip(parts, self.layout.parts, strict=True)
        return [part.view(shape).requires_grad_(trained) for part, (_, shape) in shaped]

    def _chunks(self, shard: Shard) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield rows and targets, some at a time, copied."""
        of_targets = self._target_type(shard.classes)
        for first in range(0, shard.rows, self._settings.chunk):
            X = shard.X[first : first + self._settings.chunk]
            y = shard.y[first : first + self._settings.chunk]
            dense = X.toarray() if hasattr(X, "toarray") else X
            yield torch.tensor(dense, dtype=self._dtype), torch.tensor(y, dtype=of_targets)

    def _target_type(self, classes: int) -> torch.dtype:
        return torch.int64 if classes and self._settings.loss != "mse" else self._dtype

    def _outputs(self, parameters: Sequence[Tensor], X: Tensor) -> Tensor:
        if not hasattr(self._copies, "module"):
            self._copies.module = deepcopy(self._module)
        named = {name: parameters[at] for name, at in self._places.items()}
        return functional_call(self._copies.module, named, (X,), tie_weights=False)

    def _losses(self, parameters: Sequence[Tensor], rows: tuple[Tensor, Tensor]) -> Tensor:
        """Return the loss of each row, shape (n,)."""
        X, y = rows
        return self._row_losses(self._outputs(parameters, X), y)

    def _row_losses(self, outputs: Tensor, y: Tensor) -> Tensor:
        loss = self._settings.loss
        if isinstance(loss, Function):
            losses = loss.call(outputs, y)
            return losses.expand(len(y)) if losses.ndim == 0 else losses
        if loss == "mse":
            return (outputs.reshape(-1) - y) ** 2
        return functional.cross_entropy(outputs, y, reduction="none")

    def _slopes(self, losses: Tensor, parameters: Sequence[Tensor], rows: int, again: bool = False) -> Sequence[Tensor]:
        """Return the slopes of the sum of these losses over `rows`, differentiable if `again`."""
        total = losses.sum() / rows
        return _grad(total, parameters, create_graph=again)


def _derivative(slopes: Sequence[Tensor], parameters: Sequence[Tensor], along: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return the derivative of the slopes along a direction; of slopes that do not vary it is zero."""
    varying = [(slope, part) for slope, part in zip(slopes, along, strict=True) if slope.requires_grad]
    if not varying:
        return [torch.zeros_like(each) for each in parameters]
    ahead, parts = zip(*varying, strict=True)
    return _grad(ahead, parameters, parts, retain_graph=True)


def _grad(*of: Any, **how: Any) -> Sequence[Tensor]:
    """Return the gradients; zeros for parameters that are not used."""
    found: Sequence[Tensor] = torch.autograd.grad(*of, **how, allow_unused=True, materialize_grads=True)
    return found


def _joined(parts: Sequence[Tensor]) -> Vector:
    joined: Vector = torch.cat([each.detach().reshape(-1) for each in parts]).numpy()
    return joined


def _total(losses: Tensor) -> float:
    return float(losses.sum(dtype=torch.float64))


def _tried(key: str, work: Callable[[], Any], where: str = "") -> Any:
    """Return what code of the user's returns; raise `PlanFault` for what it raises."""
    try:
        return work()
    except Exception as error:
        raise PlanFault(key, f"fails{where}: {type(error).__name__}: {error}") from error
