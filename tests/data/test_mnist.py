"""The MNIST files hold the known images and labels."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.data import files, mnist
from rnnexp.data.idx import read_idx
from tests.helpers.data_files import data_or_skip

LABELS = "t10k-labels-idx1"


@pytest.fixture(scope="module")
def real_mnist() -> dict[str, mnist.Images]:
    """The real sets, from `$RNNEXP_DATA` or from beside the checkout."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folders = [Path(f) for f in (os.environ.get("RNNEXP_DATA"), beside) if f]
    for folder in folders:
        if (folder / "mnist" / "train-images-idx3-ubyte.gz").is_file():
            return mnist.load(folder)
    pytest.skip(f"no MNIST files in {' or '.join(map(str, folders))}; set RNNEXP_DATA")


def test_facts_about_mnist(real_mnist: dict[str, mnist.Images]) -> None:
    train, test = real_mnist["train"], real_mnist["test"]
    assert (train.images.shape, train.labels.shape) == ((60_000, 28, 28), (60_000,))
    assert (test.images.shape, test.labels.shape) == ((10_000, 28, 28), (10_000,))
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    train_counts, test_counts = np.bincount(train.labels), np.bincount(test.labels)
    assert train_counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert test_counts.tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    share = np.bincount(train.images.ravel(), minlength=256) / train.images.size
    level = np.arange(256) / 255
    mean = float(share @ level)
    assert round(mean, 4) == 0.1307
    assert round(float(share @ (level - mean) ** 2) ** 0.5, 4) == 0.3081


def content() -> bytes:
    """The real test labels, unpacked."""
    packed = data_or_skip(f"mnist/{LABELS}-ubyte.gz") / "mnist" / f"{LABELS}-ubyte.gz"
    return gzip.decompress(packed.read_bytes())


@pytest.mark.parametrize(
    ("name", "level"),
    [
        (f"{LABELS}-ubyte.gz", 1),
        (f"{LABELS}-ubyte.gz", 9),
        (f"{LABELS}-ubyte.gz", None),
        (f"{LABELS}-ubyte", None),
        ("t10k-labels.idx1-ubyte", None),
    ],
)
def test_the_same_data_may_be_packed_otherwise(
    tmp_path: Path, name: str, level: int | None
) -> None:
    whole = content()
    path = tmp_path / "mnist" / name
    path.parent.mkdir()
    path.write_bytes(whole if level is None else gzip.compress(whole, level))
    assert files.find(mnist.data_file(LABELS), tmp_path) == path
    assert read_idx(path).tobytes() == whole[8:]


@pytest.mark.parametrize("packed", [True, False])
def test_other_data_are_refused_however_they_are_packed(tmp_path: Path, packed: bool) -> None:
    changed = bytearray(content())
    changed[-1] ^= 1
    path = tmp_path / "mnist" / f"{LABELS}-ubyte{'.gz' if packed else ''}"
    path.parent.mkdir()
    path.write_bytes(gzip.compress(changed) if packed else changed)
    with pytest.raises(UsageError, match=r"is damaged .* that of its data is") as caught:
        files.find(mnist.data_file(LABELS), tmp_path)
    assert str(path) in str(caught.value)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UsageError, match=r"is damaged or not the expected one"):
        files.find(mnist.data_file(LABELS), tmp_path)
