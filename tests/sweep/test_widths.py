"""Numbers of parameters by width: they are the model's own, and only allowed widths are taken."""

from typing import Any

import jax
import pytest
from flax import nnx
from ml_collections import FrozenConfigDict

from rnnexp.cells import CELLS
from rnnexp.cells.base import Cell
from rnnexp.core.errors import UsageError
from rnnexp.core.registry import MODES, Entry
from rnnexp.core.tree import tree_size
from rnnexp.sweep.matching import match_width
from rnnexp.sweep.widths import Counts, count_parameters
from rnnexp.tasks.base import Task
from rnnexp.train.build import build_model
from tests.helpers.matched_widths import PARAMETERS, configured, formula


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("adding/rnn", {"model__num_layers": 2, "model__bidirectional": True}),
        ("adding/clockwork", {"model__layer_norm": True, "model__learned_state": True}),
        ("copy_memory/unitary", {}),
        ("copy_memory/narx", {}),
        ("reverse/gru", {"model__attention": "additive"}),
    ],
)
def test_the_number_counted_is_that_of_the_weights_drawn(
    name: str, changes: dict[str, Any]
) -> None:
    config, task = configured(name, **changes)
    found = match_width(config, task, PARAMETERS, tolerance=0.05)
    params = nnx.state(build_model(found, task, jax.random.key(0)), nnx.Param)
    assert count_parameters(found, task) == tree_size(params)
    assert abs(tree_size(params) - PARAMETERS) <= 0.05 * PARAMETERS


def test_few_models_are_built(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []

    def count(config: FrozenConfigDict, task: Task) -> int:
        counted.append(config.cell.hidden_size)
        return count_parameters(config, task)

    monkeypatch.setattr("rnnexp.sweep.widths.count_parameters", count)
    match_width(*configured("adding/lstm"), PARAMETERS)
    assert len(counted) == len(set(counted)) <= 12


def registered(monkeypatch: pytest.MonkeyPatch, factory: Any) -> tuple[FrozenConfigDict, Task]:
    """The experiment adding/mine with this cell factory."""
    monkeypatch.setitem(CELLS._entries, "mine", Entry(factory, "mine", MODES))
    return configured("adding/mine")


def built(cell_name: str, input_size: int, hidden_size: int) -> Cell:
    """A built-in cell."""
    cell: Cell = CELLS.entry(cell_name).factory()(input_size, hidden_size)
    return cell


@pytest.mark.parametrize("allowed", ["powers of two", "odd multiples of 7", "from 200"])
def test_only_widths_that_the_cell_allows_are_taken(
    monkeypatch: pytest.MonkeyPatch, allowed: str
) -> None:
    def admits(size: int) -> bool:
        return {
            "powers of two": size & (size - 1) == 0,
            "odd multiples of 7": size % 14 == 7,
            "from 200": size >= 200,
        }[allowed]

    def mine(input_size: int, hidden_size: int) -> Cell:
        if not admits(hidden_size):
            raise UsageError(f"not {hidden_size}")
        return built("rnn", input_size, hidden_size)

    config, task = registered(monkeypatch, mine)
    counts = Counts(config, task)
    sizes = [size for size in range(1, 600) if admits(size)]
    for parameters in (100, 19_000, 50_000):
        below = [size for size in sizes if formula("rnn", task, size) < parameters][-1:]
        expected = [*below, next(s for s in sizes if formula("rnn", task, s) >= parameters)]
        assert [width.hidden_size for width in counts.around(parameters)] == expected


def test_a_cell_whose_width_has_no_effect_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    config, task = registered(monkeypatch, lambda input_size, hidden_size: built("rnn", 2, 6))
    for parameters in (10, PARAMETERS):
        with pytest.raises(UsageError, match="of cell 'mine' does not grow"):
            match_width(config, task, parameters)


def test_a_cell_that_allows_no_width_says_why() -> None:
    config, task = configured("digits/narx", cell__input_delay_steps=99)
    with pytest.raises(UsageError, match=r"the delay line of narx \(99 steps\) is not shorter"):
        match_width(config, task, PARAMETERS)
    with pytest.raises(UsageError, match="must be positive, not 0"):
        match_width(config, task, 0)
