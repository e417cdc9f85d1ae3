"""Figures for papers: what is drawn where, in every format, whatever runs are called."""

import io
import logging
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.image
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from rnnexp.core.errors import UsageError
from rnnexp.report import figures, paper, paper_laboratory
from rnnexp.report.figures import colour_scale, draw_heat_map, draw_run, verbatim
from rnnexp.report.paper import draw_comparison
from rnnexp.report.paper_laboratory import draw_laboratory
from rnnexp.report.paper_style import WIDTH_IN
from rnnexp.results.load import Run, load_run
from tests.helpers.laboratory_data import laboratory
from tests.helpers.logged_runs import TIMES, write_logged_run
from tests.helpers.synthetic_runs import write_run

DPI = 60
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


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    """An LSTM of two layers and a GRU of one, with unlike sequences."""
    deep = {"layer_0": [-0.1, -0.2, -0.3, -0.4], "layer_1": [0.0, -0.1, -1.0, -6.0]}
    one = write_logged_run(tmp_path / "runs", "adding/lstm", slopes=deep)
    two = write_logged_run(tmp_path / "runs", "adding/gru", times=TIMES + 9)
    return [load_run(path) for path in (one, two)]


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few pixels, which are quick to draw."""
    monkeypatch.setattr(paper, "DPI", DPI)
    monkeypatch.setattr(paper_laboratory, "DPI", DPI)


def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures as they are about to be written, and kept from it."""
    found: list[Figure] = []
    monkeypatch.setattr(paper, "save", lambda figure, *_: found.append(figure))
    return found


@pytest.mark.parametrize("ending", ["pdf", "svg", "png"])
def test_every_format_is_written_and_no_window_is_left(
    runs: list[Run], tmp_path: Path, ending: str
) -> None:
    draw_comparison(runs, tmp_path / f"fig.{ending}")
    content = (tmp_path / f"fig.{ending}").read_bytes()
    begin = {"pdf": b"%PDF-", "svg": b"<?xml", "png": b"\x89PNG"}[ending]
    assert content.startswith(begin)
    if ending == "pdf":
        assert b"/Type3" not in content
    assert plt.get_fignums() == []
    assert mpl.rcParams["font.size"] == mpl.rcParamsDefault["font.size"]
    with pytest.raises(UsageError, match=r"fig\.doc: its ending must be one of"):
        draw_comparison(runs, tmp_path / "fig.doc")


def test_profiles_and_maps_hold_the_recorded_norms(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = drawn(monkeypatch)
    draw_comparison(runs, Path("fig.png"))
    by_title = {axes.get_title(): axes for axes in found[0].axes}
    assert {"loss", "slope of ln ||dL/dh_t|| (paler: higher units)"} < set(by_title)
    profile = by_title["profile, layer_0"]
    values = [line.get_ydata() for line in profile.lines]
    for line, (run, row) in zip(values, [(r, n) for r in runs for n in (0, -1)], strict=True):
        np.testing.assert_array_equal(line, run.norms["h"][row, 0, ::-1])
    assert (profile.get_xlabel(), profile.get_yscale()) == ("lag, steps", "log")
    maps = [by_title[f"{name}, layer_{n}"] for name, n in (("lstm", 0), ("gru", 0), ("lstm", 1))]
    assert len(found[0].axes) == 3 + 2 + len(maps) + 1  # key and outcomes, profiles, maps, bar
    meshes: list[Any] = [axes.collections[0] for axes in maps]
    expected = [runs[0].norms["h"][:, 0], runs[1].norms["h"][:, 0], runs[0].norms["h"][:, 1]]
    for mesh, norms in zip(meshes, expected, strict=True):
        np.testing.assert_array_equal(np.ma.getdata(mesh.get_array()).reshape(norms.shape), norms)
    assert len({id(mesh.norm) for mesh in meshes}) == 1
    assert {axes.get_xlabel() for axes in maps} == {"time step t"}
    key = found[0].axes[2].get_legend()
    assert key is not None
    texts = [text.get_text() for text in key.get_texts()]
    assert texts[:2] == ["lstm: test loss 0.25", "gru: test loss 0.25"]


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


def test_a_run_with_hostile_values_is_drawn_everywhere(tmp_path: Path) -> None:
    paths = [
        write_logged_run(tmp_path, "adding/lstm", {"optimizer.name": text})
        for text in ("$\\frac{1", "_b$", "_c%d\x07")
    ]
    runs = [load_run(path) for path in paths]
    draw_comparison(runs, tmp_path / "fig.svg")
    hostile = tmp_path / "$_{x}$\\frac"
    paths[0].rename(hostile)
    draw_run(load_run(hostile), tmp_path / "run.png")
    draw_laboratory(laboratory(), tmp_path / "laboratory.pdf", "$\\frac{ _x")


def test_runs_without_gradients_or_of_nothing_finite_are_drawn_as_far_as_they_go(
    runs: list[Run], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    empty = load_run(tmp_path / write_run(tmp_path, "adding/rnn", status="failed"))
    with pytest.raises(UsageError, match="none of these runs has recorded gradients"):
        draw_comparison([empty, empty], tmp_path / "fig.png")
    with caplog.at_level(logging.WARNING, "rnnexp"):
        draw_comparison([runs[0], empty], tmp_path / "fig.png")
    assert "rnn has no recorded gradients yet" in caplog.text
    runs[0].norms["h"][:] = 0
    runs[1].norms["h"][:] = np.nan
    draw_comparison(runs, tmp_path / "nothing.png")
    picture = matplotlib.image.imread(tmp_path / "nothing.png")
    assert picture.shape[1] == round(WIDTH_IN * DPI)


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
