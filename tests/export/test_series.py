"""The figures, histograms and pictures that every exporter writes."""

import io
import logging

import matplotlib.image
import numpy as np
import pytest

from rnnexp.export import series, shown_name
from rnnexp.results.load import Run
from rnnexp.run.about import About, write_about
from tests.helpers.exported import SLOPES, figures
from tests.helpers.laboratory_data import laboratory
from tests.helpers.logged_runs import STEPS, TIMES, exponential
from tests.helpers.report_runs import write_laboratory


def test_every_figure_of_the_metrics_is_a_scalar(run: Run) -> None:
    found: dict[str, dict[int, float]] = {}
    for scalar in series.scalars(run):
        found.setdefault(scalar.name, {})[scalar.step] = scalar.value
    assert found == figures(run)
    assert {"train/loss", "valid/loss", "test/loss", "train/slope/layer_1/h"} <= set(found)
    assert found["baseline/loss"] == {0: 1 / 6, 31: 1 / 6}
    steps = [scalar.step for scalar in series.scalars(run)]
    assert steps == sorted(steps)


def test_a_run_is_shown_by_its_name(run: Run) -> None:
    assert shown_name(run) == run.path.name
    write_about(run.path, About("best"))
    assert shown_name(run) == "best"


def test_tests_at_other_lengths_are_drawn_over_the_length(run: Run) -> None:
    for length, loss in ((80, 0.5), (40, 0.3)):
        row = {"kind": "length", "step": 31, "length": length, "loss": loss, "time": 1.0}
        run.metrics.append(row)
    found = [scalar for scalar in series.scalars(run) if scalar.name.startswith("length/")]
    assert [(s.name, s.step, s.value) for s in found] == [
        ("length/loss", 40, 0.3), ("length/loss", 80, 0.5)
    ]  # fmt: skip
    assert {s.step for s in series.scalars(run) if s.name == "baseline/loss"} == {0, 31}


def test_what_the_laboratory_measured_is_a_scalar(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    data = laboratory(steps=3, times=6)
    shape = (3, 2, 6, 6)
    data["adjoint_matrix"] = (("step", "unit", "output_time", "time"), np.ones(shape))
    data["measured_with"] = (("step", "setting"), np.ones((3, 1)))
    data["each_lag_norm"] = (("step", "parameter", "each_lag"), np.ones((3, 3, 9)))
    write_laboratory(run.path, data)
    with caplog.at_level(logging.INFO, logger="rnnexp"):
        found = {(s.name, s.step): s for s in series.scalars(run)}
    values = {key: s.value for key, s in found.items() if key[0].startswith("laboratory/")}
    assert values["laboratory/lyapunov/layer_1/exponent_2", 100] == pytest.approx(-0.32)
    assert values["laboratory/singular/layer_0/span_4/rank_1", 0] == pytest.approx(-0.4)
    assert values["laboratory/saturated/layer_1", 200] == pytest.approx(0.25)
    mean = float(data.gate_high.sel(step=100, unit="layer_0", gate="forget").mean())
    assert values["laboratory/gate_high/layer_0/forget", 100] == pytest.approx(mean)
    assert not any("gate_high/layer_1" in name for name, _ in values)  # it has no gates
    left_out = ("adjoint_matrix", "each_lag_norm", "measured_with")
    assert not any(part in name for part in left_out for name, _ in values)
    assert "adjoint_matrix is a matrix and is not exported" in caplog.text
    finite = {
        name: data[name].mean("time") if "time" in data[name].dims else data[name]
        for name in data.data_vars
        if name not in left_out
    }
    assert len(values) == sum(int(np.isfinite(part.values).sum()) for part in finite.values())
    assert found["laboratory/kaplan_yorke/layer_0", 0].time in {row["time"] for row in run.metrics}


def test_histograms_count_the_time_steps_by_the_logarithm_of_their_norm(run: Run) -> None:
    parts = series.histograms(run)
    assert len(parts) == len(STEPS) * len(SLOPES)
    for part in parts:
        slope = SLOPES[part.name.rpartition("/")[2]][STEPS.index(part.step)]
        assert part.counts.sum() == TIMES
        if slope != 0:
            reach = abs(slope) * (TIMES - 1) / np.log(10)
            assert np.ptp(part.edges) == pytest.approx(reach, rel=1e-5)
            assert part.counts.max() <= 1 + TIMES // series.BINS
        else:
            assert part.counts.max() == TIMES


def test_norms_without_a_logarithm_and_steps_too_many_are_left_out_and_logged(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run.norms["h"][1, 0, :5] = 0
    run.norms["h"][2, 1] = np.nan
    with caplog.at_level(logging.INFO, "rnnexp"):
        parts = series.histograms(run)
    counts = {(part.name[-1], part.step): int(part.counts.sum()) for part in parts}
    assert (counts["0", 10], counts["1", 10], counts["0", 20]) == (TIMES - 5, TIMES, TIMES)
    assert ("1", 20) not in counts
    assert f"leave out {5 + TIMES} norms" in caplog.text
    monkeypatch.setattr(series, "HISTOGRAMS", 2)
    with caplog.at_level(logging.INFO, "rnnexp"):
        assert {part.step for part in series.histograms(run)} == {STEPS[0], STEPS[-1]}
    assert "histograms of 2 of 4 recorded steps" in caplog.text


def test_pictures_are_heat_maps_on_the_colour_scale_of_their_leaf(run: Run) -> None:
    first, second = series.pictures(run)
    assert (first.name, second.name) == ("dL_dh/layer_0", "dL_dh/layer_1")
    for picture in (first, second):
        image = matplotlib.image.imread(io.BytesIO(picture.png), format="png")
        assert image.shape[:2] == (picture.height, picture.width)
    run.norms["h"][:, 1] = 0
    coloured = [
        float(np.mean(np.ptp(matplotlib.image.imread(io.BytesIO(p.png))[..., :3], axis=-1) > 0.1))
        for p in series.pictures(run)
    ]
    assert coloured[0] > 0.3
    assert coloured[1] == 0  # nothing but the hatching


def test_profiles_of_the_tests_are_what_they_say() -> None:
    assert exponential(-0.5)[-1] == 1
    assert np.log(exponential(-0.5)[-2]) == pytest.approx(-0.5)
