"""Heat maps and texts of figures: their colour scale, their cells, and hostile texts."""

import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from rnnexp.core.errors import UsageError
from rnnexp.report import figures
from rnnexp.report.figures import (
    LINES,
    SOLID,
    colour_scale,
    draw_heat_map,
    draw_loss,
    fit_heights,
    line_style,
    verbatim,
)
from rnnexp.report.looks import Kinds
from tests.helpers.logged_runs import dead_and_living

HOSTILE = [
    "$",
    "$\\frac{1",
    "_hidden",
    "_$a$",
    "$a_b^c$",
    "%s\\n",
    "<b>&",
    "two\nlines\x07",
    r"\$x$",
    "é→",
]


def test_one_colour_scale_spans_all_arrays_and_no_more_than_its_decades() -> None:
    arrays = [np.array([1e-3, 0.0, np.nan]), np.array([1e-30, 10.0, np.inf])]
    scale = colour_scale(arrays)
    assert scale is not None
    assert (scale.vmin, scale.vmax) == (1e-30, 10.0)
    scale = colour_scale(arrays, decades=12)
    assert scale is not None
    assert scale.vmin == pytest.approx(1e-11)
    assert colour_scale([np.zeros(3), np.array([np.nan])]) is None
    single: Any = colour_scale([np.array([2.0])])
    assert single.vmin < single.vmax


def test_cells_of_a_heat_map_lie_at_their_training_and_time_step() -> None:
    steps, norms = np.array([0, 10, 40]), np.outer([1.0, 2.0, 3.0], [1.0, 10.0])
    norms[1, 1] = 0
    axes = Figure().add_subplot()
    mesh: Any = draw_heat_map(axes, steps, norms, colour_scale([norms]))
    corners = mesh.get_coordinates()
    np.testing.assert_array_equal(corners[0, :, 0], [-0.5, 0.5, 1.5])
    np.testing.assert_array_equal(corners[:, 0, 1], [-5, 5, 25, 55])
    values = mesh.get_array()
    assert np.ma.getmaskarray(values).reshape(3, 2)[1, 1]
    assert axes.patch.get_hatch()


def test_a_map_too_large_is_thinned_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(figures, "CELLS", 10)
    norms = np.ones((95, 8))
    axes = Figure().add_subplot()
    with caplog.at_level(logging.WARNING, "rnnexp"):
        mesh: Any = draw_heat_map(axes, np.arange(95), norms, colour_scale([norms]))
    assert mesh.get_coordinates().shape[:2] == (11, 9)
    assert "drawn are 10 training and 8 time steps" in caplog.text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_drawn_as_they_are(text: str) -> None:
    figure = Figure()
    axes = figure.add_subplot()
    axes.plot([1, 2], label=verbatim(text))
    axes.set_title(verbatim(text))
    legend = axes.legend()
    assert len(legend.get_texts()) == 1
    artists: list[Any] = [axes.title, *legend.get_texts()]
    for artist in artists:
        shown, is_mathematics = artist._preprocess_math(artist.get_text())
        assert not is_mathematics
        assert shown.strip() == text.replace("\n", " ").replace("\x07", "?")
    figure.savefig(io.BytesIO())


@pytest.mark.parametrize("kinds", [LINES, SOLID])
def test_no_two_lines_of_a_picture_are_alike(kinds: Kinds) -> None:
    most = kinds.colours * kinds.dashes * kinds.markers
    assert len({tuple(line_style(number, kinds).values()) for number in range(most)}) == most
    assert len({line_style(number, kinds)["marker"] for number in range(kinds.colours)}) > 1
    with pytest.raises(UsageError, match="things apart"):
        line_style(most, kinds)


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_heights_are_those_of_finite_values(scale: str) -> None:
    axes = Figure().add_subplot()
    axes.set_yscale(scale)
    before = axes.get_ylim()
    fit_heights(axes, [])
    fit_heights(axes, [np.array([np.nan, np.inf, -np.inf])])
    assert axes.get_ylim() == before
    fit_heights(axes, [np.array([1.0, np.inf, 100.0]), np.array([np.nan, 10.0, 0.5])])
    low, high = axes.get_ylim()
    assert 0 < high - 100 < 50
    assert low < 0.5
    assert low > 0 or scale == "linear"
    fit_heights(axes, [np.array([3.0, 3.0])])
    low, high = axes.get_ylim()
    assert low < 3 < high


def test_a_run_that_diverged_does_not_set_the_range_of_losses(tmp_path: Path) -> None:
    runs = dead_and_living(tmp_path)
    assert [run.dead for run in runs] == [True, True, False]
    tops = []
    for some in (runs, runs[:2]):
        axes = Figure().add_subplot()
        draw_loss(axes, some, ["run"] * len(some))
        tops.append(axes.get_ylim()[1])
    assert tops[0] < 2
    assert tops[1] > 1e30
