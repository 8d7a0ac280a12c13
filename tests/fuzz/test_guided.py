"""Coverage-guided fuzzing of everything that reads bytes of a stranger (atheris), a few seconds for each reader.

MPIROBUST_FUZZ_SECONDS=600 searches for as many seconds per target.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS
from tests.support.launching import finish, start

_SECONDS = int(os.environ.get("MPIROBUST_FUZZ_SECONDS", "3"))

pytestmark = pytest.mark.skipif(find_spec("atheris") is None, reason="no atheris: pip install '.[fuzz]'")


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_is_found_that_is_not_refused_or_read(name: str, tmp_path: Path) -> None:
    """In a process of its own: the fuzzer ends it by `_exit`."""
    search = start("-m", "tests.fuzz.guided", name, str(_SECONDS), str(tmp_path), ranks=None)
    done = finish(search, timeout=_SECONDS + 300)
    found = {path.name: path.read_bytes() for path in tmp_path.glob("found-*")}
    said = "\n".join(line for line in done.stderr.splitlines() if not line.startswith(("#", "INFO", "WARNING")))
    assert not found, f"{said}\n{found}"
    assert done.returncode == 0, said
    assert "stat::number_of_executed_units" in said
