from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from mpirobust.components import Count, Field, Function, component
from mpirobust.errors import PlanFault
from mpirobust.problems.base import Bounds, Loss
from mpirobust.shard import Shard
from mpirobust.types import Layout, Vector

if TYPE_CHECKING:
    from mpirobust.problems._autograd import Autograd


@component
class Torch(Loss):
    """A PyTorch module of the user's, on the CPU: `model` makes it, autograd its gradient and Hessian products.

    `model` is called with `arguments` and returns an `nn.Module`, which gets rows as they are in the data, a tensor
    of shape (n, features) of type `dtype`. `loss` is the mean over the rows of cross-entropy, of squared errors, or
    of what a function of the user's makes of outputs and targets: a loss for each row, or their mean. `chunk` rows go
    through the module together; more take more memory, and the last bits depend on it. The module computes in the
    mode, training or evaluation, in which it was returned. What is not trained (buffers, and parameters that need no
    gradient) is as `model` makes it under torch's seed 0.

    Attributes:
        model: what makes the nn.Module: module:name or ./file.py:name.
        arguments: keyword arguments of model.
        loss: of outputs and targets: one of two by name, or a function of yours.
        dtype: of rows, parameters and arithmetic inside.
        chunk: rows that go through the module together; more take more memory.
    """

    needs: ClassVar = "torch"

    model: Function
    arguments: dict[str, Any] = Field(default_factory=dict)
    loss: Literal["cross-entropy", "mse"] | Function = "cross-entropy"
    dtype: Literal["float32", "float64"] = "float32"
    chunk: Count = 1024

    def __post_init__(self) -> None:
        try:
            json.dumps(self.arguments, allow_nan=False)
        except (TypeError, ValueError) as error:  # a date, say
            raise PlanFault(
                "arguments", f"expected numbers, strings, true, false, and lists of these ({error})"
            ) from error

    def dim(self, features: int) -> int:
        return self.layout(features).dim

    def layout(self, features: int) -> Layout:
        return self._autograd(features).layout

    def start(self, features: int, rng: np.random.Generator) -> Vector:
        """Return the parameters as the module initialises them, torch's seed being drawn from `rng`."""
        return self._autograd(features).start(int(rng.integers(2**63)))

    def admit(self, classes: int) -> None:
        if self.loss == "cross-entropy" and not classes:
            raise PlanFault("loss", "cross-entropy needs classes; the data have real targets")
        if self.loss == "mse" and classes > 2:
            raise PlanFault("loss", f"mse needs real targets or two classes; the data have {classes} classes")

    def admit_rows(self, features: int, classes: int) -> None:
        self._autograd(features).expect_fitting(classes)

    def value(self, x: Vector, shard: Shard) -> float:
        return self._of(shard).value(x, shard)

    def gradient(self, x: Vector, shard: Shard) -> Vector:
        return self._of(shard).gradient(x, shard)

    def value_and_gradient(self, x: Vector, shard: Shard) -> tuple[float, Vector]:
        values: list[float] = []
        gradient = self._of(shard).gradient(x, shard, values)
        return sum(values) / shard.rows, gradient

    def hessian(self, x: Vector, shard: Shard) -> Callable[[Vector], Vector]:
        return self._of(shard).hessian(x, shard)

    def bounds(self) -> Bounds:
        return Bounds() if isinstance(self.loss, Function) else Bounds(value=0.0)

    def metrics(self, x: Vector, shard: Shard) -> Mapping[str, float]:
        scores = self.class_scores(x, shard)
        if scores is None:
            return {}
        return {"correct": float(np.count_nonzero(scores.argmax(axis=1) == shard.y)), "rows": float(shard.rows)}

    def class_scores(self, x: Vector, shard: Shard) -> NDArray[np.floating[Any]] | None:
        """Return the outputs of the module if there is one for each class."""
        scores = self._of(shard).outputs(x, shard) if shard.classes else np.empty(0)
        return scores if scores.shape == (shard.rows, shard.classes) else None

    def _of(self, shard: Shard) -> Autograd:
        return self._autograd(shard.X.shape[1])

    def _autograd(self, features: int) -> Autograd:
        """Return the module for rows of so many numbers, built once: it is a function of the plan."""
        if features not in self._built:
            from mpirobust.problems._autograd import Autograd

            self._built[features] = Autograd(self, features)
        return self._built[features]

    @cached_property
    def _built(self) -> dict[int, Autograd]:
        return {}
