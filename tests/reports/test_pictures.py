"""What a picture shows is what its numbers say: lines, bands, lines of reference, and colours under their text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from mpirobust.reports import bands, curves, heatmap
from mpirobust.reports.bands import Frame, Guide, draw_bands
from mpirobust.reports.heatmap import draw_heatmaps


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0015, "2e-3"),
        (0.0314, "0.03"),
        (0.126, "0.13"),
        (2.54, "2.5"),
        (31.2, "31"),
        (99.6, "100"),
        (408, "408"),
        (1975.9, "2e3"),
        (1e12, "1e12"),
    ],
)
def test_a_number_fits_its_cell(value: float, text: str) -> None:
    assert heatmap._short(value) == text
    assert len(text) <= 4


@pytest.fixture
def axes(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The only panel of the picture that is drawn next; no file is written."""
    from matplotlib.figure import Figure

    drawing = Figure()
    panel = drawing.subplots()

    @contextmanager
    def figure(*_: object) -> Iterator[list[Any]]:
        yield [panel]

    @contextmanager
    def canvas(*_: object) -> Iterator[tuple[Any, list[Any]]]:
        yield drawing, [panel]

    monkeypatch.setattr(bands, "figure", figure)
    monkeypatch.setattr(heatmap, "canvas", canvas)
    return panel


def test_a_line_is_the_mean_in_a_band_of_all_seeds_beside_a_guide_through_its_first_point(axes: Any) -> None:
    at = np.array([0.0, 2.0, 8.0])
    values = np.array([[9.0, 1.0, 2.0], [9.0, 2.0, 3.0], [9.0, 6.0, 7.0]])
    guides = [Guide(label="1/T", power=-1.0, through="one")]
    draw_bands({"": {"one": (at, values, 0)}}, [], Frame("", "loss", "round", "log", "log", guides))
    line, guide = (np.asarray(each.get_xydata()) for each in axes.lines)
    np.testing.assert_array_equal(line, [[2, 3], [8, 4]])
    np.testing.assert_allclose(guide, np.array([[2, 3], [8, 0.75]]))
    (band,) = axes.collections
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices.tolist()}
    assert corners == {(2.0, 1.0), (2.0, 6.0), (8.0, 2.0), (8.0, 7.0)}


@pytest.mark.parametrize(
    ("title", "lines"),
    [
        ("", [""]),
        ("P1 Figure 5: network on MNIST, wrong labels", ["P1 Figure 5: network on MNIST, wrong labels"]),
        (
            "P1 Figure 7 (b): network on MNIST, workers that send -0.9 g",
            ["P1 Figure 7 (b): network on", "MNIST, workers that send -0.9 g"],
        ),
        ("step =" + " " * 55 + "0.1", ["step = 0.1"]),
        ("the " + "a" * 40 + " of the last runs", ["the " + "a" * 40, "of the last runs"]),
        ("y" * 58 + "  " + "y" * 58, ["y" * 58, "y" * 58]),
        ("y" * 116, ["y" * 58, "y" * 58]),
        ("y" * 150, ["y" * 58, "y" * 58, "y" * 34]),
    ],
)
def test_the_lines_of_a_title_are_about_as_long(title: str, lines: list[str]) -> None:
    """And no word is cut that fits into a line."""
    assert curves._in_lines(title).split("\n") == lines


def test_close_numbers_have_the_whole_scale(axes: Any) -> None:
    draw_heatmaps(
        {"code": np.array([[0.5, 0.7], [0.9, 1.0]])}, ["a", "worst case"], ["x", "y"], [], "", "distance", 1.0
    )
    (image,) = axes.images
    light = (image.to_rgba(image.get_array())[..., :3] @ [0.2126, 0.7152, 0.0722]).ravel()
    assert light[0] > 0.7 > 0.3 > light[-1]


@pytest.mark.parametrize(("rules", "smaller"), [(3, False), (30, True)])
def test_the_numbers_of_a_heat_map_do_not_overlap(rules: int, smaller: bool, axes: Any) -> None:
    table, names = np.full((2, rules), 2e-12), [str(rule) for rule in range(rules)]
    table[0] = 7.0
    draw_heatmaps({"code": table}, ["a", "worst case"], names, [], "", "distance", 1.0)
    cell = axes.get_window_extent().width / rules
    assert max(text.get_window_extent().width for text in axes.texts) < cell
    (size,) = {text.get_fontsize() for text in axes.texts}
    assert (size < axes.yaxis.get_ticklabels()[0].get_fontsize()) is smaller


def test_every_number_of_a_heat_map_is_legible_on_its_colour(axes: Any) -> None:
    table = np.array([[0.0, 1e-4, 1e-2], [0.9, 5.0, np.inf]])
    draw_heatmaps({"code": table}, ["a", "worst case"], ["x", "y", "z"], [], "", "distance", 1.0)
    (image,) = axes.images
    light = (image.to_rgba(image.get_array())[..., :3] @ [0.2126, 0.7152, 0.0722]).ravel()
    assert light[0] == light[1] == max(light)  # a zero is the best there is
    assert light[-1] == light[-2] == 0
    assert [text.get_text() for text in axes.texts] == ["0", "1e-4", "0.01", "0.9", "5", "∞"]
    for text, ground in zip(axes.texts, light, strict=True):
        assert abs((text.get_color() == "white") - ground) > 0.3, text.get_text()
