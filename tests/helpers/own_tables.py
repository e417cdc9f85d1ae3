"""A fixture that lets a test add to copies of the tables of cells, tasks, heads and the like."""

import pytest

from rnnexp.cells import CELLS
from rnnexp.learning import LOSSES, OPTIMIZERS, SCHEDULES
from rnnexp.models.heads import HEADS
from rnnexp.tasks import TASKS


@pytest.fixture
def own_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the test add to copies of the tables."""
    for table in (CELLS, TASKS, HEADS, OPTIMIZERS, SCHEDULES, LOSSES):
        monkeypatch.setattr(table, "_entries", {n: table.entry(n) for n in table.builtin})
        monkeypatch.setattr(table, "_plugins_read", True)
