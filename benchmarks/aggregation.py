"""The center's work on packed one-bit messages, against what the machine can do in the same run.

    python benchmarks/aggregation.py [--dim 795010] [--messages 200] [--repeats 7]

Prints medians, and ratios to a single read of the packed bytes (the limit) and to the mean of the same messages
as a dense float32 matrix (the peer that does not compress and holds 32 times the memory): for adding up, then for
every rule from messages to step, and for config of a block of coordinates in the ways that numpy offers.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter

import numpy as np
from threadpoolctl import threadpool_limits

from mpirobust import catalog
from mpirobust.aggregators.base import Context
from mpirobust.answers import Inbox
from mpirobust.compressors.base import BLOCK, Codes
from mpirobust.compressors.l1_qsgd import L1QSGD
from mpirobust.types import Norm, flat

RULES: list[dict[str, object]] = [
    {"kind": "mean"},
    {"kind": "norm-trim", "beta": 0.1},
    {"kind": "majority-vote"},
    {"kind": "median"},
    {"kind": "trimmed-mean", "beta": 0.1},
    {"kind": "geometric-median"},
    {"kind": "median-of-means", "groups": 50},
    {"kind": "centered-clipping", "radius": 100.0},
    {"kind": "caf", "beta": 0.1},
    {"kind": "krum", "beta": 0.1},
    {"kind": "multi-krum", "beta": 0.1},
    {"kind": "bulyan", "beta": 0.1},
    {"kind": "nnm", "beta": 0.1, "rule": {"kind": "geometric-median"}},
    {"kind": "nnm", "beta": 0.1, "rule": {"kind": "norm-trim", "beta": 0.1}},
    {"kind": "nnm", "beta": 0.1, "rule": {"kind": "median"}},
]


def seconds(work: Callable[[], object], repeats: int) -> float:
    work()
    times = []
    for _ in range(repeats):
        began = perf_counter()
        work()
        times.append(perf_counter() - began)
    return median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dim", type=int, default=795_010)  # a 784-1000-10 network
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=7)
    asked = parser.parse_args()
    threadpool_limits(1)

    rng = np.random.default_rng(0)
    code = L1QSGD().draw(flat(asked.dim), rng)
    messages = [code.encode(rng.standard_normal(asked.dim), rng) for _ in range(asked.messages)]
    packed = np.frombuffer(b"".join(messages), np.uint8)
    dense = np.stack([code.decode(message).astype(np.float32) for message in messages])
    weights = np.full(asked.messages, 1 / asked.messages)

    def one_by_one() -> None:
        out = np.zeros(asked.dim)
        for weight, message in zip(weights, messages, strict=True):
            out += weight * code.decode(message)

    out = np.zeros(asked.dim)
    figures = {
        "read the packed bytes once": seconds(
            lambda: packed[: packed.size // 8 * 8].view(np.uint64).sum(), asked.repeats
        ),
        "norms of all messages": seconds(lambda: [code.norm(each, 2.0) for each in messages], asked.repeats),
        "add_to, from the packed bits": seconds(lambda: code.add_to(out, weights, messages), asked.repeats),
        "mean of the dense float32 matrix": seconds(lambda: dense.mean(axis=0), asked.repeats),
        "decode one by one and add": seconds(one_by_one, 1),
    }
    limit = figures["read the packed bytes once"]
    print(f"{asked.messages} messages, d = {asked.dim:,}, {packed.size / 2**20:.1f} MiB packed")
    report(figures, limit, figures["mean of the dense float32 matrix"])

    inbox = Inbox(messages, asked.dim, Codes(code, lambda _: code), Norm(), 0.1)
    everybody = np.arange(asked.messages)
    work: dict[str, Callable[[], object]] = {
        "decode block by block": lambda: [None for _ in inbox.blocks(everybody)],
        "Gram matrix": lambda: inbox.gram(everybody),
    }
    for table in RULES:
        rule, inner = catalog.build(catalog.ROOMS["aggregator"], table, "aggregator"), table.get("rule")
        name = str(table["kind"]) + (f" + {inner['kind']}" if isinstance(inner, dict) else "")
        work[name] = partial(rule.judge, inbox, None, Context())
    rules = {name: seconds(each, asked.repeats) for name, each in work.items()}
    print("rules, from messages to step")
    report(rules, limit, figures["mean of the dense float32 matrix"])

    block, middle, end = rng.standard_normal((asked.messages, BLOCK)), asked.messages // 2, asked.messages // 10
    config: dict[str, Callable[[], object]] = {
        "sort, transposed (what the rules do)": lambda: np.sort(block.T.copy(), axis=1),
        "partition at one place, transposed": lambda: np.partition(block.T.copy(), middle, axis=1),
        "partition at two places, transposed": lambda: np.partition(block.T.copy(), (end, -end), axis=1),
        "partition at one place, in place": lambda: np.partition(block, middle, axis=0),
    }
    print(f"ordering the values of {BLOCK} coordinates")
    report(
        {name: seconds(each, asked.repeats) for name, each in config.items()},
        limit,
        figures["mean of the dense float32 matrix"],
    )


def report(figures: dict[str, float], limit: float, peer: float) -> None:
    for name, spent in figures.items():
        print(f"  {name:<38}{1e3 * spent:9.2f} ms   {spent / limit:8.1f} x limit   {spent / peer:6.2f} x dense mean")


if __name__ == "__main__":
    main()
