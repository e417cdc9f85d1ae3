"""Tables of a plan: a group's row tells the values of all its runs, and every point is listed."""

from pathlib import Path
from typing import Any

import pytest

from rnnexp.sweep.launch import SweepPlan
from rnnexp.sweep.plan import PlannedRun
from rnnexp.sweep.plan_tables import (
    MOST_POINTS,
    MOST_VALUES,
    group_rows,
    group_values,
    point_rows,
    points,
    values_text,
)
from tests.helpers.sweep_points import RATE
from tests.helpers.sweep_points import points as sweep_points

BIAS = "cell.forget_bias"


def plan_of(*texts: str, groups: Any = None, seeds: str = "2", **more: Any) -> SweepPlan:
    """The plan of `--sweep` texts; `groups` gives a run's group by its changes, else by cell."""
    runs: list[PlannedRun] = []
    name = "adding" if any(text.startswith("cell=") for text in texts) else "adding/lstm"
    for point in sweep_points(*texts, seeds=seeds, name=name):
        run = f"adding/{point.config.cell.name}/{len(runs)}"
        group = groups(point.changes) if groups else len(point.config.cell.name)
        runs.append(PlannedRun(run, group, point.changes, {}))
    return SweepPlan(runs, [], **more)


def test_a_group_names_the_values_of_all_its_runs(tmp_path: Path) -> None:
    plan = plan_of("cell=lstm,gru", f"{BIAS}=1,0", f"{RATE}=0.1,0.001")
    rows = {row["experiment"]: row for row in group_rows(plan, tmp_path, {3: {"parameters": 7}})}
    lstm, gru = rows["adding/lstm"], rows["adding/gru"]
    assert "parameters" not in lstm
    assert gru["parameters"] == 7
    assert lstm["values"] == {BIAS: [0.0, 1.0], RATE: [0.001, 0.1]}
    assert lstm["with"] == f"{BIAS} 0.0, 1.0; {RATE} 0.001, 0.1"
    assert gru["values"] == {RATE: [0.001, 0.1]}


@pytest.mark.parametrize("shared", [BIAS, RATE])
def test_a_value_that_all_runs_of_a_group_share_stands_alone(shared: str, tmp_path: Path) -> None:
    by_value = {BIAS: {0.0: 0, 1.0: 1}, RATE: {0.001: 0, 0.1: 1}}[shared]
    plan = plan_of(f"{BIAS}=0,1", f"{RATE}=0.001,0.1", groups=lambda c: by_value[c[shared]])
    rows = group_rows(plan, tmp_path, {})
    assert [row["values"][shared] for row in rows] == [[value] for value in by_value]
    assert all(len(row["values"]) == 2 and row["runs"] == 4 for row in rows)


def test_every_value_of_a_row_is_one_of_its_members_and_the_other_way_round(
    tmp_path: Path,
) -> None:
    plan = plan_of(
        f"{RATE}=log:1e-4..1e-1:7", "clip.name=none,value", "train.batch_size=8,16", "random:30",
        groups=lambda changes: hash(changes["clip.name"]) % 3 + (changes["train.batch_size"] > 8),
    )  # fmt: skip
    for row in group_rows(plan, tmp_path, {}):
        members = plan.groups[row["group"]]
        for key, values in row["values"].items():
            assert set(values) == {run.changes[key] for run in members}
            assert len(set(values)) == len(values)
        assert row["runs"] == len(members)


def test_many_values_are_a_range_and_truth_values_are_no_numbers() -> None:
    assert values_text([0.0, 1.0]) == "0.0, 1.0"
    many = [0.1 * place for place in range(MOST_VALUES + 1)]
    assert values_text(many) == f"{MOST_VALUES + 1} values from 0.0 to {many[-1]}"
    assert values_text(list("abcdefgh")) == "a, b, c, d, e, f and 2 more"
    runs = [PlannedRun("a/b/c", 0, {"x": value}, {}) for value in (True, 1, False, True)]
    assert [repr(value) for value in group_values(runs)["x"]] == ["False", "True", "1"]


def test_every_point_that_was_drawn_is_listed_once_with_its_seeds() -> None:
    plan = plan_of("cell=lstm,gru", f"{RATE}=log:1e-4..1e-1", f"{BIAS}=0,1", "random:15")
    listed = points(plan)
    assert len(listed) == 30
    assert all(point["seeds"] == [0, 1] for point in listed)
    drawn = {(run.run.split("/")[1], run.changes[RATE]) for run in plan.runs}
    assert {(p["experiment"].split("/")[1], p["values"][RATE]) for p in listed} == drawn
    rows, more = point_rows(plan)
    assert len(rows) == MOST_POINTS
    assert more == 30 - MOST_POINTS
    assert {row["experiment"] for row in rows} == {"adding/lstm", "adding/gru"}
    assert len({tuple(row) for row in rows}) == 1
    for row, point in zip(rows, listed, strict=False):
        assert row[RATE] == str(point["values"][RATE])
        assert row[BIAS] == str(point["values"].get(BIAS, "-"))
        assert row["seeds"] == "0, 1"
