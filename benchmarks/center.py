"""The center's rules on packed one-bit messages, against a dense mean, a peer in C++ and ByzFL in the same run.

    python benchmarks/center.py [--torch torch==2.13.0] [--repeats 9]

Writes benchmarks/center.json. At m = 200, d = 795,010 (a 784-1000-10 network) each rule goes from the messages of
`l1-qsgd` to the step and alternates with its peers: NumPy's mean of the same vectors as a dense float32 matrix, one
read of the packed bytes, benchmarks/peer.cpp, and ByzFL on the dense matrix. At m = 20, d = 10,000 every rule that
ByzFL has alternates with ByzFL's. One thread each. Ratios are of neighbours in time, with quartiles. The memory of a
rule is the most that it allocates beside the messages. ByzFL is installed into --cache at the first call, which needs a
network; where there is no ByzFL or no compiler, the file says why, and there is no such comparison. 8 GB of memory.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from origin import about
from peers import ByzFL, CPeer, Missing
from timing import Seconds, Timed, alternating, milliseconds, ratios, timed

from mpirobust import catalog
from mpirobust.aggregators.base import Aggregator, Context, share
from mpirobust.answers import Inbox
from mpirobust.compressors.base import BLOCK, Codes
from mpirobust.compressors.l1_qsgd import L1QSGD
from mpirobust.numerics.blas import limit_threads
from mpirobust.types import Norm, Vector, flat

_RESULT = Path(__file__).parent / "center.json"
_BETA = 0.1
_CALLS = 10  # of one measurement at the small size
_MOST_SECONDS = 45.0  # for one rule and ByzFL's, unless two repeats take longer
_RULES: dict[str, dict[str, Any]] = {
    "mean": {"kind": "mean"},
    "norm-trim": {"kind": "norm-trim", "beta": _BETA},
    "majority-vote": {"kind": "majority-vote"},
    "median": {"kind": "median"},
    "trimmed-mean": {"kind": "trimmed-mean", "beta": _BETA},
    "krum": {"kind": "krum", "beta": _BETA},
    "multi-krum": {"kind": "multi-krum", "beta": _BETA},
    "geometric-median": {"kind": "geometric-median"},
    "caf": {"kind": "caf", "beta": _BETA},
    "centered-clipping": {"kind": "centered-clipping", "radius": 100.0},
    "nnm + trimmed-mean": {"kind": "nnm", "beta": _BETA, "rule": {"kind": "trimmed-mean", "beta": _BETA}},
}
_ALONE: dict[str, dict[str, Any]] = {
    "bulyan": {"kind": "bulyan", "beta": _BETA},
    "nnm + norm-trim": {"kind": "nnm", "beta": _BETA, "rule": {"kind": "norm-trim", "beta": _BETA}},
    "median-of-means": {"kind": "median-of-means", "groups": 50},
}
_ON_GRAM = ("krum", "multi-krum", "geometric-median", "caf")
_LARGE_WITH_BYZFL = ("median", "trimmed-mean", "geometric-median", "krum", "caf", "multi-krum")

Steps = list[tuple[str, dict[str, Any]]]


def of_byzfl(f: int) -> dict[str, Steps]:
    """Return ByzFL's classes for our rules, its own defaults where not said."""
    return {
        "mean": [("Average", {})],
        "median": [("Median", {})],
        "trimmed-mean": [("TrMean", {"f": f})],
        "krum": [("Krum", {"f": f})],
        "multi-krum": [("MultiKrum", {"f": f})],
        "geometric-median": [("GeometricMedian", {})],
        "caf": [("CAF", {"f": f})],
        "centered-clipping": [("CenteredClipping", {"tau": 100.0, "L": 10})],  # 10 steps, as ours
        "nnm + trimmed-mean": [("NNM", {"f": f}), ("TrMean", {"f": f})],
    }


class Round:
    """Messages of a round, and the same vectors dense.

    Attributes:
        messages: of `l1-qsgd`, of normal vectors.
        dense: shape (m, d), float32.
        file: the same on disk.
    """

    def __init__(self, m: int, dim: int, folder: Path) -> None:
        rng = np.random.default_rng(0)
        self.m, self.dim = m, dim
        self.code = L1QSGD().draw(flat(dim), rng)
        self.messages = [self.code.encode(rng.standard_normal(dim), rng) for _ in range(m)]
        self.dense = np.stack([self.code.decode(message).astype(np.float32) for message in self.messages])
        self.file = folder / f"{m}x{dim}.npy"
        np.save(self.file, self.dense)

    def rows(self) -> list[NDArray[np.uint8]]:
        """Return the packed bits of each message."""
        return [np.frombuffer(message, np.uint8, offset=4) for message in self.messages]

    def step(self, rule: Aggregator) -> Vector:
        """Return what the rule makes of the messages; its norms are not kept from call to call."""
        inbox = Inbox(self.messages, self.dim, Codes(self.code, lambda _: self.code), Norm())
        return rule.judge(inbox, None, Context()).step


def pairs(found: Mapping[str, Seconds], rules: Sequence[str], peers: Sequence[str]) -> list[dict[str, object]]:
    """Return each rule against each peer that was measured."""
    return [
        {
            "rule": rule,
            "peer": peer,
            "ratio": ratios(found[rule], found[peer]),
            "rule_takes": milliseconds(found[rule]),
            "peer_takes": milliseconds(found[peer]),
        }
        for rule in rules
        for peer in peers
        if peer in found
    ]


def peak(work: Callable[[], object]) -> int:
    """Return the most bytes that `work` has allocated at one time; the compiled loops allocate none."""
    tracemalloc.start()
    work()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def large(asked: argparse.Namespace, folder: Path, byzfl: ByzFL | None) -> Iterator[dict[str, object]]:
    """Yield what has been measured, and again after each comparison with ByzFL, which take longest."""
    given = Round(asked.messages, asked.dim, folder)
    rules = {name: aggregator(table) for name, table in (_RULES | _ALONE).items()}
    works = {name: partial(given.step, rule) for name, rule in rules.items()}
    packed = np.frombuffer(b"".join(given.messages), np.uint8)
    words = packed[: packed.size // 8 * 8].view(np.uint64)
    weights = np.full(given.m, 1 / given.m)
    found: list[dict[str, object]] = []
    result: dict[str, object] = {"m": given.m, "d": given.dim, "packed_bytes": packed.size, "pairs": found}
    peers: dict[str, Callable[[], object]] = {"dense mean": lambda: given.dense.mean(axis=0), "one read": words.sum}
    try:
        peer = CPeer(given.rows(), given.dim, folder)
        peers |= {
            "C sum": lambda: peer.weighted_sum(weights),
            "C counts": peer.counts,
            "C Gram": peer.differences,
        }
        result["C peer"] = peer.name
    except Missing as missing:
        result["C peer"] = str(missing)
    for names, against in (
        (("mean", "norm-trim"), ("dense mean", "C sum")),
        (("majority-vote",), ("one read", "C counts")),
        (_ON_GRAM, ("C Gram",)),
    ):
        group = {name: timed(work) for name, work in (works | peers).items() if name in (*names, *against)}
        found += pairs(alternating(group, asked.repeats), names, against)
    alone = alternating({name: timed(works[name]) for name in ["centered-clipping", "nnm + trimmed-mean", *_ALONE]}, 3)
    ordered = alternating({name: timed(work) for name, work in ordering(given.m).items()}, asked.repeats)
    result |= {
        "alone": {name: milliseconds(seconds) for name, seconds in alone.items()},
        "peak_bytes": {name: peak(work) for name, work in works.items()},
        "ordering": {name: milliseconds(seconds) for name, seconds in ordered.items()},
    }
    yield result
    theirs = of_byzfl(share(_BETA, given.m))
    for name in _LARGE_WITH_BYZFL if byzfl else ():
        assert byzfl is not None
        pair = {name: timed(works[name]), "ByzFL": byzfl.rule(given.file, theirs[name])}
        found += pairs(alternating(pair, asked.repeats, _MOST_SECONDS), [name], ["ByzFL"])
        yield result


def ordering(m: int) -> dict[str, Callable[[], object]]:
    """Return the ways that NumPy offers to order the values of a block of coordinates."""
    block, middle, end = np.random.default_rng(0).standard_normal((m, BLOCK)), m // 2, m // 10
    return {
        "sort, transposed (what the rules do)": lambda: np.sort(block.T.copy(), axis=1),
        "partition at one place, transposed": lambda: np.partition(block.T.copy(), middle, axis=1),
        "partition at two places, transposed": lambda: np.partition(block.T.copy(), (end, -end), axis=1),
        "partition at one place, in place": lambda: np.partition(block, middle, axis=0),
    }


def small(asked: argparse.Namespace, folder: Path, byzfl: ByzFL | None) -> dict[str, object]:
    given = Round(20, 10_000, folder)
    theirs = of_byzfl(share(_BETA, given.m))
    found: list[dict[str, object]] = []
    apart: dict[str, float] = {}
    for name, steps in theirs.items() if byzfl else ():
        assert byzfl is not None
        rule = aggregator(_RULES[name])
        pair: dict[str, Timed] = {
            name: timed(partial(given.step, rule), _CALLS),
            "ByzFL": byzfl.rule(given.file, steps, _CALLS),
        }
        found.extend(pairs(alternating(pair, 5 * asked.repeats), [name], ["ByzFL"]))
        if name == "geometric-median":  # 3 steps by default; ours go on until nothing moves
            steps = [("GeometricMedian", {"nu": 1e-6, "T": 200})]
        result = byzfl.result(given.file, steps, folder / "result.npy")
        apart[name] = float(f"{np.abs(given.step(rule) - result).max() / np.abs(result).max():.2g}")
    return {"m": given.m, "d": given.dim, "pairs": found, "largest_relative_difference": apart}


def aggregator(table: dict[str, Any]) -> Aggregator:
    rule: Aggregator = catalog.build(catalog.ROOMS["aggregator"], table, "aggregator")
    return rule


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mpirobust-benchmarks"
    parser.add_argument("--dim", type=int, default=795_010)
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--torch", default="torch", help="the requirement of PyTorch for ByzFL, e.g. torch==2.13.0")
    parser.add_argument("--cache", type=Path, default=cache, help="where ByzFL's environment is made (%(default)s)")
    asked = parser.parse_args()
    for table in (_RULES | _ALONE).values():
        aggregator(table)  # loads every BLAS whose threads are limited then
    limit_threads()
    result, byzfl = about(), None
    try:
        byzfl = ByzFL(asked.cache / "byzfl", asked.torch)
        result["ByzFL"] = byzfl.name
    except Missing as missing:
        result["ByzFL"] = str(missing)
    with tempfile.TemporaryDirectory() as folder:
        result["small"] = small(asked, Path(folder), byzfl)
        for result["large"] in large(asked, Path(folder), byzfl):
            _RESULT.write_text(json.dumps(result, indent=2) + "\n")
            print(f"wrote {_RESULT}", flush=True)
    if byzfl:
        byzfl.close()


if __name__ == "__main__":
    main()
