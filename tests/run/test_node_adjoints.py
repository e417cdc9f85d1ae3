"""The nodes of a run's best checkpoint, and what `inspect --nodes` makes of them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from rnnexp.cli.main import main
from rnnexp.config.schema import experiment, finish
from rnnexp.core.errors import UsageError
from rnnexp.run.node_adjoints import nodes_of_run, nodes_of_runs
from rnnexp.run.run import run


def train(runs_dir: Path, seed: int) -> Path:
    """A run of two steps."""
    config = experiment("neighbors_match/graph")
    config.seed = seed
    config.task.radius = 2
    config.cell.update(hidden_size=8, steps=3)
    config.train.batch_size, config.train.duration_steps = 4, 2
    config.eval.batch_size = config.eval.examples = 8
    return run(finish(config), runs_dir=runs_dir).path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of seed 0."""
    return train(tmp_path_factory.mktemp("runs"), 0)


def test_the_nodes_of_a_run(trained: Path) -> None:
    found = nodes_of_run(trained)
    assert (found.step, found.examples) == (2, 8)
    assert found.data["by_distance"].shape == (4, 3)
    assert found.data["nodes_at"].values.tolist() == [8, 16, 32]
    assert np.all(found.data["by_distance"].values[0] > 0)
    assert np.all(found.data["by_distance"].values[-1, 1:] == 0)


def test_runs_of_several_seeds_are_read_by_one_program(trained: Path, tmp_path: Path) -> None:
    """On the examples of the first; so a run beside itself has the same nodes."""
    other = train(trained.parents[2], 1)
    alone = nodes_of_run(trained).data
    first, second, again = (of.data for of in nodes_of_runs([trained, other, trained]))
    for same in (first, again):
        np.testing.assert_array_equal(same["adjoint_norm"], alone["adjoint_norm"])
    assert np.all(second["adjoint_norm"].values[:, 0] != alone["adjoint_norm"].values[:, 0])
    shutil.copytree(other, tmp_path / "longer")
    saved = json.loads((other / "config.json").read_text())
    saved["train"]["duration_steps"] = 3
    (tmp_path / "longer" / "config.json").write_text(json.dumps(saved))
    with pytest.raises(UsageError, match=r"longer differs from .* in more than its seed"):
        nodes_of_runs([trained, tmp_path / "longer"])


def test_inspect_shows_them(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "nodes.png"
    assert main(["inspect", str(trained), "--nodes", "--plot", str(picture)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{trained}\nmean ||dL/dh|| of a node by its distance from the answer")
    assert "2 edges away" in out
    assert f"drawn: {picture}\n" in out
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main(["inspect", str(trained), "--nodes", "--json"]) == 0
    told = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert (told["run"], told["step"]) == (str(trained), 2)
    assert told["nodes"]["by_distance"]["dimensions"] == ["propagation", "edges_away"]
    assert np.shape(told["nodes"]["adjoint_norm"]["values"]) == (8, 4, 7)
    assert main(["inspect", str(trained), "--nodes", "--memory"]) == 2
    assert "--nodes does not go with --memory" in capsys.readouterr().err


def test_another_cell_has_no_nodes(tmp_path: Path) -> None:
    config = experiment("adding/rnn")
    config.task.length_steps, config.cell.hidden_size = 4, 3
    config.train.batch_size, config.train.duration_steps = 2, 1
    config.eval.batch_size = config.eval.examples = 2
    path = run(finish(config), runs_dir=tmp_path).path
    with pytest.raises(UsageError, match="cell 'rnn' is no graph network"):
        nodes_of_run(path)
