"""What exporters write: scalars, histograms and pictures, and the command that calls them."""

import argparse
import io
import json
import logging
import sys
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from rnnexp.cli.export import add_export, export_command
from rnnexp.core.errors import UsageError
from rnnexp.export import EXPORTERS, export, series
from rnnexp.results.load import Run, load_run
from tests.helpers.exported import SLOPES, figures, needed
from tests.helpers.logged_runs import STEPS, TIMES, exponential, write_logged_run
from tests.helpers.synthetic_runs import write_plan


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two layers, four recorded steps."""
    return load_run(write_logged_run(tmp_path / "runs", slopes=SLOPES))


def test_every_figure_of_the_metrics_is_a_scalar(run: Run) -> None:
    found: dict[str, dict[int, float]] = {}
    for scalar in series.scalars(run):
        found.setdefault(scalar.name, {})[scalar.step] = scalar.value
    assert found == figures(run)
    assert {"train/loss", "valid/loss", "test/loss", "train/slope/layer_1/h"} <= set(found)
    assert found["baseline/loss"] == {0: 1 / 6, 31: 1 / 6}
    steps = [scalar.step for scalar in series.scalars(run)]
    assert steps == sorted(steps)


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


def test_a_package_that_is_missing_is_named_with_its_extra(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, entry in EXPORTERS.items():
        monkeypatch.setitem(sys.modules, entry.package, None)
        with pytest.raises(UsageError, match=rf"pip install 'rnnexp\[{name}\]'"):
            export(run, name, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="Did you mean 'tensorboard'"):
        export(run, "tensorbord", tmp_path / "out")


def test_the_project_s_extras_install_what_the_exporters_need(root: Path) -> None:
    import tomllib

    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for name, entry in EXPORTERS.items():
        assert any(line.startswith(entry.package) for line in extras[name])


def test_the_command_exports_what_is_meant_by_its_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    needed("tensorboard")
    plan: list[tuple[str, dict[str, Any]]] = [("adding/lstm", {"seed": seed}) for seed in range(3)]
    write_plan(tmp_path / "runs" / "sweeps" / "one", plan)
    paths = [write_logged_run(tmp_path / "runs", *entry) for entry in plan[:2]]
    parser = argparse.ArgumentParser()
    add_export(parser)

    def call(*arguments: str) -> list[dict[str, str]]:
        line = [*arguments, "--to", "tensorboard", "-o", str(tmp_path / "out")]
        known = parser.parse_args(line)
        known.runs_dir, known.json = tmp_path / "runs", True
        assert export_command(known, []) == 0
        rows: list[dict[str, str]] = json.loads(capsys.readouterr().out)
        return rows

    (row,) = call(paths[1].name)
    assert (row["run"], row["export"]) == (str(paths[1]), "new")
    with caplog.at_level(logging.WARNING, "rnnexp"):
        rows = call(str(tmp_path / "runs" / "sweeps" / "one"))
    assert [row["export"] for row in rows] == ["new", "replaced"]
    assert "1 runs of" in caplog.text
    assert len(list((tmp_path / "out").rglob("events.out.tfevents.*"))) == 2


def test_profiles_of_the_tests_are_what_they_say() -> None:
    assert exponential(-0.5)[-1] == 1
    assert np.log(exponential(-0.5)[-2]) == pytest.approx(-0.5)
