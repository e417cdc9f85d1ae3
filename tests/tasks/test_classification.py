"""Answers of drawn classes follow from the inputs, are balanced, and need more than the end."""

import functools
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.types import Batch
from rnnexp.tasks.base import Task
from rnnexp.train.build import build_task
from tests.helpers.synthetic_batches import batch_of, certain, spread
from tests.helpers.task_batches import mean_scores


def answer_order(x_TxI: np.ndarray) -> int:
    """The class of a temporal order sequence: its X and Y read as a binary number."""
    letters = ["abcdXY"[i] for i in x_TxI.argmax(-1)]
    word = "".join(letter for letter in letters if letter in "XY")
    return int(word.replace("X", "0").replace("Y", "1"), 2)


def answer_xor(x_TxI: np.ndarray) -> int:
    """1 where the two marked values have different signs."""
    first, second = (value for value, marker in x_TxI.tolist() if marker == 1)
    assert {abs(first), abs(second)} == {1}
    return int(first * second < 0)


def answer_parity(x_TxI: np.ndarray) -> int:
    """1 where the product of -x over all steps is -1, an odd number of ones."""
    return int(np.prod(-x_TxI) < 0)


def answer_recall(x_TxI: np.ndarray) -> int:
    """The value in a dictionary of the sequence's pairs."""
    symbols = x_TxI.shape[1] // 2
    *stored, query = x_TxI.argmax(-1).tolist()
    pairs = dict(zip(stored[::2], stored[1::2], strict=True))
    assert len(pairs) == len(stored) // 2
    assert max(pairs) < symbols <= min(pairs.values())
    value: int = pairs[query] - symbols
    return value


CLASSIFY = [
    ("temporal_order", {"length_steps": 10}, answer_order),
    ("temporal_order", {"length_steps": 100, "symbols": 3}, answer_order),
    ("temporal_order", {"length_steps": 47, "symbols": 2}, answer_order),
    ("delayed_xor", {"delay_steps": 1}, answer_xor),
    ("delayed_xor", {"delay_steps": 20}, answer_xor),
    ("parity", {"length_steps": 2}, answer_parity),
    ("parity", {"length_steps": 33}, answer_parity),
    ("associative_recall", {}, answer_recall),
    ("associative_recall", {"pairs": 4, "symbols": 4}, answer_recall),
    ("associative_recall", {"pairs": 1, "symbols": 2}, answer_recall),
]


Options = dict[str, int]
SIZE = 20_000


@functools.cache
def classified(name: str, **options: int) -> tuple[Task, Batch]:
    """A task and a large batch, drawn once for the tests below."""
    task = build_task(name, None, **options)
    return task, batch_of(task, SIZE)


@pytest.mark.parametrize(("name", "options", "answer"), CLASSIFY)
def test_the_answer_follows_from_the_inputs(
    name: str, options: Options, answer: Callable[[np.ndarray], int]
) -> None:
    task, batch = classified(name, **options)
    x_TxBxI = np.asarray(batch.inputs_TxBxI)
    answers = np.array([answer(x_TxBxI[:, b]) for b in range(300)])
    np.testing.assert_array_equal(batch.targets[:300], answers)
    few = Batch(batch.inputs_TxBxI[:, :300], batch.targets[:300])
    scores = mean_scores(task, certain(answers, task.output_size), few)
    assert scores == {"loss": 0, "accuracy": 1}


@pytest.mark.parametrize(("name", "options", "_"), CLASSIFY)
def test_classes_are_balanced_and_the_baseline_is_chance(
    name: str, options: Options, _: object
) -> None:
    task, batch = classified(name, **options)
    bound = spread(task.output_size, SIZE)
    shares = np.bincount(np.asarray(batch.targets), minlength=task.output_size) / SIZE
    np.testing.assert_allclose(shares, 1 / task.output_size, atol=bound)
    even = mean_scores(task, jnp.zeros((SIZE, task.output_size)), batch)
    np.testing.assert_allclose(even["loss"], task.baseline["loss"], rtol=1e-5)
    np.testing.assert_allclose(even["accuracy"], task.baseline["accuracy"], atol=bound)


@pytest.mark.parametrize(("name", "options", "_"), CLASSIFY)
def test_the_last_input_alone_says_nothing(name: str, options: Options, _: object) -> None:
    task, batch = classified(name, **options)
    classes, targets = task.output_size, np.asarray(batch.targets)
    last = np.asarray(batch.inputs_TxBxI[-1])
    last = np.where(np.abs(last) == 1, last, 0)  # noise of delayed_xor is one case
    for row in np.unique(last, axis=0):
        found = targets[(last == row).all(1)]
        shares = np.bincount(found, minlength=classes) / len(found)
        np.testing.assert_allclose(shares, 1 / classes, atol=spread(classes, len(found)))
