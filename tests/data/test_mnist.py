"""The MNIST files hold the known images and labels."""

import os
from pathlib import Path

import numpy as np
import pytest

from rnnexp.data import mnist


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
