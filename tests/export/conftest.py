"""The run that exporters write."""

from pathlib import Path

import pytest

from rnnexp.results.load import Run, load_run
from tests.helpers.exported import SLOPES
from tests.helpers.logged_runs import write_logged_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two layers, four recorded steps."""
    return load_run(write_logged_run(tmp_path / "runs", slopes=SLOPES))
