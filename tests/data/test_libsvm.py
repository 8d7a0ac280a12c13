"""LIBSVM text to store to shards: the numbers survive, and what is wrong is refused with file, line and reason."""

from __future__ import annotations

import os
import tracemalloc
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpirobust.data import reading
from mpirobust.data.sources import libsvm
from mpirobust.data.sources.base import Dataset, Places
from mpirobust.data.sources.libsvm import LibSVM
from mpirobust.errors import DataFault

DATA = os.environ.get("MPIROBUST_DATA")
A9A = Path(DATA or "nowhere") / "libsvm" / "a9a"

TEXT = """\
# two classes, a comment, an empty line, a row without features
+1 1:0.5 3:-2
-1 2:1e-3 # a remark

-1
+1 1:1 2:2 3:3 4:4
"""
DENSE = np.array([[0.5, 0, -2, 0], [0, 1e-3, 0, 0], [0, 0, 0, 0], [1, 2, 3, 4]])


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(plan=tmp_path, data=None, cache=tmp_path / "cache")


def dataset(source: LibSVM, places: Places, seed: int = 1) -> Dataset:
    return source.open(source.prepare(places), seed)


def write(places: Places, text: str | bytes, name: str = "rows.svm") -> Path:
    path = places.plan / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_rows_come_back_as_they_stand_in_the_text(places: Places) -> None:
    write(places, TEXT)
    data = dataset(LibSVM(path="rows.svm"), places)
    assert (data.facts.rows, data.facts.test_rows, data.facts.features, data.facts.classes) == (4, 0, 4, 2)
    shard = data.train(np.arange(4))
    np.testing.assert_array_equal(shard.X.toarray(), DENSE)
    np.testing.assert_array_equal(shard.XT.toarray(), DENSE.T)
    np.testing.assert_array_equal(shard.y, [1, 0, 0, 1])
    assert (shard.classes, shard.total) == (2, 4)
    labels = data.labels()
    assert labels is not None
    np.testing.assert_array_equal(labels, [1, 0, 0, 1])
    assert data.solution() is None
    data.close()
    np.testing.assert_array_equal(shard.X @ np.ones(4), DENSE.sum(axis=1))


@pytest.mark.parametrize("rows", [[0], [2], [3], [1, 2], [0, 3], [0, 2, 3], []])
def test_any_choice_of_rows(places: Places, rows: list[int]) -> None:
    write(places, TEXT)
    data = dataset(LibSVM(path="rows.svm"), places)
    shard = data.train(np.array(rows, dtype=np.intp))
    np.testing.assert_array_equal(shard.X.toarray(), DENSE[rows])
    np.testing.assert_array_equal(shard.y, np.array([1.0, 0, 0, 1])[rows])
    data.close()


_NUMBERS = st.floats(-1e9, 1e9, width=32).filter(lambda number: number != 0)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.integers(-3, 3), st.dictionaries(st.integers(1, 12), _NUMBERS, max_size=6)), min_size=1, max_size=9
    ),
    data=st.data(),
)
def test_round_trip(places: Places, rows: list[tuple[int, dict[int, float]]], data: st.DataObject) -> None:
    dense = np.zeros((len(rows), 12))
    lines = []
    for row, (label, numbers) in zip(dense, rows, strict=True):
        for index, number in numbers.items():
            row[index - 1] = number
        lines.append(" ".join([str(label), *(f"{index}:{numbers[index]!r}" for index in sorted(numbers))]) + "\n")
    path = write(places, "".join(lines))
    source = LibSVM(path="rows.svm", features=12, targets="real")
    (store,) = source.prepare(places)
    store.unlink()  # hypothesis writes faster than the clock of some file systems ticks
    found = dataset(source, places)
    chosen = np.array(sorted(data.draw(st.sets(st.integers(0, len(rows) - 1)))), dtype=np.intp)
    shard = found.train(chosen)
    np.testing.assert_array_equal(shard.X.toarray(), dense[chosen])
    np.testing.assert_array_equal(shard.y, np.array([label for label, _ in rows], dtype=float)[chosen])
    found.close()
    path.unlink()


def test_labels_are_numbered_in_ascending_order(places: Places) -> None:
    write(places, "7 1:1\n-2 1:1\n0.5 1:1\n7 1:1\n")
    data = dataset(LibSVM(path="rows.svm"), places)
    assert data.facts.classes == 3
    np.testing.assert_array_equal(data.train(np.arange(4)).y, [2, 0, 1, 2])


def test_real_targets_stay_as_they_are(places: Places) -> None:
    write(places, "7 1:1\n-2 1:1\n0.5 1:1\n")
    data = dataset(LibSVM(path="rows.svm", targets="real"), places)
    assert data.facts.classes == 0
    assert data.labels() is None
    np.testing.assert_array_equal(data.train(np.arange(3)).y, [7, -2, 0.5])


def test_too_many_classes_to_be_classes(places: Places) -> None:
    write(places, "".join(f"{row}.5 1:1\n" for row in range(1001)))
    with pytest.raises(
        DataFault, match=r'svm, line 1001: .*1001 distinct labels; for real targets say data\.targets = "real"'
    ):
        dataset(LibSVM(path="rows.svm"), places)


class TestSplit:
    def text(self, rows: int = 100) -> str:
        return "".join(f"{row % 2} 1:{row + 1}\n" for row in range(rows))

    def parts(self, places: Places, seed: int, split: float = 0.7) -> tuple[list[float], list[float]]:
        data = dataset(LibSVM(path="rows.svm", split=split), places, seed)
        train, test = data.train(np.arange(data.facts.rows)), data.test(np.arange(data.facts.test_rows))
        assert train.total == test.total == data.facts.rows
        for shard in (train, test):
            np.testing.assert_array_equal(shard.y, (shard.X.toarray()[:, 0] - 1) % 2)
        return train.X.toarray()[:, 0].tolist(), test.X.toarray()[:, 0].tolist()

    def test_every_row_is_on_one_side(self, places: Places) -> None:
        write(places, self.text())
        train, test = self.parts(places, seed=1)
        assert (len(train), len(test)) == (70, 30)
        assert sorted(train + test) == list(range(1, 101))
        assert (train, test) == (sorted(train), sorted(test))
        assert train != list(range(1, 71))

    def test_is_a_function_of_the_seed(self, places: Places) -> None:
        write(places, self.text())
        assert self.parts(places, seed=1) == self.parts(places, seed=1)
        assert self.parts(places, seed=1) != self.parts(places, seed=2)

    @pytest.mark.parametrize(("split", "rows"), [(0.5, 5), (0.29, 3), (0.999, 10), (0.001, 1)])
    def test_is_rounded(self, places: Places, split: float, rows: int) -> None:
        write(places, self.text(10))
        train, test = self.parts(places, 1, split)
        assert (len(train), len(test)) == (rows, 10 - rows)

    @pytest.mark.parametrize(("split", "said"), [(0.999, True), (0.9, False)])
    def test_without_a_row_for_the_test_is_told(
        self, split: float, said: bool, places: Places, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write(places, self.text(10))
        LibSVM(path="rows.svm", split=split).prepare(places)
        note = f"note: data.split = {split} of 10 rows leaves no row for the test\n"
        assert capsys.readouterr().err == (note if said else "")

    def test_or_a_file_but_not_both(self) -> None:
        with pytest.raises(ValueError, match="give split or test, not both"):
            LibSVM(path="rows.svm", split=0.5, test="rows.t")


class TestTestFile:
    def test_may_have_fewer_features(self, places: Places) -> None:
        write(places, TEXT)
        write(places, "-1 1:9\n+1\n", "rows.t")
        data = dataset(LibSVM(path="rows.svm", test="rows.t"), places)
        assert (data.facts.rows, data.facts.test_rows, data.facts.features) == (4, 2, 4)
        test = data.test(np.arange(2))
        np.testing.assert_array_equal(test.X.toarray(), [[9, 0, 0, 0], [0, 0, 0, 0]])
        np.testing.assert_array_equal(test.y, [0, 1])
        np.testing.assert_array_equal(data.train(np.arange(4)).X.toarray(), DENSE)
        elsewhere = replace(places, cache=places.cache / "other")
        stated = dataset(LibSVM(path="rows.svm", test="rows.t", features=4), elsewhere)
        assert data.facts.digest == stated.facts.digest  # as it always was: runs that exist can be resumed

    def test_may_have_more(self, places: Places) -> None:
        """As a1a.t, with 123 features to the 119 of a1a."""
        write(places, TEXT)
        write(places, "-1 1:9\n+1 6:1\n", "rows.t")
        data = dataset(LibSVM(path="rows.svm", test="rows.t"), places)
        assert data.facts.features == 6
        np.testing.assert_array_equal(data.train(np.arange(4)).X.toarray(), np.pad(DENSE, ((0, 0), (0, 2))))
        np.testing.assert_array_equal(data.test(np.arange(2)).X.toarray(), [[9, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]])

    def test_may_not_have_more_than_the_plan_says(self, places: Places) -> None:
        write(places, TEXT)
        path = write(places, "# rows\n-1 1:9\n\n+1 5:1\n+1 7:1\n", "rows.t")
        with pytest.raises(DataFault) as caught:
            dataset(LibSVM(path="rows.svm", test="rows.t", features=4), places)
        assert str(caught.value) == f"{path}, line 4: feature 5 is above data.features = 4; the file needs 7"

    def test_labels_mean_what_they_mean_in_training(self, places: Places) -> None:
        write(places, TEXT)
        write(places, "+1 1:1\n", "rows.t")  # alone, +1 would be class 0
        data = dataset(LibSVM(path="rows.svm", test="rows.t"), places)
        np.testing.assert_array_equal(data.test(np.arange(1)).y, [1])

    @pytest.mark.parametrize("label", ["0", "2", "-3"])
    def test_may_not_have_labels_of_its_own(self, places: Places, label: str) -> None:
        write(places, TEXT)
        path = write(places, f"# test set\n\n-1 1:1\n{label} 1:1\n", "rows.t")
        with pytest.raises(DataFault, match=f"^{path}, line 4: label {label} is unknown in training"):
            dataset(LibSVM(path="rows.svm", test="rows.t"), places)

    def test_is_part_of_the_digest(self, places: Places) -> None:
        write(places, TEXT)
        write(places, "+1 1:1\n", "rows.t")
        with_test = dataset(LibSVM(path="rows.svm", test="rows.t"), places).facts.digest
        assert with_test != dataset(LibSVM(path="rows.svm"), places).facts.digest


def test_more_features_than_the_text_uses(places: Places) -> None:
    write(places, TEXT)
    data = dataset(LibSVM(path="rows.svm", features=9), places)
    assert data.facts.features == 9
    X = data.train(np.arange(4)).X.toarray()
    np.testing.assert_array_equal(X, np.pad(DENSE, ((0, 0), (0, 5))))


# What LIBSVM's own reader takes for the rows [1, 0.5] of label 1 and [0, -3] of label -1; and comments, empty lines.
LIBERTIES = {
    "plain": "1 1:1 2:0.5\n-1 2:-3\n",
    "blank-after-colon": "+1   1:1.00   2: .50\n-1 2:   -3\n",
    "tabs": "1\t1:1\t2:0.5\n-1\t2:\t-3\n",
    "trailing-blanks": "1 1:1 2:0.5  \n-1 2:-3 \t\n",
    "leading-blanks": "  1 1:1 2:0.5\n\t-1 2:-3\n",
    "other-blanks": "1\v1:1\f2:0.5\n-1 2:-3\n",
    "signs": "+1 +1:+1 +2:+0.5\n-1 2:-3\n",
    "zeros-before": "01 001:01 02:00.5\n-1 02:-03\n",
    "points": "1. 1:1. 2:.5\n-1. 2:-3.\n",
    "exponents": "1e0 1:10E-1 2:5.e-001\n-.1e1 2:-.3e+1\n",
    "underflow": "1 1:1 2:0.5\n-1 1:1e-999 2:-3\n",
    "hexadecimal": "0x1 1:0x1p0 2:0X.8\n-0x1 2:-0x3\n",
    "comments": "# rows\n1 1:1 2:0.5 # 3:4\n#\n-1 2:-3#\n",
    "empty-lines": "\n\n1 1:1 2:0.5\n \t\n-1 2:-3\n\n",
    "not-ended": "1 1:1 2:0.5\n-1 2:-3",
    "windows": "1 1:1 2:0.5\r\n-1 2:-3\r\n",
    "many-digits": "1 1:1.00000000000000000000000000001 2:0.5\n-1 2:-3\n",
}


@pytest.mark.parametrize("name", LIBERTIES)
def test_what_libsvm_reads_is_read(name: str, places: Places) -> None:
    write(places, LIBERTIES[name])
    data = dataset(LibSVM(path="rows.svm"), places)
    shard = data.train(np.arange(2))
    np.testing.assert_array_equal(shard.X.toarray(), [[1, 0.5], [0, -3]])
    np.testing.assert_array_equal(shard.y, [1, 0])


@pytest.mark.parametrize("form", ["{!r}", "{:.17g}", "{:.3f}", "{:.9E}", "{:.25e}"])
def test_numbers_are_those_that_python_reads(form: str, places: Places) -> None:
    """To the last bit: stores that exist were made by Python's `float`."""
    bits = np.random.default_rng(0).integers(0, 2**63, 4000, dtype=np.uint64)
    numbers = bits.view(np.float64)
    texts = [form.format(number) for number in numbers[np.isfinite(numbers)].tolist()]
    write(places, "".join(f"0 1:{text}\n" for text in texts))
    X = dataset(LibSVM(path="rows.svm"), places).train(np.arange(len(texts))).X
    assert X.data.tobytes() == np.array(list(map(float, texts))).tobytes()


def test_a_wrong_line_is_found_without_reading_each_line_by_itself(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    explained = []
    reason = libsvm._reason

    def counted(line: bytes) -> str:
        explained.append(line)
        return reason(line)

    monkeypatch.setattr(libsvm, "_reason", counted)
    monkeypatch.setattr(reading, "_PIECE", 2**12)
    path = write(places, "+1 1:1 2:1\n-1 1:2\n" * 5000 + "+1 1:6.6e-0114:8.7e-01\n")
    with pytest.raises(DataFault, match=f"^{path}, line 10001: the value '6.6e-0114:8.7e-01' of feature '1'"):
        LibSVM(path="rows.svm").prepare(places)
    assert explained == [b"+1 1:6.6e-0114:8.7e-01"]


def test_parsing_takes_less_than_three_times_the_rows(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_PIECE", 2**16)  # small against the rows, as it is for large files
    path = write(
        places, "".join(f"{row % 2} " + " ".join(f"{at}:0.25" for at in range(1, 19)) + "\n" for row in range(10_000))
    )
    tracemalloc.start()
    try:
        rows, labels = libsvm.parse(path, None, 0, lambda: None)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * (rows.data.nbytes + rows.indices.nbytes + rows.indptr.nbytes + labels.nbytes)


MALFORMED = {
    "bad-number": ("1:abc", "the value 'abc' of feature '1' is no finite number"),
    "no-number": ("1:", "the value '' of feature '1' is no finite number"),
    "no-number-after-a-blank": ("1: 2:1", "the value '2:1' of feature '1' is no finite number"),
    "two-colons": ("1:2:3", "the value '2:3' of feature '1'"),
    "two-points": ("1:1.2.3", "the value '1.2.3' of feature '1'"),
    "half-an-exponent": ("1:1e", "the value '1e' of feature '1'"),
    "fortran": ("1:1d5", "the value '1d5' of feature '1'"),
    "thousands": ("1:1_000", "the value '1_000' of feature '1'"),
    "index-thousands": ("1_0:1", "'1_0' is not the number of a feature"),
    "comma": ("1:1,5", "the value '1,5' of feature '1'"),
    "no-colon": ("17", "'17' is not index:value"),
    "blank-before-colon": ("1 :17", "'1' is not index:value"),
    "words-after": ("1:1 end", "'end' is not index:value"),
    "bad-index": ("a:1", "'a' is not the number of a feature"),
    "index-with-point": ("1.0:1", "'1.0' is not the number of a feature"),
    "index-exponent": ("1e0:1", "'1e0' is not the number of a feature"),
    "no-index": (":1", "'' is not the number of a feature"),
    "glued": ("1:6.6e-0114:8.7e-01", "the value '6.6e-0114:8.7e-01' of feature '1'"),
    "ranking": ("qid:3 1:1", "qid, as in data for ranking, is not supported"),
    "index-zero": ("0:1", "there is a feature 0; the first one is 1"),
    "index-negative": ("-1:1", "'-1' is not the number of a feature; the first one is 1"),
    "index-huge": ("99999999999:1", "the number of a feature is above 2147483647"),
    "unsorted": ("3:1 2:1", "the numbers of the features do not ascend"),
    "twice": ("2:1 2:1", "the numbers of the features do not ascend"),
    "nan": ("1:nan", "the value 'nan' of feature '1' is no finite number"),
    "inf": ("1:-inf", "the value '-inf' of feature '1' is no finite number"),
    "overflow": ("1:1e999", "a value is too large"),
    "hexadecimal-overflow": ("1:0x1p9999", "the value 'inf' of feature '1'"),
    "above-features": ("5:1", "feature 5 is above data.features = 4; the file needs 5"),
    "binary": ("\x00\x01\x02", "this is no text"),
    "latin-1": ("1:1 caf\xe9", "'caf\\xe9' is not index:value"),
}


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("line", [1, 3])
def test_malformed_line(places: Places, name: str, line: int) -> None:
    bad, reason = MALFORMED[name]
    lines = ["+1 1:1"] * (line - 1) + [f"-1 {bad}"] + ["+1 1:1"] * 3
    path = write(places, ("\n".join(lines) + "\n").encode("latin-1"))
    with pytest.raises(DataFault) as caught:
        LibSVM(path="rows.svm", features=4).prepare(places)
    assert str(caught.value).startswith(f"{path}, line {line}: ")
    assert reason in str(caught.value)
    assert not list(places.cache.rglob("*.h5"))


LABELS = {
    "abc": "the label 'abc' is no finite number",
    "nan": "the label 'nan' is no finite number",
    "-inf": "the label '-inf' is no finite number",
    "1e999": "the label is too large",
    "1,2": "more than one label ('1,2'); a row can have only one",
    "1:2": "no label before '1:2'",
    "\x7fELF": "the label",
}


@pytest.mark.parametrize("label", LABELS)
def test_malformed_label(places: Places, label: str) -> None:
    path = write(places, f"+1 1:1\n{label} 1:1\n")
    with pytest.raises(DataFault) as caught:
        LibSVM(path="rows.svm").prepare(places)
    assert str(caught.value).startswith(f"{path}, line 2: {LABELS[label]}")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.binary(min_size=1, max_size=200))
def test_binary_junk_is_refused_or_read(places: Places, junk: bytes) -> None:
    path = write(places, junk)
    try:
        (store,) = LibSVM(path="rows.svm", features=50).prepare(places)
    except DataFault as fault:
        said = str(fault)
    else:
        store.unlink(missing_ok=True)
        return
    assert str(path) in said


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing but this\n"])
def test_no_rows(places: Places, text: str) -> None:
    path = write(places, text)
    with pytest.raises(DataFault) as caught:
        LibSVM(path="rows.svm").prepare(places)
    assert str(caught.value) == f"{path}: no rows"


class TestStoreOfText:
    def test_is_reused_while_the_text_is_the_same(self, places: Places) -> None:
        write(places, TEXT)
        (first,) = LibSVM(path="rows.svm").prepare(places)
        made = first.stat().st_mtime_ns, first.stat().st_ino
        (second,) = LibSVM(path="rows.svm").prepare(places)
        assert second == first
        assert (second.stat().st_mtime_ns, second.stat().st_ino) == made
        assert first.is_relative_to(places.cache)

    def test_is_made_anew_when_the_text_changes(self, places: Places) -> None:
        path = write(places, "+1 1:1\n-1 1:2\n")
        before = dataset(LibSVM(path="rows.svm"), places)
        seen = path.stat()
        path.write_text("+1 1:1\n-1 1:3\n")  # as long as before
        os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns + 1))
        after = dataset(LibSVM(path="rows.svm"), places)
        np.testing.assert_array_equal(after.train(np.arange(2)).X.toarray(), [[1], [3]])
        assert after.facts.digest != before.facts.digest

    def test_is_another_for_other_features(self, places: Places) -> None:
        write(places, TEXT)
        assert LibSVM(path="rows.svm").prepare(places) != LibSVM(path="rows.svm", features=9).prepare(places)

    def test_may_be_named_itself(self, places: Places) -> None:
        write(places, TEXT)
        (store,) = LibSVM(path="rows.svm").prepare(places)
        store.rename(places.plan / "ready.h5")
        source = LibSVM(path="ready.h5")
        assert source.prepare(places) == [places.plan / "ready.h5"]
        np.testing.assert_array_equal(dataset(source, places).train(np.arange(4)).X.toarray(), DENSE)
        with pytest.raises(DataFault, match=r"data.features: 9 asked for, .*ready.h5 has 4"):
            dataset(LibSVM(path="ready.h5", features=9), places)

    def test_has_the_digest_of_its_rows(self, places: Places) -> None:
        write(places, TEXT)
        write(places, TEXT, "copy.svm")
        one, other = (dataset(LibSVM(path=name), places).facts.digest for name in ("rows.svm", "copy.svm"))
        assert one == other


class TestPlaces:
    def test_beside_the_plan_before_data_before_cache(self, tmp_path: Path) -> None:
        places = Places(tmp_path / "plan", tmp_path / "data", tmp_path / "cache")
        for folder in (tmp_path / name for name in ("cache", "data", "plan")):
            folder.mkdir()
            (folder / "rows").touch()
            assert places.find("rows", "data.path") == folder / "rows"

    def test_says_that_the_folder_of_data_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(DataFault, match=r"\(\$MPIROBUST_DATA is .*/data, and there is no such folder\)"):
            LibSVM(path="rows").prepare(Places(tmp_path / "plan", tmp_path / "data", tmp_path / "cache"))

    def test_says_where_it_looked(self, tmp_path: Path) -> None:
        places = Places(tmp_path / "plan", None, tmp_path / "cache")
        with pytest.raises(DataFault) as caught:
            LibSVM(path="rows").prepare(places)
        looked = f"{tmp_path}/plan/rows, {tmp_path}/cache/rows"
        assert str(caught.value) == f"data.path: no file 'rows'; looked for {looked} ($MPIROBUST_DATA is not set)"

    def test_names_the_key(self, places: Places) -> None:
        write(places, TEXT)
        with pytest.raises(DataFault, match=r"data\.test: no file 'rows\.t'"):
            LibSVM(path="rows.svm", test="rows.t").prepare(places)

    def test_come_from_the_environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MPIROBUST_DATA", "/some/data")
        monkeypatch.delenv("MPIROBUST_CACHE", raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", "/some/home")
        plan = tmp_path / "plan.toml"
        assert Places.for_plan(plan) == Places(tmp_path, Path("/some/data"), Path("/some/home/mpirobust"))
        monkeypatch.setenv("MPIROBUST_CACHE", "/some/cache")
        monkeypatch.delenv("MPIROBUST_DATA")
        assert Places.for_plan(plan) == Places(tmp_path, None, Path("/some/cache"))


@pytest.mark.skipif(not A9A.is_file(), reason="no libsvm/a9a below $MPIROBUST_DATA")
def test_a9a(tmp_path: Path) -> None:
    test = "libsvm/a9a.t" if A9A.with_name("a9a.t").is_file() else None
    places = Places(tmp_path, A9A.parent.parent, tmp_path / "cache")
    data = dataset(LibSVM(path="libsvm/a9a", features=123, test=test), places)
    assert (data.facts.rows, data.facts.features, data.facts.classes) == (32561, 123, 2)
    shard = data.train(np.arange(32561))
    assert shard.X.nnz == 451592
    assert (shard.X.data == 1).all()
    assert np.bincount(shard.y.astype(int)).tolist() == [24720, 7841]
    with A9A.open() as file:
        for row, line in zip(range(1000), file, strict=False):
            label, *features = line.split()
            assert shard.y[row] == (label == "+1")
            indices = shard.X.indices[shard.X.indptr[row] : shard.X.indptr[row + 1]]
            assert [f"{index + 1}:1" for index in indices] == features
    if test is not None:
        assert data.facts.test_rows == 16281
        assert np.bincount(data.test(np.arange(16281)).y.astype(int)).tolist() == [12435, 3846]


def test_stores_are_hdf5(places: Places) -> None:
    write(places, TEXT)
    (store,) = LibSVM(path="rows.svm").prepare(places)
    with h5py.File(store) as file:
        assert file.attrs["source"] == str(places.plan / "rows.svm")
        assert file.attrs["features"] == 4
        assert {name: file[name].dtype.str for name in file} == {
            "indptr": "<i8",
            "indices": "<i4",
            "data": "<f8",
            "labels": "<f8",
        }
