"""Mean ranks of cells over tasks, and which way scores point."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from rnnexp.core.errors import UsageError
from rnnexp.report.compare_tables import rank_table
from rnnexp.results.compare import rank
from rnnexp.results.index import read_index
from rnnexp.results.metrics import direction
from rnnexp.results.summary import Record
from tests.helpers.synthetic_runs import write_run

SCORES = {
    "adding": {"lstm": 0.1, "gru": 0.2, "rnn": 0.3},
    "parity": {"lstm": 0.5, "gru": 0.4, "rnn": 0.5},
    "temporal_order": {"lstm": 0.3, "rnn": 0.1},
}


def write_scores(runs_dir: Path) -> list[Record]:
    """Two seeds of each cell a task; the GRU diverged on the last one."""
    for task, cells in SCORES.items():
        for cell, loss in cells.items():
            for seed, shift in enumerate((-0.05, 0.05)):
                ended: dict[str, Any] = {"valid": loss, "test": {"loss": loss + shift, "x": 1.0}}
                write_run(runs_dir, f"{task}/{cell}", {"seed": seed}, **ended)
    write_run(runs_dir, "temporal_order/gru", status="diverged", valid=0.1)
    return read_index(runs_dir)


def test_ranks_over_tasks_are_those_of_the_mean_scores(tmp_path: Path) -> None:
    rows = rank(write_scores(tmp_path), metric="test_loss")
    expected: dict[str, dict[str, float]] = {}
    for task, cells in SCORES.items():
        for cell, value in zip(cells, stats.rankdata(list(cells.values())), strict=True):
            expected.setdefault(cell, {})[task] = value
    assert {row["cell"]: row["ranks"] for row in rows} == expected
    for row in rows:
        assert row["rank"] == pytest.approx(np.mean(list(expected[row["cell"]].values())))
    assert [row["rank"] for row in rows] == sorted(row["rank"] for row in rows)
    missing = {row["cell"]: (row["tasks"], row["missing"]) for row in rows}
    assert missing["gru"] == (2, {"temporal_order": "1 diverged"})
    assert missing["lstm"] == (3, {})
    table = {row["cell"]: row for row in rank_table(rows)}
    assert table["gru"]["temporal_order"] == "-"
    assert table["gru"]["missing"] == "temporal_order: 1 diverged"


def test_ranks_turn_round_where_more_is_better(tmp_path: Path) -> None:
    records = write_scores(tmp_path)
    down, up = (
        {row["cell"]: row["ranks"] for row in rank(records, metric="test_loss", higher_is_better=h)}
        for h in (False, True)
    )
    assert down["lstm"]["adding"] == up["rnn"]["adding"] == 1
    with pytest.raises(UsageError, match="cannot tell whether a higher test_x is better"):
        rank(records, metric="test_x")


def test_which_way_a_score_points(tmp_path: Path) -> None:
    write_run(tmp_path, valid=1.0, headline="speed", higher_is_better=False)
    records = read_index(tmp_path)
    names = ("speed", "loss", "bits_per_character", "free_nmse", "recall_accuracy", "exact")
    ways = [direction(records, f"test_{name}") for name in names]
    assert ways == [False, False, False, False, True, True]
    write_run(tmp_path, "parity/lstm", valid=1.0, headline="speed", higher_is_better=True)
    with pytest.raises(UsageError, match="the runs do not agree"):
        direction(read_index(tmp_path), "test_speed")
