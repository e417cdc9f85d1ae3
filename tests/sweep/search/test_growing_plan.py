"""The plan of a search, which grows: its groups are programs."""

from pathlib import Path

from rnnexp.sweep.axes import parse_space
from rnnexp.sweep.plan import read_plan
from rnnexp.sweep.search.growing_plan import GrowingPlan
from rnnexp.sweep.space import point
from tests.helpers.small_search import tiny


def test_groups_of_a_plan_are_programs_also_when_it_is_read_again(tmp_path: Path) -> None:
    space = parse_space(["cell.recurrent_scale=linear:0.1..2", "cell.activation=tanh,relu"])

    def groups(*asked: tuple[float, str]) -> list[int]:
        plan, numbers = GrowingPlan(tmp_path, tmp_path, None), []
        for scale, activation in asked:
            changes = {"cell.recurrent_scale": scale, "cell.activation": activation}
            made = point(space, tiny(), changes)
            numbers.append(plan.add(made.config, made.changes).group)
        return numbers

    assert groups((1.0, "tanh"), (0.9, "tanh")) == [0, 0]
    assert groups((0.8, "relu"), (0.7, "tanh"), (0.9, "tanh")) == [1, 0, 0]
    assert [planned.group for planned in read_plan(tmp_path)] == [0, 0, 1, 0]
