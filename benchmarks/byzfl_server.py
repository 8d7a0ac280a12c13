"""Rules of ByzFL on numpy arrays, in a process and an environment of their own; benchmarks/peers.py starts it.

One request for each line of the standard input, in JSON: `data`, the .npy file of the vectors; `steps`, classes with
their arguments, each of which is given what the one before returned; `calls`; `out`, a .npy file for the result, or
null. The answer is the wall and CPU seconds of one call.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import types
from pathlib import Path
from time import perf_counter, process_time

import numpy as np


def rules() -> dict[str, type]:
    """Return ByzFL's rules without what the rest of the package imports: plots, data sets, models."""
    found = importlib.util.find_spec("byzfl")
    if found is None or found.origin is None:
        raise ImportError("byzfl is not installed")
    package = types.ModuleType("byzfl")
    package.__path__ = [str(Path(found.origin).parent)]
    sys.modules["byzfl"] = package
    files = [importlib.import_module(f"byzfl.aggregators.{name}") for name in ("aggregators", "preaggregators")]
    return {name: each for file in files for name, each in vars(file).items() if isinstance(each, type)}


def main() -> None:
    known, loaded = rules(), {}
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        path = request["data"]
        if path not in loaded:
            loaded = {path: np.load(path)}
        wall, cpu = perf_counter(), process_time()
        for _ in range(request["calls"]):
            result = loaded[path]
            for name, arguments in request["steps"]:
                result = known[name](**arguments)(result)
        spent = [(perf_counter() - wall) / request["calls"], (process_time() - cpu) / request["calls"]]
        if request["out"]:
            np.save(request["out"], result)
        print(json.dumps(spent), flush=True)


if __name__ == "__main__":
    main()
