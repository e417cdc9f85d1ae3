"""Runs as tables and labelled arrays: every value is the one in the files."""

import json
import logging
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray

import rnnexp
from rnnexp.core.errors import UsageError
from rnnexp.results.load import load_run
from rnnexp.results.summary import flatten
from tests.helpers.logged_runs import STEPS, TIMES, exponential, write_logged_run
from tests.helpers.synthetic_runs import write_many, write_plan, write_run


def test_a_row_holds_what_the_run_s_files_hold(tmp_path: Path) -> None:
    path = write_logged_run(tmp_path, changes={"optimizer.learning_rate": 0.003})
    (row,) = rnnexp.load_runs(tmp_path).to_dict("records")
    assert [row[name] for name in ("path", "id", "task", "cell", "status", "step", "reason")] == [
        str(path), path.name, "adding", "lstm", "completed", 31, "",
    ]  # fmt: skip
    config = flatten(json.loads((path / "config.json").read_text()))
    for key, value in config.items():
        expected = ",".join(map(str, value)) if isinstance(value, list) else value
        assert row[f"config.{key}"] == expected
    assert row["config.optimizer.learning_rate"] == 0.003
    last = [line for line in load_run(path).metrics if line["kind"] == "train"][-1]
    assert row["train_step"] == last["step"] == STEPS[-1]
    assert {name for name in row if name.startswith("train_")} == {
        "train_step", *(f"train_{name}" for name in last if name not in ("kind", "step", "time")),
    }  # fmt: skip
    assert row["train_loss"] == 1 / 31
    assert row["train_slope/layer_0/h"] == pytest.approx(-0.4)
    assert (row["valid_step"], row["valid_loss"], row["test_loss"]) == (31, 0.2, 0.25)
    assert (row["baseline_loss"], row["reference_theirs/loss"]) == (1 / 6, 0.01)


def test_what_a_run_does_not_have_is_missing_and_every_column_can_be_grouped_by(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_logged_run(tmp_path, "adding/lstm")
    write_run(tmp_path, "adding/gru", status="diverged", reason="non-finite loss")
    write_run(tmp_path, "adding/lem", {"task.more": [1, [2]]}, valid=0.3, test={"loss": 0.4})
    damaged = tmp_path / write_run(tmp_path, "adding/rnn", age=1)
    (damaged / "status.json").write_text("{")
    with caplog.at_level(logging.WARNING, "rnnexp"):
        table = rnnexp.load_runs(tmp_path).set_index("cell")
    assert table.loc["gru", ["valid_loss", "test_loss", "baseline_loss"]].isna().all()
    assert table.loc["gru", "reason"] == "non-finite loss"
    assert np.isnan(table.loc["gru", "config.cell.forget_bias"])
    assert table.loc["lstm", "config.cell.forget_bias"] == 1.0
    assert table.loc["lem", "config.task.more"] == (1, (2,))
    assert table.loc["lem", ["valid_loss", "test_loss"]].tolist() == [0.3, 0.4]
    assert table.loc["rnn", "status"] == "damaged"
    assert "1 runs in" in caplog.text
    for name in table.columns:
        table.groupby(name, dropna=False).size()
    kinds = [name.partition(".")[0].partition("_")[0] for name in table.columns[6:]]
    together = ["config", "train", "valid", "test", "baseline", "reference"]
    assert list(dict.fromkeys(kinds)) == together
    assert [kind for kind in together for _ in range(kinds.count(kind))] == kinds


def test_a_sweep_s_rows_are_in_the_order_of_its_plan(tmp_path: Path) -> None:
    rates = [0.1, 0.01, 0.001]
    plan = [("adding/lstm", {"optimizer.learning_rate": rate, "seed": 0}) for rate in rates]
    write_plan(tmp_path / "sweeps" / "one", plan)
    write_run(tmp_path, *plan[1])
    table = rnnexp.load_runs(tmp_path / "sweeps" / "one")
    assert list(table["config.optimizer.learning_rate"]) == rates
    assert list(table["status"]) == ["waiting", "completed", "waiting"]
    with pytest.raises(UsageError, match="holds no runs"):
        rnnexp.load_runs(tmp_path / "none")


def test_scores_that_are_not_finite_come_as_numbers(tmp_path: Path) -> None:
    path = write_logged_run(tmp_path, slopes={"layer_0": [0.5] * 4})
    with (path / "metrics.jsonl").open("a") as stream:
        stream.write('{"kind": "train", "step": 31, "loss": "NaN", "grad_norm": "Infinity"}\n')
    (row,) = rnnexp.load_runs(tmp_path).to_dict("records")
    assert np.isnan(row["train_loss"])
    assert row["train_grad_norm"] == np.inf


def test_gradients_are_labelled_by_step_unit_time_and_lag(tmp_path: Path) -> None:
    slopes = {"layer_0_forward": [-0.1, -0.2, -0.3, 0.0], "layer_0_backward": [-0.5] * 4}
    path = write_logged_run(tmp_path, slopes=slopes)
    for name in (path, str(path), path.name, "adding/lstm"):
        data = rnnexp.load_gradients(name, tmp_path)
        assert data.attrs["run"] == str(path)
    assert data.dL_dh.dims == ("step", "unit", "time")
    assert dict(data.sizes) == {"step": 4, "unit": 2, "time": TIMES}
    assert list(data.unit.values) == list(slopes)
    for unit, by_step in slopes.items():
        for step, slope in zip(STEPS, by_step, strict=True):
            profile = data.dL_dh.sel(unit=unit, step=step).swap_dims(time="lag").sortby("lag")
            np.testing.assert_allclose(profile, exponential(slope)[::-1], rtol=1e-5)
            np.testing.assert_array_equal(profile.lag, np.arange(TIMES))
    assert data.dL_dh.attrs["units"] == "loss per unit of h"
    assert [data[n].attrs["units"] for n in ("step", "time", "lag")] == [
        "updates made", "steps", "steps",
    ]  # fmt: skip


def test_a_run_without_arrays_says_what_writes_them(tmp_path: Path) -> None:
    path = tmp_path / write_run(tmp_path)
    with pytest.raises(UsageError, match=r"no gradients\.zarr yet: they are written with"):
        rnnexp.load_gradients(path)
    with pytest.raises(UsageError, match=r"no laboratory\.zarr yet: `rnnexp analyze RUN`"):
        rnnexp.load_laboratory(path)
    with pytest.raises(UsageError, match="Did you mean 'adding/lstm'"):
        rnnexp.load_gradients("adding/lst", tmp_path)


def test_the_laboratory_is_read_whole_with_units(tmp_path: Path) -> None:
    path = tmp_path / write_run(tmp_path)
    values = np.random.default_rng(0).normal(size=(2, 1, 3))
    values[0, 0, 2] = np.nan
    names = np.array(["layer_0"], np.dtypes.StringDType())
    data = xarray.Dataset(
        {"lyapunov": (("step", "unit", "exponent"), values), "extra": ("step", [1.0, 2.0])},
        {"step": [0, 100], "unit": names, "exponent": [0, 1, 2]},
    )
    data.to_zarr(path / "laboratory.zarr", zarr_format=3, consolidated=False)
    read = rnnexp.load_laboratory(path)
    np.testing.assert_array_equal(read.lyapunov.sel(unit="layer_0"), values[:, 0])
    assert read.unit.dtype.kind == "U"
    assert read.lyapunov.attrs["units"] == "nats per step"
    assert read.step.attrs["units"] == "updates made"
    assert "units" not in read.extra.attrs


def test_naming_the_loaders_imports_no_array_library() -> None:
    program = "import sys, rnnexp; rnnexp.load_runs; rnnexp.load_gradients; print(*sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert {"jax", "pandas", "xarray", "zarr"} & set(output.stdout.split()) == set()


@pytest.mark.slow
def test_a_thousand_runs_are_read_in_two_seconds(tmp_path: Path) -> None:
    names = write_many(tmp_path, 1000)
    lines = (write_logged_run(tmp_path / "model") / "metrics.jsonl").read_bytes()
    for name in names:
        (tmp_path / name / "metrics.jsonl").write_bytes(lines * 20)
    rnnexp.load_runs(tmp_path)
    begin = time.monotonic()
    table = rnnexp.load_runs(tmp_path)
    assert time.monotonic() - begin < 2
    assert table.shape[0] == 1000
    assert (table["train_step"] == STEPS[-1]).all()
