"""The gradient of the ReLU network against the bare matrix products that it is made of, in the same run.

    python benchmarks/network.py [--hidden 1000] [--repeats 41]

Rows are as a worker has them: 300 (60,000 images on 200 workers), minibatches of 60, and 3000 (20 workers); ranks
never compute across their workers. The limit is sgemm: the five products of a gradient, on the same shapes, into
arrays that exist already. The two alternate, in CPU seconds (so that a busy machine counts little), and
what is printed are medians, and the median of the ratios of neighbours: the share of sgemm's rate that the gradient
reaches. Below stands what else a worker does in a round.

What the profile of a gradient at 784-1000-10 said: at 300 rows (some 10 ms) all but a tenth is sgemm; one percent each
goes to the copy of x to float32, the ReLU and its mask; less to biases, softmax and labels. At 60 rows (some 2.5 ms)
what cost most was the sum over slabs of rows, 14 %: a vector of zeros, each product in an array of its own, and their
addition. Now the products of the first slab are written where they stay, and most shards are one slab. Not worth
their lines: biases as a product with ones, and masks by `where=`, which take ten times as long as the product with the
mask. Slabs of 1024 rows are 5 % faster than slabs of 4096 and take a quarter of the memory. Rows are float32 from the
store on, a minibatch is a copy of its rows only (the transpose of dense rows is a view), and an audit's exact sum of
gradients is as long as a gradient on 300 rows: hence block by block, and audits rarely.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np
from threadpoolctl import threadpool_limits
from timing import alternating, timed

from mpirobust.algorithms.base import Query
from mpirobust.algorithms.first_order import FirstOrder
from mpirobust.compressors.l1_qsgd import L1QSGD
from mpirobust.numerics.exact_sum import ExactSum
from mpirobust.problems.network import Network
from mpirobust.shard import Shard
from mpirobust.types import flat

_FEATURES, _CLASSES = 784, 10
_ROWS = (60, 300, 3000)


def bare_products(rows: int, hidden: int, rng: np.random.Generator) -> Callable[[], None]:
    """The matrix products of one gradient: two forward, two slopes of weights, one back."""

    def made(*shape: int) -> np.ndarray:
        return rng.random(shape, np.float32)

    X, W1, a, W2, back = (
        made(rows, _FEATURES),
        made(_FEATURES, hidden),
        made(rows, hidden),
        made(hidden, _CLASSES),
        made(rows, _CLASSES),
    )
    z, logits, dW1, dW2 = made(rows, hidden), made(rows, _CLASSES), made(_FEATURES, hidden), made(hidden, _CLASSES)

    def products() -> None:
        np.matmul(X, W1, out=z)
        np.matmul(a, W2, out=logits)
        np.matmul(a.T, back, out=dW2)
        np.matmul(back, W2.T, out=z)
        np.matmul(X.T, a, out=dW1)

    return products


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=41)
    asked = parser.parse_args()
    threadpool_limits(1)

    rng = np.random.default_rng(0)
    loss = Network(hidden=(asked.hidden,))
    x = loss.start(_FEATURES, rng)
    print(f"{_FEATURES}-{asked.hidden}-{_CLASSES}, d = {x.size:,}, float32, one thread")
    shards = {}
    for rows in _ROWS:
        y = rng.integers(_CLASSES, size=rows).astype(np.float64)
        shards[rows] = Shard.of(rng.random((rows, _FEATURES), np.float32), y, _CLASSES, 60_000)
        works: dict[str, Callable[[], object]] = {
            "sgemm": bare_products(rows, asked.hidden, rng),
            "gradient": partial(loss.gradient, x, shards[rows]),
        }
        timings = alternating({name: timed(work) for name, work in works.items()}, max(5, asked.repeats * 60 // rows))
        times = {name: each.cpu for name, each in timings.items()}
        flop = 2 * rows * asked.hidden * (2 * _FEATURES + 3 * _CLASSES)
        bare, ours = median(times["sgemm"]), median(times["gradient"])
        share = median(b / o for b, o in zip(times["sgemm"], times["gradient"], strict=True))
        print(
            f"  {rows:5} rows   sgemm {1e3 * bare:8.2f} ms ({flop / bare / 1e9:5.1f} Gflop/s)   "
            f"gradient {1e3 * ours:8.2f} ms   {100 * share:5.1f} % of sgemm's rate"
        )

    print("beside it, a worker with 300 rows")
    shard, code, algorithm = shards[300], L1QSGD().draw(flat(x.size), rng), FirstOrder(rounds=1, step=1.0, batch=60)
    gradient, total = loss.gradient(x, shard), ExactSum(x.size)
    message = code.encode(gradient, rng)
    beside: dict[str, Callable[[], object]] = {
        "answer with a minibatch of 60 drawn": lambda: algorithm.answer(Query((x,)), loss, shard, rng),
        "encode, l1-qsgd": lambda: code.encode(gradient, rng),
        "decode (error feedback only)": lambda: code.decode(message),
        "loss (audit only)": lambda: loss.value(x, shard),
        "exact sum of gradients (audit only)": lambda: total.add(gradient),
    }
    for name, spent in alternating({name: timed(work) for name, work in beside.items()}, asked.repeats // 2).items():
        print(f"  {name:<38}{1e3 * median(spent.cpu):8.2f} ms")


if __name__ == "__main__":
    main()
