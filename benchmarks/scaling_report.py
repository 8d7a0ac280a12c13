"""Figure and tables of benchmarks/scaling.json: measured, foretold by the other sizes, and 10,000 workers on paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log, log2
from pathlib import Path
from typing import Any

import numpy as np
from links_report import markdown, plain

from mpirobust.reports import style
from mpirobust.reports.curves import canvas
from mpirobust.reports.scaling import Size
from mpirobust.reports.scaling_model import Model, fit, held_out

_SHOWN = ("broadcast", "compute", "encode", "gather", "aggregate")
ON_PAPER = (25, 100, 1000, 10_000)  # workers


@dataclass(frozen=True)
class Layout:
    """What the round of a code costs on paper, one worker on each host; from the fitted model, in seconds.

    The way down is a binary tree with segments in all layouts: every link sends two copies.

    Attributes:
        alpha: of a collective, whatever its size.
        beta: of a byte on a link.
        stage: of a doubling of the workers.
        work: of a worker: gradient and encoding.
        message: of each message that a host sends or receives, beside its bytes.
        rule: of each message in the rule.
        up: bytes of a message.
        partial: bytes of a partial sum, in float32.
        down: bytes of a point.
    """

    alpha: float
    beta: float
    stage: float
    work: float
    message: float
    rule: float
    up: int
    partial: int
    down: int

    def star(self, workers: int) -> float:
        """Return a round with one center."""
        return self.sharded(workers, 1)

    def sharded(self, workers: int, centers: int) -> float:
        """Return a round with the coordinates shared out over centers, each of which all workers send their part to."""
        received = workers * (self.up * self.beta + self.rule) / centers + workers * self.message
        return self._apart(workers) + received + (centers - 1) * self.message

    def tree(self, workers: int, fan_in: int) -> float:
        """Return a round in which hosts between workers and center add up what they receive.

        Norms go up and the limit comes down first, so that they leave out what the center would; then partial sums.
        """
        levels = max(1, ceil(log(workers, fan_in) - 1e-9))
        received = fan_in * (self.up + (levels - 1) * self.partial) * self.beta
        norms = fan_in * (levels * self.message + 8 * levels * self.beta)
        return self._apart(workers) + received + norms + levels * (2 * self.alpha + fan_in * (self.message + self.rule))

    def _apart(self, workers: int) -> float:
        """Return what is the same in all layouts: the work, the bytes down, and two collectives."""
        return self.work + 2 * self.down * self.beta + ceil(log2(workers + 1)) * self.stage + 2 * self.alpha


def layout(links: Model, own: Model, smallest: Size, dim: int) -> Layout:
    """Return what a model of all codes says of the links, and one of a code of its rule and its `smallest` size.

    `smallest` has one worker on each rank but the center's.
    """
    broadcast, gather = links.terms["broadcast"], links.terms["gather"]
    beta, down = gather["byte up"], 8 * dim + 32
    return Layout(
        alpha=max(0.0, broadcast["round"] + gather["round"] - 2 * down * beta) / 2,
        beta=beta,
        stage=broadcast["stage"] + gather["stage"],
        work=smallest.phases["compute"] + smallest.phases["encode"],
        message=broadcast["rank"] + gather["rank"],
        rule=own.terms["aggregate"]["worker"],
        up=smallest.nbytes // smallest.workers,
        partial=4 * dim,
        down=down,
    )


def best(of: Mapping[int, float]) -> tuple[int, float]:
    """Return the least of the times, and what it is for."""
    return min(of.items(), key=lambda item: item[1])


def on_paper(of: Layout, workers: int) -> dict[str, tuple[int, float]]:
    """Return for each layout the number of centers, or the fan-in, with the shortest round, and its seconds."""
    counts = sorted({int(each) for each in np.geomspace(1, workers, 200).round()})
    return {
        "star": (1, of.star(workers)),
        "sharded center": best({count: of.sharded(workers, count) for count in counts}),
        "tree": best({count: of.tree(workers, count) for count in counts if count > 1}),
    }


def sizes_of(study: Mapping[str, Any]) -> list[Size]:
    """Return the measurements of a study."""
    return [Size(**{**each, "folder": Path(each["folder"])}) for each in study["sizes"]]


def layouts(result: Mapping[str, Any]) -> dict[str, Layout]:
    """Return for each code what it costs on paper, by one model of all strong and weak studies with the tree."""
    studies = [study for study in result["studies"] if study["tree"]]
    links = fit([size for study in studies for size in sizes_of(study)])
    found = {}
    for code in dict.fromkeys(study["code"] for study in studies):
        strong, weak = (sizes_of(study) for study in studies if study["code"] == code)
        found[code] = layout(links, fit([*strong, *weak]), weak[0], result["d"])
    return found


def section(result: Mapping[str, Any]) -> str:
    """Return the section for the docs, in Markdown."""
    about = (
        f"P1's regression with d = {result['d']:,}, a rank on each of up to {result['workers'] + 1} hosts with links "
        f"of {result['rate']} Mbit/s, network namespaces on one machine ({result['machine']}; commit "
        f"{result['commit']}, {result['date']}). Strong: {result['workers']} workers on all sizes; weak: one on every "
        "rank but the center's. Milliseconds of a round, medians. *Foretold* is what a model that is fitted to all "
        "other sizes predicts."
    )
    text = [about]
    for study in result["studies"]:
        sizes = sizes_of(study)
        rows = [["ranks", *_SHOWN, "round", "foretold", "error"]]
        for size, seconds in zip(sizes, held_out(sizes), strict=True):
            shown = [size.phases[phase] for phase in _SHOWN]
            times = [plain(1e3 * value, 3) for value in (*shown, size.seconds, seconds)]
            rows.append([str(size.processes), *times, f"{100 * (seconds / size.seconds - 1):+.0f} %"])
        default = "" if study["tree"] else ", with the broadcast that Open MPI chooses"
        text += [f"**{study['mode'].capitalize()}, {study['code']}{default}**:", markdown(rows)]
    rows = [["code", "workers", "star", "sharded center", "centers", "tree", "fan-in"]]
    for code, of in layouts(result).items():
        for workers in ON_PAPER:
            found = on_paper(of, workers)
            (_, star), (centers, sharded), (fan_in, tree) = found.values()
            rows.append([code, f"{workers:,}", *_seconds(star, sharded), str(centers), *_seconds(tree), str(fan_in)])
    paper = (
        "**Extrapolation, on paper**: nothing below was run. Seconds of a round with one worker on each host, by the "
        "terms that were fitted to all studies with the tree; with as many centers, or such a fan-in, as are best. A "
        "sharded center is several hosts with a part of the coordinates each. The hosts of a tree add up in float32, "
        "after a first pass for the norms, so it is for rules that drop by norm and average. Points go down a binary "
        "tree in all three."
    )
    return "\n\n".join([*text, paper, markdown(rows)]) + "\n"


def _seconds(*values: float) -> list[str]:
    return [plain(value, 3) for value in values]


def draw(result: Mapping[str, Any], out: Path) -> None:
    """Draw a panel for each study with the measured and the foretold, and one for the extrapolation."""
    from matplotlib.ticker import NullLocator

    with canvas([out], (style.PAGE, 2.9), (1, 3)) as (drawing, panels):
        codes = list(dict.fromkeys(study["code"] for study in result["studies"]))
        for axes, mode in zip(panels, ("strong", "weak"), strict=False):
            for study in result["studies"]:
                if study["mode"] == mode and study["tree"]:
                    _measured(axes, sizes_of(study), codes.index(study["code"]), study["code"])
            axes.set_title(f"{mode} scaling, {result['rate']} Mbit/s")
            axes.set_xlabel("ranks")
        panels[0].set_ylabel("seconds of a round")
        workers = np.geomspace(ON_PAPER[0], ON_PAPER[-1], 30).astype(int)
        for number, (code, of) in enumerate(layouts(result).items()):
            for kind, name in enumerate(("star", "sharded center", "tree")):
                look = style.line(3 * number + kind, 6, workers, log=True)
                times = [on_paper(of, int(count))[name][1] for count in workers]
                panels[2].plot(workers, times, label=f"{name}, {code}", **look)
        panels[2].set_title("extrapolation, on paper")
        panels[2].set_xlabel("workers")
        for axes in panels:
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.grid(visible=True)
        ticks = sorted({size["processes"] for study in result["studies"] for size in study["sizes"]})
        for axes in panels[:2]:
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xticks(ticks, map(str, ticks))
        panels[1].legend(loc="upper left")
        drawing.legend(*panels[2].get_legend_handles_labels(), loc="outside lower right", ncols=3)


def _measured(axes: Any, sizes: Sequence[Size], number: int, code: str) -> None:
    """Plot what was measured as filled markers, the model of all sizes as a line, the foretold as hollow markers."""
    ranks = np.array([size.processes for size in sizes])
    look = {**style.line(number, 2, ranks, log=True), "markevery": None}
    model = fit(sizes)
    axes.plot(ranks, [size.seconds for size in sizes], **{**look, "linestyle": "none"}, label=code)
    axes.plot(ranks, [model.seconds(size) for size in sizes], **{**look, "marker": None})
    hollow = {"linestyle": "none", "markerfacecolor": "none", "markersize": 7, "markeredgewidth": 0.7}
    axes.plot(ranks, held_out(sizes), **{**look, **hollow})
