"""ε_g of sub-sampled gradients: that of whole shards at the end, and falling with the root of the size before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mpirobust.data.sources.base import Places
from mpirobust.errors import SetupFault
from mpirobust.plan import load_plan
from mpirobust.reports import constants
from mpirobust.reports.constants import Start
from mpirobust.studies.family import Sampling
from mpirobust.studies.sampling import Sampled, measured, samplings
from tests.support.small_studies import SAMPLING, lay_out


def of(folder: Path, text: str = SAMPLING, *overrides: str) -> Sampled:
    path = lay_out(folder / "study") / "sampling-1.toml"
    path.write_text(text)
    (family,) = samplings(path.parent).values()
    return measured(path, family, family.seeds, overrides)


def test_a_sample_of_all_rows_is_the_shard(tmp_path: Path) -> None:
    found = of(tmp_path)
    assert found.eps["plan"].shape == (2, 2)
    for seed, eps in zip((1, 2), found.eps["plan"], strict=True):
        plan, _ = load_plan(tmp_path / "study" / "plan.toml", [f"seed={seed}"])
        dataset = plan.data.open(plan.data.prepare(Places.for_plan(tmp_path)), plan.seed)
        assert eps[1] == pytest.approx(Start(plan, dataset, plan.deal(dataset)).eps_gradient(), rel=1e-12)
    assert (found.eps["plan"][:, 0] > found.eps["plan"][:, 1]).all()


def test_it_falls_with_the_root_of_the_size(tmp_path: Path) -> None:
    """P2 Remark 3, where the rows of the workers are independent draws."""
    text = SAMPLING.replace("[3, 12]", "[10, 40, 160, 640]").replace("[1, 2]", "[1, 2, 3, 4, 5, 6]")
    found = of(tmp_path, text, "data.rows=20000")
    power = np.polyfit(np.log([10, 40, 160, 640]), np.log(found.eps["plan"]).T, 1)[0]
    assert np.median(power) == pytest.approx(-0.5, abs=0.05)
    assert "| plan | 1/√rows | " in found.section()[-1]
    assert "10 to 640 rows, 6 seeds" in found.section()[-1]
    assert len(list(found.rows())) == 24


@pytest.mark.parametrize(("seeds", "said"), [((1,), "1 seed"), ((1, 2), "2 seeds")])
def test_a_section_has_the_largest_sample_first(seeds: tuple[int, ...], said: str) -> None:
    family = Sampling(title="samples", plan="plan.toml", seeds=seeds, sizes=(10, 1000))
    eps = np.tile([5.0, 0.5], (len(seeds), 1))
    section = Sampled("sampling-1", family, seeds, {"a9a": eps}).section()
    assert "of the largest and of the smallest sample" in section[-3]
    assert section[-1] == f"| a9a | 1/√rows | 0.5 and 5 | -0.5 (a9a, samples of 10 to 1000 rows, {said}) |"


def test_no_worker_may_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "_WORK", 9 * 12 * 6)
    said = "ε_g is the largest of all 10 workers, and the data are so large that only 9 would be measured"
    with pytest.raises(SetupFault, match=said):
        of(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[3, 12]", "[3, 13]", "samples of 13 rows, where a worker has 12"),
        ("[3, 12]", "[12, 3]", "the sizes have to ascend"),
        ("[3, 12]", "[3, 3]", "the sizes have to ascend"),
        ("[3, 12]", "[3]", "sizes: "),
        ("[3, 12]", "[0, 3]", "sizes: "),
        ("[1, 2]", "[1, 1]", "two of the seeds are the same"),
        ("sizes", "seizes", "seizes: unknown key"),
        ('"plan.toml"', '"plam.toml"', "no such plan"),
    ],
)
def test_what_is_wrong_is_said_with_the_file(old: str, new: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SetupFault, match=said) as caught:
        of(tmp_path, SAMPLING.replace(old, new))
    assert str(caught.value).startswith(str(tmp_path / "study"))
