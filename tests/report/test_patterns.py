"""The picture of patterns: each in its place, with lines around."""

from pathlib import Path

import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.report.patterns import GAP, draw_patterns, mosaic


@pytest.mark.parametrize(
    ("count", "size", "shape"), [(5, 9, (3, 3)), (4, 6, (1, 6)), (1, 4, (2, 2))]
)
def test_every_pattern_is_in_its_place(count: int, size: int, shape: tuple[int, int]) -> None:
    patterns = np.random.default_rng(0).integers(0, 2, (count, size)).astype(float)
    picture = mosaic(patterns)
    columns = int(np.ceil(np.sqrt(count)))
    rows = int(np.ceil(count / columns))
    assert picture.shape == (rows * (shape[0] + 1) + 1, columns * (shape[1] + 1) + 1)
    for number, pattern in enumerate(patterns):
        top = 1 + number // columns * (shape[0] + 1)
        left = 1 + number % columns * (shape[1] + 1)
        cut = picture[top : top + shape[0], left : left + shape[1]]
        np.testing.assert_array_equal(cut.ravel(), pattern)
        picture[top : top + shape[0], left : left + shape[1]] = GAP
    assert np.all(picture == GAP)


def test_it_is_drawn_or_refused(tmp_path: Path) -> None:
    draw_patterns(np.eye(4), tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 500
    with pytest.raises(UsageError, match="its ending must be one of"):
        draw_patterns(np.eye(4), tmp_path / "x.foo")
