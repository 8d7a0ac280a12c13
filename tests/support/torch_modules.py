"""PyTorch modules and losses that plans of the tests name."""

from __future__ import annotations

from threading import Barrier
from typing import Any

import torch
from torch import nn


def relu_network(features: int, hidden: int, outputs: int) -> Any:
    return nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def linear(outputs: int = 2) -> Any:
    return nn.Linear(6, outputs)


def lazy() -> Any:
    return nn.LazyLinear(2)


def with_dropout(training: bool = True) -> Any:
    return nn.Sequential(nn.Linear(6, 4), nn.Dropout(0.5), nn.Linear(4, 2)).train(training)


def with_batch_norm(training: bool = True) -> Any:
    return nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).train(training)


def frozen() -> Any:
    return nn.Linear(6, 2).requires_grad_(False)


def complex_numbers() -> Any:
    return nn.ParameterList([nn.Parameter(torch.zeros(3, dtype=torch.complex64))])


def half_frozen() -> Any:
    return nn.Sequential(nn.Linear(6, 4).requires_grad_(False), nn.Linear(4, 2))


def with_shared_weights() -> Any:
    one, other = nn.Linear(6, 6), nn.Linear(6, 6)
    other.weight = one.weight
    return nn.Sequential(one, nn.Tanh(), other, nn.Tanh(), nn.Linear(6, 2))


meeting: Barrier | None = None  # at which the threads that compute wait for each other


def that_meets() -> Any:
    """A module in which all threads are at once: none computes before all are in it, none leaves before all have."""

    def meet(*_: Any) -> None:
        if meeting is not None:
            meeting.wait()

    module = linear()
    module.register_forward_pre_hook(meet)
    module.register_forward_hook(meet)
    return module


def that_returns_two() -> Any:
    return nn.LSTM(6, 2)


def detached(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return (outputs[:, 0].detach() - targets) ** 2


def text() -> str:
    return "no module"


def sum_of_squares(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return (outputs[:, 0] - targets) ** 2


def as_column(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return (outputs - targets[:, None]) ** 2


no_function = 3
