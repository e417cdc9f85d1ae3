"""The tables of `rnnexp compare` have like columns and every figure."""

from pathlib import Path

import pytest

from rnnexp.report.compare_tables import comparison_tables
from rnnexp.results.compare import compare
from rnnexp.results.index import read_index
from tests.helpers.synthetic_runs import protocol_runs, write_run

RATE = "optimizer.learning_rate"


def test_tables_have_like_columns_and_every_figure(tmp_path: Path) -> None:
    protocol_runs(tmp_path)
    write_run(tmp_path, "adding/gru", status="failed")
    rows = compare(read_index(tmp_path), ["cell"], "test_loss")
    tables = comparison_tables(rows, "test_loss")
    assert [len(table) for _, table in tables] == [2, 1, 1]
    for _, table in tables:
        assert len({tuple(row) for row in table}) == 1
    assert (tables[0][1][0]["cell"], tables[0][1][0]["mean"]) == ("gru", "-")
    chosen = tables[1][1][0]
    assert (chosen["setting"], chosen["of"], chosen["seeds"]) == (f"{RATE}=0.001", 3, "3")
    assert chosen["mean"] == pytest.approx(0.31)
    assert tables[2][1][0]["test_loss"] == 0.5
