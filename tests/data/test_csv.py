"""CSV to shards: head, label, delimiter and quotes are found out or given; faults name line and column."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpirobust import catalog
from mpirobust.data import reading
from mpirobust.data.sources.base import Dataset, Places
from mpirobust.data.sources.csv import CSV
from mpirobust.errors import DataFault, PlanFault


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path, None, tmp_path / "cache")


def dataset(source: CSV, places: Places) -> Dataset:
    return source.open(source.prepare(places), seed=1)


def write(places: Places, text: str | bytes, name: str = "rows.csv") -> Path:
    path = places.plan / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


# Each is the rows [1, 0.5] of label 3 and [-2, 0] of label 7, whose column is `class`, the second.
FORMS: dict[str, str | bytes] = {
    "head": "a,class,b\n1,3,.5\n-2,7,0\n",
    "semicolons": "a;class;b\n1;3;.5\n-2;7;0\n",
    "tabs": "a\tclass\tb\n1\t3\t.5\n-2\t7\t0\n",
    "bars": "a|class|b\n1|3|.5\n-2|7|0\n",
    "blanks": "a class  b\n 1 3   .5 \n-2 7 0\n",
    "blanks-after-commas": "a, class, b\n1, 3, .5\n-2, 7, 0\n",
    "blanks-in-the-head": "a b c d,class,b\n1,3,.5\n-2,7,0\n",
    "quoted": '"a","class","b"\n"1","3",".5"\n-2,7,"0"\n',
    "quoted-comma": '"a, b",class,c\n1,3,.5\n-2,7,0\n',
    "quoted-quote": '"a ""b""",class,c\n1,3,.5\n-2,7,0\n',
    "semicolons-in-names": "a;b,class,c;d;e;f;g\n1,3,.5\n-2,7,0\n",
    "empty-lines": "\n\na,class,b\n\n1,3,.5\n \n-2,7,0\n\n",
    "not-ended": "a,class,b\n1,3,.5\n-2,7,0",
    "windows": "a,class,b\r\n1,3,.5\r\n-2,7,0\r\n",
    "mark": b"\xef\xbb\xbfa,class,b\n1,3,.5\n-2,7,0\n",
    "latin-1": b"caf\xe9,class,b\n1,3,.5\n-2,7,0\n",
    "packed": gzip.compress(b"a,class,b\n1,3,.5\n-2,7,0\n"),
    "no-names": "1,3,.5\n-2,7,0\n",
    "no-names-semicolons": "1;3;.5\n-2;7;0\n",
    "exponents": "1e0,0.3e1,+5.e-1\n-.2E1,7,0\n",
}


@pytest.mark.parametrize("piece", [28, 2**22])
@pytest.mark.parametrize("form", FORMS)
def test_what_is_found_out(form: str, piece: int, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_PIECE", piece)
    write(places, FORMS[form])
    for label in (2, -2) if form.startswith(("no-names", "exponents")) else (2, -2, "class"):
        data = dataset(CSV(path="rows.csv", label=label), places)
        assert (data.facts.rows, data.facts.features, data.facts.classes) == (2, 2, 2)
        shard = data.train(np.arange(2))
        assert shard.X.dtype == np.float64
        np.testing.assert_array_equal(shard.X, [[1, 0.5], [-2, 0]])
        np.testing.assert_array_equal(shard.y, [0, 1])
        np.testing.assert_array_equal(data.train(np.array([1])).X, [[-2, 0]])


def test_the_first_name_of_a_header_that_numpy_writes(places: Places) -> None:
    np.savetxt(places.plan / "rows.csv", [[3, 1], [7, 2]], delimiter=",", header="class,a")
    assert dataset(CSV(path="rows.csv", label="class"), places).facts.features == 1


def test_what_is_given(places: Places) -> None:
    write(places, "0:1:2\n3:4:5\n")
    source = CSV(path="rows.csv", label="1", header=True, delimiter=":", targets="real")
    shard = dataset(source, places).train(np.arange(1))
    np.testing.assert_array_equal(shard.X, [[3, 5]])
    np.testing.assert_array_equal(shard.y, [4])
    write(places, "0 1 2\n3 4 5\n")
    assert dataset(CSV(path="rows.csv", label=1, header=False), places).facts.rows == 2


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers=st.lists(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 3), min_size=1, max_size=9))
def test_round_trip(places: Places, numbers: list[tuple[float, float, float]]) -> None:
    path = write(places, "".join(",".join(map(repr, row)) + "\n" for row in numbers))
    X, y = CSV(path="rows.csv", label=-1).parse(path, lambda: None)
    assert np.column_stack((X, y)).tobytes() == np.array(numbers).tobytes()


# The reason, after the name of the file, and the text; its second line is the wrong one.
MALFORMED = {
    "text": ("line 2: column 2 (b): 'x' is no finite number", "a,b,c\n1,x,2\n"),
    "text-without-head": ("line 2: column 2: 'x' is no finite number", "1,2,3\n1,x,2\n"),
    "nothing": ("line 2: column 3 (c): the field is empty", "a,b,c\n1,2,\n3,4,5\n"),
    "not-available": ("line 2: column 1 (a): 'NA' is no finite number", "a,b,c\nNA,2,1\n"),
    "nan": ("line 2: column 1 (a): 'nan' is no finite number", "a,b,c\nnan,2,1\n"),
    "infinite": ("line 2: column 1 (a): '-inf' is no finite number", "a,b,c\n-inf,2,1\n"),
    "overflow": ("line 2: column 1 (a): '1e999' is no finite number", "a,b,c\n1e999,2,1\n"),
    "thousands": ("line 2: column 1 (a): '1_000' is no finite number", "a,b,c\n1_000,2,1\n"),
    "thousands-quoted": ("line 2: column 1 (a): '1,000' is no finite number", 'a,b,c\n"1,000",2,1\n'),
    "decimal-comma": ("line 2: column 1 (a): '1,5' is no finite number", "a;b;c\n1,5;2,5;1\n3;4;5\n"),
    "few": ("line 2: 2 columns; the first line has 3", "1,2,3\n1,2\n1,2,3\n"),
    "many": ("line 2: 4 columns; the first line has 3", "1,2,3\n1,2,3,4\n1,2,3\n"),
    "fewer-than-names": ("line 2: 2 columns; the first line has 3", "a,b,c\n1,2\n3,4\n"),
    "comma-at-the-end": ("line 2: 4 columns; the first line has 3", "a,b,c\n1,2,3,\n"),
    "one-column": ("line 1: only one column; is data.delimiter = ','", "1\n2\n"),
    "only-a-head": ("no rows", "a,b,c\n"),
    "empty": ("no rows", "\n\n"),
    "open-quote": ("line 2: 2 columns; the first line has 3", 'a,b,c\n1,"2,3\n4,5,6\n'),
    "nul": ("line 2: column 1 (a): ", "a,b,c\n\x001,2,3\n"),
    "hexadecimal": ("line 2: column 1 (a): '0x1' is no finite number", "a,b,c\n0x1,2,3\n"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name: str, places: Places) -> None:
    reason, text = MALFORMED[name]
    path = write(places, text)
    with pytest.raises(DataFault) as caught:
        CSV(path="rows.csv", label=1).prepare(places)
    place = str(caught.value).removeprefix(str(path)).lstrip(",: ")
    assert place.startswith(reason)
    assert not list(places.cache.rglob("*.h5"))


@pytest.mark.parametrize(
    ("label", "text", "reason"),
    [
        ("c", "a,b\n1,2\n", "no column 'c' in PATH, line 1; the columns are: a, b"),
        ("a", "a,b,a\n1,2,3\n", "no column 'a' in PATH, line 1; the columns are: a, b, a"),
        ("a", "\n1,2\n3,4\n", "no column 'a' in PATH, line 2; there is no head"),
        (3, "a,b\n1,2\n", "no column 3 in PATH; line 1 has 2"),
        (-3, "a,b\n1,2\n", "no column -3 in PATH; line 1 has 2"),
    ],
)
def test_no_such_label(label: str | int, text: str, reason: str, places: Places) -> None:
    path = write(places, text)
    with pytest.raises(DataFault) as caught:
        CSV(path="rows.csv", label=label).prepare(places)
    assert str(caught.value) == f"data.label: {reason.replace('PATH', str(path))}"


def test_wrong_keys() -> None:
    with pytest.raises(ValueError, match="the first column is 1, the last one -1"):
        CSV(path="rows.csv", label=0)
    for delimiter in ("", ",,", '"', "\n"):
        with pytest.raises(ValueError, match="delimiter: expected one character"):
            CSV(path="rows.csv", label=1, delimiter=delimiter)
    with pytest.raises(PlanFault, match="label"):
        catalog.build(catalog.ROOMS["data"], {"kind": "csv", "path": "rows.csv", "label": 1.5}, "data")


def test_the_test_set_has_the_columns_of_the_training_set(places: Places) -> None:
    train = write(places, "a,b,class\n1,2,0\n3,4,1\n")
    test = write(places, "a,b,class\n\n5,6,1\n7,8,2\n", "test.csv")
    source = CSV(path="rows.csv", test="test.csv", label="class")
    with pytest.raises(DataFault) as caught:
        source.prepare(places)
    assert str(caught.value) == f"{test}, line 4: label 2 is unknown in training"
    write(places, "class\n1\n", "test.csv")
    with pytest.raises(DataFault, match=r"test\.csv, line 1: only one column"):
        source.prepare(places)
    write(places, "a,class\n1,1\n", "test.csv")
    with pytest.raises(DataFault) as caught:
        source.prepare(places)
    assert str(caught.value) == f"{test} has the columns a, class, {train} has a, b, class"
    write(places, "1,1\n", "test.csv")
    with pytest.raises(DataFault) as caught:
        CSV(path="rows.csv", test="test.csv", label=-1).prepare(places)
    assert str(caught.value).startswith(f"{test} has 1 features, {train} has 2")
    write(places, "b,a,class\n1,2,1\n", "test.csv")
    with pytest.raises(DataFault, match="has the columns b, a, class"):
        source.prepare(places)
    write(places, "a,b,class\n5,6,1\n", "test.csv")
    data = dataset(source, places)
    np.testing.assert_array_equal(data.test(np.arange(1)).X, [[5, 6]])
    np.testing.assert_array_equal(data.test(np.arange(1)).y, [1])


def test_other_keys_read_the_file_anew(places: Places) -> None:
    write(places, "1,2,3\n4,5,6\n")
    first, last = (CSV(path="rows.csv", label=label).prepare(places) for label in (1, -1))
    assert first != last
