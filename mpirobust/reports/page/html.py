"""The page as HTML: everything in one file, and no text of a plan or a path is taken for markup."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from math import isfinite

import numpy as np

import mpirobust
from mpirobust.files import printable
from mpirobust.records.layout import PHASES
from mpirobust.reports.metrics import LABELS
from mpirobust.reports.naming import differing, printed
from mpirobust.reports.page.content import Curve, Shown, as_json, metrics_of, notes, without_map
from mpirobust.reports.run_table import si
from mpirobust.terminal import plain

_ROWS = 25  # of the table below a figure
_AXES = {"round": "rounds", "bytes": "bytes", "bytes_up": "bytes up", "bytes_down": "bytes down", "seconds": "seconds"}
_COLUMNS = {
    "rounds": "rounds",
    "loss": "loss",
    "gradient_norm": "gradient norm",
    "distance": "distance",
    "test_accuracy": "test accuracy",
    "test_loss": "test loss",
    "balanced_accuracy": "balanced accuracy",
    "auc": "AUC",
    "lambda_min": "λ min",
    "precision": "precision",
    "recall": "recall",
    "bytes_up": "bytes up",
    "bytes_down": "bytes down",
    "seconds": "seconds",
}


def page(curves: Sequence[Curve], title: str, against: str, prints: Sequence[str], left_out: Sequence[str]) -> str:
    """Return the page.

    Args:
        against: the axis that it begins with.
        prints: the names of the figures for print, which lie beside it.
        left_out: as in `content.notes`.
    """
    style, script = (_part(f"page.{kind}") for kind in ("css", "js"))
    policy = (
        f"default-src 'none'; img-src data:; style-src {_source(style)}; script-src {_source(script)}; base-uri 'none'"
    )
    body = [
        f"<header><h1>{text(title)}</h1>{_lead(curves)}{_common(curves)}{_contents()}</header>",
        _notes(notes(curves, left_out)),
        _section("results", "Results", _results(curves)),
        _section("curves", "Curves", _curves(curves, against, prints)),
        _section("workers", "Workers, kept and trimmed", _workers(curves)),
        _section("times", "Where the time goes", _times(curves)),
        _section("runs", "Runs, plans and versions", _runs(curves)),
    ]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="mpirobust {mpirobust.__version__}">
<link rel="icon" href="data:,">
<title>{text(title)}</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#results">Skip to the results</a>
{body[0]}
<main>
{"".join(body[1:])}
</main>
<footer class="quiet">mpirobust {mpirobust.__version__}. This file needs no network.</footer>
<script type="application/json" id="data">{as_script(as_json(curves))}</script>
<script>{script}</script>
</body>
</html>
"""


def _notes(said: Sequence[str]) -> str:
    entries = "".join(f"<li>{text(each)}</li>" for each in said)
    return f'<ul class="notes" aria-label="Notes">{entries}</ul>' if said else ""


def text(value: object) -> str:
    """Return a value as text of HTML, whatever characters it has."""
    return escape(plain(printable(str(value))))


def as_script(data: object) -> str:
    """Return data as JSON that cannot end the element that it is in."""
    clean = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return clean.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _part(name: str) -> str:
    return files("mpirobust.reports.page").joinpath(name).read_text(encoding="utf-8")


def _source(part: str) -> str:
    """Return what allows exactly this script or style in a content security policy."""
    return f"'sha256-{b64encode(hashlib.sha256(part.encode()).digest()).decode()}'"


def _section(name: str, heading: str, inside: str) -> str:
    return f'<section id="{name}" aria-labelledby="{name}-h"><h2 id="{name}-h">{heading}</h2>\n{inside}</section>\n'


def _lead(curves: Sequence[Curve]) -> str:
    runs = sum(len(curve.shown) for curve in curves)
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    what = f"{_count(runs, 'run')} in {_count(len(curves), 'curve')}" if runs > len(curves) else _count(runs, "run")
    return f'<p class="quiet">{what}. Written on {now} by mpirobust {mpirobust.__version__}.</p>'


def _contents() -> str:
    places = {"results": "Results", "curves": "Curves", "workers": "Workers", "times": "Times", "runs": "Runs"}
    links = "".join(f'<li><a href="#{name}">{heading}</a></li>' for name, heading in places.items())
    return f'<nav aria-label="Sections"><ul>{links}</ul></nav>'


def _common(curves: Sequence[Curve]) -> str:
    """Return the size of the experiment and the kinds that all plans have in common."""
    plans = [each.row.plan for curve in curves for each in curve.shown]
    apart = set(differing(plans))
    shared = {key: value for key, value in plans[0].items() if key not in apart}
    kinds = [
        f"{key.removesuffix('.kind')} {value}"
        for key, value in shared.items()
        if key.count(".") == 1 and key.endswith(".kind")
    ]
    sizes = [f"{shared['workers']} workers"] if "workers" in shared else []
    return f'<p class="quiet">In common: {text(", ".join([*sizes, *kinds]))}.</p>' if sizes or kinds else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _table(caption: str, head: Iterable[str], rows: Iterable[tuple[str, Iterable[str]]], name: str = "") -> str:
    """Return a table that can be scrolled; heads and cells are HTML, a row is its heading and its cells."""
    heads = "".join(f'<th scope="col">{each}</th>' for each in head)
    lines = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>' for first, rest in rows
    )
    marked = f' id="{name}"' if name else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table{marked}>'
        f"<caption>{caption}</caption><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _number(value: float | None, name: str = "", digits: int = 4) -> str:
    """Return a number for the reader, and in full for programs; a dash if there is none."""
    if value is None:
        return "–"
    if name.startswith("bytes") and isfinite(value):
        shown = si(value, "B")
    else:
        shown = f"{value:.{digits}g}" if isinstance(value, float) else str(value)
    return f'<data value="{value}">{shown}</data>'


def _results(curves: Sequence[Curve]) -> str:
    found = [name for name in _COLUMNS if any(_figure(each, name) is not None for c in curves for each in c.shown)]
    rows = (
        (
            f'<span data-look="{number}"></span>{text(curve.label)}',
            [text(_status(curve)), *(_cell([_figure(each, name) for each in curve.shown], name) for name in found)],
        )
        for number, curve in enumerate(curves)
    )
    table = _table("At the end of each run", ["", "status", *(_COLUMNS[name] for name in found)], rows, "ends")
    return f'{table}{_averages(curves, _OF_RUNS)}<p class="quiet">{_RATIOS}</p>'


_OF_RUNS = "Means over the runs of a curve, and below them the smallest and the largest."
_OF_LINES = "A line is the mean of its runs, in a band from the smallest to the largest."
_RATIOS = """Precision is the share of Byzantine workers among the messages that the rule dropped, over all rounds; \
recall is the share of the Byzantine messages that it dropped. A rule that weighs or clips messages and drops none has \
a recall of zero, whatever it makes of them."""


def _averages(curves: Sequence[Curve], said: str) -> str:
    return f'<p class="quiet">{said}</p>' if any(len(curve.shown) > 1 for curve in curves) else ""


def _figure(shown: Shown, name: str) -> float | None:
    value: float | None = shown.row.figures.get(name)
    return value


def _cell(values: Sequence[float | None], name: str) -> str:
    known = [each for each in values if each is not None]
    if not known:
        return "–"
    with np.errstate(all="ignore"):
        mean = float(np.mean(known)) if len(known) > 1 else known[0]
    if len(known) == 1 or min(known) == max(known):
        return _number(mean, name)
    least, most = (_number(each, name, 3) for each in (min(known), max(known)))
    return f'{_number(mean, name)}<span class="spread">{least} to {most}</span>'


def _status(curve: Curve) -> str:
    found = [each.row.status for each in curve.shown]
    return found[0] if len(found) == 1 else ", ".join(f"{found.count(each)} {each}" for each in dict.fromkeys(found))


def _curves(curves: Sequence[Curve], against: str, prints: Sequence[str]) -> str:
    links = ", ".join(f'<a href="{text(each)}">{text(each)}</a>' for each in prints)
    beside = f'<p class="quiet">For print, beside this page: {links}.</p>' if prints else ""
    scales = {"suits": "suits the values", "linear": "linear"}
    return f"""<noscript><p class="notes">The figures need JavaScript; the tables do not.</p></noscript>
<div class="controls">{_choice("against", "Against", _AXES, against)}{_choice("scale", "Scale", scales, "suits")}</div>
<ul class="legend" id="legend" aria-label="Curves; press one to hide it"></ul>
{_averages(curves, _OF_LINES)}
<div class="charts">{"".join(_chart(name, curves) for name in metrics_of(curves))}</div>
{beside}
"""


def _choice(name: str, heading: str, values: Mapping[str, str], chosen: str) -> str:
    inputs = "".join(
        f'<label><input type="radio" name="{name}" value="{value}"{" checked" * (value == chosen)}>'
        f"<span>{shown}</span></label>"
        for value, shown in values.items()
    )
    return f"<fieldset><legend>{heading}</legend>{inputs}</fieldset>"


def _chart(metric: str, curves: Sequence[Curve]) -> str:
    name = LABELS[metric]
    own = [curve for curve in curves if metric in curve.values]
    every = np.unique(np.concatenate([curve.axes["round"] for curve in own]))
    rounds = every[np.unique(np.linspace(0, every.size - 1, min(every.size, _ROWS)).round().astype(int))]
    columns = []
    for curve in own:
        at = {int(round): float(mean) for round, mean in zip(curve.axes["round"], curve.means[metric], strict=True)}
        columns.append([_number(at.get(int(round))) for round in rounds])
    rows = ((f"{int(round)}", cells) for round, *cells in zip(rounds, *columns, strict=True))
    some = "" if rounds.size == every.size else f", {rounds.size} of {every.size} rounds"
    table = _table(f"{name}{some}", ["round", *(text(curve.label) for curve in own)], rows)
    return (
        f'<figure data-metric="{metric}"><figcaption><h3>{name}</h3></figcaption>'
        f"<details><summary>Table</summary>{table}</details></figure>"
    )


def _workers(curves: Sequence[Curve]) -> str:
    names = [each.name for curve in curves for each in curve.shown if each.detail is not None]
    options = "".join(f'<option value="{number}">{text(name)}</option>' for number, name in enumerate(names))
    missing = without_map(curves)
    more = f" The workers of {_count(missing, 'more run')} have no room on this page." if missing else ""
    table = _table("Share of the messages that were kept", ["workers", "kept"], [], "shares")
    return f"""<p><label>Run <select id="run">{options}</select></label>{more}</p>
<div class="key"><span>trimmed {_RAMP} kept</span><span>no colour: absent</span>
<span>▲ and the double line: Byzantine</span></div>
<div id="map"></div>
<p class="quiet" id="thinned"></p>
<details><summary>Table</summary>{table}</details>
<div class="charts detail">
<figure id="ratios"><figcaption><h3>Precision and recall of the rule</h3></figcaption></figure>
<figure id="norms"><figcaption><h3>Norms of the messages</h3></figcaption></figure>
</div>
"""


_RAMP = """<svg viewBox="0 0 11 1" preserveAspectRatio="none" aria-hidden="true"><linearGradient id="ramp">\
<stop class="trimmed" offset="0"/><stop class="kept" offset="1"/></linearGradient>\
<rect width="11" height="1" fill="url(#ramp)"/></svg>"""


def _times(curves: Sequence[Curve]) -> str:
    milliseconds = [[_per_round(curve, phase) for phase in PHASES] for curve in curves]
    most = max((each for row in milliseconds for each in row), default=0.0) or 1.0
    rows = (
        (text(curve.label), [_bar(each, most) for each in row]) for curve, row in zip(curves, milliseconds, strict=True)
    )
    return _table("Milliseconds of a round, by phase, mean of all rounds", ["", *PHASES], rows) + (
        '<p class="quiet">Compute and encode are those of the slowest rank, gather is the rest of the wait.</p>'
    )


def _per_round(curve: Curve, phase: str) -> float:
    rounds = sum(each.row.rounds for each in curve.shown)
    seconds: float = sum(each.row.figures["seconds_by_phase"][phase] for each in curve.shown)
    return 1000 * seconds / max(1, rounds)


def _bar(value: float, most: float) -> str:
    bar = f'<rect width="{100 * value / most:.1f}" height="8"/>'
    drawn = f'<svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">{bar}</svg>'
    return f'<data value="{value:.6g}">{value:.3g}</data>{drawn}'


def _runs(curves: Sequence[Curve]) -> str:
    every = [each for curve in curves for each in curve.shown]
    keys = differing([each.row.plan for each in every])
    rows = ((text(each.name), [text(printed(each.row.plan.get(key))) for key in keys]) for each in every)
    table = _table("Keys in which the plans differ", ["run", *map(text, keys)], rows) if keys else ""
    return table + "".join(map(_run, every))


def _run(shown: Shown) -> str:
    facts = {
        key.replace("version_", "version of ").replace("_", " "): value for key, value in sorted(shown.facts.items())
    }
    facts = {"folder": str(shown.row.folder), **facts}
    pairs = "".join(f"<dt>{text(key)}</dt><dd>{text(value) or '–'}</dd>" for key, value in facts.items())
    return (
        f"<details><summary>{text(shown.name)}: plan and versions</summary>"
        f'<pre tabindex="0" aria-label="Plan">{text(shown.plan)}</pre><dl>{pairs}</dl></details>'
    )
