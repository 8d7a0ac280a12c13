"""The pages name what there is."""

from __future__ import annotations

import pytest

from mpirobust import catalog
from mpirobust.observers.base import Observer
from tests.support.launching import REPOSITORY

ROOM = catalog.ROOMS["observers"]


@pytest.mark.parametrize("kind", catalog.kinds(ROOM))
def test_the_pages_have_its_keys(kind: str) -> None:
    """docs/PLANS.md has a row for every observer, with every key and its default."""
    page = (REPOSITORY / "docs" / "PLANS.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith(f"| `{kind}` |")]
    assert len(rows) == 1, f"docs/PLANS.md needs one row that begins with | `{kind}` |"
    cls = catalog.load(ROOM, kind, "observers")
    assert issubclass(cls, Observer)
    for key, default in catalog.defaults(cls).items():
        free = "free" if key in cls.free_on_resume else "fixed"
        said = f"`{key}` = {'none' if default == '-' else default.removesuffix('.0')} ({free})"
        assert said in rows[0], f"docs/PLANS.md does not say {said} of {kind}"
