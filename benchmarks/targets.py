"""The targets of docs/PERFORMANCE.md: where each value is found, and what is to be said if it is missed."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from statistics import median
from typing import Any

import scaling_report

from mpirobust.reports.scaling_model import held_out

Spread = dict[str, float]  # median, and quartiles if there are several


@dataclass(frozen=True)
class Measured:
    """A measured value.

    Attributes:
        wall: of wall time, or of what is no time.
        cpu: of CPU time, of work on one thread that waits for nothing; it decides, if there is one.
    """

    wall: Spread
    cpu: Spread | None = None


@dataclass(frozen=True)
class Target:
    """One row of the page.

    Attributes:
        name: what is measured.
        limit, at_most, unit: `at_most` is False if the value is to be at least the limit.
        source: the file of benchmarks/ that has the value.
        read: finds the value in the content of the file; None if it is not there.
        missed: what the profile says, and what would be needed.
    """

    name: str
    limit: float
    unit: str
    source: str
    read: Callable[[Any], Measured | None]
    missed: str
    at_most: bool = True

    def measured(self, file: Any) -> Measured | None:
        """Return the value; None if the file is not there, or has none."""
        return None if file is None else self.read(file)

    def met(self, value: Measured) -> bool:
        """Return whether the value keeps the limit."""
        decisive = (value.cpu or value.wall)["median"]
        return decisive <= self.limit if self.at_most else decisive >= self.limit


@dataclass(frozen=True)
class Command:
    """A command that writes a file of benchmarks/."""

    line: str
    writes: str
    sizes: str
    takes: str


def _pair(file: Any, size: str, rule: str, peer: str) -> Any:
    return next((each for each in file[size]["pairs"] if (each["rule"], each["peer"]) == (rule, peer)), None)


def _ratio(rule: str, peer: str, size: str = "large") -> Callable[[Any], Measured | None]:
    def read(file: Any) -> Measured | None:
        pair = _pair(file, size, rule, peer)
        return pair and Measured(pair["ratio"]["wall"], pair["ratio"]["cpu"])

    return read


def _times_faster(rule: str) -> Callable[[Any], Measured | None]:
    def inverse(ratio: Spread) -> Spread:
        return {"median": 1 / ratio["median"], "low": 1 / ratio["high"], "high": 1 / ratio["low"]}

    def read(file: Any) -> Measured | None:
        pair = _pair(file, "large", rule, "ByzFL")
        return pair and Measured(inverse(pair["ratio"]["wall"]), inverse(pair["ratio"]["cpu"]))

    return read


def _vote(file: Any) -> Measured | None:
    pair = _pair(file, "large", "majority-vote", "one read")
    return Measured(pair["rule_takes"]["wall_ms"], pair["rule_takes"]["cpu_ms"])


def _memory(file: Any) -> Measured:
    """The most of all rules, in vectors of d float64."""
    return Measured({"median": max(file["large"]["peak_bytes"].values()) / (8 * file["large"]["d"])})


def _rate(code: str) -> Callable[[Any], Measured | None]:
    def read(file: Any) -> Measured | None:
        found = next((each for each in file["codes"] if each["code"] == code), None)
        return found and Measured(found["rate"]["wall"], found["rate"]["cpu"])

    return read


def _startup(kind: str) -> Callable[[Any], Measured]:
    return lambda file: Measured({"median": file[f"{kind}_ratio"]})


def _overhead(ranks: int, kind: str) -> Callable[[Any], Measured | None]:
    def read(file: Any) -> Measured | None:
        run = next((each for each in file["runs"] if each["ranks"] == ranks), None)
        return run and Measured({"median": run[f"{kind}_ratio"]})

    return read


def _threads(file: Any) -> Measured | None:
    plan = next((each for each in file["plans"] if each["plan"] == "mnist-1000.toml"), None)
    return plan and Measured(plan["times faster"])


def _torch(file: Any) -> Measured:
    pair = next(each for each in file["pairs"] if (each["module"], each["rows"]) == ("CNN", 60))
    return Measured(pair["rate"]["wall"], pair["rate"]["cpu"])


def _held_out(file: Any) -> Measured:
    """The largest relative error of a number of ranks that was not fitted, in the studies with one broadcast."""
    studies = [scaling_report.sizes_of(study) for study in file["studies"] if study["tree"]]
    errors = [
        abs(seconds / size.seconds - 1)
        for sizes in studies
        for size, seconds in zip(sizes, held_out(sizes), strict=True)
    ]
    return Measured({"median": max(errors)})


def _downlink(column: str, fold: bool) -> Callable[[Any], Measured]:
    """Return what reads a column of the attacked quickstart: `uniform` with 3 bits over float64, or the inverse."""

    def read(text: Any) -> Measured:
        def of(code: str) -> list[float]:
            rows = csv.DictReader(StringIO(text))
            wanted = ("quickstart.toml", code, "attacked")
            return [float(row[column]) for row in rows if (row["plan"], row["downlink"], row["workers"]) == wanted]

        plain, coded = of("none"), of("uniform bits=3")
        each = [a / b if fold else b / a for a, b in zip(plain, coded, strict=True)]
        return Measured({"median": median(each), "low": min(each), "high": max(each)})

    return read


_SUM = """All but a few percent is the compiled sum (`add` in mpirobust/kernels/src/loops.cpp). Its rounding is
defined: eight rows at a time, each with its sign; the peer adds only where a bit is set, one operation less for
each row. Needed: a loop that looks up the sums of four rows in registers."""
_VOTE = """A half is the compiled count; the rest writes arrays of d numbers: counts, votes, their signs, the step.
Needed: a loop that compares the counts with half of the voters, and writes the step."""
_ORDER = """All of it is the compiled loop (`order`, `trim`), 2m steps through the bit planes; `trim` adds in each
of them, in ascending order, which is twice the additions of the mean. ByzFL sorts, which NumPy does with AVX-512
where the processor has it. Needed: a sum of the kept values in another order, which would change the rounding, or
steps that are skipped where all of a block is kept or none."""
_GRAM = """Beside the Gram matrix there is the algebra of the rule, m x m, and the weighted sum of the messages. Of
caf it is an eigenvalue problem for each pass of the filter (SciPy's `eigh`, one eigenvalue), nine passes at this
size. Needed: the largest eigenvalue by a Lanczos iteration from the last vector, which rounds differently."""
_SMALL = """At this size Python decides. Of the mean some 30 % is the compiled loop, 10 % hands it 20 arrays, 12 %
makes them of the messages, and 20 % reads and checks the norms (`cProfile` and single timings). ByzFL is given the
dense matrix that somebody has decoded, and checks nothing. Needed: a loop that takes the messages themselves, and a
faster sum."""
_MEMORY = """The rules that decode hold blocks of m x 8192 numbers, and make copies of them. Needed: smaller blocks
for large m."""
_ENCODING = """The vector is read three times, once to take magnitudes, into a new array, once to add these up, once
to pack the signs, which alone keeps the limit (`sign`). Needed: one compiled pass that packs and adds up the
magnitudes of a block while it is in the cache, in the order of NumPy's pairwise sum."""
_STARTUP = """Above the bare imports a rank executes some 70 modules of this package, click, msgspec and
threadpoolctl, and builds its workers. A quarter of the time of our own modules is the making of data classes, which
Python compiles anew in every process (`cProfile` of the imports). Needed: fewer classes and modules on a rank of
workers."""
_OVERHEAD = "Not profiled."
_AUDITS = """An audit computes the loss beside the gradient that the next round needs, and adds the gradients up
exactly. Needed: a cadence above one round."""
_DOWNLINK = "The bytes down are the levels, entropy-coded, of which every worker is sent all. Needed: a shorter code."
_THREADS = """NumPy releases the interpreter lock in matrix products and compiled loops only, and two cores share the
memory. Needed: fewer passes of NumPy over the gradient between the products."""
_SCALING = "Not explained."
_TORCH = """Beside the same forward and backward pass a gradient takes some 0.13 ms more: half of it `functional_call`,
which puts the parameters into the module, the rest copies of parameters, rows and gradient. Needed: a module whose
parameters are views of one vector, which a Hessian product in between must not see change."""
_WITH_BYZFL = ("mean", "median", "trimmed-mean", "krum", "multi-krum", "geometric-median", "caf", "centered-clipping")

TARGETS = [
    *(
        Target(f"{rule} against {name}", limit, "x", "center.json", _ratio(rule, peer), _SUM)
        for peer, name, limit in (
            ("dense mean", "the dense float32 mean", 1.0),
            ("C sum", "the weighted sum of the C peer", 1.3),
        )
        for rule in ("mean", "norm-trim")
    ),
    Target("majority vote", 15.0, "ms", "center.json", _vote, _VOTE),
    *(
        Target(
            f"{rule}, times faster than ByzFL's", 30.0, "x", "center.json", _times_faster(rule), _ORDER, at_most=False
        )
        for rule in ("median", "trimmed-mean")
    ),
    *(
        Target(f"{rule} against the Gram matrix of the C peer", 1.6, "x", "center.json", _ratio(rule, "C Gram"), _GRAM)
        for rule in ("krum", "multi-krum", "geometric-median", "caf")
    ),
    *(
        Target(f"{rule} against ByzFL's, m = 20", 1.0, "x", "center.json", _ratio(rule, "ByzFL", "small"), _SMALL)
        for rule in (*_WITH_BYZFL, "nnm + trimmed-mean")
    ),
    Target("most memory of a rule beside the messages", 10.0, "vectors of d", "center.json", _memory, _MEMORY),
    *(
        Target(
            f"{code}, bytes/s of encoding over a copy's",
            0.5,
            "x",
            "encoding.json",
            _rate(code),
            _ENCODING,
            at_most=False,
        )
        for code in ("l1-qsgd", "sign")
    ),
    *(
        Target(f"start of 21 ranks against bare imports, {kind}", 1.5, "x", "startup.json", _startup(kind), _STARTUP)
        for kind in ("wall", "cpu")
    ),
    *(
        Target(
            f"a round on {ranks} ranks against bare collectives, {kind}",
            1.3,
            "x",
            "round_overhead.json",
            _overhead(ranks, kind),
            _OVERHEAD,
        )
        for ranks in (2, 3, 21)
        for kind in ("wall", "cpu")
    ),
    Target(
        "audits of the quickstart", 0.2, "of its time", "audits.json", lambda file: Measured(file["share"]), _AUDITS
    ),
    Target(
        "quickstart with 3 bits down, times fewer bytes both ways",
        18.0,
        "x",
        "downlink.csv",
        _downlink("bytes", True),
        _DOWNLINK,
        at_most=False,
    ),
    Target(
        "quickstart with 3 bits down, rounds to distance 0.01",
        1.05,
        "x",
        "downlink.csv",
        _downlink("rounds", False),
        _DOWNLINK,
    ),
    Target(
        "two threads against one, 784-1000-10 in one process",
        1.7,
        "x",
        "threads.json",
        _threads,
        _THREADS,
        at_most=False,
    ),
    Target(
        'rows/s of `problem.kind = "torch"`, the CNN on MNIST, minibatches of 60',
        0.9,
        "of plain PyTorch",
        "torch_problem.json",
        _torch,
        _TORCH,
        at_most=False,
    ),
    Target(
        "a round on a number of ranks that was not fitted, largest error",
        0.25,
        "of it",
        "scaling.json",
        _held_out,
        _SCALING,
    ),
]

COMMANDS = [
    Command("make bench", "", "the first five", "7 minutes"),
    Command(
        "python benchmarks/center.py", "center.json", "m = 200, d = 795,010; m = 20, d = 10,000", "6 minutes, 8 GB"
    ),
    Command("python benchmarks/encoding.py", "encoding.json", "d = 795,010", "1 minute"),
    Command("python benchmarks/audits.py", "audits.json", "m = 200, d = 1000, 100 rounds", "20 seconds"),
    Command("python benchmarks/startup.py", "startup.json", "21 ranks, 5 pairs", "1 minute"),
    Command(
        "python benchmarks/round_overhead.py", "round_overhead.json", "m = 200, d = 1000; 2, 3, 21 ranks", "1 minute"
    ),
    Command("python benchmarks/reducer.py", "reducer.json", "d = 10^4, 10^6, 10^7; 2, 4 ranks", "1 minute"),
    Command("python benchmarks/threads.py", "threads.json", "d = 795,010, m = 200; two cores", "3 minutes"),
    Command(
        "python benchmarks/torch_problem.py", "torch_problem.json", "d = 11,274 and 795,010; needs torch", "1 minute"
    ),
    Command(
        "python benchmarks/links.py", "links.json", "d = 1000, 123 and 795,010; m = 200, 20 and 8", "1 hour, resumable"
    ),
    Command("python benchmarks/scaling.py", "scaling.json", "d = 10,000, up to 25 ranks", "20 minutes, resumable"),
    Command(
        "python benchmarks/downlink.py", "downlink.csv", "d = 1000 and 123, m = 200 and 20", "half an hour, resumable"
    ),
]
