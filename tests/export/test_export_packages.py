"""Exports read back with the other program's own reader, where its package is installed."""

import io
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from rnnexp.export import EXPORTERS, export, series
from rnnexp.results.load import Run, load_run
from tests.helpers.exported import SLOPES, figures, needed
from tests.helpers.logged_runs import STEPS, write_logged_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two layers, four recorded steps."""
    return load_run(write_logged_run(tmp_path / "runs", slopes=SLOPES))


def tensorboard_data(directory: Path) -> Any:
    """What a TensorBoard that is started on the directory would serve."""
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer

    everything = {"tensors": 0, "images": 0}
    multiplexer = EventMultiplexer(size_guidance=everything, tensor_size_guidance={})
    multiplexer.AddRunsFromDirectory(str(directory)).Reload()
    return MultiplexerDataProvider(multiplexer, str(directory))


@pytest.mark.filterwarnings("default")
def test_tensorboard_shows_scalars_histograms_and_pictures(run: Run, tmp_path: Path) -> None:
    needed("tensorboard")
    from tensorboard.context import RequestContext

    for replaced in (False, True):
        result = export(run, "tensorboard", tmp_path / "out")
        assert result.replaced is replaced
    (file,) = (path for path in (tmp_path / "out").rglob("*") if path.is_file())
    name = f"adding/lstm/{run.path.name}"
    assert file.parent == tmp_path / "out" / name
    data, at = tensorboard_data(tmp_path / "out"), RequestContext()
    asked: dict[str, Any] = {"experiment_id": "", "downsample": 1000}
    scalars = data.read_scalars(at, plugin_name="scalars", **asked)[name]
    found = {tag: {p.step: p.value for p in points} for tag, points in scalars.items()}
    expected = figures(run)
    assert found.keys() == expected.keys()
    for tag, points in expected.items():
        assert found[tag] == pytest.approx(points, rel=1e-6)
    times = {scalar.time for scalar in series.scalars(run)}
    assert {p.wall_time for points in scalars.values() for p in points} <= times
    tensors = data.read_tensors(at, plugin_name="histograms", **asked)[name]
    points = tensors["log10_dL_dh/layer_1"]
    assert [point.step for point in points] == list(STEPS)
    (part,) = (h for h in series.histograms(run) if h.name.endswith("layer_1") and h.step == 20)
    expected_bins = np.stack([part.edges[:-1], part.edges[1:], part.counts], 1)
    np.testing.assert_allclose(points[2].numpy, expected_bins)
    blobs = data.read_blob_sequences(at, plugin_name="images", **asked)[name]
    assert set(blobs) == {"dL_dh/layer_0", "dL_dh/layer_1"}
    _, _, picture = (value.blob_key for value in blobs["dL_dh/layer_0"][0].values)
    content = data.read_blob(at, blob_key=picture)
    assert content == series.pictures(run)[0].png
    assert data.list_tensors(at, plugin_name="hparams", experiment_id="")[name]
    text = data.read_tensors(at, plugin_name="text", **asked)[name]["config"][0].numpy
    assert json.loads(text.item().decode().strip("`").removeprefix("json")) == run.config


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


def wandb_records(file: Path) -> Iterator[Any]:
    """The records of an offline run: LevelDB's log format, after a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, content = file.read_bytes(), 7, b""
    while at < len(data):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        part = data[at + 7 : at + 7 + length]
        content = part if kind in (1, 2) else content + part
        at += 7 + length
        if kind in (1, 4):
            record = Record()
            record.ParseFromString(content)
            yield record


@pytest.mark.filterwarnings("default")
def test_an_offline_run_of_wandb_holds_the_figures_and_pictures(run: Run, tmp_path: Path) -> None:
    needed("wandb")
    for replaced in (False, True):
        result = export(run, "wandb", tmp_path / "out")
        assert result.replaced is replaced
    (place,) = (tmp_path / "out" / "wandb").iterdir()
    assert place == result.path
    (file,) = place.glob("run-*.wandb")
    records = list(wandb_records(file))
    (begun,) = (record.run for record in records if record.HasField("run"))
    assert (begun.project, begun.run_group, begun.display_name) == (
        "rnnexp", "adding/lstm", run.path.name,
    )  # fmt: skip
    config = {item.key: json.loads(item.value_json) for item in begun.config.update}
    assert config["optimizer"] == run.config["optimizer"]
    found: dict[str, dict[int, Any]] = {}
    for record in (record.history for record in records if record.HasField("history")):
        row = {tuple(i.nested_key) or (i.key,): json.loads(i.value_json) for i in record.item}
        for key, value in row.items():
            found.setdefault("/".join(key), {})[row[("_step",)]] = value
    for name, points in figures(run).items():
        assert found[name] == pytest.approx(points)
    (part,) = (h for h in series.histograms(run) if h.name.endswith("layer_0") and h.step == 30)
    assert found[f"{part.name}/values"][30] == part.counts.tolist()
    (drawn,) = found["dL_dh/layer_0/heat_map/path"].values()
    written = matplotlib.image.imread(place / "files" / drawn)
    original = io.BytesIO(series.pictures(run)[0].png)
    np.testing.assert_array_equal(written, matplotlib.image.imread(original, format="png"))


@pytest.mark.parametrize("to", EXPORTERS)
def test_no_export_uses_the_network(run: Run, tmp_path: Path, to: str) -> None:
    needed(EXPORTERS[to].package)
    if shutil.which("strace") is None:
        pytest.skip("strace, which sees the connections of all processes, is not installed")
    program = (
        "import sys; from pathlib import Path; from rnnexp.export import export\n"
        "from rnnexp.results.load import load_run\n"
        "export(load_run(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))"
    )
    elsewhere = {
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
        "WANDB_BASE_URL": "http://127.0.0.1:9",
    }
    here = {k: v for k, v in os.environ.items() if k not in ("CI", "PYTEST_CURRENT_TEST")}
    subprocess.run(
        [
            "strace", "-f", "-e", "trace=connect,sendto,sendmsg", "-o", str(tmp_path / "calls"),
            sys.executable, "-c", program, str(run.path), to, str(tmp_path / "out"),
        ],
        check=True, env=here | elsewhere, capture_output=True,
    )  # fmt: skip
    calls = (tmp_path / "calls").read_text()
    assert "exited with 0" in calls
    assert "sa_family=AF_INET" not in calls
