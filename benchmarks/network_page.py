"""Writes docs/NETWORK.md and its figures from benchmarks/links.json and benchmarks/scaling.json.

python benchmarks/network_page.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

import links_report
import scaling_report

_ROOT = Path(__file__).parent.parent
_WIDTH = 150
_PAGE = """# Where compression pays, and how it scales

This page is written by `python benchmarks/network_page.py` from [links.json](../benchmarks/links.json) and
[scaling.json](../benchmarks/scaling.json).

## Does it pay?

`python benchmarks/links.py` measures the seconds to a target loss on links of several bandwidths. Each method has
the step, from one grid for all methods of a problem (`M` for cubic Newton), with the fewest rounds to the target;
links.json has the rounds of every step. The plans are those of `configs/` with their attacks; the network has 8
workers, one of which sends noise, minibatches of 60, and the first 6,000 images of MNIST. *1 bit up* is `l1-qsgd`
with norm trimming; *3 bits down* is `uniform`; *top-k* keeps a twentieth of the coordinates, with error feedback;
float32 is both ways. One bit both ways is missing because it does not converge on the regression
([downlink.csv](../benchmarks/downlink.csv)).

![Seconds to the target loss against the bandwidth of the links](links.png)

Markers are measured, lines are the model.

{links}

A method is fast on slow links for what crosses the center's link, and that is not what the ledger counts: messages
go up once for each *worker*, but points go down once for each *rank*. With many workers on a rank the way down is
small already.

## Scaling

`python benchmarks/scaling.py` measures rounds on several numbers of ranks. Open MPI broadcasts by other algorithms on
more ranks, and no law of their number holds for that; the studies have a binary tree with segments of 8 KiB, and the
last table has the default ([RUNNING.md](RUNNING.md#slurm) says how to set it).

![Seconds of a round against ranks, and on paper against workers](scaling.png)

Filled markers are measured, lines are the model of all sizes, and hollow markers are what the model of the *other*
sizes says.

{scaling}"""


def page(links: Mapping[str, Any], scaling: Mapping[str, Any]) -> str:
    """Return the page."""
    text = _PAGE.format(links=links_report.section(links), scaling=scaling_report.section(scaling))
    parts = [part.strip() for part in text.split("\n\n")]
    wrapped = [part if part[0] in "#|!" else fill(part, _WIDTH, break_on_hyphens=False) for part in parts]
    return "\n\n".join(wrapped) + "\n"


def main() -> None:
    links, scaling = (json.loads((_ROOT / "benchmarks" / f"{name}.json").read_text()) for name in ("links", "scaling"))
    links_report.draw(links, _ROOT / "docs" / "links.png")
    scaling_report.draw(scaling, _ROOT / "docs" / "scaling.png")
    (_ROOT / "docs" / "NETWORK.md").write_text(page(links, scaling))


if __name__ == "__main__":
    main()
