"""The files of a run, and what its seed changes."""

from pathlib import Path

import pytest
import xarray

from rnnexp.config.schema import from_saved
from rnnexp.core.errors import UsageError
from rnnexp.results.load import find_run, load_run
from rnnexp.run.callbacks import read_result
from rnnexp.run.files import read_json
from rnnexp.run.run import run
from tests.helpers.small_run import small_config


def test_the_files_of_a_run(tmp_path: Path) -> None:
    config = small_config()
    result = run(config, runs_dir=tmp_path)
    assert result.path.parent == tmp_path / "adding" / "lstm"
    assert result.status == "completed"
    assert read_result(result.path) == result
    saved = read_json(result.path / "config.json") or {}
    assert from_saved(saved) == config
    assert saved["cell"] == config.cell.to_dict()
    environment = read_json(result.path / "environment.json") or {}
    assert environment["packages"]["jax"]
    assert environment["device"]["platform"] == "cpu"
    logged = load_run(result.path)
    assert logged.baseline() == {"loss": 1 / 6}
    kinds = [row["kind"] for row in logged.metrics]
    assert {k: kinds.count(k) for k in kinds} == {"baseline": 1, "train": 75, "valid": 5, "test": 1}
    with xarray.open_zarr(result.path / "gradients.zarr") as data:
        assert dict(data.sizes) == {"step": 75, "unit": 2, "time": 12}
        assert set(data.data_vars) == {"dL_dh", "dL_dc"}
        assert data["step"].values.tolist() == list(range(0, 150, 2))
    assert find_run("adding/lstm", tmp_path) == find_run(result.path.name[:6], tmp_path)
    with pytest.raises(UsageError, match="Did you mean 'adding/lstm'"):
        find_run("adding/lst", tmp_path)


def test_seeds_differ_and_only_in_the_run_s_name(tmp_path: Path) -> None:
    results = [
        run(small_config(seed=seed, train__duration_steps=30), runs_dir=tmp_path) for seed in (0, 1)
    ]
    names = [result.path.name.partition("-seed") for result in results]
    assert names[0][0] == names[1][0]
    assert [name[2] for name in names] == ["0", "1"]
    assert results[0].details["test"] != results[1].details["test"]
