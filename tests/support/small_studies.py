"""A small family and a small matrix on disk."""

from __future__ import annotations

from pathlib import Path

PLAN = """
seed = 0
workers = 10
[data]
kind = "regression"
rows = 120
features = 6
[problem]
kind = "least-squares"
[algorithm]
kind = "first-order"
rounds = 12
step = 0.1
[compressor]
kind = "l1-qsgd"
[aggregator]
kind = "norm-trim"
beta = 0.3
[attack]
kind = "gaussian"
alpha = 0.2
variance = 1e4
[checkpoint]
every = 4
"""

FAMILY = """
title = "a family"
plan = "plan.toml"
metric = "distance"
seeds = [1, 2, 3]
set = ["algorithm.rounds=8"]
[[curves]]
label = "trimmed"
[[curves]]
label = "averaged"
set = ["aggregator.kind=mean"]
[[curves]]
label = "hasty"
set = ["algorithm.step=1e200"]
[[claims]]
says = "trimming helps"
[[claims.cases]]
when = "always"
curve = "trimmed"
against = "averaged"
[[claims]]
says = "any step will do"
[[claims.cases]]
when = "the step is short"
curve = "trimmed"
bound = 1e3
[[claims.cases]]
when = "the step is long"
curve = "hasty"
bound = 1e3
metric = "loss"
[[claims]]
says = "averaging helps"
[[claims.cases]]
when = "at once"
curve = "averaged"
against = "trimmed"
factor = 0.5
round = 8
"""

MATRIX = """
title = "a matrix"
plan = "plan.toml"
metric = "distance"
seeds = [1, 2]
set = ["algorithm.rounds=6"]
[[attacks]]
label = "none"
set = ["attack.alpha=0.0"]
[[attacks]]
label = "noise"
[[rules]]
label = "trim"
[[rules]]
label = "mean"
set = ["aggregator.kind=mean"]
[[codes]]
label = "one bit"
[[codes]]
label = "none"
set = ["compressor.kind=identity"]
"""


SAMPLING = """
title = "samples"
plan = "plan.toml"
seeds = [1, 2]
sizes = [3, 12]
"""


def lay_out(folder: Path, family: str = FAMILY) -> Path:
    """A folder with a plan, a family and a matrix."""
    folder.mkdir()
    (folder / "plan.toml").write_text(PLAN)
    (folder / "figure-1.toml").write_text(family)
    (folder / "grid.toml").write_text(MATRIX)
    return folder
