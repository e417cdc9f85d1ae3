"""The window of steps keeps the first and the last of large states."""

from pathlib import Path

import numpy as np
import pytest

from rnnexp.run.divergence import window
from rnnexp.run.run import run
from tests.helpers.diverging_runs import config, flight_of


def test_of_large_states_the_first_and_the_last_are_kept(
    diverged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "STATE_BYTES", 1000)
    data = flight_of(run(config(), runs_dir=tmp_path).path)
    whole = flight_of(diverged)
    steps = whole["step"].values
    assert data["step"].values.tolist() == steps.tolist()
    assert data["state_step"].values.tolist() == [steps[0], steps[-1]]
    name = "state.params.stack.layers.0.w_h"
    np.testing.assert_array_equal(data[name].values, whole[name].values[[0, -1]])
    np.testing.assert_array_equal(data["scalars"], whole["scalars"])
    assert np.isfinite(data["parameter_norm"].values[[0, -1]]).all()
    assert np.isnan(data["parameter_norm"].values[1:-1]).all()
