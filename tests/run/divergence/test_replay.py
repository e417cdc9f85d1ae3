"""The replay of a divergence names what another machine computes otherwise."""

import argparse
import shutil
from pathlib import Path

import pytest

from rnnexp.cli.divergence import divergence_command
from rnnexp.run.divergence import store
from tests.helpers.diverging_runs import flight_of, printed


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
