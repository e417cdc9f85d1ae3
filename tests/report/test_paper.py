"""Figures for papers: what is drawn where, in every format, whatever runs are called."""

import logging
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.image
import matplotlib.pyplot as plt
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.report import paper, paper_laboratory
from rnnexp.report.figures import draw_run
from rnnexp.report.paper import draw_comparison
from rnnexp.report.paper_laboratory import draw_laboratory
from rnnexp.report.paper_style import WIDTH_IN, inks
from rnnexp.results.load import Run, load_run
from tests.helpers.drawn_figures import drawn
from tests.helpers.laboratory_data import laboratory
from tests.helpers.logged_runs import TIMES, dead_and_living, write_logged_run
from tests.helpers.synthetic_runs import write_run

DPI = 60


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
    values = [np.asarray(line.get_ydata()) for line in profile.lines]
    fits = [values.pop(place) for place in (5, 2)][::-1]  # after the profiles of each run
    for line, (run, row) in zip(values, [(r, n) for r in runs for n in (0, -1)], strict=True):
        np.testing.assert_array_equal(line, run.norms["h"][row, 0, ::-1])
    for fit, run in zip(fits, runs, strict=True):
        np.testing.assert_allclose(fit, run.norms["h"][-1, 0, [-1, 0]], rtol=1e-5)
    lives = profile.get_legend()
    assert lives is not None
    assert lives.get_title().get_text() == "half-life, steps"
    slopes = [np.log(run.norms["h"][-1, 0, -1] / run.norms["h"][-1, 0, -2]) for run in runs]
    lifetimes = [f"{np.log(2) / slope:.3g}" for slope in slopes]
    assert [text.get_text() for text in lives.get_texts()] == lifetimes
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


def test_runs_that_diverged_do_not_set_the_ranges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = drawn(monkeypatch)
    runs = dead_and_living(tmp_path)
    draw_comparison(runs, Path("fig.png"))
    axes = {part.get_title(): part for part in found[0].axes}
    assert axes["loss"].get_ylim()[1] < 2
    low, high = axes["slope of ln ||dL/dh_t||"].get_ylim()
    assert -0.5 < low < -0.4 < 0 < high < 0.1
    assert axes["profile, layer_0"].get_ylim()[1] < 2  # exp(3 lag) of the dead ones
    draw_comparison(runs[:2], Path("fig.png"))
    axes = {part.get_title(): part for part in found[1].axes}
    assert axes["loss"].get_ylim()[1] > 1e30
    assert axes["profile, layer_0"].get_ylim()[1] > 1e20


def test_more_runs_than_can_be_told_apart_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = load_run(write_logged_run(tmp_path))
    with pytest.raises(UsageError, match="can tell 60 things apart"):
        draw_comparison([run] * 61, tmp_path / "fig.png")
    assert len({*inks(60)}) == 60
