"""`mpirobust`, on rank 1 as if it had an old processor."""

from __future__ import annotations

import os

if os.environ["OMPI_COMM_WORLD_RANK"] == "1":
    os.environ["OPENBLAS_CORETYPE"] = "Prescott"

from mpirobust.cli import main

main()
