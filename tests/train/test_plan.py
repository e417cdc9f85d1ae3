"""The experiments are the pairs of tasks and cells whose modes fit."""

import pytest

import rnnexp
from rnnexp.cells import CELLS
from rnnexp.config.schema import pairs
from rnnexp.core.errors import UsageError
from rnnexp.tasks import TASKS
from tests.helpers.own_tables import own_tables  # noqa: F401


@pytest.mark.usefixtures("own_tables")
def test_pairs_are_those_whose_modes_fit() -> None:
    transductions = {"reverse", "sort", "date_format", "addition", "translation"}
    stories = {"babi", "chained_facts"}
    densities = {"bars_and_stripes", "binary_digits"}
    graphs = {"neighbors_match", "cycle_or_path", "shortest_path", "babi_graph", "karate_club"}
    built_in = [
        (t, c)
        for t in TASKS.builtin
        for c in CELLS.builtin
        if (c != "narx" or t not in transductions)
        and (c != "memory_network" or t in stories)
        and (c == "hopfield") == (t == "pattern_recall")
        and (c in ("rbm", "boltzmann")) == (t in densities)
        and (c == "graph") == (t in graphs)
    ]
    assert pairs() == built_in
    rnnexp.cell("steps_only", modes=("synchronous",))(lambda input_size, hidden_size: None)
    fitting = [task for task, cell in pairs() if cell == "steps_only"]
    assert fitting == [t for t in TASKS.builtin if TASKS.entry(t).modes == ("synchronous",)]
    assert "copy_memory" in fitting
    assert len(pairs()) == len(built_in) + len(fitting)
    with pytest.raises(UsageError, match="'steps_only' does not fit task 'adding'"):
        rnnexp.experiment("adding/steps_only")
