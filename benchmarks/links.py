"""Does it pay? Seconds to a target loss against the bandwidth of the links, for each method.

    python benchmarks/links.py [--runs runs/links] [--out benchmarks/links.json] [--problem NAME ...]

1. Rounds: every method of every problem runs in this process with each step of a grid, the same for all methods of a
   problem, until the target. The step with the fewest rounds stays (of equal ones the shortest).
2. Seconds: hosts are network namespaces of this machine (root and iproute2), the center on one, the workers on the
   others, a rank on each. With links of 10, 100 and 1000 Mbit/s and unshaped, mpirun starts as many rounds as fit into
   half a minute, and the median round times the rounds of 1 are the seconds to the target. That the rounds are those of
   1 is checked: norms, kept workers, and bytes. An observer counts the bytes on the center's interface.

Finished runs are not repeated; to time all links again, remove RUNS/5-hosts-*. An empty folder took less than an hour
for 1 and 25 minutes for 2, on two cores with other work on both. `benchmarks/network_page.py` makes figure and tables.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from link_bytes import COUNTED
from namespaces import Network, missing, network
from origin import about

from mpirobust.comm.local import LocalCommunicator
from mpirobust.records.layout import PHASES, TRACE
from mpirobust.records.tables import open_trace
from mpirobust.studies.campaign import Job, carry_out, is_done, job
from mpirobust.terminal import say

_ROOT = Path(__file__).parent.parent
HOSTS = 5
IMAGES = 6000  # of MNIST
_BUDGET = 30.0  # seconds of rounds on one link, about
_FEWEST, _MOST = 10, 60  # rounds on one link
_SAME = ("norms", "kept", "bytes_up", "bytes_down")
_STEPS = tuple(phase for phase in PHASES if phase not in ("audit", "checkpoint"))


@dataclass(frozen=True)
class Method:
    """What is set for a method, the key that is tuned, and its values; those of the problem if there are none."""

    sets: tuple[str, ...]
    key: str = "algorithm.step"
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class Problem:
    """A plan of configs/ with what is set for all methods.

    Attributes:
        steps: the grid of the methods of first order.
        links: Mbit/s, 0 for unshaped.
        kept: of top-k, a twentieth of the coordinates.
        audits: every so many rounds, of the runs that find the target.
    """

    plan: str
    sets: tuple[str, ...]
    target: float
    steps: tuple[float, ...]
    links: tuple[int, ...]
    kept: int
    audits: int = 1
    cubic: bool = False

    def methods(self) -> dict[str, Method]:
        """Return them by name, the dense ones first."""
        float32 = ("compressor.kind=identity", "compressor.dtype=float32")
        sparse = ("compressor.kind=topk", f"compressor.k={self.kept}", "feedback=residual")
        found = {
            "float64": Method(("compressor.kind=identity",)),
            "float32": Method((*float32, "downlink.kind=identity", "downlink.dtype=float32")),
            "1 bit up": Method(()),
            "1 bit up, 3 bits down": Method(("downlink.kind=uniform", "downlink.bits=3")),
            "top-k": Method(sparse),
        }
        if self.cubic:
            newton = ("compressor.kind=identity", "algorithm.kind=cubic-newton")
            found["cubic Newton"] = Method(newton, "algorithm.M", (0.01, 0.03, 0.1, 1.0, 10.0))
        return found


PROBLEMS = {
    "regression": Problem(
        "quickstart.toml", ("algorithm.rounds=400",), 1e-3, (0.2, 0.3, 0.5, 0.7, 0.9, 1.1, 1.3), (10, 100, 1000, 0), 50
    ),
    "a9a": Problem(
        "a9a-logistic.toml",
        ("algorithm.rounds=600",),
        0.33,
        (1.0, 2.0, 4.0, 8.0, 16.0),
        (10, 100, 1000, 0),
        6,
        cubic=True,
    ),
    "network": Problem(
        "mnist-1000.toml",
        ("workers=8", "algorithm.rounds=100", "algorithm.batch=60", "attack.alpha=0.125", "aggregator.beta=0.125"),
        0.3,
        (0.3, 1.0, 3.0, 10.0),
        (100, 1000, 0),
        39750,
        audits=5,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/links"))
    parser.add_argument("--out", type=Path, default=_ROOT / "benchmarks" / "links.json")
    parser.add_argument("--problem", choices=PROBLEMS, action="append", help="(default: all)")
    asked = parser.parse_args()
    if "MPIROBUST_DATA" not in os.environ:
        sys.exit("MPIROBUST_DATA is not set: the folder of libsvm/a9a, libsvm/a9a.t and mnist")
    if why := missing():
        sys.exit(f"no hosts here: {why}")
    result: dict[str, Any] = {**about(), "hosts": HOSTS, "problems": {}, "runs": []}
    with TemporaryDirectory() as scratch, network(Path(scratch), names(HOSTS)) as net:
        for name in asked.problem or PROBLEMS:
            problem = told = PROBLEMS[name]
            if name == "network":
                sets = (*problem.sets, f"data.path={few_images(asked.runs / f'mnist-{IMAGES}')}")
                problem = replace(problem, sets=sets)
            tuned = {label: _tuned(problem, method, asked.runs) for label, method in problem.methods().items()}
            result["problems"][name] = {
                "plan": told.plan,
                "set": told.sets,
                "target": told.target,
                "methods": tuned,
            }
            for rate in problem.links:
                net.shape(rate)
                for label, found in tuned.items():
                    timed = _timed(net, problem, found, rate, asked.runs)
                    result["runs"].append({"problem": name, "method": label, "rate": rate, **timed})
                    say(f"{name}, {rate or 'no'} Mbit/s, {label}: {timed['seconds']:.3g} s a round")
            asked.out.write_text(json.dumps(result, indent=1) + "\n")


def few_images(folder: Path) -> Path:
    """Write the first images of MNIST to `folder`, where full audits of a large network are affordable; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, images in (("train", IMAGES), ("t10k", IMAGES // 6)):
        for kind, head, width in (("images-idx3", 16, 784), ("labels-idx1", 8, 1)):
            name = f"{part}-{kind}-ubyte"
            with gzip.open(Path(os.environ["MPIROBUST_DATA"]) / "mnist" / f"{name}.gz") as packed:
                first = packed.read(head + images * width)
            count = images.to_bytes(4, "big")
            (folder / name).write_bytes(first[:4] + count + first[8:])
    return folder.resolve()


def names(hosts: int) -> list[str]:
    """Return the names of hosts, the center's first."""
    return [f"h{number}" for number in range(hosts)]


def _tuned(problem: Problem, method: Method, runs: Path) -> dict[str, Any]:
    """Return what to set for the best step, the rounds to the target with it, and with each step."""
    tried: list[tuple[float, int | None, Job]] = []
    for value in method.values or problem.steps:
        sets = [*problem.sets, *method.sets, f"{method.key}={value}"]
        stop = [f"stop.loss={problem.target}", f"audit.every={problem.audits}", "checkpoint.every=1000"]
        task = job(_ROOT / "configs" / problem.plan, [*sets, *stop], runs / "rounds")
        if ended := carry_out(partial(list, [task]), LocalCommunicator()):
            sys.exit(ended)
        with open_trace(task.folder / TRACE) as file:
            rounds = int(file.attrs["rounds"]) if file.attrs["status"] == "converged" else None
        tried.append((value, rounds, task))
    there = [each for each in tried if each[1] is not None]
    if not there:
        sys.exit(f"{problem.plan} {' '.join(method.sets)}: no step reaches the target")
    value, rounds, task = min(there, key=lambda each: each[1] or 0)
    return {
        "set": [*method.sets, f"{method.key}={value}"],
        "rounds": rounds,
        "tried": [{method.key: step, "rounds": took} for step, took, _ in tried],
        "run": task.folder.name,
    }


def _timed(net: Network, problem: Problem, tuned: dict[str, Any], rate: int, runs: Path) -> dict[str, Any]:
    """Return the medians of a round on links of this rate."""
    reference = runs / "rounds" / tuned["run"]
    with open_trace(reference / TRACE) as file:
        up, down = int(file["rounds/bytes_up"][0]), int(file["rounds/bytes_down"][-1]) // file["rounds/kept"].shape[1]
    guess = 0.03 + 8e-6 * (up + (HOSTS - 1) * down) / (rate or 4000)
    rounds = int(np.clip(_BUDGET / guess, _FEWEST, _MOST))
    sets = [*problem.sets, *tuned["set"], f"algorithm.rounds={rounds}", "audit.every=1000000", "checkpoint.every=1000"]
    task = job(_ROOT / "configs" / problem.plan, sets, runs / f"{HOSTS}-hosts-{rate}-mbit")
    run_on(net, names(HOSTS), task)
    expect_same_rounds(task.folder, reference)
    return medians(task.folder)


def run_on(net: Network, hosts: Sequence[str], task: Job, settings: Mapping[str, str] | None = None) -> None:
    """Run a job with a rank on each of the hosts, the center on the first, unless it is done.

    Args:
        settings: of Open MPI, as variables of the environment.
    """
    if is_done(task.folder):
        return
    shutil.rmtree(task.folder, ignore_errors=True)  # a part of a run would have the times of two sessions
    say(f"{len(hosts)} hosts: {' '.join(task.overrides)}")
    here = str(_ROOT / "benchmarks")
    env = {
        **os.environ,
        **net.env(),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": here,
        "OMPI_MCA_mpi_yield_when_idle": "1",  # the hosts share the cores, and Open MPI cannot know
        **(settings or {}),
    }
    launch = [str(_ROOT / "jobs" / "mpirun-local"), "--host", ",".join(hosts), "--map-by", "ppr:1:node:oversubscribe"]
    command = ["-n", str(len(hosts)), sys.executable, "-m", "mpirobust", "run", str(task.plan.resolve())]
    sets = [*task.overrides, "observers.link.kind=link_bytes:LinkBytes"]
    options = [word for each in sets for word in ("--set", each)]
    done = subprocess.run(
        [*net.hosts[hosts[0]].enter, *launch, *command, *options, "--out", str(task.folder.resolve())],
        env=env,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode:
        sys.exit(f"{' '.join(task.overrides)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")


def expect_same_rounds(folder: Path, reference: Path) -> None:
    """End the command unless both runs have the same rounds, as far as both go."""
    with open_trace(folder / TRACE) as one, open_trace(reference / TRACE) as other:
        for column in _SAME:
            mine, others = one[f"rounds/{column}"][:], other[f"rounds/{column}"][:]
            both = min(len(mine), len(others))
            if not np.array_equal(mine[:both], others[:both]):
                sys.exit(f"{folder} and {reference} differ in rounds/{column}: the network must not matter")


def medians(folder: Path) -> dict[str, Any]:
    """Return medians of the rounds after the first quarter, ten at most: seconds, phases, bytes by the ledger and link.

    `one_down` is the message of a broadcast, `up` all messages of the workers; `received` and `sent` are counted on the
    center's interface. A round is longer than its phases where points are coded, which is in none of them.
    """
    with open_trace(folder / TRACE) as file:
        rounds = int(file.attrs["rounds"])
        skip = min(10, rounds // 4)
        phases = {step: file[f"rounds/seconds_{step}"][skip:] for step in _STEPS}
        others = sum(file[f"rounds/seconds_{phase}"][skip:] for phase in ("audit", "checkpoint"))
        wall = np.diff(file["rounds/elapsed"][:], prepend=0.0)[skip:] - others
        up, down = file["rounds/bytes_up"][skip:], file["rounds/bytes_down"][skip:]
        workers = file["rounds/kept"].shape[1]
    link = np.diff(np.array(json.loads((folder / COUNTED).read_text())), axis=0)[skip:]
    return {
        "rounds": rounds,
        "seconds": _median(wall),
        "quartiles": [float(np.quantile(wall, share)) for share in (0.25, 0.75)],
        "phases": {step: _median(column) for step, column in phases.items()},
        "up": int(np.median(up)),
        "one_down": int(np.median(down)) // workers,
        "received": int(np.median(link[:, 0])),
        "sent": int(np.median(link[:, 1])),
    }


def _median(values: Any) -> float:
    return float(np.median(values))


if __name__ == "__main__":
    main()
