"""The pictures of a benchmark are drawn, with rows of which something is missing."""

from pathlib import Path

import pytest

from rnnexp.bench.pictures import draw_map, draw_ratios, draw_roofline
from rnnexp.core.errors import UsageError
from tests.helpers.bench_rows import row


def test_pictures_are_drawn(tmp_path: Path) -> None:
    found = row()
    without = found._replace(machine=None, times={"rnnexp": [1.0]}, cell="gru")
    for number, draw in enumerate((draw_map, draw_ratios, draw_roofline)):
        for rows in ([found], [found, without]):
            file = tmp_path / f"{number}.png"
            draw(rows, file)
            assert file.stat().st_size > 1000
            file.unlink()
    with pytest.raises(UsageError, match="was not measured"):
        draw_roofline([without], tmp_path / "roof.png")
