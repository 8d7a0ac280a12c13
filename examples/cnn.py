"""A small convolutional network for the images of MNIST, as `configs/mnist-cnn.toml` names it."""

from __future__ import annotations

from torch import nn


def make_cnn(width: int = 8) -> nn.Module:
    """Return the network, 11,274 parameters with the default width; its input is rows of 784 numbers in [0, 1]."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)),
        nn.Conv2d(1, width, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * width * 7 * 7, 10),
    )
