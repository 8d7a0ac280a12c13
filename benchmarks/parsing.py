"""LIBSVM text to a store, against scikit-learn's `load_svmlight_file` and the matrix that it returns.

    pip install -e '.[dev]'; python benchmarks/parsing.py [--rows 2000000] [--repeats 3]

Rows are as in SUSY: 18 dense features of ten digits, made here (580 MB at 2,000,000 rows). Each measurement is a
process of its own, in turns, in seconds of its processor (user and system, so that a busy machine counts little), with
the most memory that it took. What is printed are medians, and the median of the ratios of neighbours, for two works:

- parsing: `parse` of mpirobust against `load_svmlight_file`, less the start of Python and the imports of each. The
  limit is 1.5 times.
- the whole command `mpirobust data PLAN`, which also hashes, stores and verifies. The limit is three times the memory
  of the rows in CSR form (12 bytes a number, 16 bytes a row).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

_FEATURES = 18
_PIECE = 20_000  # rows that are made at a time
_PLAN = """\
seed = 1
workers = 20
[data]
kind = "libsvm"
path = "rows.svm"
[problem]
kind = "logistic"
[algorithm]
kind = "first-order"
rounds = 5
step = 0.5
[aggregator]
kind = "mean"
"""
_OURS = "from pathlib import Path\nfrom mpirobust.data.sources.libsvm import parse\n"
_THEIRS = "import numpy\nfrom sklearn.datasets import load_svmlight_file\n"
_WORKS = {
    "imports of mpirobust": [sys.executable, "-c", _OURS],
    "parse": [sys.executable, "-c", f"{_OURS}parse(Path('rows.svm'), None, 0, lambda: None)"],
    "imports of scikit-learn": [sys.executable, "-c", _THEIRS],
    "load_svmlight_file": [sys.executable, "-c", f"{_THEIRS}load_svmlight_file('rows.svm', dtype=numpy.float64)"],
    "mpirobust data": [sys.executable, "-m", "mpirobust", "data", "plan.toml"],
}


def write_rows(path: Path, rows: int) -> None:
    """Write a classification problem of two classes that a linear rule solves in part."""
    rng = np.random.default_rng(0)
    w = rng.standard_normal(_FEATURES)
    form = "%d " + " ".join(f"{at}:%.10g" for at in range(1, _FEATURES + 1)) + "\n"
    with path.open("w") as file:
        for start in range(0, rows, _PIECE):
            X = rng.standard_normal((min(_PIECE, rows - start), _FEATURES))
            y = X @ w + rng.standard_normal(len(X)) > 0
            file.writelines(form % (label, *row) for row, label in zip(X.tolist(), y.tolist(), strict=True))


def measured(command: list[str], folder: Path) -> tuple[float, float]:
    """Return the processor seconds of a process, and its largest resident memory in bytes."""
    cache = TemporaryDirectory(dir=folder)
    environment = {**os.environ, "MPIROBUST_CACHE": cache.name, "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    cache.cleanup()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return used.ru_utime + used.ru_stime, 1024 * used.ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder / "rows.svm", asked.rows)
        (folder / "plan.toml").write_text(_PLAN)
        found = [{work: measured(command, folder) for work, command in _WORKS.items()} for _ in range(asked.repeats)]
        size = (folder / "rows.svm").stat().st_size
    matrix = asked.rows * (12 * _FEATURES + 16)
    print(f"{asked.rows:,} rows, {size / 1e6:.0f} MB of text, {matrix / 1e6:.0f} MB in CSR form")
    for work in _WORKS:
        seconds, memory = (median(each[work][at] for each in found) for at in (0, 1))
        print(f"  {work:<24}{seconds:8.2f} s {memory / 1e6:8.0f} MB")
    ratio = median(
        (each["parse"][0] - each["imports of mpirobust"][0])
        / (each["load_svmlight_file"][0] - each["imports of scikit-learn"][0])
        for each in found
    )
    most = median(each["mpirobust data"][1] for each in found)
    print(f"parsing takes {ratio:.2f} times load_svmlight_file (limit 1.5)")
    print(f"the command takes {most / matrix:.2f} times the memory of the rows (limit 3)")


if __name__ == "__main__":
    main()
