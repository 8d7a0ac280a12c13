from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mpirobust.components import MOST, Count, Field, component
from mpirobust.errors import PlanFault
from mpirobust.problems.base import Bounds, Loss
from mpirobust.shard import Shard
from mpirobust.types import Layout, Vector

Matrix: TypeAlias = NDArray[np.floating[Any]]
Layer: TypeAlias = tuple[Matrix, Matrix]  # weights (inputs, outputs), biases (outputs,)

_SLAB = 1024  # rows that go through the network together: bounds the memory for activations (benchmarks/network.py)


@component
class Network(Loss):
    """Fully connected ReLU network with softmax cross-entropy (P1 §8).

    The parameters of the layers stand one after the other, weights (inputs,
    outputs) before biases; the output layer has one unit per class. The start
    is He's (2015): weights N(0, 2/inputs), biases zero.

    Attributes:
        hidden: units of each hidden layer; []: none, a linear classifier.
        classes: units of the output layer.
        dtype: of the arithmetic inside.
    """

    hidden: tuple[Count, ...] = (1000,)
    classes: Annotated[int, Field(ge=2, le=MOST)] = 10
    dtype: Literal["float32", "float64"] = "float32"

    def dim(self, features: int) -> int:
        return sum(inputs * outputs + outputs for inputs, outputs in self._shapes(features))

    def layout(self, features: int) -> Layout:
        parts = []
        for number, (inputs, outputs) in enumerate(self._shapes(features)):
            parts += [(f"weights {number}", (inputs, outputs)), (f"biases {number}", (outputs,))]
        return Layout(tuple(parts))

    @staticmethod
    def as_state_dict(parts: Mapping[str, Vector]) -> dict[str, Vector]:
        """Return the layers as `nn.Sequential(Linear, ReLU, Linear, ...)` has them, weights as (outputs, inputs)."""
        named = {}
        for name, values in parts.items():
            what, layer = name.split()
            named[f"{2 * int(layer)}.{'weight' if what == 'weights' else 'bias'}"] = values.T
        return named

    def start(self, features: int, rng: np.random.Generator) -> Vector:
        parts = [
            [np.sqrt(2 / inputs) * rng.standard_normal(inputs * outputs), np.zeros(outputs)]
            for inputs, outputs in self._shapes(features)
        ]
        return np.concatenate([each for part in parts for each in part])

    def admit(self, classes: int) -> None:
        if classes != self.classes:
            found = f"{classes} classes" if classes else "real targets"
            raise PlanFault("classes", f"{self.classes} output units; the data have {found}")

    def value(self, x: Vector, shard: Shard) -> float:
        layers = self._layers(x, shard)
        return sum(_cross_entropy(_forward(layers, X)[-1], y) for X, y in self._slabs(shard)) / shard.rows

    def gradient(self, x: Vector, shard: Shard) -> Vector:
        return self._gradient(x, shard)

    def value_and_gradient(self, x: Vector, shard: Shard) -> tuple[float, Vector]:
        losses: list[float] = []
        gradient = self._gradient(x, shard, losses)
        return sum(losses) / shard.rows, gradient

    def _gradient(self, x: Vector, shard: Shard, losses: list[float] | None = None) -> Vector:
        """Return the gradient; append to `losses` the sum of those of each slab."""
        layers = self._layers(x, shard)
        out = np.empty(x.size, self.dtype)
        for number, (X, y) in enumerate(self._slabs(shard)):
            part = np.empty_like(out) if number else out  # most shards are one slab: products land where they stay
            inputs = _forward(layers, X)
            if losses is not None:
                losses.append(_cross_entropy(inputs[-1], y))
            back = _softmax(inputs.pop())
            back[np.arange(y.size), y] -= 1
            back /= shard.rows
            _backward(layers, inputs, back, _split(part, self._shapes(shard.X.shape[1])))
            if number:
                out += part
        return out

    def hessian(self, x: Vector, shard: Shard) -> Callable[[Vector], Vector]:
        layers = self._layers(x, shard)
        shapes = self._shapes(shard.X.shape[1])

        def product(v: Vector) -> Vector:
            """Pearlmutter's R-operator: the derivative of the gradient along v."""
            out = np.zeros(x.size, self.dtype)
            slopes = _split(out, shapes)
            along = _split(v.astype(self.dtype, copy=False), shapes)
            for X, y in self._slabs(shard):
                inputs = _forward(layers, X)
                moved = [np.zeros_like(X)]  # R{a} of the input of each layer, and of the output
                for at, ((weights, _), (dweights, dbiases)) in enumerate(zip(layers, along, strict=True)):
                    z = moved[-1] @ weights + inputs[at] @ dweights + dbiases
                    moved.append(z if at + 1 == len(layers) else z * (inputs[at + 1] > 0))
                p, rz = _softmax(inputs[-1]), moved.pop()
                back = p.copy()
                back[np.arange(y.size), y] -= 1
                back /= shard.rows
                rback = p * (rz - (p * rz).sum(axis=1, keepdims=True)) / shard.rows
                for at in range(len(layers) - 1, -1, -1):
                    a, ra, (weights, _), (dweights, _) = inputs[at], moved[at], layers[at], along[at]
                    into_weights, into_biases = slopes[at]
                    into_weights += ra.T @ back + a.T @ rback
                    into_biases += rback.sum(axis=0)
                    if at:
                        rback = (rback @ weights.T + back @ dweights.T) * (a > 0)
                        back = (back @ weights.T) * (a > 0)
            return out

        return product

    def bounds(self) -> Bounds:
        return Bounds(value=0.0)

    def metrics(self, x: Vector, shard: Shard) -> Mapping[str, float]:
        guess = self.class_scores(x, shard).argmax(axis=1)
        return {"correct": float(np.count_nonzero(guess == shard.y)), "rows": float(shard.rows)}

    def class_scores(self, x: Vector, shard: Shard) -> Matrix:
        layers = self._layers(x, shard)
        return np.concatenate([_forward(layers, X)[-1] for X, _ in self._slabs(shard)])

    def _shapes(self, features: int) -> list[tuple[int, int]]:
        return list(pairwise([features, *self.hidden, self.classes]))

    def _layers(self, x: Vector, shard: Shard) -> list[Layer]:
        return _split(x.astype(self.dtype, copy=False), self._shapes(shard.X.shape[1]))

    def _slabs(self, shard: Shard) -> Iterator[tuple[Matrix, NDArray[np.intp]]]:
        """Yield the rows, dense, some at a time."""
        for first in range(0, shard.rows, _SLAB):
            X = shard.X[first : first + _SLAB]
            dense = X.toarray() if hasattr(X, "toarray") else X
            yield dense.astype(self.dtype, copy=False), shard.y[first : first + _SLAB].astype(np.intp)


def _split(flat: Any, shapes: list[tuple[int, int]]) -> list[Layer]:
    """Return the layers of a parameter vector, as views."""
    layers, at = [], 0
    for inputs, outputs in shapes:
        middle, end = at + inputs * outputs, at + inputs * outputs + outputs
        layers.append((flat[at:middle].reshape(inputs, outputs), flat[middle:end]))
        at = end
    return layers


def _forward(layers: list[Layer], X: Matrix) -> list[Matrix]:
    """Return the input of every layer, then the logits."""
    inputs = [X]
    for at, (weights, biases) in enumerate(layers):
        z = inputs[-1] @ weights
        z += biases
        if at + 1 < len(layers):
            np.maximum(z, 0, out=z)
        inputs.append(z)
    return inputs


def _backward(layers: list[Layer], inputs: list[Matrix], back: Matrix, slopes: list[Layer]) -> None:
    """Fill `slopes` from the inputs of every layer and the slope of the logits."""
    for at in range(len(layers) - 1, -1, -1):
        into_weights, into_biases = slopes[at]
        np.matmul(inputs[at].T, back, out=into_weights)
        back.sum(axis=0, out=into_biases)
        if at:
            back = back @ layers[at][0].T
            back *= inputs[at] > 0


def _cross_entropy(z: Matrix, y: NDArray[np.intp]) -> float:
    """Return the sum of the losses of the rows with logits `z`."""
    z = z - z.max(axis=1, keepdims=True)
    return float((np.log(np.exp(z).sum(axis=1)) - z[np.arange(y.size), y]).sum(dtype=np.float64))


def _softmax(z: Matrix) -> Matrix:
    p: Matrix = z - z.max(axis=1, keepdims=True)
    np.exp(p, out=p)
    p /= p.sum(axis=1, keepdims=True)
    return p
