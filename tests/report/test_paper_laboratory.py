"""Figures of what the laboratory measured: every panel holds its variable's values."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from rnnexp.core.errors import UsageError
from rnnexp.report import paper_laboratory
from rnnexp.report.paper_laboratory import (
    draw_each_lag,
    draw_laboratory,
    draw_lag_shares,
    laboratory_panels,
)
from tests.helpers.laboratory_data import laboratory


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few pixels, which are quick to draw."""
    monkeypatch.setattr(paper_laboratory, "DPI", 60)


def test_the_laboratory_has_a_panel_for_everything_that_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = laboratory()
    titles = [title for title, _ in laboratory_panels(data)]
    assert titles == [
        "Lyapunov spectrum, layer_0", "Lyapunov spectrum, layer_1",
        "singular values, layer_0", "singular values, layer_1",
        "recurrent matrices, layer_0", "recurrent matrices, layer_1",
        "gates, layer_0", "time constant, layer_0", "hidden units, layer_0",
        "hidden units, layer_1", "dL/dW by lag, layers/0/w_h", "dL/dW by lag, layers/0/w_x",
    ]  # fmt: skip
    found: list[Figure] = []
    monkeypatch.setattr(paper_laboratory, "save", lambda figure, *_: found.append(figure))
    draw_laboratory(data, Path("fig.png"), "a run")
    axes = {part.get_title(): part for part in found[0].axes}
    spectrum = axes["Lyapunov spectrum, layer_0"]
    bars: list[Any] = list(spectrum.containers)
    lines = [bar.lines[0].get_ydata() for bar in bars]
    np.testing.assert_allclose(np.array(lines).T, data.lyapunov.sel(unit="layer_0"))
    assert spectrum.get_ylabel() == "nats per step"
    gates = axes["gates, layer_0"]
    np.testing.assert_array_equal(
        gates.lines[1].get_ydata(), data.gate_high.sel(unit="layer_0", gate="input")[-1]
    )
    assert all(part.get_xlabel() and part.get_ylabel() for part in axes.values())
    with pytest.raises(UsageError, match="measured nothing"):
        draw_laboratory(data[["kaplan_yorke"]], tmp_path / "fig.png", "a run")


def test_lag_shares_sum_to_one_and_come_from_the_norms_of_the_bins() -> None:
    data = laboratory(steps=30).sel(parameter="layers/0/w_x")
    axes = Figure().add_subplot()
    draw_lag_shares(axes, data)
    bars = [[bar.get_height() for bar in container] for container in axes.containers]
    heights_SxB = np.array(bars).T
    assert heights_SxB.shape == (12, 6)
    np.testing.assert_allclose(heights_SxB.sum(1), 1)
    np.testing.assert_allclose(heights_SxB[-1, 1] / heights_SxB[-1, 0], np.exp(-0.1))


def test_every_lag_is_drawn_at_the_first_and_the_last_step() -> None:
    data = laboratory(steps=3)
    norms = np.exp(-0.2 * np.arange(9) - np.arange(3)[:, None, None]) * np.ones((3, 3, 1))
    norms[0, 1, 8] = 0.0
    data["each_lag_norm"] = (("step", "parameter", "each_lag"), norms)
    data = data.assign_coords(each_lag=np.arange(9))
    assert "dL/dW at each lag, layers/0/w_x" in [title for title, _ in laboratory_panels(data)]
    axes = Figure().add_subplot()
    draw_each_lag(axes, data.sel(parameter="layers/0/w_x"))
    first, last = (np.asarray(line.get_ydata()) for line in axes.lines)
    np.testing.assert_array_equal(first[:8], norms[0, 1, :8])
    assert np.isnan(first[8])
    np.testing.assert_array_equal(last, norms[2, 1])
    assert (axes.get_xlabel(), axes.get_yscale()) == ("lag, steps", "log")


def test_one_measured_step_of_which_much_is_missing_is_drawn(tmp_path: Path) -> None:
    data = laboratory(steps=3)
    late = data.where(data.step == 100)
    draw_laboratory(late, tmp_path / "late.png", "one step")
    draw_laboratory(data.isel(step=[0]), tmp_path / "one.png", "one step")
    assert (tmp_path / "late.png").exists()
