"""PyTorch modules and losses to test with; imported only where a test names one of them."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional


def perceptron(outputs: int = 1, features: int = 6) -> Any:
    """Two layers, and a parameter without use."""
    module = torch.nn.Sequential(torch.nn.Linear(features, 4), torch.nn.Tanh(), torch.nn.Linear(4, outputs))
    module.register_parameter("unused", torch.nn.Parameter(torch.ones(3)))
    return module


def huber(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The mean over the rows, as torch's own losses return it."""
    return functional.huber_loss(outputs[:, 0], targets.to(outputs.dtype), delta=30.0)
