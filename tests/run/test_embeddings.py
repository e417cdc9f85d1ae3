"""The vectors of a run's symbols: their table, and their neighbours by cosine."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.run.embeddings import Embeddings, cosines, nearest, write_table

ODD = 'a,"b'
FOUND = Embeddings(
    ("east", "north", ODD, "west", "none"),
    np.array([[2, 0], [0, 1], [3, 3], [-1, 0], [0, 0]], np.float32),
)


def test_neighbours_are_those_of_the_largest_cosines() -> None:
    found = nearest(FOUND, "east", 3)
    assert [symbol for symbol, _ in found] == [ODD, "north", "none"]
    np.testing.assert_allclose([value for _, value in found], [math.sqrt(0.5), 0, 0], atol=1e-12)
    np.testing.assert_allclose(cosines(FOUND, "west"), [-1, 0, -math.sqrt(0.5), 1, 0], atol=1e-12)
    assert len(nearest(FOUND, "none", 99)) == 4
    with pytest.raises(UsageError, match="Did you mean 'north'"):
        nearest(FOUND, "nort", 1)


@pytest.mark.parametrize("name", ["x.csv", "x.npz", "X.CSV"])
def test_a_table_has_every_number(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    random = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    write_table(FOUND._replace(vectors_VxE=random), file)
    if file.suffix == ".npz":
        with np.load(file) as arrays:
            symbols, vectors = arrays["symbols"].tolist(), arrays["vectors"]
    else:
        with file.open(newline="") as text:
            head, *rows = csv.reader(text)
        assert head == ["symbol", "0", "1"]
        symbols, vectors = [row[0] for row in rows], np.array([row[1:] for row in rows], np.float32)
    assert symbols == [*FOUND.symbols]
    np.testing.assert_array_equal(vectors, random)


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"its ending must be one of \.csv, \.npz"):
        write_table(FOUND, tmp_path / "x.txt")
