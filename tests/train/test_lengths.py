"""A trained network tested at other lengths: its scores there, and what is refused."""

import math
from contextlib import nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnexp
from rnnexp.config.schema import experiment, finish
from rnnexp.core.errors import UsageError
from rnnexp.tasks import TASKS
from rnnexp.tasks.base import Lengths, one_length
from rnnexp.tasks.ntm_copy import ntm_copy
from rnnexp.tasks.repeat_copy import repeat_copy
from rnnexp.train.compiled import LaneStates, Programs, at_length
from rnnexp.train.lanes import LaneLayout
from rnnexp.train.lengths import described_lengths
from rnnexp.train.plan import make_plan
from tests.helpers import hostile
from tests.helpers.data_files import DATA
from tests.helpers.own_tables import own_tables  # noqa: F401  a fixture
from tests.helpers.small_programs import programs
from tests.helpers.task_batches import batch_of, task_named

SMALL: dict[str, Any] = {"cell__hidden_size": 3, "eval__examples": 12, "eval__batch_size": 8}
WITH_LENGTHS = [
    name for name in TASKS.builtin if name not in DATA and task_named(name).lengths is not None
]


def silent(program: Programs) -> Any:
    """A state whose weights are all 0, and so are its outputs."""
    state = program.initial()
    return state._replace(params=jax.tree.map(jnp.zeros_like, state.params))


@pytest.mark.parametrize(
    ("name", "trained", "options"),
    [
        ("adding/rnn", 7, {"task__length_steps": 7}),
        ("ntm_copy/rnn", 4, {"task__shortest": 4, "task__longest": 4}),
        ("reverse/rnn", 3, {"task__shortest": 3, "task__longest": 3}),
    ],
)
def test_the_score_at_the_length_of_training_is_the_ordinary_one(
    name: str, trained: int, options: dict[str, Any]
) -> None:
    program = programs(name, eval__lengths=(trained + 2, trained), **SMALL, **options)
    assert list(program.plan.length_tasks) == [trained, trained + 2]
    state = program.initial()
    usual = program.scores("test", state)
    assert program.scores(at_length(trained), state) == usual
    assert program.scores(at_length(trained + 2), state) != usual


def test_lanes_and_devices_give_the_scores_of_a_run_alone() -> None:
    changes = SMALL | {"eval__lengths": (4,), "task__length_steps": 6}
    alone = programs("adding/rnn", **changes)
    states = [alone.initial(), silent(alone)]
    expected = [alone.scores(at_length(4), state)["loss"] for state in states]
    lanes = LaneStates(Programs(alone.plan, LaneLayout(1, 2)))
    for number, state in enumerate(states):
        lanes.put(number, alone.plan, state)
    found = [scores["loss"] for scores in lanes.scores(at_length(4), [True, True])]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    divided = programs("adding/rnn", devices=2, **changes)
    assert divided.scores(at_length(4), states[1])["loss"] == pytest.approx(expected[1], rel=1e-5)


def test_a_silent_network_has_its_closed_form_at_every_length() -> None:
    copying = programs("ntm_copy/rnn", eval__lengths=(1, 6), task__longest=3, **SMALL)
    for length in (1, 6):
        scores = copying.scores(at_length(length), silent(copying))
        assert scores["loss"] == pytest.approx(8 * length * math.log(2), rel=1e-5)
        assert scores["wrong_bits"] / (8 * length) == pytest.approx(scores["error_rate"])
        assert scores["loss"] == pytest.approx(copying.plan.length_tasks[length].baseline["loss"])
    waiting = programs("copy_memory/rnn", eval__lengths=(2, 9), **SMALL)
    for length in (2, 9):
        scores = waiting.scores(at_length(length), silent(waiting))
        assert scores["loss"] == pytest.approx(math.log(9), rel=1e-5)


def test_padding_counts_at_no_length() -> None:
    """Of so many repeats the sequences have other lengths: the loss is that of their own bits."""
    task = repeat_copy(longest=3).lengths.at(5)  # type: ignore[union-attr]
    batch = batch_of(task, "test", 12)
    loss_B = task.scores(jnp.zeros((task.num_steps, 12, 9)), batch)["loss"].total_B
    assert batch.lengths_B is not None
    vectors_B = (np.asarray(batch.lengths_B) - 2) / 6  # L + 5 L + 2 steps
    np.testing.assert_allclose(loss_B, 9 * math.log(2) * (5 * vectors_B + 1), rtol=1e-5)
    assert len(set(vectors_B.tolist())) > 1


def test_without_lengths_the_task_s_own_are_tested() -> None:
    config = experiment("ntm_copy/rnn")
    config.task.longest = 3
    plan = make_plan(finish(config), data_dir=None, chunk_steps=1)
    assert list(plan.length_tasks) == [3, 6]
    assert plan.length_tasks[6].num_steps == 13
    assert described_lengths(plan.recipe.task, plan.length_tasks)["train"] == [1, 3]
    adding = make_plan(finish(experiment("adding/rnn")), data_dir=None, chunk_steps=1)
    assert adding.length_tasks == {}


@pytest.mark.parametrize("name", WITH_LENGTHS)
def test_every_task_with_lengths_is_the_same_at_another_length(name: str) -> None:
    task = task_named(name)
    lengths = task.lengths
    assert lengths is not None
    longer = lengths.train[1] + (0 if name == "associative_recall" else 2)
    made = lengths.at(longer)
    for field in ("name", "mode", "input_size", "output_size", "headline"):
        assert getattr(made, field) == getattr(task, field)
    assert made.lengths is not None
    assert made.lengths.unit == lengths.unit
    if name not in ("associative_recall", "streaming_xor"):  # no more keys than symbols; no end
        assert made.num_steps > task.num_steps
    if lengths.train[0] == lengths.train[1]:
        same = lengths.at(lengths.train[0])
        assert (same.num_steps, same.baseline) == (task.num_steps, task.baseline)
        assert same.forced_steps == task.forced_steps


def test_there_are_tasks_with_lengths() -> None:
    assert len(WITH_LENGTHS) >= 14


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("digits/rnn", {"eval.lengths": (3,)}, "digits has no lengths at which it can be tested"),
        (
            "adding/rnn",
            {"eval.lengths": (1,)},
            "at length 1 (steps): length_steps must be at least 2",
        ),
        (
            "selective_copy/rnn",
            {"eval.lengths": (4,)},
            "at length 4 (steps): length_steps must be at",
        ),
        (
            "adding/tdnn",
            {"eval.lengths": (60, 8)},
            "at length 8 (steps): the delay line of tdnn (8",
        ),
        (
            "associative_recall/gru",
            {"eval.lengths": (9,)},
            "associative_recall cannot be tested at length 9 (pairs): pairs must be 1 to 8",
        ),
        (
            "adding/rnn",
            {"eval.lengths": (1_000_000,), "eval.batch_size": 10**6},
            "at length 1000000 (steps): a batch to evaluate of 1,000,000 steps",
        ),
        ("dynamic_ngrams/rnn", {"eval.lengths": (10_001,)}, "at length 10001 (bits): bits must be"),
    ],
)
def test_lengths_that_do_not_fit_are_refused_in_one_line(
    name: str, changes: dict[str, Any], words: str
) -> None:
    config = experiment(name)
    config.update_from_flattened_dict(changes)
    with pytest.raises(UsageError) as caught:
        make_plan(finish(config), data_dir=None, chunk_steps=1)
    said = str(caught.value)
    assert said.startswith("config.eval.lengths: ")
    assert words in said
    assert "\n" not in said


fixed: Any = one_length
made: Any = Lengths
"""Untyped, as users are."""


@pytest.mark.usefixtures("own_tables")
@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        (fixed("steps", 6, lambda n: hostile.task()), ""),
        (
            fixed("steps", 6, lambda n: ntm_copy(bits=n)),
            "at length 4 (steps) sums has input_size 5, but the network trains with 3",
        ),
        (fixed("steps", 6, lambda n: None), "is a `return` missing?"),
        (fixed("steps", 6, lambda n: 1 // 0), "ZeroDivisionError"),
        (
            fixed("steps", 6, lambda n: hostile.task(higher_is_better=True)),
            "has higher_is_better True, but the network trains with False",
        ),
        (made("steps", (6, 5), lambda n: hostile.task()), "lengths.train is (6, 5), expected"),
        (made("steps", (6,), lambda n: hostile.task()), "lengths.train is (6,), expected"),
        (made("steps", (6, 6), lambda n: hostile.task(), (0,)), "lengths.test is (0,), expec"),
        (made(7, (6, 6), lambda n: hostile.task()), "expected a text"),
        (3, "expected rnnexp.tasks.base.Lengths"),
    ],
)
def test_a_users_task_keeps_the_contract_of_lengths(lengths: Any, words: str) -> None:
    rnnexp.task("mine", modes=("synchronous",))(lambda: hostile.task(lengths=lengths))
    config = experiment("mine/rnn")
    config.eval.lengths = (4,)
    with pytest.raises(UsageError) if words else nullcontext() as caught:
        plan = make_plan(finish(config), data_dir=None, chunk_steps=1)
        assert list(plan.length_tasks) == [4]
    said = "" if caught is None else str(caught.value)
    assert words in said
    assert "\n" not in said
