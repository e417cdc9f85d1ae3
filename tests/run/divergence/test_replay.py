"""A replay names what another machine computes otherwise, and asks for the run's precision."""

import argparse
import shutil
from pathlib import Path

import jax
import pytest

from rnnexp.cli.divergence import divergence_command
from rnnexp.core.errors import UsageError
from rnnexp.run.divergence import store
from rnnexp.run.divergence.replay import replay
from rnnexp.run.run import run
from tests.helpers.diverging_runs import FAILS_AT_ONCE, config, flight_of, printed


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


def test_a_run_is_replayed_in_its_own_precision_alone(diverged: Path, tmp_path: Path) -> None:
    double = config(**FAILS_AT_ONCE | {"optimizer.learning_rate": 1e300})
    with jax.enable_x64(True):
        path = run(double, runs_dir=tmp_path).path
        data = flight_of(path)
        assert data["state.params.readout.bias"].dtype == "float64"
        assert replay(path, data).differing == 0
    with pytest.raises(UsageError) as refused:
        replay(path, data)
    assert str(refused.value) == f"{path} computed in float64; set JAX_ENABLE_X64=1 to replay it"
    single = flight_of(diverged)
    assert replay(diverged, single).differing == 0
    with jax.enable_x64(True), pytest.raises(UsageError, match="but recorded is float32"):
        replay(diverged, single)
