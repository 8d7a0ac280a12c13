"""The worst attack on each rule of a matrix, as a table in Markdown."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mpirobust.studies.claims import counted

Row = Mapping[str, object]


@dataclass(frozen=True)
class Attacked:
    """A rule under one attack, over the seeds.

    Attributes:
        finals: the metric at the end of each run; infinity if it diverged.
        strengths: of the attacker in each run, the median over the rounds; none if it has no strength.
    """

    attack: str
    finals: Sequence[float]
    strengths: Sequence[float]

    @property
    def median(self) -> float:
        """The median of the finals."""
        return float(np.median(self.finals))

    def __str__(self) -> str:
        strength = f", strength {np.median(self.strengths):.3g}" if self.strengths else ""
        return f"{self.attack}{strength}: {_short(self.median)}"


def worst_attacks(rows: Sequence[Row], metric: str, title: str) -> str:
    """Return the text: for each code a table of the rules, the best one first.

    Args:
        rows: of all runs, as `Grid.rows` yields them, or as they are read from its table.
    """
    seeds = len({row["seed"] for row in rows})
    lines = [f"# {title}", "", f"The {metric} at the end, medians over {counted(seeds)} and the range at worst."]
    for code in dict.fromkeys(str(row["code"]) for row in rows):
        lines += ["", f"## {code}", "", *_table([row for row in rows if row["code"] == code], metric)]
    return "\n".join([*lines, ""])


def _table(rows: Sequence[Row], metric: str) -> Iterator[str]:
    """Yield the lines of the table of one code."""
    found: defaultdict[str, list[Attacked]] = defaultdict(list)
    settings = {str(row["rule"]): ", ".join(shlex.split(str(row["set"]))) for row in rows if "set" in row}
    for rule, attack in dict.fromkeys((str(row["rule"]), str(row["attack"])) for row in rows):
        own = [row for row in rows if (row["rule"], row["attack"]) == (rule, attack)]
        strengths = [float(str(row["strength"])) for row in own if row.get("strength") not in (None, "")]
        found[rule].append(Attacked(attack, [float(str(row[metric])) for row in own], strengths))
    head = ["rule", *(["set"] if settings else []), "at worst", "range", "by", "then by", "at best"]
    yield from (f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}")
    ranked = {rule: sorted(attacked, key=lambda each: -each.median) for rule, attacked in found.items()}
    for rule, (worst, *others) in sorted(ranked.items(), key=lambda item: item[1][0].median):
        least, most = min(worst.finals), max(worst.finals)
        cells = [
            rule,
            *([settings[rule]] if settings else []),
            f"**{_short(worst.median)}**",
            f"{_short(least)} to {_short(most)}",
            str(worst).rpartition(":")[0],
            str(others[0]) if others else "",
            str(others[-1]) if others else "",
        ]
        yield f"| {' | '.join(cells)} |"


def _short(value: float) -> str:
    return "diverges" if value == np.inf else f"{value:.2g}"
