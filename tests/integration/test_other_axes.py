"""Runs along other axes than time: resumed, in lanes, diverged, measured, over two devices."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ml_collections import FrozenConfigDict

from rnnexp.cli.main import main
from rnnexp.config.schema import experiment, finish
from rnnexp.core.axis import step_of, steps_of
from rnnexp.results.frames import load_gradients, load_laboratory
from rnnexp.results.load import load_run
from rnnexp.run.run import run
from rnnexp.sweep.lanes import train_lanes
from rnnexp.sweep.plan import planned
from tests.helpers.diverging_runs import flight_of
from tests.helpers.small_run import assert_same_runs
from tests.helpers.stopped_run import StopAt

RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "pattern_recall/hopfield": (
        "update",
        {"task.size": 12, "task.count": 3, "cell.updates": 5, "cell.beta": 0.2},
    ),
    "chained_facts/memory_network": (
        "hop",
        {"task.facts": 2, "cell.hidden_size": 6, "cell.hops": 4, "cell.linear_start_steps": 10},
    ),
    "bars_and_stripes/rbm": (
        "gibbs",
        {
            "task.side": 2, "cell.hidden_size": 4, "cell.gibbs_steps": 4,
            "cell.chain": "mean_field", "cell.through_chain": True,
        },
    ),
    "cycle_or_path/graph": (
        "propagation",
        {"task.longest": 5, "cell.hidden_size": 4, "cell.steps": 3, "cell.node_cell": "lstm"},
    ),
}  # fmt: skip
"""By experiment the axis, and what makes it small."""
SMALL = {
    "train.batch_size": 8,
    "train.duration_steps": 60,
    "eval.every_steps": 20,
    "eval.examples": 32,
    "eval.batch_size": 16,
    "checkpoint.every_steps": 20,
    "record.every_steps": 5,
}


def small(name: str, **changes: Any) -> FrozenConfigDict:
    """A short run of the table."""
    config = experiment(name)
    given = {key.replace("__", "."): value for key, value in changes.items()}
    config.update_from_flattened_dict(SMALL | RUNS[name][1] | given)
    return finish(config)


@pytest.fixture(scope="module", params=RUNS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A complete run's experiment and directory."""
    name = request.param
    return name, run(small(name), runs_dir=tmp_path_factory.mktemp("whole")).path


def test_a_stopped_run_that_goes_on_is_the_whole_one(made: Any, tmp_path: Path) -> None:
    name, whole = made
    first = run(small(name), runs_dir=tmp_path, observer=StopAt(33))
    assert first.status == "interrupted"
    again = run(small(name), runs_dir=tmp_path)
    assert again.status == "completed"
    assert_same_runs(again.path, whole, small(name))


def test_lanes_are_the_runs_alone(made: Any, tmp_path: Path) -> None:
    name, whole = made
    runs = [planned(small(name, **keys), 0, keys) for keys in ({"seed": 0}, {"seed": 3})]
    train_lanes(runs, runs_dir=tmp_path, data_dir=None, width=1, on_run_end=lambda status: None)
    assert_same_runs(tmp_path / runs[0].run, whole, small(name))
    assert load_run(tmp_path / runs[1].run).status["status"] == "completed"


def test_stores_and_tables_name_the_axis(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    name, whole = made
    axis = RUNS[name][0]
    gradients = load_gradients(whole)
    leaf = next(iter(gradients.data_vars))
    assert gradients[leaf].dims == ("step", "unit", axis)
    assert gradients["lag"].attrs["units"] == steps_of(axis)
    assert load_run(whole).axis == axis
    assert main(["inspect", str(whole)]) == 0
    shown = capsys.readouterr().out
    assert f"lag in {steps_of(axis)}" in shown
    assert f"nats/{step_of(axis)}" in shown
    assert main(["inspect", str(whole), "--json"]) == 0
    dimensions = json.loads(capsys.readouterr().out)["gradients"]["dimensions"]
    assert dimensions == ["step", "layer", axis]
    assert main(["analyze", str(whole)]) == 0
    told = f"A step along the axis of this run's cell is one {step_of(axis)}."
    assert told in capsys.readouterr().out
    data = load_laboratory(whole)
    assert data["lyapunov"].attrs["units"] == f"nats per {step_of(axis)}"
    assert data["span"].attrs["units"] == steps_of(axis)
    assert np.isfinite(data["lag_norm"]).all()


def test_a_divergence_is_recorded_and_replayed(
    made: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, _ = made
    keys = {"optimizer__name": "sgd", "optimizer__learning_rate": 1e38, "clip__name": "none"}
    result = run(small(name, **keys), runs_dir=tmp_path)
    assert result.status == "diverged"
    data = flight_of(result.path)
    assert RUNS[name][0] in data.dims
    assert "time" not in data.dims
    assert main(["inspect", str(result.path), "--divergence"]) == 0
    assert ": identical (" in capsys.readouterr().out


def test_two_devices_are_one(made: Any, tmp_path: Path) -> None:
    name, whole = made
    two = load_run(run(small(name, devices=2), runs_dir=tmp_path).path)
    one = load_run(whole)
    for score, value in one.status["test"].items():
        assert two.status["test"][score] == pytest.approx(value, rel=1e-3, abs=1e-5)
    for leaf, norms in one.norms.items():
        np.testing.assert_allclose(two.norms[leaf], norms, rtol=1e-3, atol=1e-6)
