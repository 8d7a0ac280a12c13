"""How Hypothesis draws its examples: the same in every run, unless MPIROBUST_FUZZ_SECONDS asks for a search."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("mpirobust", derandomize="MPIROBUST_FUZZ_SECONDS" not in os.environ, deadline=None)
settings.load_profile("mpirobust")
