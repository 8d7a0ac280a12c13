"""The gradient of the kind `torch` against plain PyTorch: one thread, the same module, rows and dtype, in the same run.

    python benchmarks/torch_problem.py [--repeats 41]

Writes benchmarks/torch_problem.json; needs torch. Plain PyTorch zeroes the gradients, computes the loss of tensors that
exist already, and goes back. The kind `torch` begins with a float64 vector of parameters and NumPy rows, as a worker
has them, and ends with one vector: beside the same forward and backward pass it copies parameters, rows and gradient.
Both alternate. Modules: the CNN of examples/cnn.py (d = 11,274), and P1's largest network, 784-1000-10 (d = 795,010),
whose copies are as large as they get beside the work. Rows: a minibatch of 60, a shard of 300, one chunk of 1024. A
minute.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from origin import about
from timing import alternating, milliseconds, ratios, spread, timed

from mpirobust import catalog, outside
from mpirobust.problems.base import Loss
from mpirobust.shard import Shard
from mpirobust.types import Vector

_RESULT = Path(__file__).parent / "torch_problem.json"
_FEATURES, _CLASSES = 784, 10
_ROWS = (60, 300, 1024)
_MODULES = {"CNN": "../examples/cnn.py:make_cnn", "784-1000-10": "./torch_problem.py:make_perceptron"}


def make_perceptron() -> torch.nn.Module:
    """Return P1's largest network."""
    nn = torch.nn
    return nn.Sequential(nn.Linear(_FEATURES, 1000), nn.ReLU(), nn.Linear(1000, _CLASSES))


def plain(module: Any, X: torch.Tensor, y: torch.Tensor) -> None:
    """One gradient as a training loop in PyTorch computes it, with its default settings."""
    torch.use_deterministic_algorithms(False)
    module.zero_grad()
    torch.nn.functional.cross_entropy(module(X), y).backward()


def ours(loss: Loss, x: Vector, shard: Shard) -> None:
    """The same as a worker computes it."""
    torch.use_deterministic_algorithms(True)
    loss.gradient(x, shard)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=41)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, Any] = about() | {"torch": torch.__version__}
    rng, pairs = np.random.default_rng(0), []
    for name, model in _MODULES.items():
        table = {"kind": "torch", "model": model}
        loss: Loss = catalog.build(catalog.ROOMS["problem"], table, "problem", _RESULT.parent)
        module = outside.function(model, "model", _RESULT.parent).call()
        x = np.concatenate([each.detach().numpy().ravel() for each in module.parameters()]).astype(np.float64)
        for rows in _ROWS:
            X, y = rng.random((rows, _FEATURES), np.float32), rng.integers(_CLASSES, size=rows)
            shard = Shard.of(X, y.astype(np.float64), _CLASSES, rows)
            works = {
                "plain": timed(partial(plain, module, torch.from_numpy(X), torch.from_numpy(y))),
                "ours": timed(partial(ours, loss, x, shard)),
            }
            found = alternating(works, max(9, asked.repeats * 60 // rows))
            pairs.append(
                {
                    "module": name,
                    "d": x.size,
                    "rows": rows,
                    "rate": ratios(found["plain"], found["ours"]),
                    "ours_takes": milliseconds(found["ours"]),
                    "plain_takes": milliseconds(found["plain"]),
                    "rows_per_cpu_second": spread([rows / each for each in found["ours"].cpu]),
                }
            )
            print(name, rows, pairs[-1]["rate"], flush=True)
    _RESULT.write_text(json.dumps(result | {"pairs": pairs}, indent=2) + "\n")
    print(f"wrote {_RESULT}")


if __name__ == "__main__":
    main()
