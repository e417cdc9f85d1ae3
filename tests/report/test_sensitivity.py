"""The picture of a metric over a swept number: what is drawn is what the runs hold."""

import json
import logging
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy import stats  # type: ignore[import-untyped]

from rnnexp.core.errors import UsageError
from rnnexp.report import sensitivity
from rnnexp.report.sensitivity import draw_sensitivity
from rnnexp.results.index import read_index
from rnnexp.results.lengths import LENGTH, require_lengths
from tests.helpers.synthetic_runs import write_lengths, write_run

RATES = (1e-4, 1e-3, 1e-2, 1e-1)
RATE = "optimizer.learning_rate"


def points(line: Line2D) -> np.ndarray:
    return np.asarray(line.get_xydata(), float).T


def loss_of(cell: str, place: int, seed: int) -> float:
    return {"lstm": 0.1, "gru": 0.02}[cell] * (1 + abs(place - 1) ** 2 + 0.1 * seed)


def write_rates(runs_dir: Path, tasks: tuple[str, ...] = ("adding",), **changes: Any) -> None:
    """Two cells, four rates, three seeds; the GRU diverged with two of three at the last."""
    for task in tasks:
        for cell in ("lstm", "gru"):
            for place, rate in enumerate(RATES):
                for seed in range(3):
                    loss = loss_of(cell, place, seed)
                    ended: dict[str, Any] = {"valid": loss, "test": {"loss": loss}}
                    if cell == "gru" and place == 3 and seed > 0:
                        ended = {"status": "diverged", "valid": loss}
                    name = write_run(
                        runs_dir, f"{task}/{cell}", {RATE: rate, "seed": seed, **changes}, **ended
                    )
                    baseline = {"kind": "baseline", "step": 0, "loss": 1 / 6, "time": 1.0}
                    (runs_dir / name / "metrics.jsonl").write_text(json.dumps(baseline) + "\n")


def drawn(runs_dir: Path, monkeypatch: pytest.MonkeyPatch, **how: Any) -> Figure:
    """The figure, caught before it is written."""
    caught: list[Figure] = []
    monkeypatch.setattr(sensitivity, "save", lambda figure, file: caught.append(figure))
    draw_sensitivity(read_index(runs_dir), Path("unused.png"), metric="test_loss", **how)
    plt.close(caught[0])
    return caught[0]


def test_lines_are_means_and_marks_are_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rates(tmp_path)
    axes, strip = drawn(tmp_path, monkeypatch).axes
    lines = {str(line.get_label()): line for line in axes.lines}
    assert set(lines) == {"lstm", "gru", "baseline"}
    for cell, seeds in (("lstm", [3, 3, 3, 3]), ("gru", [3, 3, 3, 1])):
        means = [
            np.mean([loss_of(cell, place, seed) for seed in range(count)])
            for place, count in enumerate(seeds)
        ]
        np.testing.assert_allclose(points(lines[cell]), np.array([RATES, means]))
    np.testing.assert_allclose(points(lines["baseline"])[1], 1 / 6)
    marks = [c for c in axes.collections if isinstance(c, PathCollection)]
    heights = [np.asarray(c.get_offsets())[:, 1] for c in marks]
    expected = [
        loss_of(cell, place, seed)
        for cell in ("lstm", "gru") for place in range(4) for seed in range(3)
        if (cell, place, seed > 0) != ("gru", 3, True)
    ]  # fmt: skip
    np.testing.assert_allclose(sorted(np.concatenate(heights)), sorted(expected))
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [points(line).tolist() for line in strip.lines] == [[[0.1], [0.0]]]
    assert [text.get_text() for text in strip.texts] == ["2/3"]
    assert [label.get_text() for label in strip.get_yticklabels()] == ["gru diverged"]


def test_bands_are_intervals_of_the_means_and_do_not_set_the_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rates(tmp_path)
    figure = drawn(tmp_path, monkeypatch, by="task")
    axes, _ = figure.axes
    assert [str(line.get_label()) for line in axes.lines] == ["adding", "baseline"]
    (band,) = (c for c in axes.collections if not isinstance(c, PathCollection))
    corners = np.concatenate([path.vertices for path in band.get_paths()])
    for place, rate in enumerate(RATES):
        heights = corners[np.isclose(corners[:, 0], rate), 1]
        losses = [loss_of(cell, place, s) for cell in ("lstm", "gru") for s in range(3)]
        mean = points(axes.lines[0])[1, place]
        drawn_losses = losses[:4] if place == 3 else losses  # the GRU diverged with two seeds
        expected = stats.t.interval(0.95, len(drawn_losses) - 1, mean, stats.sem(drawn_losses))
        np.testing.assert_allclose((heights.min(), heights.max()), expected)
    low, high = axes.get_ylim()
    assert 0.01 < low < loss_of("gru", 1, 0)
    assert loss_of("lstm", 3, 2) < high < 0.7 < corners[:, 1].max()
    (words,) = [t.get_text() for t in figure.legends[0].get_texts() if "95 %" in t.get_text()]
    assert words == "95 % of the mean\n(Student's t)"


def test_a_panel_a_task_and_its_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rates(tmp_path, ("adding", "copy_memory"))
    write_rates(tmp_path, ("adding",), **{"task.length_steps": 99})
    figure = drawn(tmp_path, monkeypatch)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == [
        "adding  task.length_steps=50", "adding  task.length_steps=99",
        "copy_memory  task.length_steps=-",
    ]  # fmt: skip


def test_linear_axes_and_no_strip_where_nothing_diverged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for dropout in (0.0, 0.2, 0.5):
        write_run(tmp_path, changes={"model.dropout": dropout}, test={"loss": 1 + dropout})
    axes, strip = drawn(tmp_path, monkeypatch, x="model.dropout").axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "linear")
    assert axes.get_title() == "adding"
    assert not strip.axison


def test_what_is_not_drawn_or_mixed_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_rates(tmp_path)
    write_run(tmp_path, changes={"seed": 7, RATE: 1e-3}, status="failed")
    write_run(tmp_path, changes={"clip.threshold": 2.0, RATE: 1e-3}, test={"loss": 0.1})
    damaged = write_run(tmp_path, changes={"seed": 8})
    (tmp_path / damaged / "config.json").unlink()
    with caplog.at_level(logging.INFO, "rnnexp"):
        figure = drawn(tmp_path, monkeypatch)
    assert [record.message for record in caplog.records] == [
        f"1 runs have no {RATE} and are left out",
        "not drawn: 1 failed",
        "points are means of runs that differ in clip.threshold",
    ]
    assert figure._supxlabel.get_text() == caplog.records[-1].message  # type: ignore[attr-defined]


def test_wrong_arguments(tmp_path: Path) -> None:
    write_rates(tmp_path)
    records = read_index(tmp_path)
    file = tmp_path / "rates.png"
    for how, message in (
        ({"x": "optimizer.learning_rat"}, "Did you mean 'optimizer.learning_rate'"),
        ({"x": "clip.name"}, "clip.name must be a number, not 'global_norm'"),
        ({"x": "model.layer_norm"}, "must be a number, not False"),
        ({"x": "optimizer.warmup_epochs"}, "has no value in any of the runs"),
        ({"by": "cel"}, "Did you mean 'cell'"),
        ({"metric": "test_los"}, "Did you mean 'test_loss'"),
    ):
        with pytest.raises(UsageError, match=message):
            draw_sensitivity(records, file, **{"metric": "test_loss", **how})
    with pytest.raises(UsageError, match="its ending must be one of"):
        draw_sensitivity(records, tmp_path / "rates.txt", metric="test_loss")
    assert not file.exists()


def test_many_groups_and_few_places_are_drawn(tmp_path: Path) -> None:
    cells = ("rnn", "lstm", "gru", "lem", "cornn", "lru", "indrnn", "scrn", "unitary")
    for cell in cells:
        write_run(tmp_path, f"adding/{cell}", test={"loss": 0.1})
    write_run(tmp_path, "adding/min_gru", status="diverged")
    for ending in ("png", "svg"):
        file = tmp_path / f"rates.{ending}"
        draw_sensitivity(read_index(tmp_path), file, metric="test_loss")
        assert file.stat().st_size > 10_000


def test_over_the_length_of_tests_the_training_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lengths(tmp_path)
    caught: list[Figure] = []
    monkeypatch.setattr(sensitivity, "save", lambda figure, file: caught.append(figure))
    records = require_lengths(read_index(tmp_path))
    draw_sensitivity(records, Path("unused.png"), metric="test_loss", x=LENGTH)
    (figure,) = caught
    plt.close(figure)
    axes = next(axes for axes in figure.axes if axes.lines)
    lines = {str(line.get_label()): points(line) for line in axes.lines}
    np.testing.assert_allclose(lines["lstm"], [[20.0, 40.0], [0.1, 0.5]])
    np.testing.assert_allclose(lines["baseline"], [[20.0, 40.0], [0.5, 0.5]])
    (span,) = (patch for patch in axes.patches if patch.get_label() == "lengths in training")
    assert span.get_extents().transformed(axes.transData.inverted()).intervalx.tolist() == (
        pytest.approx([10, 20])
    )
    assert axes.get_xlabel() == "length (steps)"
