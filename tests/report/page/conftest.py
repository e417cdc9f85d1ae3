"""The runs that several test files show on a page."""

from pathlib import Path

import pytest

from tests.helpers.report_runs import write_three_settings


@pytest.fixture(scope="session")
def runs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three settings of two tasks, made once."""
    return write_three_settings(tmp_path_factory.mktemp("runs"))
