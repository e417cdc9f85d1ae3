"""An export to Weights & Biases, its file read back, where its package is installed."""

import io
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from rnnexp.export import export, series
from rnnexp.results.load import Run
from tests.helpers.exported import figures, needed


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
