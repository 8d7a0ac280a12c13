"""Figure and tables of benchmarks/links.json: seconds to the target against bandwidth, measured and by the α-β model.

The model of a round: α + κ bytes / bandwidth. α is what no bandwidth shortens, and is fitted for each method to the
links of 10 Mbit/s and the unshaped ones; the other links are predicted. The bytes are those on the link of the center,
or the way down if that is longer; κ are the bits of one in full frames of Ethernet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import numpy as np

from mpirobust.reports import style
from mpirobust.reports.curves import canvas
from mpirobust.reports.scaling_model import least_relative

FITTED = (10, 0)  # Mbit/s; 0: unshaped
KAPPA = 8 * 1514 / 1448  # bits on the link of a byte of a message
_UNSHAPED = 1e4  # where the figure has it, in Mbit/s
_LABELS = ("float64", "float32", "1 bit up", "1 bit up, 3 bits down", "top-k", "cubic Newton")
_TITLES = {
    "regression": "P1's regression, d = 1000, m = 200",
    "a9a": "a9a, logistic, d = 123, m = 20",
    "network": "784-1000-10, d = 795,010, m = 8",
}


def path(run: Mapping[str, Any], ranks: int) -> int:
    """Return the bytes that cross one after the other in a round.

    These are what the center's link receives and sends. Open MPI broadcasts long messages from rank to rank, each in
    one piece: the center sends one, and the last rank has it after `ranks` - 1 times as long.
    """
    chain = run["sent"] < 1.5 * run["one_down"]
    return int(run["received"] + ((ranks - 1) * run["one_down"] if chain else run["sent"]))


def lines(result: Mapping[str, Any], problem: str) -> dict[str, tuple[float, float]]:
    """Return for each method a and b: it takes a + b / (Mbit/s) seconds to the target, by the model."""
    still, found = unshaped(result), {}
    for method, tuned in result["problems"][problem]["methods"].items():
        beta = 1e-6 * KAPPA * path(still[problem, method], result["hosts"])
        runs = [run for run in _runs(result, problem) if run["method"] == method and run["rate"] in FITTED]
        seconds = np.array([run["seconds"] for run in runs])
        crossing = np.array([beta / run["rate"] if run["rate"] else 0.0 for run in runs])
        alpha = float(least_relative(np.ones((len(runs), 1)), seconds - crossing, seconds).item())
        found[method] = (tuned["rounds"] * alpha, tuned["rounds"] * beta)
    return found


def unshaped(result: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return the runs on unshaped links by problem and method."""
    return {(run["problem"], run["method"]): run for run in result["runs"] if not run["rate"]}


def errors(result: Mapping[str, Any]) -> dict[int, list[float]]:
    """Return by rate the relative errors of the model: predicted over measured, less 1."""
    found: dict[int, list[float]] = {}
    for run in result["runs"]:
        a, b = lines(result, run["problem"])[run["method"]]
        rounds = result["problems"][run["problem"]]["methods"][run["method"]]["rounds"]
        predicted = (a + (b / run["rate"] if run["rate"] else 0.0)) / rounds
        found.setdefault(run["rate"], []).append(predicted / run["seconds"] - 1)
    return found


def winners(of: Mapping[str, tuple[float, float]]) -> list[tuple[str, float]]:
    """Return the fastest methods by falling bandwidth, each with the Mbit/s below which it wins; the first with inf."""
    seams = {below(of[one], of[other]) for one, other in permutations(of, 2)} - {0.0, np.inf}
    falling = [np.inf, *sorted(seams, reverse=True), 0.0]
    found: list[tuple[str, float]] = []
    for start, end in pairwise(falling):
        middle = (start + end) / 2 if start < np.inf else 2 * end or 1.0
        best = min(of, key=lambda name: of[name][0] + of[name][1] / middle)
        if not found or found[-1][0] != best:
            found.append((best, start))
    return found


def below(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the Mbit/s below which `one` is faster than `other`: inf if everywhere, 0 if not on slow links."""
    saved, lost = other[1] - one[1], one[0] - other[0]
    if saved <= 0:
        return 0.0
    return np.inf if lost <= 0 else saved / lost


def section(result: Mapping[str, Any]) -> str:
    """Return the section for the docs, in Markdown."""
    off = errors(result)
    about = (
        f"A center and {result['hosts'] - 1} hosts with a rank of workers each, network namespaces on one machine "
        f"({result['machine']}; commit {result['commit']}, {result['date']}). Median round times the rounds to the "
        "target, in seconds; in brackets the model's. Every link has the same rounds: norms, kept workers and bytes "
        "are compared."
    )
    text = [about]
    for problem, told in result["problems"].items():
        rates = sorted({run["rate"] for run in _runs(result, problem)}, key=lambda rate: rate or np.inf)
        of = lines(result, problem)
        dense = of["float64"]
        heads = ["method", "set", "rounds", "bytes", *(f"{rate} Mbit/s" if rate else "unshaped" for rate in rates)]
        rows = [[*heads, "faster than float64 below"]]
        for method, tuned in told["methods"].items():
            runs = {run["rate"]: run for run in _runs(result, problem) if run["method"] == method}
            a, b = of[method]
            times = [
                f"{tuned['rounds'] * runs[rate]['seconds']:.3g} ({a + (b / rate if rate else 0.0):.3g})"
                for rate in rates
            ]
            limit = "" if method == "float64" else _bandwidth(below((a, b), dense))
            nbytes = f"{path(runs[0], result['hosts']):,}"
            rows.append([method, f"`{tuned['set'][-1]}`", str(tuned["rounds"]), nbytes, *times, limit])
        text += [f"**{_TITLES[problem]}**, loss {told['target']:g}:", markdown(rows)]
        text.append("By the model the fastest is " + _ranges(winners(of)) + ".")
    held = "; ".join(
        f"{rate or 'unshaped'}{' Mbit/s' if rate else ''} {'fitted' if rate in FITTED else 'predicted'}: median "
        f"{100 * float(np.median(np.abs(found))):.0f} %, largest {100 * max(map(abs, found)):.0f} %"
        for rate, found in sorted(off.items(), key=lambda item: item[0] or np.inf)
    )
    text.append(
        f"The model: a round takes what no bandwidth shortens, fitted for each method, and {KAPPA:.2f} bits of the "
        f"bandwidth for each byte that crosses one after the other (`bytes`: what the center's link receives and "
        f"sends, by the kernel's counters). Errors of a round: {held}."
    )
    return "\n\n".join(text) + "\n"


def _runs(result: Mapping[str, Any], problem: str) -> list[Mapping[str, Any]]:
    return [run for run in result["runs"] if run["problem"] == problem]


def _bandwidth(rate: float) -> str:
    return "everywhere" if rate == np.inf else "never" if rate == 0 else f"{plain(rate, 2)} Mbit/s"


def _ranges(of: Sequence[tuple[str, float]]) -> str:
    ends = [*(at for _, at in of[1:]), 0.0]
    parts = []
    for (name, start), end in zip(of, ends, strict=True):
        above = f" above {plain(end, 2)} Mbit/s" if end else ""
        under = f" below {plain(start, 2)} Mbit/s" if start < np.inf and not end else ""
        parts.append(f"{name}{above}{under}")
    return ", ".join(parts)


def plain(value: float, digits: int) -> str:
    """Return a number below 10⁶ with so many significant digits, and without an exponent."""
    return f"{float(f'{value:.{digits}g}'):g}"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a table; the first row is its head."""
    head, *others = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|" + " --- |" * len(rows[0]), *others])


def draw(result: Mapping[str, Any], out: Path) -> None:
    """Draw a panel for each problem: measured as markers, the model as lines."""
    from matplotlib.ticker import NullLocator

    problems = result["problems"]
    with canvas([out], (style.PAGE, 2.9), (1, len(problems))) as (drawing, panels):
        for axes, (problem, about) in zip(panels, problems.items(), strict=True):
            rates = sorted({run["rate"] for run in _runs(result, problem)} - {0})
            bandwidths = np.geomspace(rates[0] / 2, _UNSHAPED / 2, 100)
            for number, (method, (a, b)) in enumerate(lines(result, problem).items()):
                look = style.line(number, len(_LABELS), bandwidths, log=True)
                marker = {"color": look["color"], "marker": look["marker"], "linestyle": "none"}
                del look["marker"], look["markevery"]
                axes.plot(bandwidths, a + b / bandwidths, **look)
                measured = {run["rate"]: run["seconds"] for run in _runs(result, problem) if run["method"] == method}
                rounds = about["methods"][method]["rounds"]
                at = [rate or _UNSHAPED for rate in measured]
                axes.plot(at, [rounds * seconds for seconds in measured.values()], **marker)
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xticks([*rates, _UNSHAPED], [*map(str, rates), "none"])
            axes.xaxis.set_minor_locator(NullLocator())
            axes.grid(visible=True)
            axes.set_title(_TITLES[problem].replace(", d", ",\nd", 1))
            axes.set_xlabel("limit of the links [Mbit/s]")
        panels[0].set_ylabel("seconds to the target loss")
        drawing.legend(handles=_handles(), loc="outside lower center", ncols=3)


def _handles() -> list[Any]:
    from matplotlib.lines import Line2D

    found = []
    for number, label in enumerate(_LABELS):
        look = style.line(number, len(_LABELS), np.empty(0), log=True)
        del look["markevery"]
        found.append(Line2D([], [], label=label, **look))
    return found
