"""The rows of `rnnexp list`: options with meanings, none without runs, and no slow imports."""

import subprocess
import sys
from pathlib import Path

import pytest

from rnnexp.cells import CELLS
from rnnexp.core.errors import UsageError
from rnnexp.core.registry import Table
from rnnexp.results.index import read_index
from rnnexp.results.listing import options
from rnnexp.results.listing import runs as list_rows
from rnnexp.results.load import find_run
from rnnexp.tasks import TASKS


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


@pytest.mark.parametrize("table", [CELLS, TASKS], ids=["cells", "tasks"])
def test_every_option_has_a_line_of_meaning(table: Table) -> None:
    rows = options(table)
    assert {row["name"] for row in rows} == {
        name for name in table.names() if table.entry(name).options()
    }
    for row in rows:
        assert len(row["meaning"]) > 3, row
        assert "\n" not in row["meaning"]
