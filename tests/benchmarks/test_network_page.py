"""The page is what its command makes of the measurements that are committed."""

from __future__ import annotations

import json

from network_page import page

from tests.support.launching import REPOSITORY


def test_the_page_is_made_of_what_is_committed() -> None:
    links, scaling = (json.loads((REPOSITORY / f"benchmarks/{name}.json").read_text()) for name in ("links", "scaling"))
    assert (REPOSITORY / "docs" / "NETWORK.md").read_text() == page(links, scaling)


def test_every_link_was_measured_for_every_method() -> None:
    links = json.loads((REPOSITORY / "benchmarks" / "links.json").read_text())
    for name, problem in links["problems"].items():
        runs = [(run["rate"], run["method"]) for run in links["runs"] if run["problem"] == name]
        rates = (100, 1000, 0) if name == "network" else (10, 100, 1000, 0)
        assert sorted(runs) == sorted((rate, method) for rate in rates for method in problem["methods"])
