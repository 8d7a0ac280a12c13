"""The package in another folder than the one that is installed."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def environment_of(folder: Path) -> dict[str, str]:
    """Return an environment in which Python, and what it starts, finds the package in `folder`.

    The import hook of scikit-build-core's editable install comes before PYTHONPATH, unless this variable has its path.
    """
    hooks = [finder for finder in sys.meta_path if type(finder).__module__.startswith("_editable_skbc")]
    skipped = [str(getattr(finder, "path", "")) for finder in hooks]
    return {**os.environ, "PYTHONPATH": str(folder), "SKBUILD_EDITABLE_SKIP": os.pathsep.join(skipped)}
