"""The memory of a run's best checkpoint: its numbers, and what `inspect --memory` makes of them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from rnnexp.cli.main import main
from rnnexp.config.schema import experiment, finish
from rnnexp.core.errors import UsageError
from rnnexp.run.memory_slots import memory_of_run
from rnnexp.run.run import run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps."""
    config = experiment("copy_memory/ntm")
    config.task.delay_steps = 1
    config.cell.update(hidden_size=4, slots=3, width=2)
    config.train.batch_size, config.train.duration_steps = 2, 2
    config.eval.batch_size = config.eval.examples = 2
    return run(finish(config), runs_dir=tmp_path_factory.mktemp("runs")).path


def test_the_memory_of_a_run(trained: Path) -> None:
    found = memory_of_run(trained, whole=True)
    assert found.step == 2
    (data,) = found.units.values()
    assert list(found.units) == ["layer_0"]
    assert data["adjoint"].shape == (21, 3, 2)
    assert data["w_read"].shape == data["w_write"].shape == (21, 1, 3)
    np.testing.assert_allclose(data["w_write"].sum("slot"), 1, rtol=1e-5)
    norm = np.linalg.norm(data["adjoint"].values.astype(float), axis=-1)
    np.testing.assert_allclose(data["adjoint_norm"], norm, rtol=1e-5)
    assert np.all(norm[:-1].max(axis=1) > 0)
    assert np.all(norm[-1] == 0)  # nobody reads it any more


def test_inspect_shows_it(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "memory.png"
    assert main(["inspect", str(trained), "--memory", "--plot", str(picture)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{trained}\nmemory of layer_0 after 2 updates, one validation example")
    assert "w_write" in out
    assert f"drawn: {picture}\n" in out
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main(["inspect", str(trained), "--memory", "--json"]) == 0
    told = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert (told["run"], told["step"]) == (str(trained), 2)
    weights = told["units"]["layer_0"]["w_read"]
    assert weights["dimensions"] == ["time", "w_read_head", "slot"]
    assert np.shape(weights["values"]) == (21, 1, 3)
    assert main(["inspect", str(trained), "--memory", "--divergence"]) == 2
    assert "--memory does not go with --divergence" in capsys.readouterr().err


def test_a_run_without_a_checkpoint_says_so(trained: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(trained, tmp_path.joinpath(*trained.parts[-3:])))
    shutil.rmtree(path / "checkpoints")
    with pytest.raises(UsageError, match="has no checkpoint yet"):
        memory_of_run(path)
