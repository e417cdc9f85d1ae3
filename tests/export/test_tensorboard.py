"""An export to TensorBoard, read back with its own reader, where its package is installed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnexp.export import export, series
from rnnexp.results.load import Run
from tests.helpers.exported import figures, needed
from tests.helpers.logged_runs import STEPS


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
