"""The page in a browser: its script runs without an error, draws everything, and nothing is wider than the window."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.support.alone import command_alone
from tests.support.small_traces import write_trace

_BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(_BROWSER is None, reason="there is no Chromium on PATH")

# Moves over each figure and through the map, presses each control and key, and leaves what it finds for the test.
_PROBE = """
<script>
  addEventListener("load", () => {
    for (const plot of document.querySelectorAll(".plot, .cells")) {
      const box = plot.getBoundingClientRect();
      plot.dispatchEvent(new PointerEvent("pointermove", { clientX: box.right - 5, clientY: box.bottom - 5 }));
      plot.focus();
      for (const key of ["ArrowRight", "ArrowDown", "End", "Home"]) {
        plot.dispatchEvent(new KeyboardEvent("keydown", { key }));
      }
    }
    const spoken = [...document.querySelectorAll("[aria-live]")].map((each) => each.textContent).filter(Boolean).length;
    document.querySelectorAll("input, #legend button").forEach((each) => each.click());
    const pressed = document.querySelectorAll("#legend [aria-pressed=false]").length;
    document.querySelectorAll("#legend button").forEach((each) => each.click());
    const choice = document.getElementById("run");
    choice.value = "1";
    choice.dispatchEvent(new Event("change"));
    dispatchEvent(new Event("beforeprint"));
    dispatchEvent(new Event("afterprint"));
    const found = {
      wide: document.documentElement.scrollWidth > innerWidth, spoken, pressed,
      drawn: document.querySelectorAll(".plot > svg").length, maps: document.querySelectorAll("canvas").length,
    };
    document.title = JSON.stringify(found);
  });
</script>
"""


@pytest.mark.parametrize("width", [500, 1400])
def test_it_draws_all_without_an_error(width: int, tmp_path: Path) -> None:
    """Alone holds the script of the page. (The window of a headless Chromium has at least 500 pixels.)"""
    kept = np.array([[True, False], [False, True], [True, True]])
    runs = [
        write_trace(tmp_path / "a", [8.0, 2.0, 0.1, 1e-4], kept, [1]),
        write_trace(tmp_path / "b", [8.0, np.inf, np.nan, np.nan], kept, [], status="diverged", seed=2),
        write_trace(tmp_path / "c", [3.0, 1e-9, -2.0, 0.0], kept, [0], status="interrupted", seed=3),
        write_trace(tmp_path / "d", [3.0], np.zeros((0, 2), dtype=bool), [0], status="interrupted", seed=4),
    ]
    out = tmp_path / "page.html"
    assert command_alone("report", *map(str, runs), f"--out={out}", "--print=none") == 0
    probed = out.read_text().replace("</body>", f"{_PROBE}</body>")
    out.write_text(re.sub(r"; script-src '[^;]*'", "; script-src 'unsafe-inline'", probed.replace("&#x27;", "'")))
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--window-size={width},900"]
    assert _BROWSER is not None
    done = subprocess.run(
        [_BROWSER, *flags, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", out.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None
    found = dict(re.findall(r'"(\w+)":(\w+)', title[1].replace("&quot;", '"')))
    assert found["wide"] == "false"
    assert int(found["drawn"]) == 4  # loss, gradient norm, precision and recall, norms
    assert int(found["maps"]) == 1  # nobody is Byzantine
    assert int(found["pressed"]) == 4
    assert int(found["spoken"]) >= 4
