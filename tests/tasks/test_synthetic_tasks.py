"""Synthetic tasks: answers recomputed from the inputs, balance, baselines."""

import functools
import math
from collections.abc import Callable
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch
from rnnexp.tasks.base import Endless, Task
from rnnexp.train.plan import build_task

KEY = jax.random.key(3)


def batch_of(task: Task, size: int) -> Batch:
    """A batch of the training source, drawn inside jit."""
    source = task.train
    assert isinstance(source, Endless)
    batch: Batch = jax.jit(source.draw, static_argnums=1)(KEY, size)
    return batch


def mean_scores(task: Task, outputs: Array, batch: Batch) -> dict[str, float]:
    """Scores of outputs averaged over the batch."""
    return {name: float(score.mean()) for name, score in task.scores(outputs, batch).items()}


def certain(labels: np.ndarray, classes: int) -> Array:
    """Logits that put all mass on the labels."""
    return 200 * jax.nn.one_hot(jnp.asarray(labels), classes, dtype=float)


def spread(cases: int, size: int) -> float:
    """4.5 standard deviations of the share of one of `cases` even cases in `size` draws."""
    return 4.5 * math.sqrt((1 - 1 / cases) / cases / size)


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


@pytest.mark.parametrize(
    ("length", "symbols", "ranges"),
    [
        (100, 2, [(10, 20), (50, 60)]),
        (100, 3, [(10, 20), (33, 43), (66, 76)]),
        (10, 3, [(1, 2), (3, 4), (6, 7)]),
    ],
)
def test_relevant_symbols_fill_the_ranges_of_the_paper(
    length: int, symbols: int, ranges: list[tuple[int, int]]
) -> None:
    batch = batch_of(build_task("temporal_order", length_steps=length, symbols=symbols), 3000)
    sequences = np.asarray(batch.inputs_TxBxI).argmax(-1)
    np.testing.assert_array_equal(batch.inputs_TxBxI.sum(-1), 1)
    places = np.array([np.flatnonzero(sequence >= 4) for sequence in sequences.T])
    for place, (first, last) in zip(places.T, ranges, strict=True):
        assert set(place) == set(range(first, last + 1))
    noise = sequences[sequences < 4]
    shares = np.bincount(noise) / len(noise)
    np.testing.assert_allclose(shares, 1 / 4, atol=spread(4, len(noise)))


def test_delayed_bits_are_delay_steps_apart_in_noise() -> None:
    x = np.asarray(batch_of(build_task("delayed_xor", delay_steps=12), 500).inputs_TxBxI)
    places = np.array([np.flatnonzero(marker) for marker in x[..., 1].T])
    assert set(places[:, 0]) == set(range(5))
    np.testing.assert_array_equal(places[:, 1] - places[:, 0], 12)
    noise = x[..., 0][x[..., 1] == 0]
    assert np.abs(noise).max() < 1
    # variance 1/3, and that of the square is 4/45
    np.testing.assert_allclose(noise.mean(), 0, atol=4.5 * math.sqrt(1 / 3 / noise.size))
    np.testing.assert_allclose((noise**2).mean(), 1 / 3, atol=4.5 * math.sqrt(4 / 45 / noise.size))


def test_queries_ask_for_every_pair() -> None:
    task = build_task("associative_recall", pairs=3, symbols=5)
    symbols = np.asarray(batch_of(task, 6000).inputs_TxBxI).argmax(-1)
    asked = (symbols[:-1:2] == symbols[-1]).sum(1) / 6000
    np.testing.assert_allclose(asked, 1 / 3, atol=spread(3, 6000))


@pytest.mark.parametrize(("length", "items"), [(1, 1), (4, 4), (60, 7)])
def test_selective_copy_sequences(length: int, items: int) -> None:
    task = build_task("selective_copy", length_steps=length, items=items)
    batch = batch_of(task, 50)
    np.testing.assert_array_equal(batch.inputs_TxBxI.sum(-1), 1)
    x, targets = np.asarray(batch.inputs_TxBxI).argmax(-1), np.asarray(batch.targets)
    answers = np.full_like(targets, 8)
    for b in range(50):
        answers[-items:, b] = [symbol for symbol in x[:length, b] if symbol < 8]
    np.testing.assert_array_equal(targets, answers)
    assert (x[length] == 9).all()
    assert (x[length + 1 :] == 8).all()
    assert mean_scores(task, certain(answers, 9), batch) == {"loss": 0, "recall_accuracy": 1}


def test_selective_copy_places_are_all_as_likely() -> None:
    batch = batch_of(build_task("selective_copy", length_steps=5, items=2), 20_000)
    shown = np.asarray(batch.inputs_TxBxI[:5]).argmax(-1) < 8
    for pair in combinations(range(5), 2):
        share = shown[list(pair)].all(0).mean()
        np.testing.assert_allclose(share, 1 / 10, atol=spread(10, 20_000))


def test_the_selective_copy_baseline_is_what_timing_alone_scores() -> None:
    task = build_task("selective_copy", length_steps=20, items=4)
    batch = batch_of(task, 4000)
    blank_1xO = (jnp.arange(9) == 8)[None]
    recall_Tx1 = (jnp.arange(25) >= 21)[:, None]
    answer_TxO = jnp.where(blank_1xO == recall_Tx1, 0.0, 40.0)  # blank before, others after
    scores = mean_scores(task, jnp.broadcast_to(answer_TxO[:, None], (25, 4000, 9)), batch)
    np.testing.assert_allclose(scores["loss"], task.baseline["loss"], rtol=1e-5)
    np.testing.assert_allclose(task.baseline["loss"], 4 * math.log(8) / 25)
    np.testing.assert_allclose(scores["recall_accuracy"], 1 / 8, atol=spread(8, 16_000))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("temporal_order", {"symbols": 4}, "symbols must be 2 or 3, not 4"),
        ("temporal_order", {"length_steps": 9}, "length_steps must be at least 10, not 9"),
        ("temporal_order", {"length_steps": 0}, "length_steps must be at least 10, not 0"),
        ("delayed_xor", {"delay_steps": 0}, "delay_steps must be at least 1, not 0"),
        ("parity", {"length_steps": 1}, "length_steps must be at least 2, not 1"),
        ("parity", {"length_steps": 0}, "length_steps must be at least 2, not 0"),
        ("associative_recall", {"pairs": 0}, r"pairs must be 1 to 8 \(symbols\).* not 0"),
        ("associative_recall", {"pairs": 9}, r"pairs must be 1 to 8 \(symbols\).* not 9"),
        ("associative_recall", {"symbols": 1}, "symbols must be at least 2, not 1"),
        ("selective_copy", {"items": 0}, "items must be at least 1, not 0"),
        ("selective_copy", {"length_steps": 4}, r"at least 5 \(items\), not 4"),
        ("selective_copy", {"length_steps": 0}, r"at least 5 \(items\), not 0"),
        ("mackey_glass", {"tau": 18}, "tau must be 17 or 30, not 18"),
        ("mackey_glass", {"length_steps": 100}, "length_steps must be above 100"),
        ("mackey_glass", {"length_steps": 0}, "length_steps must be above 100"),
        ("narma10", {"length_steps": 50}, "length_steps must be above 50"),
        ("narma10", {"length_steps": 0}, "length_steps must be above 50"),
    ],
)
def test_bad_options(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_task(name, None, **options)
