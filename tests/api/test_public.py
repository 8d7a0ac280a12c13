"""The public names, held by a list and by the page that describes them."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

import mpirobust
from tests.api.surface import LIST, surface
from tests.docs.pages import text
from tests.support.launching import REPOSITORY

_ON_A_CHANGE = """The public names of mpirobust have changed. If that is meant:
  1. CHANGELOG.md says what changes, and what those who use it do;
  2. docs/LIBRARY.md ("Versions") says by how much __version__ rises;
  3. python -m tests.api.surface writes the list anew.
"""


def test_names_and_signatures_are_those_of_the_list() -> None:
    listed = LIST.read_text().splitlines()
    found = surface()
    apart = [
        *(f"- {line}" for line in listed if line not in found),
        *(f"+ {line}" for line in found if line not in listed),
    ]
    assert found == listed, _ON_A_CHANGE + "\n".join(apart)


def test_the_page_names_them_all() -> None:
    page = text("LIBRARY.md")
    assert [name for name in mpirobust.__all__ if f"`{name}`" not in page and f"`{name}(" not in page] == []


def test_each_name_has_one_module() -> None:
    lazy = [name for names in mpirobust._MODULES.values() for name in names]
    assert sorted([*lazy, "Field", "component"]) == mpirobust.__all__
    assert {*mpirobust.__all__} <= {*dir(mpirobust)}
    with pytest.raises(AttributeError, match="module 'mpirobust' has no attribute 'agregate'"):
        mpirobust.__getattr__("agregate")


def test_no_name_is_that_of_a_module() -> None:
    """The import of a module below would put it in the place of the function."""
    assert not {*mpirobust.__all__} & {each.name for each in pkgutil.iter_modules(mpirobust.__path__)}


def test_the_import_is_cheap() -> None:
    code = "import sys, mpirobust; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    loaded = {name for name in done.stdout.split() if name.partition(".")[0] in ("mpirobust", "numpy", "h5py")}
    assert loaded == {"mpirobust", "mpirobust.errors", "mpirobust.components"}
