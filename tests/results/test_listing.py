"""The rows of `rnnexp list`: none without runs, and nothing slow is imported for them."""

import subprocess
import sys
from pathlib import Path

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.results.index import read_index
from rnnexp.results.listing import runs as list_rows
from rnnexp.results.load import find_run


def test_no_runs_are_no_error(tmp_path: Path) -> None:
    assert read_index(tmp_path / "none") == []
    assert list_rows(tmp_path) == []
    with pytest.raises(UsageError, match="no runs in"):
        find_run("adding/lstm", tmp_path)


def test_listing_runs_imports_nothing_slow() -> None:
    program = "import sys, rnnexp.results.listing; print(*sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    slow = {"jax", "flax", "numpy", "pandas", "xarray", "matplotlib", "ml_collections", "zarr"}
    assert slow & set(output.stdout.split()) == set()
