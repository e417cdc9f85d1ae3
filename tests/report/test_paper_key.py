"""The key of a figure of several runs: long names as letters, and every run told apart."""

from pathlib import Path

import pytest

from rnnexp.report.paper import draw_comparison
from rnnexp.results.load import load_run
from tests.helpers.drawn_figures import drawn
from tests.helpers.logged_runs import write_logged_run


def test_long_names_are_told_once_and_stand_in_the_picture_as_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = [0.001234, 0.0023, 0.0001]
    paths = [write_logged_run(tmp_path, changes={"optimizer.learning_rate": r}) for r in rates]
    found = drawn(monkeypatch)
    draw_comparison([load_run(path) for path in paths], Path("fig.png"))
    key = found[0].axes[2].get_legend()
    assert key is not None
    texts = [" ".join(text.get_text().split()) for text in key.get_texts()]
    assert texts[0].endswith("learning_rate=0.001234 test loss 0.25")
    told = ["A: lstm learning_rate=0.001234", "B: lstm learning_rate=0.0023"]
    assert [text.partition(" test")[0] for text in texts[:2]] == told
    titles = [axes.get_title() for axes in found[0].axes]
    assert [title for title in titles if title.endswith(", layer_0")] == [
        "profile, layer_0", "A, layer_0", "B, layer_0", "C, layer_0",
    ]  # fmt: skip
    figure = found[0]
    figure.draw_without_rendering()
    right = key.get_window_extent().x1
    assert right <= figure.bbox.x1


@pytest.mark.parametrize("count", [1, 3, 7, 9])
def test_any_number_of_runs_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    paths = [write_logged_run(tmp_path, changes={"seed": seed}) for seed in range(count)]
    found = drawn(monkeypatch)
    draw_comparison([load_run(path) for path in paths], Path("fig.png"))
    legend = found[0].axes[2].get_legend()
    assert legend is not None
    handles = legend.legend_handles[:count]
    looks = {(line.get_color(), line.get_marker()) for line in handles}  # type: ignore[union-attr]
    assert len(looks) == count
    maps = [axes for axes in found[0].axes if axes.get_ylabel() == "training step"]
    assert len(maps) == count
