"""Stored results: they come back as they were, and say what is wrong with them."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.study.assess import assess
from rnnexp.study.claims import Beyond
from rnnexp.study.store import read_results, require_whole, write_results
from rnnexp.study.trainings import Measured
from tests.helpers.small_study import small_study

MEASURED = {
    "lstm": {
        seed: Measured({"test_loss": 0.1 + seed / 100, "solved after": 2.0}, f"adding/lstm/{seed}")
        for seed in range(4)
    },
    "rnn": {seed: Measured({"test_loss": math.nan}, f"adding/rnn/{seed}") for seed in range(4)},
    "by hand": {0: Measured({"value": 1.0})},
}


def written(tmp_path: Path) -> Path:
    file = tmp_path / "r.json"
    MEASURED["lstm"][3].values["solved after"] = Beyond(6.0)
    write_results(file, assess(small_study(), MEASURED, hours=1.5, runs=8), MEASURED)
    return file


def test_results_come_back_as_they_were(tmp_path: Path) -> None:
    stored = read_results(written(tmp_path))
    assert (stored.study, stored.hours, stored.runs) == ("small", 1.5, 8)
    assert stored.measured["lstm"] == MEASURED["lstm"]
    assert math.isnan(float(stored.measured["rnn"][2].values["test_loss"]))  # type: ignore[arg-type]
    require_whole(stored, small_study(), tmp_path)
    again = assess(small_study(), stored.measured, hours=1.5, runs=8)
    assert [row.verdict for row in again.rows] == [
        row.verdict for row in assess(small_study(), MEASURED, hours=1.5, runs=8).rows
    ]


def test_other_study_and_missing_values_are_said(tmp_path: Path) -> None:
    file = written(tmp_path)
    stored = read_results(file)
    with pytest.raises(UsageError, match="results of 'small', not of 'large'"):
        require_whole(stored, replace(small_study(), name="large"), file)
    del stored.measured["rnn"][1]
    with pytest.raises(UsageError, match="no test_loss of group 'rnn', seed 1"):
        require_whole(stored, small_study(), file)


def test_damaged_files_are_said(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    with pytest.raises(UsageError, match="cannot read"):
        read_results(file)
    for content in ("{", "[]", "{}", json.dumps({"format": 1})):
        file.write_text(content)
        with pytest.raises(UsageError, match="holds no results of a study"):
            read_results(file)
    file.write_text(json.dumps({"format": 99}))
    with pytest.raises(UsageError, match="has the format 99"):
        read_results(file)
