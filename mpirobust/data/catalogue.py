"""Public data sets that can be fetched by name.

Sizes and sums are of the files as their homes serve them. A sum stands here only if it was computed from the file and
found again in public copies, or if the home publishes it (Fashion-MNIST). Rows and features of the LIBSVM sets are
those of their home. The terms are those of the home; LIBSVM states none, so that those of its source are named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_LIBSVM = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary"
_UCI = "not stated; its source, UCI {}: CC BY 4.0"


@dataclass(frozen=True)
class Remote:
    """A file at its home.

    Attributes:
        nbytes: its size; None if it is not known.
        checksum: `sha256:...` or `md5:...`; '' if it is not known, and the first download is trusted.
    """

    name: str
    nbytes: int | None = None
    checksum: str = ""


@dataclass(frozen=True)
class DataSet:
    """A public data set.

    Attributes:
        folder: where its files lie, below the folder of data.
        files: that of the training rows first.
        rows, test_rows: 0 test rows if it has no test set of its own.
        terms: the licence, as the home states it.
        home: the page about it.
        mirrors: the folders that have the files, in the order in which they are tried.
    """

    name: str
    folder: str
    files: tuple[Remote, ...]
    rows: int
    test_rows: int
    features: int
    classes: int
    terms: str
    home: str
    mirrors: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The kind of `[data]` that reads it."""
        return "libsvm" if self.folder == "libsvm" else "mnist"

    @property
    def nbytes(self) -> int | None:
        """The size of the whole download; None if it is not known."""
        sizes = [file.nbytes for file in self.files if file.nbytes is not None]
        return sum(sizes) if len(sizes) == len(self.files) else None

    def table(self) -> dict[str, Any]:
        """Return the table `[data]` of a plan that uses it."""
        if self.kind == "mnist":
            return {"kind": "mnist", "path": self.folder}
        train, *test = [f"{self.folder}/{file.name}" for file in self.files]
        return {"kind": "libsvm", "path": train, **({"test": test[0]} if test else {"split": 0.8})}


def _libsvm(
    name: str,
    files: tuple[Remote, ...],
    rows: int,
    features: int,
    test_rows: int = 0,
    terms: str = "not stated",
) -> DataSet:
    home = f"{_LIBSVM}.html#{name}"
    return DataSet(name, "libsvm", files, rows, test_rows, features, 2, terms, home, (_LIBSVM,))


def _images(name: str, sums: dict[str, tuple[int, str]], terms: str, home: str, *mirrors: str) -> DataSet:
    files = tuple(Remote(f"{stem}-ubyte.gz", size, checksum) for stem, (size, checksum) in sums.items())
    return DataSet(name, name, files, 60_000, 10_000, 784, 10, terms, home, mirrors)


_ALL = (
    _libsvm(
        "a9a",
        (
            Remote("a9a", 2_329_875, "sha256:f5d5ffd8d865ff41328e7ee043e4b020816914ff6843ff15b98905ddbedce906"),
            Remote("a9a.t", 1_164_628, "sha256:1f448a153f0320399a7e40836eb207655b0bde0f21fc941cc472193daa9f5de9"),
        ),
        rows=32_561,
        test_rows=16_281,
        features=123,
        terms=_UCI.format("Adult"),
    ),
    _libsvm(
        "w8a",
        (
            Remote("w8a", 3_478_238, "sha256:6a9fa8fd5f524303240a5db07d4b3d4a51e8b7b4b20a914105d8e3e8c81640f2"),
            Remote("w8a.t"),
        ),
        rows=49_749,
        test_rows=14_951,
        features=300,
    ),
    _libsvm("ijcnn1", (Remote("ijcnn1.bz2"), Remote("ijcnn1.t.bz2")), rows=49_990, test_rows=91_701, features=22),
    _libsvm(
        "covtype.binary",
        (Remote("covtype.libsvm.binary.scale.bz2"),),
        rows=581_012,
        features=54,
        terms=_UCI.format("Covertype"),
    ),
    _libsvm("phishing", (Remote("phishing"),), rows=11_055, features=68, terms=_UCI.format("Phishing Websites")),
    _libsvm("mushrooms", (Remote("mushrooms"),), rows=8_124, features=112, terms=_UCI.format("Mushroom")),
    _libsvm("rcv1.binary", (Remote("rcv1_train.binary.bz2"),), rows=20_242, features=47_236),
    _libsvm("real-sim", (Remote("real-sim.bz2"),), rows=72_309, features=20_958),
    _libsvm("news20.binary", (Remote("news20.binary.bz2"),), rows=19_996, features=1_355_191),
    _libsvm(
        "gisette",
        (Remote("gisette_scale.bz2"), Remote("gisette_scale.t.bz2")),
        rows=6_000,
        test_rows=1_000,
        features=5_000,
        terms=_UCI.format("Gisette"),
    ),
    _images(
        "mnist",
        {
            "train-images-idx3": (
                9_912_422,
                "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            ),
            "train-labels-idx1": (28_881, "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
            "t10k-images-idx3": (1_648_877, "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
            "t10k-labels-idx1": (4_542, "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        },
        "CC BY-SA 3.0",
        "http://yann.lecun.com/exdb/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "https://storage.googleapis.com/cvdf-datasets/mnist",
    ),
    _images(
        "fashion-mnist",
        {
            "train-images-idx3": (26_421_880, "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            "train-labels-idx1": (29_515, "md5:25c81989df183df01b3e8a0aad5dffbe"),
            "t10k-images-idx3": (4_422_102, "md5:bef4ecab320f06d8554ea6380940ec79"),
            "t10k-labels-idx1": (5_148, "md5:bb300cfdad3c16e7a12a480ee83cd310"),
        },
        "MIT",
        "https://github.com/zalandoresearch/fashion-mnist",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    ),
)
CATALOGUE = {each.name: each for each in _ALL}


def with_file(name: str) -> str | None:
    """Return the data set whose file a plan calls `name`, as in `libsvm/a9a`; None if there is none."""
    return next((each.name for each in _ALL if name in {f"{each.folder}/{file.name}" for file in each.files}), None)


def files_of(name: str) -> list[str]:
    """Return the files of a data set as a plan calls them, as in `libsvm/a9a`; none if it is not in the catalogue."""
    return [f"{each.folder}/{file.name}" for each in _ALL if each.name == name for file in each.files]


def lines_of_plan(table: Mapping[str, Any]) -> str:
    """Return the table `[data]` as the lines of a plan."""
    import tomli_w

    return tomli_w.dumps({"data": table}).rstrip()
