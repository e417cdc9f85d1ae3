"""Matched parameters: the number counted is the model's own, and the nearest width is taken."""

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
from rnnexp.sweep import matching
from rnnexp.sweep.matching import (
    TOLERANCE,
    Counts,
    count_parameters,
    matched,
    reachable,
    require_match,
    with_width,
)
from rnnexp.sweep.space import Point, expand, parse_space, read_base
from rnnexp.tasks import TASKS
from rnnexp.tasks.base import Task
from rnnexp.train.build import build_model
from tests.helpers.matched_widths import PARAMETERS, configured, formula, match_width


def points(*texts: str, name: str | None = None) -> list[Point]:
    """The points of `--sweep` texts."""
    return expand(parse_space(texts), read_base(name))


@pytest.mark.parametrize(
    ("cell_name", "task_name"),
    [
        (cell, task)
        for task in ("copy_memory", "adding", "chained_facts")
        for cell in CELLS.builtin
        if TASKS.entry(task).modes[0] in CELLS.entry(cell).modes
        and (task != "chained_facts" or "synchronous" not in CELLS.entry(cell).modes)
    ],
)
def test_the_width_is_the_nearest_or_named_with_its_neighbours(
    cell_name: str, task_name: str
) -> None:
    config, task = configured(f"{task_name}/{cell_name}")

    def off(hidden_size: int) -> int:
        return abs(formula(cell_name, task, hidden_size) - PARAMETERS)

    counts = Counts(config, task)
    low, high = counts.around(PARAMETERS)
    assert high.hidden_size == low.hidden_size + 1
    for width in (low, high):
        assert width.parameters == formula(cell_name, task, width.hidden_size)
    assert low.parameters < PARAMETERS <= high.parameters
    if min(off(width.hidden_size) for width in (low, high)) > PARAMETERS / 100:
        with pytest.raises(UsageError) as caught:
            require_match([counts], PARAMETERS, TOLERANCE)
        for width in (low, high):
            words = f"hidden_size {width.hidden_size} has {width.parameters:,}"
            assert words in str(caught.value)
        assert f"{task_name}/{cell_name}" in str(caught.value)
    else:
        require_match([counts], PARAMETERS, TOLERANCE)
        size = counts.nearest(PARAMETERS).hidden_size
        assert off(size) == min(off(low.hidden_size), off(high.hidden_size))


def test_nothing_but_the_width_changes() -> None:
    config, task = configured("adding/gru", train__duration_epochs=3, train__duration_steps=None)
    before = config.to_dict()
    found = match_width(config, task, PARAMETERS)
    assert found.cell.hidden_size != config.cell.hidden_size
    assert with_width(found, config.cell.hidden_size) == config
    assert config.to_dict() == before


def test_a_number_below_the_smallest_width_is_refused_with_it() -> None:
    config, task = configured("adding/clockwork")
    smallest = formula("clockwork", task, 4)
    assert 20 < smallest < 40
    with pytest.raises(UsageError) as caught:
        match_width(config, task, 20)
    assert f"adding/clockwork (hidden_size 4 has {smallest})" in str(caught.value)
    assert f"can have is {int(smallest / 1.01) + 1}" in str(caught.value)


def test_all_misses_are_named_with_the_nearest_number_that_all_match() -> None:
    sweep = points("cell=rnn,lstm,lem,gru", name="copy_memory")
    with pytest.raises(UsageError) as caught:
        matched(sweep, PARAMETERS)
    said = str(caught.value)
    assert "copy_memory/lem (hidden" in said
    assert "copy_memory/lstm (hidden" in said
    assert "gru" not in said
    advised = int(said.rpartition(" ")[2])
    matched(sweep, advised)
    assert advised < PARAMETERS
    lstm = Counts(*configured("copy_memory/lstm"))
    for nearer in range(advised + 1, 2 * PARAMETERS - advised):
        with pytest.raises(UsageError):
            require_match([lstm], nearer, 0.01)


def test_the_number_advised_is_the_nearer_of_the_two() -> None:
    config, task = configured("copy_memory/lstm")
    low, high = Counts(config, task).around(20_100)
    ends = int(low.parameters / 0.99), int(high.parameters / 1.01) + 1
    assert ends[1] - 20_100 < 20_100 - ends[0]
    for wanted, advised in [(20_100, ends[1]), (ends[0] + 1, ends[0])]:
        with pytest.raises(UsageError, match=f"can have is {advised}$"):
            match_width(config, task, wanted)


def test_a_number_that_all_match_is_sought_both_ways_and_given_up() -> None:
    models = [Counts(*configured(f"adding/{cell}")) for cell in ("lstm", "gru")]
    for upwards in (False, True):
        found = reachable(models, 3_000, 0.01, upwards)
        assert found is not None
        assert (found > 3_000) is upwards
        require_match(models, found, 0.01)
        nearer = range(3_000, found) if upwards else range(found + 1, 3_001)
        for number in nearer:
            with pytest.raises(UsageError):
                require_match(models, number, 0.01)
    assert reachable(models, 100, 1e-9, upwards=True) is None
    with pytest.raises(UsageError, match="no number near it can be had by all"):
        require_match(models, 100, 1e-9)


def test_a_sweep_is_matched_cell_by_cell_and_says_so() -> None:
    sweep = points("cell=lstm,rnn", "optimizer.learning_rate=1e-3,1e-2", name="adding")
    changed, statements = matched(sweep, PARAMETERS)
    assert statements == [
        "lstm: hidden_size 69, 19,942 parameters (-0.3 %)",
        "rnn: hidden_size 139, 19,878 parameters (-0.6 %)",
    ]
    assert [p.config.cell.hidden_size for p in changed] == [69, 69, 139, 139]
    assert [p.changes for p in changed] == [p.changes for p in sweep]
    assert [with_width(p.config, 128) for p in changed] == [p.config for p in sweep]


def test_statements_name_what_else_decides_the_width() -> None:
    sweep = points("cell=rnn", "task=adding,copy_memory", "model.num_layers=1,2")
    _, statements = matched(sweep, PARAMETERS, tolerance=0.05)
    names = [statement.partition(": ")[0] for statement in statements]
    assert names == [
        f"{task}/rnn, model.num_layers {n}" for task in ("adding", "copy_memory") for n in (1, 2)
    ]
    _, short = matched(points("cell.recurrent_scale=0.5,1", name="adding/rnn"), PARAMETERS)
    assert len(short) == 1


def test_a_width_is_searched_once_for_seeds_and_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Counted(Counts):
        def __init__(self, config: FrozenConfigDict, task: Task):
            made.append(config.cell.name)
            super().__init__(config, task)

    monkeypatch.setattr(matching, "Counts", Counted)
    texts = ("cell=lstm,rnn", "optimizer.learning_rate=1e-3,1e-2", "clip.threshold=1,2")
    space = parse_space(texts, seeds="3")
    changed, _ = matched(expand(space, read_base("adding")), PARAMETERS)
    assert len(changed) == 24
    assert made == ["lstm", "rnn"]


def test_a_swept_width_is_not_matched() -> None:
    with pytest.raises(UsageError, match=r"cell\.hidden_size is swept"):
        matched(points("cell.hidden_size=8,16", name="adding/rnn"), PARAMETERS)


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

    monkeypatch.setattr("rnnexp.sweep.matching.count_parameters", count)
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
