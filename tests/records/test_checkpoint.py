"""Checkpoints: read back to the bit, or passed over with a reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mpirobust.aggregators.centered_clipping import Center
from mpirobust.aggregators.safeguard import Sums
from mpirobust.algorithms.base import Query
from mpirobust.algorithms.first_order import Iterate
from mpirobust.attacks.stale import Former
from mpirobust.errors import SetupFault, StorageFault
from mpirobust.feedback.base import Feedback
from mpirobust.records import checkpoint
from mpirobust.records.layout import checkpoint_path
from mpirobust.records.trace import Tail, Trace
from mpirobust.testing.examples import components
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.marina import Marina
from tests.support.sealing import resealed

M, DIM = 6, 8
ID = "0123abcd"
SCHEMA = checkpoint.Schema(Iterate, ID)
STRICT = checkpoint.Schema(Iterate, ID, workers=M, rounds=30, memories=["residual"], byzantine=[1], holds=True)
HELD = {0: (np.arange(8.0), np.ones(8)), 1: (-np.ones(8),)}
FEEDBACKS: dict[str, Feedback] = {**components("feedback"), "of this test": Marina(chance=0.0)}


def state(round: int) -> Iterate:
    x = np.random.default_rng(round).standard_normal(DIM)
    x[0] = np.nextafter(1.0, 2)
    return Iterate(x, round, 1 / 3)


def tail(round: int) -> Tail:
    trace = Trace(M, np.array([1]), {})
    for t in (round - 1, round):
        trace.rounds.append()["round"] = t
        trace.audits.append()["round"] = t
    return trace.tail()


def run_of(feedback: bool, seed: int = 0) -> LocalRun:
    """A run whose workers have residuals that no run has to make first."""
    local = LocalRun(regression_plan(feedback="residual" if feedback else "none"))
    rng = np.random.default_rng(seed)
    for worker in local.workers:
        worker.memory = {name: rng.standard_normal(DIM) for name in worker.memory}
    return local


def save(folder: Path, round: int, *, feedback: bool = True, plan_id: str = ID) -> Path:
    memories = run_of(feedback, round).memories(round)
    checkpoint.save(folder, checkpoint.Snapshot(round, state(round), tail(round), held=HELD), plan_id, memories)
    return checkpoint_path(folder, round)


def newest(folder: Path, plan_id: str = ID) -> tuple[int | None, list[str]]:
    schema = checkpoint.Schema(Iterate, plan_id)
    found, passed_over = checkpoint.newest(folder, schema)
    return (None if found is None else checkpoint.load(found, schema).round), passed_over


def equal(found: checkpoint.Snapshot, round: int) -> None:
    expected = state(round)
    assert isinstance(found.state, Iterate)
    np.testing.assert_array_equal(found.state.x, expected.x)
    assert (found.round, found.state.t, found.state.smoothness) == (round, expected.t, expected.smoothness)
    assert (type(found.state.t), type(found.state.smoothness)) == (int, float)
    for name, table in tail(round).items():
        for column, rows in table.items():
            np.testing.assert_array_equal(found.tail[name][column], rows)


@pytest.mark.parametrize("feedback", [False, True])
def test_round_trip(tmp_path: Path, feedback: bool) -> None:
    path = save(tmp_path, 25, feedback=feedback)
    equal(checkpoint.load(path, SCHEMA), 25)
    assert checkpoint.newest(tmp_path, SCHEMA) == (path, [])


@pytest.mark.parametrize("workers", [range(M), range(2, 5), range(0)])
def test_residuals_of_some_workers(tmp_path: Path, workers: range) -> None:
    path = save(tmp_path, 25)
    expected = list(run_of(True, 25).memories(25)["residual"])
    found = list(checkpoint.load_memory(path, ["residual"], workers, DIM))
    assert len(found) == len(workers)
    for ours, worker in zip(found, workers, strict=True):
        np.testing.assert_array_equal(ours, expected[worker])


def test_no_residuals_without_feedback(tmp_path: Path) -> None:
    path = save(tmp_path, 25, feedback=False)
    with h5py.File(path) as file:
        assert set(file) == {"downlink", "state", "tail"}
    with pytest.raises(SetupFault, match="not a whole checkpoint"):
        list(checkpoint.load_memory(path, ["residual"], range(M), DIM))


@pytest.mark.parametrize("feedback", FEEDBACKS.values(), ids=FEEDBACKS.keys())
def test_every_memory_of_a_feedback_comes_back_to_the_bit(tmp_path: Path, feedback: Feedback) -> None:
    """Also one that only the center keeps; each dataset is as the format says."""
    plan = replace(regression_plan(compressor={"kind": "topk", "k": 3}), feedback=feedback)
    local = LocalRun(plan)
    for t in range(3):
        local.ask(t, Query((np.full(DIM, 1.0 + t),), scale=0.3))
    checkpoint.save(tmp_path, checkpoint.Snapshot(3, state(3), tail(3)), ID, local.memories(3))
    path = checkpoint_path(tmp_path, 3)
    with h5py.File(path) as file:
        assert set(file.get("memory", {})) == {memory.name for memory in feedback.memories()}
    for memory in feedback.memories():
        rows = np.array(list(local.cluster.memory(memory.name, 3)))
        assert rows.shape == (M, DIM)
        assert rows.any(axis=1).all()
        for workers in (range(M), range(2, 5), range(0)):
            found = np.array(list(checkpoint.load_memory(path, [memory.name], workers, DIM))).reshape(-1, DIM)
            np.testing.assert_array_equal(found, rows[list(workers)])
        with pytest.raises(SetupFault, match="not a whole checkpoint"):
            list(checkpoint.load_memory(path, [memory.name], range(M + 1), DIM))
        with pytest.raises(SetupFault, match="not a whole checkpoint"):
            list(checkpoint.load_memory(path, [memory.name], range(M), DIM + 1))


class TestMemories:
    """What rules and attackers remember."""

    schema = checkpoint.Schema(Iterate, ID, Center, Former)

    def save(self, folder: Path, dim: int = DIM) -> checkpoint.Snapshot:
        rng = np.random.default_rng(0)
        rule = {0: Center(rng.standard_normal(dim)), 1: Center(rng.standard_normal(dim))}
        snapshot = checkpoint.Snapshot(5, state(5), tail(5), rule, Former(rng.standard_normal(dim)))
        checkpoint.save(folder, snapshot, ID, {})
        return snapshot

    def test_come_back_to_the_bit(self, tmp_path: Path) -> None:
        """One for each kind of query."""
        saved = self.save(tmp_path)
        found = checkpoint.load(checkpoint_path(tmp_path, 5), self.schema, DIM)
        assert sorted(found.rule) == [0, 1]
        for kind, memory in found.rule.items():
            assert type(memory) is Center
            np.testing.assert_array_equal(memory.v, saved.rule[kind].v)
        assert type(found.attack) is Former
        np.testing.assert_array_equal(found.attack.mean, saved.attack.mean)

    def test_of_another_length_are_refused(self, tmp_path: Path) -> None:
        self.save(tmp_path, DIM - 1)
        with pytest.raises(SetupFault, match="not a whole checkpoint"):
            checkpoint.load(checkpoint_path(tmp_path, 5), self.schema, DIM)

    @pytest.mark.parametrize("name", ["rule/0/v", "rule/1/v", "attack/mean"])
    def test_that_are_no_vectors_are_refused(self, tmp_path: Path, name: str) -> None:
        for wrong in (np.arange(DIM), np.ones((DIM, 1)), 3.0, "words"):
            self.save(tmp_path)
            with resealed(checkpoint_path(tmp_path, 5)) as file:
                del file[name]
                file[name] = wrong
            assert checkpoint.newest(tmp_path, self.schema)[0] is None

    def test_of_each_worker_have_a_row_or_a_number_for_each(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        sums = Sums(rng.standard_normal((M, DIM)), rng.standard_normal((M, DIM)), np.ones(M), 3)
        schema = replace(self.schema, rule=Sums, attack=None)

        def saved() -> Path:
            checkpoint.save(tmp_path, checkpoint.Snapshot(5, state(5), tail(5), {0: sums}), ID, {})
            return checkpoint_path(tmp_path, 5)

        found = checkpoint.load(saved(), schema, DIM).rule[0]
        assert (found.A.tobytes(), found.B.tobytes(), found.rounds) == (sums.A.tobytes(), sums.B.tobytes(), 3)
        for name, wrong in (("A", sums.A[1:]), ("B", sums.B[:, 1:]), ("good", np.ones(M + 1)), ("A", np.empty((0, 0)))):
            with resealed(saved()) as file:
                del file[f"rule/0/{name}"]
                file[f"rule/0/{name}"] = wrong
            assert checkpoint.newest(tmp_path, schema)[0] is None

    def test_are_none_where_none_were_saved(self, tmp_path: Path) -> None:
        """As in the first rounds, and in the files of the first version."""
        save(tmp_path, 5)
        found = checkpoint.load(checkpoint_path(tmp_path, 5), self.schema, DIM)
        assert found.rule == {}
        assert found.attack is None

    def test_are_left_alone_by_a_plan_that_has_none(self, tmp_path: Path) -> None:
        self.save(tmp_path)
        found = checkpoint.load(checkpoint_path(tmp_path, 5), SCHEMA, DIM)
        assert found.rule == {}
        assert found.attack is None


def test_keeps_the_newest_two(tmp_path: Path) -> None:
    for round in (5, 10, 100, 1000):
        save(tmp_path, round)
    assert sorted(tmp_path.iterdir()) == [checkpoint_path(tmp_path, 100), checkpoint_path(tmp_path, 1000)]
    assert newest(tmp_path) == (1000, [])


def test_a_failed_save_leaves_the_older_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for round in (5, 10):
        save(tmp_path, round)

    def fail(*_: object) -> None:
        raise OSError("full")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", fail)
        with pytest.raises(StorageFault):
            save(tmp_path, 15)
    assert sorted(tmp_path.iterdir()) == [checkpoint_path(tmp_path, 5), checkpoint_path(tmp_path, 10)]
    assert newest(tmp_path) == (10, [])


def test_nothing_to_find(tmp_path: Path) -> None:
    assert newest(tmp_path) == (None, [])
    assert newest(tmp_path / "no such folder") == (None, [])


def test_what_cannot_be_read_now_is_not_passed_over(tmp_path: Path) -> None:
    """It may be sound: a file system that is away for a moment must not cost the newest checkpoint."""
    save(tmp_path, 5)
    checkpoint_path(tmp_path, 10).mkdir()
    with pytest.raises(StorageFault, match=r"checkpoint-0*10\.h5: cannot be read \(Is a directory\); nothing"):
        newest(tmp_path)


class TestDamage:
    """The newest of two checkpoints is damaged: the older one is taken, and it is said why."""

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        save(tmp_path, 5)
        return save(tmp_path, 10)

    def passed_over(self, folder: Path, reason: str = "") -> None:
        round, why = newest(folder)
        assert round == 5
        assert len(why) == 1
        assert why[0].startswith(f"{checkpoint_path(folder, 10)}: ")
        assert reason in why[0]

    @pytest.mark.parametrize("share", [0, 0.001, 0.1, 0.5, 0.9, 0.999])
    def test_truncated(self, bad: Path, share: float) -> None:
        whole = bad.read_bytes()
        bad.write_bytes(whole[: int(share * len(whole))])
        self.passed_over(bad.parent, "checksum")

    @pytest.mark.parametrize(
        "name",
        ["state/x", "state/smoothness", "state/t", "memory/residual", "tail/rounds/norms", "tail/audits/loss"],
    )
    def test_one_bit_flipped(self, bad: Path, name: str) -> None:
        """In the first number of each dataset, the first byte and the last."""
        with h5py.File(bad, "r+") as file:
            data = file[name]
            at = data.id.get_offset() if data.chunks is None else data.id.get_chunk_info(0).byte_offset
        whole = bad.read_bytes()
        for byte in (at, at + 7):
            flipped = bytearray(whole)
            flipped[byte] ^= 0x10
            bad.write_bytes(flipped)
            self.passed_over(bad.parent, "checksum")

    @pytest.mark.parametrize("name", ["state", "state/x", "state/t", "tail", "tail/rounds", "memory/residual"])
    def test_a_part_missing(self, bad: Path, name: str) -> None:
        with h5py.File(bad, "r+") as file:
            del file[name]
        self.passed_over(bad.parent, "checksum")

    @pytest.mark.parametrize("name", ["state", "state/x", "state/t", "tail", "tail/rounds"])
    def test_a_part_never_written(self, bad: Path, name: str) -> None:
        with resealed(bad) as file:
            del file[name]
        self.passed_over(bad.parent, "not a whole checkpoint")

    @pytest.mark.parametrize("name", ["kind", "format", "plan_id", "round"])
    def test_an_attribute_missing(self, bad: Path, name: str) -> None:
        with resealed(bad) as file:
            del file.attrs[name]
        self.passed_over(bad.parent)

    @pytest.mark.parametrize(("name", "value"), [("kind", "run"), ("format", 99), ("round", "many")])
    def test_an_attribute_wrong(self, bad: Path, name: str, value: Any) -> None:
        with resealed(bad) as file:
            file.attrs[name] = value
        self.passed_over(bad.parent)

    def test_residuals_of_one_worker_lost(self, bad: Path) -> None:
        with h5py.File(bad, "r+") as file:
            file["memory/residual"].resize(M - 1, axis=0)
        self.passed_over(bad.parent, "checksum")

    def test_not_hdf5(self, bad: Path) -> None:
        bad.write_bytes(b"not hdf5")
        self.passed_over(bad.parent, "checksum")

    def test_both(self, bad: Path) -> None:
        older = checkpoint_path(bad.parent, 5)
        for path in (bad, older):
            path.write_bytes(b"")
        round, why = newest(bad.parent)
        assert round is None
        assert [reason.partition(": ")[0] for reason in why] == [str(bad), str(older)]


def test_another_plan_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, 5, plan_id="another")
    with pytest.raises(SetupFault, match="belongs to another plan"):
        checkpoint.load(path, SCHEMA)
    assert newest(tmp_path) == (None, [f"{path}: belongs to another plan"])


def test_a_scratch_file_is_no_checkpoint(tmp_path: Path) -> None:
    save(tmp_path, 5)
    (tmp_path / ".checkpoint-000000010.h5.abc.part").write_bytes(b"half")
    assert newest(tmp_path) == (5, [])


def _put(name: str, change: Callable[[Any], Any]) -> Callable[[Any], None]:
    def lie(file: Any) -> None:
        old = file[name][()]
        del file[name]
        if (new := change(old)) is not None:
            file[name] = new

    return lie


def _say(name: str, value: object) -> Callable[[Any], None]:
    return lambda file: file.attrs.__setitem__(name, value)


def _nan_at(*where: int) -> Callable[[Any], Any]:
    def change(old: Any) -> Any:
        old[where] = np.nan
        return old

    return change


# What is sealed and not so: the checksum fits, and the checkpoint is passed over all the same.
LIES: dict[str, tuple[Callable[[Any], None], str]] = {
    "an earlier round": (_say("round", 9), "is the checkpoint of round 9"),
    "a negative round": (_say("round", -5), "is the checkpoint of round -5"),
    "a huge round": (_say("round", 2**62), "is the checkpoint of round"),
    "a broken round": (_say("round", 10.5), "not a whole checkpoint"),
    "other workers": (_say("workers", M + 1), "of another type or length"),
    "x of NaN": (_put("state/x", _nan_at(3)), "state/x is not finite"),
    "x big-endian": (_put("state/x", lambda old: old.astype(">f8")), "state/x is not of type"),
    "x in half": (_put("state/x", lambda old: old.astype("<f2")), "state/x is not of type"),
    "x longer": (_put("state/x", lambda old: np.append(old, 1.0)), "state/x is not of length"),
    "a short count": (_put("state/t", lambda old: np.int16(old)), "state/t is not of type"),
    "a memory for more": (_put("memory/residual", lambda old: np.resize(old, (9, DIM))), "of 9 workers, not of 6"),
    "a memory for fewer": (_put("memory/residual", lambda old: old[:4]), "of 4 workers, not of 6"),
    "a memory of NaN": (_put("memory/residual", _nan_at(2, 1)), "memory/residual of worker 2 is not finite"),
    "a memory big-endian": (_put("memory/residual", lambda old: old.astype(">f8")), "is not 8 numbers for each"),
    "no memory": (_put("memory/residual", lambda _: None), "not a whole checkpoint"),
    "another memory of NaN": (lambda file: file.create_dataset("memory/x", data=np.full((M, DIM), np.nan)), "memory/x"),
    "no norms": (_put("tail/rounds/norms", lambda _: None), "not a whole checkpoint"),
    "norms of others": (
        _put("tail/rounds/norms", lambda old: old[:, :-1]),
        "rounds/norms is of another type or length",
    ),
    "norms cut": (_put("tail/rounds/norms", lambda old: old[:-1]), "rounds/norms is of another type or length"),
    "a tail of other rounds": (_put("tail/rounds/round", lambda old: old + 1), "rounds of the tail are not the last"),
    "a tail with a gap": (_put("tail/rounds/round", lambda old: old - [1, 0]), "rounds of the tail are not the last"),
    "a tail that goes back": (_put("tail/rounds/round", lambda old: old[::-1].copy()), "are not in order"),
    "losses in words": (_put("tail/audits/loss", lambda old: old > 0), "audits/loss is of another type or length"),
    "no way down": (_put("downlink/0/0", lambda _: None), "not a whole checkpoint"),
    "a way down of NaN": (_put("downlink/0/1", _nan_at(3)), "downlink is not 8 finite numbers"),
    "a shorter way down": (_put("downlink/1/0", lambda old: old[:-1]), "downlink is not 8 finite numbers"),
    "a way down big-endian": (_put("downlink/1/0", lambda old: old.astype(">f8")), "downlink is not 8 finite numbers"),
    "audits to come": (_put("tail/audits/round", lambda old: old + 5), "rounds of the tail are not the last"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_sealed_lie_is_passed_over(lie: str, tmp_path: Path) -> None:
    save(tmp_path, 5)
    bad = save(tmp_path, 10)
    tell, reason = LIES[lie]
    with resealed(bad) as file:
        tell(file)
    found, (why,) = checkpoint.newest(tmp_path, STRICT, DIM)
    assert found == checkpoint_path(tmp_path, 5)
    assert why.startswith(f"{bad}: ")
    assert reason in why


def test_a_checkpoint_of_a_round_that_no_run_has_done_is_passed_over(tmp_path: Path) -> None:
    """Its name and its round agree, and its tail begins after all rounds that a trace of this plan can have."""
    save(tmp_path, 5)
    far = checkpoint_path(tmp_path, 2**62)
    snapshot = checkpoint.Snapshot(2**62, state(5), Trace(M, np.array([1]), {}).tail(), held=HELD)
    checkpoint.save(tmp_path, snapshot, ID, {})
    assert far.exists()
    found, (why,) = checkpoint.newest(tmp_path, STRICT, DIM)
    assert found == checkpoint_path(tmp_path, 5)
    assert f"round {2**62} of 6 workers is not of this run" in why


def test_a_run_that_has_done_more_rounds_than_it_is_to_do_now_goes_on(tmp_path: Path) -> None:
    """The rounds of a plan may be fewer on resume: the checkpoint is not thrown away for it."""
    path = save(tmp_path, 25)
    assert checkpoint.newest(tmp_path, replace(STRICT, rounds=24), DIM) == (path, [])


def test_the_memory_of_a_byzantine_worker_may_overflow(tmp_path: Path) -> None:
    path = save(tmp_path, 5)
    with resealed(path) as file:
        file["memory/residual"][1] = np.inf
    assert checkpoint.newest(tmp_path, STRICT, DIM) == (path, [])


def test_a_checkpoint_says_what_it_is(tmp_path: Path) -> None:
    with h5py.File(save(tmp_path, 5)) as file:
        assert {name: file.attrs[name] for name in ("round", "workers", "plan_id")} == {
            "round": 5,
            "workers": M,
            "plan_id": ID,
        }


def test_one_of_an_earlier_version_says_less(tmp_path: Path) -> None:
    path = save(tmp_path, 5)
    with resealed(path) as file:
        del file.attrs["workers"]
    assert checkpoint.newest(tmp_path, STRICT, DIM) == (path, [])
