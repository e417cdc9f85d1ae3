"""The flight recorder of runs that were stopped or killed and went on."""

import json
from pathlib import Path

import numpy as np

from rnnexp.results.load import load_run
from rnnexp.run.divergence import store
from rnnexp.run.files import read_json
from rnnexp.run.run import run
from tests.helpers.diverging_runs import config, flight_of
from tests.helpers.stopped_run import StopAt


def test_after_a_resume_the_window_begins_there_and_is_the_same(
    diverged: Path, tmp_path: Path
) -> None:
    failed = load_run(diverged).status["step"]
    stopped = run(config(), runs_dir=tmp_path, observer=StopAt(failed - 8))
    assert stopped.status == "interrupted"
    result = run(config(), runs_dir=tmp_path)
    assert (result.status, result.step) == ("diverged", failed)
    whole, part = flight_of(diverged), flight_of(result.path)
    assert part["step"].values.tolist() == list(range(stopped.step, failed + 1))
    assert part.attrs["origin"] == stopped.step
    for name, values in part.data_vars.items():
        if "gate_step" not in values.dims:
            shared = whole[name].isel({values.dims[0]: slice(-len(values), None)})
            np.testing.assert_array_equal(values.values, shared.values, err_msg=str(name))


def test_killed_after_its_last_checkpoint_a_run_keeps_the_longer_window(tmp_path: Path) -> None:
    path = run(config(), runs_dir=tmp_path).path
    before, status = flight_of(path), read_json(path / "status.json") or {}
    (path / "status.json").write_text(json.dumps(status | {"status": "running"}))
    again = run(config(), runs_dir=tmp_path)
    assert again.reason == status["reason"]
    assert again.details["divergence"]["growth"] == status["divergence"]["growth"]
    assert flight_of(path).identical(before)


def test_a_window_of_an_earlier_attempt_is_removed_when_the_run_goes_on(tmp_path: Path) -> None:
    stopped = run(config(), runs_dir=tmp_path, observer=StopAt(1))
    (stopped.path / store.NAME).mkdir()
    stopped = run(config(), runs_dir=tmp_path, observer=StopAt(30))
    assert stopped.status == "interrupted"
    assert not (stopped.path / store.NAME).exists()
