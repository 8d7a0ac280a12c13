"""The programs of docs/REDUCER.md, run from the page."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.docs.pages import complete_blocks
from tests.support.launching import finish, start

_BLOCKS = complete_blocks("REDUCER.md")
_ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def printed(name: str, folder: Path, *arguments: str) -> str:
    """Return the output of the program of this name on five ranks."""
    (folder / name).write_text(_BLOCKS[name])
    done = finish(start("-m", "mpi4py", str(folder / name), *arguments, ranks=5, env=_ONE_THREAD), timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def values(text: str) -> list[float]:
    """Return the numbers at the ends of the first two lines: with Allreduce, and with the reducer."""
    return [float(each) for each in re.findall(r"^(?:Allreduce|RobustReducer): \w+ (\S+)$", text, re.MULTILINE)]


@pytest.mark.parametrize("mode", ["center", "symmetric"])
def test_the_numpy_loop_converges_where_allreduce_does_not(mode: str, tmp_path: Path) -> None:
    text = printed("robust_loop.py", tmp_path, mode)
    plain, robust = values(text)
    assert plain > 1e3
    assert robust < 0.1
    ring = re.search(r"a ring Allreduce sends (\d+)", text)
    sent = re.search(r"sent by each rank \[(.*?)\]", text)
    assert ring
    assert sent
    everyone = [int(each) for each in sent[1].split(", ")]
    assert max(everyone[1:] if mode == "center" else everyone) < int(ring[1]) / 5


@pytest.mark.skipif(find_spec("torch") is None, reason="no torch: pip install '.[torch]'")
def test_the_torch_model_learns_where_with_allreduce_it_does_not(tmp_path: Path) -> None:
    """Holds alone that another framework's model and optimizer train by the reducer; 10 s of imports."""
    plain, robust = values(printed("robust_torch.py", tmp_path))
    assert plain < 0.6
    assert robust > 0.8
