"""The page of results says what the traces say, is HTML that needs no network, and takes no text for markup."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpirobust.records.layout import LOCK, TRACE
from mpirobust.records.run_folder import lock
from mpirobust.records.tables import open_trace
from mpirobust.reports.page import content
from mpirobust.reports.page.workers import COLUMNS, ROWS, bins
from tests.support.alone import command_alone, run_alone
from tests.support.launching import REPOSITORY
from tests.support.small_traces import write_trace

_EMPTY = {"meta", "link", "input", "br"}


class Page(HTMLParser):
    """A page, read. `tables[i]` are rows of cells; a cell is its text, or the number of its `data` element."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.scripts: list[str] = []
        self.style = ""
        self.text = ""
        self.captions: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in _EMPTY:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "caption":
            self.captions.append("")
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag == "script":
            self.scripts.append("")
        elif tag == "data" and "td" in self.open:
            self.tables[-1][-1][-1] += f"{dict(attrs)['value']} "

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if "script" in self.open:
            self.scripts[-1] += data
        elif "style" in self.open:
            self.style += data
        elif "caption" in self.open:
            self.captions[-1] += data
        elif ("td" in self.open or "th" in self.open) and "data" not in self.open:
            self.tables[-1][-1][-1] += data

    def table(self, caption: str) -> list[list[str]]:
        return self.tables[self.captions.index(caption)]

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.scripts[0])
        return found


def page(tmp_path: Path, *arguments: object) -> Page:
    out = tmp_path / "page.html"
    assert command_alone("report", *map(str, arguments), f"--out={out}", "--print=none") == 0
    return Page(out)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two seeds of the quickstart, made small."""
    folder = tmp_path_factory.mktemp("runs")
    small = ["workers=20", "data.rows=200", "data.features=5", "algorithm.rounds=12", "aggregator.beta=0.2"]
    plan = REPOSITORY / "configs" / "quickstart.toml"
    return [run_alone(plan, folder / f"seed-{seed}", *small, f"seed={seed}") for seed in (1, 2)]


def test_numbers_are_those_of_the_traces(runs: list[Path], tmp_path: Path) -> None:
    found = page(tmp_path, *runs)
    head, *rows = found.table("At the end of each run")
    curves = found.data["curves"]
    for run, row, curve, worker in zip(runs, rows, curves, found.data["workers"], strict=True):
        cells = dict(zip(head, row, strict=True))
        with open_trace(run / TRACE) as file:
            rounds, audits, byzantine = file["rounds"], file["audits"], file["workers/byzantine"][:]
            assert float(cells["loss"]) == audits["loss"][-1]
            assert int(cells["bytes down"]) == rounds["bytes_down"][:].sum()
            assert curve["x"]["round"] == audits["round"][:].tolist()
            assert curve["x"]["bytes_up"][1:] == pytest.approx(
                np.cumsum(rounds["bytes_up"][:])[audits["round"][1:] - 1]
            )
            assert curve["y"]["loss"]["middle"] == pytest.approx(audits["loss"][:], rel=1e-5)
            assert curve["y"]["gradient_norm"]["middle"] == pytest.approx(audits["gradient_norm"][:], rel=1e-5)
            kept = rounds["kept"][:]
            trimmed = ~kept
            caught = trimmed[:, byzantine].sum()
            assert float(cells["precision"]) == pytest.approx(caught / trimmed.sum(), abs=1e-4)
            assert float(cells["recall"]) == pytest.approx(caught / (byzantine.size * 12), abs=1e-4)
            honest = np.setdiff1d(np.arange(20), byzantine)
            for block, own in zip(worker["blocks"], (byzantine, honest), strict=True):
                assert [group[0] for group in block["groups"]] == own.tolist()
                assert block["cells"] == ["".join("X" if each else "0" for each in row) for row in kept[:, own].T]
            median = np.quantile(rounds["norms"][3, honest], 0.5, method="inverted_cdf")
            assert worker["norms"]["honest"][3][1] == pytest.approx(median, rel=1e-3)
            phases = dict(
                zip(found.table("Milliseconds of a round, by phase, mean of all rounds")[0], row, strict=False)
            )
            assert "compute" in phases
    table = found.table("training loss")
    assert [row[0] for row in table] == ["round", *map(str, range(13))]
    assert [float(row[1]) for row in table[1:]] == pytest.approx(curves[0]["y"]["loss"]["middle"], rel=1e-5)
    assert [curve["label"] for curve in curves] == ["seed=1", "seed=2"]


def test_seeds_are_averaged_with_their_range(runs: list[Path], tmp_path: Path) -> None:
    apart, together = (page(tmp_path, *runs, *by).data["curves"] for by in ([], ["--by=seed"]))
    (loss,) = (curve["y"]["loss"] for curve in together)
    each = np.array([curve["y"]["loss"]["middle"] for curve in apart])
    assert loss["middle"] == pytest.approx(each.mean(axis=0), rel=1e-5)
    assert loss["least"] == pytest.approx(each.min(axis=0), rel=1e-5)
    assert loss["most"] == pytest.approx(each.max(axis=0), rel=1e-5)


def test_the_page_needs_no_network_and_runs_no_script_but_its_own(runs: list[Path], tmp_path: Path) -> None:
    found = page(tmp_path, *runs)
    (policy,) = (
        value for tag, name, value in found.attributes if (tag, name) == ("meta", "content") and "src" in value
    )
    data, script = found.scripts
    for part in (script, found.style):
        assert f"'sha256-{b64encode(hashlib.sha256(part.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'")
    leading_out = [value for _, name, value in found.attributes if name in ("src", "href")]
    assert all(value.startswith(("#", "data:,")) for value in leading_out)
    assert not [name for _, name, _ in found.attributes if name.startswith("on") or name == "style"]
    assert "http" not in script.replace("http://www.w3.org/2000/svg", "")
    json.loads(data, parse_constant=pytest.fail)


def test_what_a_reader_without_eyes_or_mouse_needs(runs: list[Path], tmp_path: Path) -> None:
    found = page(tmp_path, *runs)
    pairs = {(tag, name) for tag, name, _ in found.attributes}
    assert ("html", "lang") in pairs
    assert len(found.captions) == len(found.tables)
    scopes = {value for tag, name, value in found.attributes if (tag, name) == ("th", "scope")}
    assert scopes == {"row", "col"}
    ids = {value for _, name, value in found.attributes if name == "id"}
    assert {value for _, name, value in found.attributes if name == "aria-labelledby"} <= ids
    assert {value[1:] for tag, name, value in found.attributes if (tag, name) == ("a", "href")} <= ids


_HOSTILE = "<!--<script </script><script>alert(1)</script><img src=x onerror=alert(2)>&lt;\u2028\x1b[2J\"'`{}"


def test_no_text_is_taken_for_markup(tmp_path: Path) -> None:
    name = _HOSTILE.replace("/", "∕")
    runs = [
        write_trace(
            tmp_path / f"{name}{n}", title=f"{_HOSTILE}{n}", facts={"command": _HOSTILE, "hosts": "<b>node</b>"}
        )
        for n in range(2)
    ]
    found = page(tmp_path, *runs, f"--title={_HOSTILE}")
    tags = {tag for tag, _, _ in found.attributes}
    assert len(found.scripts) == 2
    assert not tags & {"img", "b"}
    assert "<img src=x onerror=alert(2)>" in found.text
    assert "\x1b" not in found.text
    assert "<" not in found.scripts[0]
    assert found.data["curves"][0]["label"].startswith("title=<!--")


@pytest.mark.parametrize(
    ("status", "loss", "said"),
    [
        ("running", [3.0, 2.0], "running after 1 rounds. Its writer is alive"),
        ("running", [3.0], "running after 0 rounds"),
        ("diverged", [3.0, np.inf, np.nan], "diverged after 2 rounds, where its curves end."),
        ("interrupted", [3.0, 2.0], "interrupted after 1 rounds."),
        ("finished", [3.0, 2.0], ""),
    ],
)
def test_runs_that_are_unlike_others(status: str, loss: list[float], said: str, tmp_path: Path) -> None:
    run = write_trace(tmp_path / "run", loss=loss, status=status)
    held = lock(run)
    found = page(tmp_path, run)
    held.close()
    assert (run / LOCK).exists()
    assert said in found.text
    (curve,) = found.data["curves"]
    assert curve["y"]["loss"]["middle"] == [value if np.isfinite(value) else None for value in loss]
    assert found.data["workers"][0]["precision"] == [None] * (len(loss) - 1)


def test_what_is_not_there_or_damaged_is_named_and_the_others_are_shown(tmp_path: Path) -> None:
    good, bad = write_trace(tmp_path / "good"), write_trace(tmp_path / "bad", seed=2)
    (bad / TRACE).write_bytes(b"nothing")
    (tmp_path / "none").mkdir()
    found = page(tmp_path, good, bad, tmp_path / "none")
    assert f"Not on this page: {bad}: damaged." in found.text
    assert f"Not on this page: {tmp_path / 'none'}: no run." in found.text
    assert len(found.data["curves"]) == 1


def test_equal_curves_are_told(tmp_path: Path) -> None:
    runs = [write_trace(tmp_path / f"{seed}", seed=seed) for seed in (1, 2)]
    assert "These curves are equal in every audit: seed=1; seed=2." in page(tmp_path, *runs).text


def test_a_long_run_of_many_workers_is_downsampled_and_its_shares_stay(tmp_path: Path) -> None:
    """A cell is never said to be kept or trimmed as a whole if some of its messages were not, and absence is apart."""
    rounds, workers = 3000, 500
    rng = np.random.default_rng(1)
    kept = rng.random((rounds, workers)) < 0.9
    kept[:, :50] = False
    kept[7, 3] = True
    absent = np.zeros((rounds, workers), dtype=bool)
    absent[1500:, 400:] = True
    kept[absent] = False
    loss = np.exp(-np.arange(rounds + 1) / 300)
    loss[1234] = 50.0
    run = write_trace(tmp_path / "run", loss.tolist(), kept, range(50), absent=absent)
    out = tmp_path / "page.html"
    found = page(tmp_path, run)
    detail = found.data["workers"][0]
    assert len(detail["ends"]) == COLUMNS
    assert sum(len(block["cells"]) for block in detail["blocks"]) <= ROWS
    assert detail["whole"] is False
    guilty, honest = detail["blocks"]
    assert sum(row.count("1") for row in guilty["cells"]) == 1
    assert {cell for row in guilty["cells"] for cell in row} == {"0", "1"}
    assert {cell for row in honest["cells"][-20:] for cell in row[-100:]} == {"-"}
    assert not {cell for row in honest["cells"] for cell in row} & {"0", "1"}
    assert guilty["kept"][1] == pytest.approx(1 / (guilty["groups"][1][2] * rounds), abs=1e-6)
    present = ~absent
    trimmed = present & ~kept
    assert np.mean(detail["recall"]) == pytest.approx(trimmed[:, :50].sum() / present[:, :50].sum(), abs=1e-4)
    last = trimmed[detail["ends"][-2] :]
    assert detail["precision"][-1] == pytest.approx(last[:, :50].sum() / last.sum(), abs=1e-5)
    drawn = found.data["curves"][0]["y"]["loss"]["middle"]
    assert len(drawn) < 500
    assert max(drawn) == 50.0  # a peak is not lost
    assert "Long curves are thinned" in found.text
    assert out.stat().st_size < 400_000


def test_many_runs_share_the_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "_MAPS", 2)
    runs = [write_trace(tmp_path / f"{seed}", [5.0 / seed, 1.0], seed=seed) for seed in range(1, 13)]
    found = page(tmp_path, *runs)
    assert len(found.data["workers"]) == 2
    assert "The workers of 10 more runs have no room on this page." in found.text
    assert "12 curves are more than one sees at a glance" in found.text


@pytest.mark.parametrize(("count", "most"), [(0, 5), (1, 5), (5, 5), (7, 5), (1000, 300)])
def test_bins_are_whole_and_none_is_empty(count: int, most: int) -> None:
    cuts = bins(count, most)
    assert (cuts[0], cuts[-1]) == (0, count)
    assert cuts.size - 1 == min(count, most)
    assert (np.diff(cuts) > 0).all()


def test_thinned_columns_keep_ends_and_extremes() -> None:
    rng = np.random.default_rng(1)
    columns = [rng.normal(size=5000), np.full(5000, np.nan)]
    at = content.places(columns, 5000, 100)
    assert at.size <= 102
    assert {0, 4999, int(columns[0].argmax()), int(columns[0].argmin())} <= set(at.tolist())
    assert content.places(columns, 50, 100).tolist() == list(range(50))
