"""docs/PERFORMANCE.md from the files that the benchmarks have written.

    python benchmarks/report.py

A target is one row: what is measured, its limit, where the value is found, and, for the case that it is missed, what
the profile says and what would be needed (benchmarks/targets.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from targets import COMMANDS, TARGETS, Measured, Target

from mpirobust.compressors.base import BLOCK

_HERE = Path(__file__).parent
_PAGE = _HERE.parent / "docs" / "PERFORMANCE.md"
_INTRODUCTION = """# Performance

Written by `python benchmarks/report.py`, not by hand, from the files in [benchmarks/](../benchmarks), which the
commands [below](#commands) have written. `make bench` measures what takes no more than a quarter of an hour, and writes
this page anew.

Wherever they can be, values are ratios within one run: both sides alternate on the same data, so that a busy machine
disturbs both. A value is the median of the repeats, with the quartiles in brackets, of wall time. Beside it stands what
CPU time says of work on one thread that waits for nothing. There CPU time decides: on a quiet machine both are the
same, and on a busy one the wall time is that of others. The load before each measurement is told
[below](#where-it-was-measured); above the number of cores, the machine was busy.
"""
_COMPARED = """The largest difference from ByzFL's result, over its largest entry, at the small size: {apart}.
ByzFL computes in float32. At its defaults its geometric median makes 3 steps from zero, where ours go on until a step
is less than a millionth of a typical distance; for this comparison it makes 200. Centered clipping makes 10 in both.
"""
_REDUCER = """`RobustReducer.reduce` with {compressor} and {aggregator} on one machine, where bytes cost next to
nothing: milliseconds of a call, wall time, and how many times those of Allreduce in float64.
"""


def page() -> str:
    """Return the page."""
    files = {name: load(name) for name in (command.writes for command in COMMANDS) if name}
    verdicts = [(target, target.measured(files.get(target.source))) for target in TARGETS]
    missed = [(target, value) for target, value in verdicts if value is not None and not target.met(value)]
    parts = [
        _INTRODUCTION,
        "## Targets\n",
        table(
            ["target", "limit", "wall", "CPU", "verdict", "from"],
            [row(target, value) for target, value in verdicts],
        ),
        "## What is missed, and why\n",
        *([f"**{target.name}.** {target.missed}\n" for target, _ in missed] or ["Nothing.\n"]),
        "## Where it was measured\n",
        table(["file", "commit", "date", "machine", "versions"], [origin(name, file) for name, file in files.items()]),
        *center(files["center.json"]),
        *encoding(files["encoding.json"]),
        *audits(files["audits.json"]),
        *threads(files["threads.json"]),
        *reducer(files["reducer.json"]),
        *torch(files["torch_problem.json"]),
        "## On a network\n\n[NETWORK.md](NETWORK.md): seconds to a loss against bandwidth, and scaling.\n",
        "## Commands\n",
        "From the root of the repository, in an environment with `pip install -e '.[dev]'`.\n",
        table(
            ["command", "writes", "sizes", "takes"],
            [[f"`{each.line}`", linked(each.writes) or "-", each.sizes, each.takes] for each in COMMANDS],
        ),
    ]
    return "\n".join(parts)


def load(name: str) -> Any:
    """Return the content of a file of benchmarks/; None if it is not there, a CSV file as text."""
    path = _HERE / name
    if not path.exists():
        return None
    return json.loads(path.read_text()) if path.suffix == ".json" else path.read_text()


def row(target: Target, value: Measured | None) -> list[str]:
    limit = f"{'≤' if target.at_most else '≥'} {number(target.limit)} {target.unit}"
    if value is None:
        return [target.name, limit, "-", "-", "not measured", linked(target.source)]
    shown = number(value.wall["median"]) + quartiles(value.wall)
    cpu = number(value.cpu["median"]) if value.cpu else "-"
    return [target.name, limit, shown, cpu, "met" if target.met(value) else "**missed**", linked(target.source)]


def quartiles(values: dict[str, float]) -> str:
    return f" ({number(values['low'])} - {number(values['high'])})" if "low" in values else ""


def number(value: float) -> str:
    """Return three significant digits, without an exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def origin(name: str, file: Any) -> list[str]:
    if not isinstance(file, dict):
        return [linked(name), *(4 * ["in the file" if file else "-"])]
    return [linked(name), *(f"{file.get(key, '-')}" for key in ("commit", "date", "machine", "versions"))]


def linked(name: str) -> str:
    return f"[{name}](../benchmarks/{name})" if (_HERE / name).is_file() else name


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def center(file: Any) -> list[str]:
    """Return all of the center's measurements."""
    if file is None:
        return []
    parts = [f"## The center\n\nPeers: `{file['large']['C peer']}` ({linked('peer.cpp')}); {file['ByzFL']}.\n"]
    head = ["rule", "ms", "CPU ms", "peer", "its ms", "its CPU ms", "CPU ratio"]
    for size in ("large", "small"):
        found = file[size]
        rows = [
            [
                pair["rule"],
                *times(pair["rule_takes"]),
                pair["peer"],
                *times(pair["peer_takes"]),
                number(pair["ratio"]["cpu"]["median"]) + quartiles(pair["ratio"]["cpu"]),
            ]
            for pair in found["pairs"]
        ]
        rows += [[name, *times(taken), *(4 * ["-"])] for name, taken in found.get("alone", {}).items()]
        parts += [f"m = {found['m']}, d = {found['d']:,}: from the messages to the step.\n", table(head, rows)]
    apart = ", ".join(f"{name} {value:.1g}" for name, value in file["small"]["largest_relative_difference"].items())
    if apart:
        parts.append(_COMPARED.format(apart=apart))
    large = file["large"]
    vector, packed = 8 * large["d"], large["packed_bytes"]
    memory = [
        [name, megabytes(most), f"{most / vector:.2f}", f"{most / packed:.2f}"]
        for name, most in large["peak_bytes"].items()
    ]
    beside = f"beside the messages, {megabytes(packed)} MB; dense they are {megabytes(large['m'] * vector)} MB"
    return [
        *parts,
        f"The most memory that a rule allocates {beside}.\n",
        table(["rule", "MB", "vectors of d float64", "times the messages"], memory),
        f"Ordering a block of {BLOCK} coordinates of decoded messages, milliseconds: {listed(large['ordering'])}.\n",
    ]


def encoding(file: Any) -> list[str]:
    if file is None:
        return []
    rows = [
        [
            each["code"],
            f"{each['message_bytes']:,}",
            *times(each["code_takes"]),
            f"{each['bytes_per_cpu_second']['median'] / 1e9:.2f}",
            number(each["rate"]["cpu"]["median"]) + quartiles(each["rate"]["cpu"]),
        ]
        for each in file["codes"]
    ]
    copies = number(file["codes"][0]["copy_takes"]["wall_ms"]["median"])
    return [
        "## Encoding\n",
        f"d = {file['d']:,}, float64. Milliseconds of a copy {copies}, of random draws: {listed(file['draws'])}.\n",
        table(["code", "bytes", "ms", "CPU ms", "GB/s", "of the copy's bytes/s, by CPU time"], rows),
    ]


def audits(file: Any) -> list[str]:
    if file is None:
        return []
    kinds = {"seconds": "audited in each", "seconds_without": "not audited"}
    told = []
    for kind, said in kinds.items():
        phases = ", ".join(f"{phase} {number(each['median'])}" for phase, each in file[kind].items())
        told.append(f"{said}: {phases}")
    return [f"## A run\n\nSeconds of the phases of the quickstart, 100 rounds in one process, {'; '.join(told)}.\n"]


def threads(file: Any) -> list[str]:
    """Return how much faster each plan is on several threads."""
    if file is None:
        return []
    rows = [
        [
            each["plan"],
            *(number(each[key]["median"]) for key in ("one", "several")),
            times_faster(each),
            each["by default"],
        ]
        for each in file["plans"]
    ]
    head = ["plan", "seconds on one thread", f"on {file['threads']}", "times faster", "threads by default"]
    return [
        f"## Threads\n\nWorkers of one process, {file['threads']} threads; seconds of the same rounds.\n",
        table(head, rows),
    ]


def reducer(file: Any) -> list[str]:
    """Return the time and the bytes of a call of `RobustReducer.reduce` beside those of `Allreduce`."""
    if file is None:
        return []
    sizes = [(job["ranks"], size) for job in file["jobs"] for size in job["sizes"]]
    names = list(sizes[0][1]["takes"])
    took = [
        [
            str(ranks),
            f"{size['d']:,}",
            *(number(size["takes"][name]["wall_ms"]["median"]) for name in names),
            *(number((wall := size["ratios"][name]["wall"])["median"]) + quartiles(wall) for name in names[2:]),
        ]
        for ranks, size in sizes
    ]
    sent = [
        [
            str(ranks),
            f"{size['d']:,}",
            *(f"{each:,}" for each in (size["ring"], size["ring"] // 2)),
            *(f"{each:,}" for each in (*size["sent"]["center"][:2], size["received"]["center"][1])),
            f"{size['sent']['symmetric'][0]:,}",
        ]
        for ranks, size in sizes
    ]
    of_ring = ["ring Allreduce float64", "float32"]
    of_modes = ["center: rank 0 sends", "others send", "others receive", "symmetric: each sends"]
    return [
        "## The reducer\n",
        _REDUCER.format(**file["settings"]),
        table(["ranks", "d", *names, *(f"{name} / Allreduce" for name in names[2:])], took),
        "Bytes of one rank in one call.\n",
        table(["ranks", "d", *of_ring, *of_modes], sent),
    ]


def torch(file: Any) -> list[str]:
    """Return the rate of the kind `torch` against that of plain PyTorch."""
    if file is None:
        return []
    rows = [
        [
            each["module"],
            f"{each['d']:,}",
            number(each["rows"]),
            *times(each["ours_takes"]),
            *times(each["plain_takes"]),
            number(each["rate"]["cpu"]["median"]) + quartiles(each["rate"]["cpu"]),
        ]
        for each in file["pairs"]
    ]
    head = ["module", "d", "rows", "ms", "CPU ms", "plain PyTorch's ms", "its CPU ms", "of its rows/s, by CPU time"]
    return [
        f'## PyTorch\n\nA gradient of `problem.kind = "torch"`, float32, one thread, torch {file["torch"]}.\n',
        table(head, rows),
    ]


def times_faster(plan: Any) -> str:
    return number(plan["times faster"]["median"]) + quartiles(plan["times faster"])


def megabytes(nbytes: float) -> str:
    return f"{nbytes / 1e6:,.1f}"


def listed(taken: dict[str, dict[str, dict[str, float]]]) -> str:
    return "; ".join(f"{name} {number(each['wall_ms']['median'])}" for name, each in taken.items())


def times(taken: dict[str, dict[str, float]]) -> list[str]:
    return [number(taken[kind]["median"]) for kind in ("wall_ms", "cpu_ms")]


def main() -> None:
    _PAGE.write_text(page())
    print(f"wrote {_PAGE}")


if __name__ == "__main__":
    main()
