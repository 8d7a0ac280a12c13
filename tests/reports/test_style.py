"""Figures are legible in print: their size, their text, and curves that are told apart without colour."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpirobust.reports import style
from mpirobust.reports.bands import Frame, Guide, draw_bands
from mpirobust.reports.curves import canvas

AT = np.arange(41.0)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_curves_differ_in_hue_dashes_and_marker(count: int, log: bool) -> None:
    looks = [style.line(number, count, AT[1:], log) for number in range(count)]
    places = [place for look in looks for place in look["markevery"]]
    assert len(set(places)) == len(places) >= 4 * count or log  # those of coinciding curves do not hide each other
    assert len({(look["color"], look["marker"]) for look in looks}) == count
    assert len({(look["marker"], look["linestyle"]) for look in looks}) == count
    for one, other in pairwise(looks):
        assert one["linestyle"] != other["linestyle"]
        assert one["linewidth"] > other["linewidth"]


def test_the_marks_of_a_curve_are_points_of_it() -> None:
    assert style.line(0, 1, np.array([3.0]), log=True)["markevery"] == [0]
    assert style.line(0, 1, np.zeros(0), log=False)["markevery"] == []
    places = style.line(1, 2, 10.0 ** np.arange(5), log=True)["markevery"]
    assert set(places) <= set(range(5))
    assert len(places) >= 3


def test_areas_ascend_in_lightness() -> None:
    light = [_lightness(colour) for colour in style.fills(7)]
    assert (np.diff(light) > 0.03).all()


def _lightness(colour: Any) -> float:
    from matplotlib.colors import to_rgb

    return float(np.array(to_rgb(colour)) @ [0.2126, 0.7152, 0.0722])


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    """A folder with a figure of two panels as PNG and PDF, and the sizes of its texts in points."""
    folder = tmp_path_factory.mktemp("drawn")
    sizes: list[float] = []
    falling = np.exp(-0.1 * AT) * np.ones((3, 1))
    panel = {"honest": (AT, falling, 0), "lost": (AT, np.where(AT < 9, falling, np.inf), 2)}
    frame = Frame(
        "A title that is longer than a line of one column can be, and so has two", "loss", "round", "log", "log"
    )

    def noted(drawing: Any, *_: Any, **__: Any) -> None:
        from matplotlib.text import Text

        sizes.extend(each.get_fontsize() for each in drawing.findobj(Text) if each.get_text())
        saved(drawing, *_, **__)

    from matplotlib.figure import Figure

    saved = Figure.savefig
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", noted)
        guided = Frame(**{**vars(frame), "guides": [Guide(label="1/T", power=-1.0, through="honest")]})
        draw_bands({"a9a": panel, "w8a": panel}, [folder / "f.png", folder / "f.pdf"], guided)
    return folder, sizes


def test_a_figure_is_a_column_wide_and_its_text_of_eight_points(drawn: tuple[Path, list[float]]) -> None:
    folder, sizes = drawn
    png = (folder / "f.png").read_bytes()
    assert int.from_bytes(png[16:20]) == pytest.approx(style.COLUMN * style.DPI, abs=1)
    assert min(sizes) >= 5.6  # exponents of a logarithmic axis; all else has eight
    assert sizes.count(8.0) >= 10


def test_the_fonts_of_a_pdf_are_truetype(drawn: tuple[Path, list[float]]) -> None:
    pdf = (drawn[0] / "f.pdf").read_bytes()
    assert set(re.findall(rb"/Subtype /(Type3|CIDFontType2|Type1)\b", pdf)) == {b"CIDFontType2"}


def test_the_style_ends_with_the_drawing(tmp_path: Path) -> None:
    """Who draws with matplotlib besides keeps their own settings."""
    import matplotlib

    with matplotlib.rc_context({"pdf.fonttype": 3, "font.size": 11.0}):
        with canvas([tmp_path / "f.svg"], (1, 1)):
            assert matplotlib.rcParams["pdf.fonttype"] == 42
        assert (matplotlib.rcParams["pdf.fonttype"], matplotlib.rcParams["font.size"]) == (3, 11.0)
