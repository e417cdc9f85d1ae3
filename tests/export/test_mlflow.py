"""An export to MLflow, read back with its own reader, where its package is installed."""

import json
from pathlib import Path

import numpy as np
import pytest

from rnnexp.export import export, series
from rnnexp.results.load import Run, load_run
from tests.helpers.exported import figures, needed
from tests.helpers.logged_runs import STEPS, write_logged_run


@pytest.mark.filterwarnings("default")
def test_mlflow_shows_parameters_metrics_and_pictures(run: Run, tmp_path: Path) -> None:
    needed("mlflow")
    from mlflow import MlflowClient

    for replaced in (False, True):
        result = export(run, "mlflow", tmp_path / "out")
        assert result.replaced is replaced
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'out' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("adding/lstm")
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.run_name, found.info.status) == (run.path.name, "FINISHED")
    assert found.data.params["optimizer.learning_rate"] == str(
        run.config["optimizer"]["learning_rate"]
    )
    assert found.data.params["cell.name"] == "lstm"
    for name, points in figures(run).items():
        history = client.get_metric_history(found.info.run_id, name)
        largest = np.finfo(np.float64).max  # what MLflow keeps of infinity
        kept = {step: min(value, largest) for step, value in points.items()}
        assert {point.step: point.value for point in history} == kept
    times = {round(scalar.time * 1000) for scalar in series.scalars(run)}
    assert {point.timestamp for point in history} <= times
    folder = Path(client.download_artifacts(found.info.run_id, ".", str(tmp_path)))
    assert (folder / "dL_dh" / "layer_1.png").read_bytes() == series.pictures(run)[1].png
    bins = json.loads((folder / "histograms.json").read_text())["log10_dL_dh/layer_0"]
    assert [entry["step"] for entry in bins] == list(STEPS)
    assert json.loads((folder / "config.json").read_text()) == run.config


@pytest.mark.filterwarnings("default")
def test_mlflow_takes_names_and_figures_that_it_would_refuse(tmp_path: Path) -> None:
    needed("mlflow")
    from mlflow import MlflowClient

    run = load_run(write_logged_run(tmp_path / "runs", status="diverged"))
    run.metrics.append(
        {"kind": "train", "step": 40, "lo$$ (a)": "NaN", "up": "Infinity", "time": 9}
    )
    run.config["cell"]["note"] = "x" * 7000
    export(run, "mlflow", tmp_path)
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    (found,) = client.search_runs([client.get_experiment_by_name("adding/lstm").experiment_id])
    assert found.info.status == "FAILED"
    assert np.isnan(found.data.metrics["train/lo__ _a_"])
    assert found.data.metrics["train/up"] > 1e308
    assert len(found.data.params["cell.note"]) == 6000
