"""What is said of a divergence, and the gates that were open before it."""

import argparse
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.lstm import lstm
from rnnexp.cli.divergence import divergence_command
from rnnexp.core.errors import UsageError
from rnnexp.models.recurrent import Recurrent
from rnnexp.models.stack import Unit
from rnnexp.results.load import load_run
from rnnexp.run.divergence import store
from rnnexp.run.divergence.gates import unit_shares
from rnnexp.run.divergence.recorder import Recorder
from rnnexp.run.divergence.window import WINDOW_STEPS
from rnnexp.run.files import read_json
from rnnexp.run.run import run
from rnnexp.run.trainer import Crew
from rnnexp.scan.unroll import Watched, unroll
from rnnexp.train.compiled import Programs
from rnnexp.train.plan import make_plan
from tests.helpers.diverging_runs import config, flight_of, printed
from tests.integration.test_resume import StopAt


def test_gate_shares_are_those_of_the_cell_stepped_by_hand(x64: None) -> None:
    steps, batch, padded = 5, 3, 7
    layer = Recurrent(lstm(2, 4, forget_bias=2.0), jax.random.key(0))
    x_TxBxI = 4.0 * jax.random.normal(jax.random.key(1), (steps, batch, 2))
    lengths = [5, 2, 0]
    lengths_B = jnp.asarray(lengths, jnp.int32)
    run_ = unroll(layer.cell, layer.params(), x_TxBxI, lengths_B=lengths_B, keep_states=True)
    assert run_.states is not None
    start = {k: jnp.zeros((batch, 4)) for k in ("c", "h")}
    seen = Watched(x_TxBxI, start, run_.states)
    for backward in (False, True):
        got = unit_shares(Unit("layer_0", layer, backward), seen, lengths_B, padded)
        expected = np.zeros((2, steps))
        for b, length in enumerate(lengths):
            state = {k: jnp.zeros(4) for k in ("c", "h")}
            for t in range(length):
                values = layer.cell.gates(layer.params(), state, x_TxBxI[t, b])["forget"]
                place = length - 1 - t if backward else t
                expected[0, place] += float(np.mean(np.asarray(values) < 0.1))
                expected[1, place] += float(np.mean(np.asarray(values) > 0.9))
                state = dict(layer.cell.transition(layer.params(), state, x_TxBxI[t, b]))
        expected /= [sum(t < length for length in lengths) for t in range(steps)]
        assert (expected > 0).any()
        assert np.isnan(got["forget"][:, :2]).all()
        np.testing.assert_allclose(got["forget"][:, 2:], expected, rtol=1e-12)


def test_the_command_explains_and_replays(
    diverged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = argparse.Namespace(run=str(diverged), runs_dir=diverged.parent, json=False)
    assert divergence_command(known) == 0
    out = capsys.readouterr().out
    status = load_run(diverged).status
    assert status["reason"] in out
    assert "they led to the run's own state, bit for bit" in out
    assert f"replayed step {status['step']}: identical" in out
    data = printed(diverged)
    assert data["divergence"]["growth"] == status["divergence"]["growth"]
    assert len(data["steps"]) == WINDOW_STEPS + 1
    row = data["steps"][-2]
    norms = flight_of(diverged)["dL_dh"].values[-2]
    assert row["largest"] == float(norms.max())
    assert norms[0, row["time"]] == norms.max()


def test_the_command_names_what_another_machine_computes_otherwise(
    diverged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "copy"
    shutil.copytree(diverged, path)
    data = flight_of(path)
    row = data["scalar"].values.tolist().index("grad_norm")
    data["scalars"][-1, row] *= 1 + 1e-6
    data["dL_dh"][-1, 0, 3] *= 1.01
    shutil.rmtree(path / store.NAME)
    with pytest.warns(UserWarning, match="Consolidated"):
        data.to_zarr(path / store.NAME)
    known = argparse.Namespace(run=str(path), runs_dir=tmp_path, json=False)
    assert divergence_command(known) == 0
    out = capsys.readouterr().out
    assert f": 2 of {printed(path)['replay']['compared']} numbers differ" in out
    assert "grad_norm: recorded" in out
    assert "dL_dh[0, 3]: recorded" in out


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[Path], str]]:
    """The error that the command gives for a run."""

    def message(path: Path) -> str:
        with pytest.raises(UsageError) as caught:
            divergence_command(argparse.Namespace(run=str(path), runs_dir=path.parent, json=False))
        return str(caught.value)

    yield message
    assert capsys.readouterr().out == ""


def test_the_command_refuses_runs_that_have_not_diverged_or_recorded_nothing(
    refused: Callable[[Path], str], diverged: Path, tmp_path: Path
) -> None:
    path = run(config(), runs_dir=tmp_path, observer=StopAt(1)).path
    assert refused(path) == f"{path} has not diverged: its status is interrupted"
    older = tmp_path / "older"
    shutil.copytree(diverged, older)
    shutil.rmtree(older / store.NAME)
    assert "has no divergence.zarr" in refused(older)


def test_the_command_refuses_states_of_another_model(
    refused: Callable[[Path], str], diverged: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(diverged, other)
    saved = read_json(other / "config.json") or {}
    saved["cell"]["hidden_size"] = 7
    (other / "config.json").write_text(json.dumps(saved))
    assert "the run's model needs state.params" in refused(other)


def test_every_crew_keeps_states() -> None:
    plan = make_plan(config(), data_dir=None, chunk_steps=2)
    crew = Crew(Programs(plan), lambda: None, lambda result, error: None)
    assert isinstance(crew.recorder, Recorder)
