"""The store of a divergence holds what the run logged; unwritten, it is a warning."""

import argparse
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

from rnnexp.results.load import load_run
from rnnexp.run.divergence import store
from rnnexp.run.run import run
from tests.helpers.diverging_runs import FAILS_AT_ONCE, config, flight_of


def test_what_is_recorded_of_a_step_is_what_the_run_logged(diverged: Path) -> None:
    data, logged = flight_of(diverged), load_run(diverged)
    rows = {row["step"]: row for row in logged.metrics if row["kind"] == "train"}
    shared = [int(step) for step in data["step"].values if int(step) in rows]
    assert len(shared) >= 11
    for step in shared:
        at = data.sel(step=step)
        for name in data["scalar"].values:
            np.testing.assert_array_equal(
                float(at["scalars"].sel(scalar=name)), float(rows[step][name])
            )
        number = logged.steps.tolist().index(step)
        np.testing.assert_array_equal(at["dL_dh"].values, logged.norms["h"][number])
    names = data["parameter"].values.tolist()
    gradients = data["scalars"].sel(scalar=[f"grad_norm/{name}" for name in names])
    np.testing.assert_array_equal(data["gradient_norm"].values, gradients.values)
    first = data["state.params.stack.layers.0.w_h"].values[0]
    found = float(data["parameter_norm"].sel(parameter="stack/layers/0/w_h")[0])
    assert found == pytest.approx(np.sqrt(np.sum(first.astype(np.float64) ** 2)))


@pytest.mark.parametrize("fault", ["no space", "an error"])
def test_a_window_that_cannot_be_written_is_a_warning(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*arguments: Any, **keywords: Any) -> None:
        raise OSError(28, "No space left on device")

    if fault == "no space":
        monkeypatch.setattr(shutil, "disk_usage", lambda path: argparse.Namespace(free=10))
    else:
        monkeypatch.setattr(xarray.Dataset, "to_zarr", refuse)
    result = run(config(**FAILS_AT_ONCE), runs_dir=tmp_path)
    assert result.status == "diverged"
    assert result.details["divergence"]["growth"]["step"] == 1
    assert store.NAME in caplog.text
    assert {"no space": "are free on the disk", "an error": "No space left"}[fault] in caplog.text
    assert not list(result.path.glob("*divergence*"))
