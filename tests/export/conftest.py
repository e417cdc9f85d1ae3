"""The run that exporters write."""

from pathlib import Path

import pytest

from rnnexp.results.load import Run, load_run
from tests.helpers.exported import SLOPES, write_checkpoints
from tests.helpers.logged_runs import write_logged_run

SMALL = {"cell.hidden_size": 3, "model.num_layers": 2}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two layers, four recorded steps; a checkpoint."""
    path = write_logged_run(tmp_path / "runs", changes=SMALL, slopes=SLOPES)
    write_checkpoints(path, {"last": 4})
    return load_run(path)


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two layers of 3 units, whose best checkpoint is another than its last one."""
    path = write_logged_run(tmp_path_factory.mktemp("trained"), changes=SMALL)
    write_checkpoints(path, {"best": 2, "last": 4})
    return path
