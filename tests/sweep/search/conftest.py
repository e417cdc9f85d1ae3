"""The search that several test files look at."""

from pathlib import Path

import pytest

from rnnexp.sweep.search.found import Found
from tests.helpers.small_search import undisturbed_search


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Found]:
    """A random search by one process at a stretch, made once."""
    return undisturbed_search(tmp_path_factory)
