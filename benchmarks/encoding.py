"""What it costs a worker to encode a vector, against copying it, in the same run.

    python benchmarks/encoding.py [--dim 795010] [--repeats 15]

Writes benchmarks/encoding.json. The vectors are float64 and together 400 MB, larger than most caches; each encoding
takes the next one and alternates with a copy of the next one, which is the memory bandwidth: 16 bytes for a coordinate,
8 read and 8 written. Of an encoding the vector's 8 bytes for a coordinate and the bytes of the message are counted.
What a code draws at random is measured alone as well: `one uniform each` is what qsgd and terngrad draw, `a bit for
each zero` what l1-qsgd draws for a vector half of whose entries are 0, as of a network with ReLU. A minute, 1 GB.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from origin import about
from threadpoolctl import threadpool_limits
from timing import alternating, milliseconds, ratios, spread, timed

from mpirobust import catalog
from mpirobust.compressors.base import Code
from mpirobust.types import Vector, flat

_RESULT = Path(__file__).parent / "encoding.json"
_VECTORS = 64
_CODES: dict[str, dict[str, Any]] = {
    "l1-qsgd": {"kind": "l1-qsgd"},
    "sign": {"kind": "sign"},
    "qsgd, one level": {"kind": "qsgd", "levels": 1},
    "qsgd, 16 levels": {"kind": "qsgd", "levels": 16},
    "terngrad": {"kind": "terngrad"},
    "topk, 1 %": {"kind": "topk"},
}
_HALF = "l1-qsgd, half of it zeros"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dim", type=int, default=795_010)  # a 784-1000-10 network
    parser.add_argument("--repeats", type=int, default=15)
    asked = parser.parse_args()
    threadpool_limits(1)
    result, rng = about(), np.random.default_rng(0)
    vectors = rng.standard_normal((_VECTORS, asked.dim))
    copies = cycle(zip(vectors.copy(), vectors[::-1], strict=True))  # the other way round: not what was just encoded

    def encode(code: Code, vectors: Iterator[Vector]) -> int:
        return len(code.encode(next(vectors), rng))

    codes: dict[str, Callable[[], int]] = {}
    for name, table in _CODES.items():
        more = {"k": asked.dim // 100} if table["kind"] == "topk" else {}
        code = catalog.build(catalog.ROOMS["compressor"], table | more, "compressor").draw(flat(asked.dim), rng)
        codes[name] = partial(encode, code, cycle(vectors))
        if name == "l1-qsgd":
            half = np.where(rng.random((4, asked.dim)) < 0.5, 0.0, vectors[:4])
            codes[_HALF] = partial(encode, code, cycle(half))
    rows = []
    for name, work in codes.items():
        nbytes = work()
        found = alternating({name: timed(work), "copy": timed(lambda: np.copyto(*next(copies)))}, asked.repeats)
        moved = (8 * asked.dim + nbytes) / (16 * asked.dim)
        rows.append(
            {
                "code": name,
                "message_bytes": nbytes,
                "rate": {kind: inverse(each, moved) for kind, each in ratios(found["copy"], found[name]).items()},
                "code_takes": milliseconds(found[name]),
                "copy_takes": milliseconds(found["copy"]),
                "bytes_per_cpu_second": spread([(8 * asked.dim + nbytes) / each for each in found[name].cpu]),
            }
        )
        print(name, "done", flush=True)
    draws: dict[str, Callable[[], object]] = {
        "one uniform each": lambda: rng.random(asked.dim),
        "a bit for each zero": lambda: rng.integers(2, size=asked.dim // 2, dtype=np.bool_),
    }
    drawn = alternating({name: timed(work) for name, work in draws.items()}, asked.repeats)
    result |= {
        "d": asked.dim,
        "codes": rows,
        "draws": {name: milliseconds(seconds) for name, seconds in drawn.items()},
    }
    _RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(f"wrote {_RESULT}")


def inverse(of_times: dict[str, float], moved: float) -> dict[str, float]:
    """Return bytes per second over those of the copy, of the time of a copy over that of the code."""
    return {name: float(f"{value * moved:.4g}") for name, value in of_times.items()}


if __name__ == "__main__":
    main()
