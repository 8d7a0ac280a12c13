"""The tier of every test; Hypothesis draws the same examples in every run, unless MPIROBUST_FUZZ_SECONDS is set.

Tiers, each of which `make` runs by name (test-unit, test-mpi, ...):
  unit    in this process, on all cores; starts no mpirun
  mpi     starts mpirun: what an MPI application must hold
  system  SLURM, several hosts, crashes at every write, long searches for hostile bytes
  paper   what the papers claim
  soak    takes very long: outside of CI, `make soak`
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import launching

if "PYTEST_XDIST_WORKER" in os.environ:  # the cores are shared already; read when numpy is first imported
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

settings.register_profile("mpirobust", derandomize="MPIROBUST_FUZZ_SECONDS" not in os.environ, deadline=None)
settings.load_profile("mpirobust")

# By folder, file or test; the longest that fits decides, and a mark on the test itself before it.
_TIERS = {
    **dict.fromkeys(
        ["aggregators", "algorithms", "attacks", "benchmarks", "cluster", "comm", "compressors", "contracts"], "unit"
    ),
    **dict.fromkeys(
        ["cubic", "data", "docs", "doctor", "feedback", "fuzz", "guide", "kernels", "numerics", "observers"], "unit"
    ),
    **dict.fromkeys(["api", "packaging", "problems", "records", "reducer", "reports", "running", "studies"], "unit"),
    "mpirobust/testing": "unit",
    **dict.fromkeys(["test_architecture.py", "test_breaks.py", "test_environment.py", "test_exit_codes.py"], "unit"),
    **dict.fromkeys(
        [
            "test_help.py",
            "test_meter.py",
            "test_plan.py",
            "test_renames.py",
            "test_streams.py",
            "test_terminal.py",
            "test_toml.py",
            "test_user_errors.py",
        ],
        "unit",
    ),
    "mpirun": "mpi",
    "studies/test_figures.py::test_runs_draws_and_judges": "mpi",
    "observers/test_deadline.py::test_a_study_begins_no_run_that_has_no_time": "mpi",
    # What the second command of the README leaves to CI: other policies, other numbers of ranks, repeated kills.
    **dict.fromkeys(
        [
            "mpirun/test_deaths.py::test_stop_ends_the_run_so_that_resume_gives_the_bits_of_an_undisturbed_one",
            "mpirun/test_deaths.py::test_two_at_once_and_one_in_the_recovery_from_the_other[while it computes]",
            "mpirun/test_deaths.py::test_what_was_lost_is_zero_in_a_resumed_run_and_it_says_so",
            "mpirun/test_deaths.py::test_a_death_that_is_not_survived_ends_the_job_soon",
            "mpirun/test_deaths.py::test_nobody_left_in_an_audit_is_not_divergence",
            "mpirun/test_deaths.py::test_a_worker_that_fails_is_absent_and_its_rank_lives_on",
            "mpirun/test_deaths.py::test_the_last_step_before_the_rounds_ends_alike_on_all_ranks",
            *(
                "mpirun/test_deaths.py::test_more_absent_than_the_rule_bears_ends_the_run_and_resume_gives_the_bits_of_an_"
                f"undisturbed_one[difference-{attack}]"
                for attack in ("collude-10", "sign-flip-14")
            ),
            "mpirun/test_deaths_in_studies.py",
            "mpirun/test_deaths_in_set_up.py::test_nobody_is_told",
            "mpirun/test_hangs.py",
            "mpirun/test_threads.py",
            "mpirun/test_torch.py",
            "mpirun/test_main_job.py::test_garbage_changes_nothing_but_the_kept_sets",
            "mpirun/test_kill_and_resume.py::test_signal_checkpoints_and_exits_75[3-difference]",
            "mpirun/test_kill_and_resume.py::test_what_is_remembered_goes_on_on_other_ranks[difference-ranks0]",
            "mpirun/test_kill_and_resume.py::test_what_is_remembered_goes_on_on_other_ranks[none-ranks2]",
            "mpirun/test_outside_package.py::test_passes_the_contract_tests",
            "mpirun/test_outside_package.py::test_the_contract_tests_pass_as_the_page_calls_them",
            "mpirun/test_resources.py::test_a_disk_that_fills_up_keeps_the_checkpoints[3]",
            "studies/test_figures.py::test_runs_draws_and_judges[3]",
            "mpirun/test_kill_and_resume.py::test_killed_again_and_again",
            "mpirun/test_resources.py::test_a_second_job_in_the_same_folder_leaves_the_first_alone",
            "mpirun/test_resources.py::test_damaged_checkpoints_under_several_ranks",
            "mpirun/test_own_files.py::test_a_file_system_without_locks",
            "mpirun/test_torch.py",
            "mpirun/test_other_processor.py",
            "observers/test_deadline.py::test_a_job_of_several_ranks_ends_by_itself",
            "slurm/test_run_alone.py",
            "fuzz/test_hostile_runs.py",
            "fuzz/test_hostile_files.py",
        ],
        "system",
    ),
    "crashes": "system",
    "hosts": "system",
    "slurm": "system",
    "slurm/test_points.py": "unit",
    "fuzz/test_guided.py": "system",
    "kernels/test_building.py": "system",
    "packaging/test_distributions.py": "system",
    "paper": "paper",
}
_NAMES = ("unit", "mpi", "system", "paper", "soak")
_ROOT = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give every test of the checkout the mark of its tier; one without a tier, or with two, ends the session.

    A user who tries a kind with `mpirobust.testing` comes here, too, if the environment is in the checkout or editable.
    """
    if config.rootpath != _ROOT:
        return
    for item in items:
        if not item.nodeid.startswith(("tests/", "mpirobust/testing/")):
            continue
        marked = {mark.name for mark in item.iter_markers()} & set(_NAMES)
        if not marked and (tier := _tier_of(item.nodeid.removeprefix("tests/"))):
            marked = {tier}
            item.add_marker(tier)
        if len(marked) != 1:
            raise pytest.UsageError(f"{item.nodeid}: a test has one tier, this {len(marked)}; see conftest.py")


def _tier_of(test: str) -> str | None:
    """Return the tier by the table; None if nothing in it fits."""
    fitting = [place for place in _TIERS if test.startswith((f"{place}/", f"{place}::", f"{place}[")) or test == place]
    return _TIERS[max(fitting, key=len)] if fitting else None


def pytest_runtest_setup(item: pytest.Item) -> None:
    launching.mpirun_allowed = item.get_closest_marker("unit") is None
