"""A fixture that lets a test add to copies of the tables of cells, tasks and heads."""

import pytest

from rnnexp.cells import CELLS
from rnnexp.models.heads import HEADS
from rnnexp.tasks import TASKS


@pytest.fixture
def own_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the test add to copies of the tables."""
    for table in (CELLS, TASKS, HEADS):
        monkeypatch.setattr(table, "_entries", {n: table.entry(n) for n in table.builtin})
        monkeypatch.setattr(table, "_plugins_read", True)
