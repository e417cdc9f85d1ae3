"""Symbols that are alike lie side by side in the picture of an embedding."""

from pathlib import Path

import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.report.embeddings import draw_embeddings, in_a_plane


def groups(size: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors in three directions, of many lengths, and their groups."""
    random = np.random.default_rng(seed)
    group = np.arange(3 * size) % 3
    near = 5 * np.eye(3)[group] @ random.normal(size=(3, 20)) + random.normal(size=(3 * size, 20))
    return near * random.uniform(0.1, 10, size=(3 * size, 1)), group


def test_vectors_of_one_direction_are_side_by_side() -> None:
    vectors, group = groups()
    places = in_a_plane(vectors)
    assert places.shape == (36, 2)
    distance = np.linalg.norm(places[:, None] - places[None], axis=-1) + np.diag([np.inf] * 36)
    nearest = group[np.argsort(distance, axis=1)[:, :5]]
    assert np.mean(nearest == group[:, None]) > 0.95
    np.testing.assert_array_equal(places, in_a_plane(vectors))


def test_a_picture_has_every_symbol(tmp_path: Path) -> None:
    file = tmp_path / "x.svg"
    vectors, _ = groups(4)
    symbols = ["$x", "_y", "<unk>", *(f"word{n}" for n in range(9))]
    draw_embeddings(symbols, vectors, file, "a $title")
    drawn = file.read_text()
    for symbol in ("$x", "_y", "&lt;unk&gt;", "word8", "a $title"):
        assert f"<!-- {symbol}" in drawn or f"<!--  {symbol}" in drawn or symbol in drawn
    with pytest.raises(UsageError, match="a picture needs 4 symbols or more, not 3"):
        in_a_plane(vectors[:3])
