"""Synthetic tasks: targets recomputed from inputs, oracles, baselines, balance, options."""

import functools
import math
from collections.abc import Callable
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.errors import UsageError
from rnnexp.registry import build_task
from rnnexp.tasks import mackey_glass, narma10
from rnnexp.tasks.base import Endless, Task
from rnnexp.types import Array, Batch

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


def runge_kutta(level_B: np.ndarray, tau: int, units: int, grid: int) -> np.ndarray:
    """Mackey-Glass samples (units, B) from a constant history, by RK4 in NumPy.

    Between two points the delayed value is their mean, an error of O(grid^-2).
    """
    lag = tau * grid
    x = np.empty((lag + units * grid + 1, len(level_B)))
    x[: lag + 1] = level_B

    def slope(now: np.ndarray, before: np.ndarray) -> np.ndarray:
        change: np.ndarray = 0.2 * before / (1 + before**10) - 0.1 * now
        return change

    for n in range(lag, lag + units * grid):
        old, new, h = x[n - lag], x[n - lag + 1], 1 / grid
        k_1 = slope(x[n], old)
        k_2 = slope(x[n] + h / 2 * k_1, (old + new) / 2)
        k_3 = slope(x[n] + h / 2 * k_2, (old + new) / 2)
        k_4 = slope(x[n] + h * k_3, new)
        x[n + 1] = x[n] + h / 6 * (k_1 + 2 * k_2 + 2 * k_3 + k_4)
    samples: np.ndarray = x[lag + grid :: grid]
    return samples


@pytest.mark.parametrize("tau", [17, 30])
def test_mackey_glass_equals_runge_kutta_with_a_far_smaller_step(tau: int, x64: None) -> None:
    level_B = np.linspace(0.5, 1.3, 9)

    def ours(grid: int, dtype: type = np.float64) -> np.ndarray:
        history_MxB: np.ndarray = np.tile(level_B.astype(dtype), (tau * grid + 1, 1))
        samples = mackey_glass.simulate(jnp.asarray(history_MxB), tau=tau, units=100, grid=grid)
        return np.asarray(samples)

    x = ours(mackey_glass.GRID)
    np.testing.assert_allclose(x, runge_kutta(level_B, tau, 100, 200), rtol=0, atol=2e-6)
    # the accuracy that the docstring states: halving the step, and float32
    np.testing.assert_allclose(x, ours(2 * mackey_glass.GRID), rtol=0, atol=1e-6)
    np.testing.assert_allclose(x, ours(mackey_glass.GRID, np.float32), rtol=0, atol=5e-6)
    errors = [np.abs(ours(grid) - ours(40)).max() for grid in (5, 10)]
    assert errors[0] / errors[1] > 10  # of fourth order: near 16


@pytest.mark.parametrize("tau", [17, 30])
def test_mackey_glass_batches_solve_the_equation_and_have_the_stated_moments(tau: int) -> None:
    task = build_task("mackey_glass", tau=tau, length_steps=160)
    batch = batch_of(task, 2000)
    x, y = np.asarray(batch.inputs_TxBxI)[..., 0], np.asarray(batch.targets)[..., 0]
    np.testing.assert_array_equal(x[1:], y[:-1])
    # x(t+1) from x(t) and x on [t-tau, t+1-tau], by splines through the samples of two units
    x = x[:, :20].astype(np.float64)
    for t in (tau + 3, 90, 150):
        r = np.linspace(0, 1, 201)
        nodes = np.arange(-3, 5)
        weights = np.array([np.poly1d(np.polyfit(nodes, row, 7))(r) for row in np.eye(8)])
        delayed = weights.T @ x[t - tau + nodes]
        kernel = (np.exp(-0.1 * (1 - r)))[:, None]
        driven = np.trapezoid(kernel * 0.2 * delayed / (1 + delayed**10), r, axis=0)
        np.testing.assert_allclose(y[t, :20], np.exp(-0.1) * x[t] + driven, atol=1e-3)
    scores = mean_scores(task, jnp.full_like(batch.targets, y.mean()), batch)
    for name, value in task.baseline.items():
        np.testing.assert_allclose(scores[name], value, rtol=0.03)
    repeated = mean_scores(task, batch.inputs_TxBxI, batch)
    reference = task.references["nmse of the input as the answer"]
    np.testing.assert_allclose(repeated["nmse"], reference, rtol=0.03)


def test_mackey_glass_sequences_start_anywhere() -> None:
    y = np.asarray(batch_of(build_task("mackey_glass"), 2000).targets)[..., 0]
    # the mean over sequences is the same at every step: 4.5 deviations of 0.226 / sqrt(2000)
    np.testing.assert_allclose(y.mean(1), y.mean(), atol=0.023)


def test_the_last_hundred_steps_run_free() -> None:
    task = build_task("mackey_glass", length_steps=130)
    batch = batch_of(task, 4)
    assert task.forced_steps == 30
    assert task.teacher is not None
    np.testing.assert_array_equal(task.teacher(batch), batch.targets)
    assert set(mean_scores(task, batch.targets, batch).values()) == {0}
    before = jnp.where(jnp.arange(130)[:, None, None] < 30, 1.0, 0.0)
    scores = mean_scores(task, batch.targets + before, batch)
    assert scores["free_nmse"] == 0
    np.testing.assert_allclose(scores["loss"], 30 / 130, rtol=1e-5)
    np.testing.assert_allclose(scores["nmse"], 30 / 130 / task.baseline["loss"], rtol=1e-5)
    hidden = build_task("mackey_glass", length_steps=130, feedback_only=True)
    assert not batch_of(hidden, 4).inputs_TxBxI.any()
    np.testing.assert_array_equal(batch_of(hidden, 4).targets, batch.targets)
    assert hidden.headline == "free_nmse"


def narma(u_TxB: np.ndarray) -> np.ndarray:
    """The outputs y_1 ... y_T of NARMA10, term by term."""
    y = [np.zeros(u_TxB.shape[1], u_TxB.dtype)]
    for t, u in enumerate(u_TxB):
        total = sum(y[t - i] for i in range(10) if t - i >= 0)
        delayed = u_TxB[t - 9] if t >= 9 else 0
        y.append(0.3 * y[t] + 0.05 * y[t] * total + 1.5 * delayed * u + 0.1)
    return np.array(y[1:])


def test_narma10_targets_follow_from_the_inputs(x64: None) -> None:
    task = build_task("narma10", length_steps=120)
    batch = batch_of(task, 20)
    u = np.asarray(batch.inputs_TxBxI)[..., 0]
    np.testing.assert_allclose(batch.targets[..., 0], narma(u), rtol=1e-12)
    assert set(mean_scores(task, batch.targets, batch).values()) == {0}
    assert task.teacher is not None
    np.testing.assert_array_equal(task.teacher(batch), batch.targets)


def test_narma10_redraws_what_runs_off_and_nothing_else() -> None:
    task = build_task("narma10", length_steps=400)
    batch = batch_of(task, 4000)
    assert float(batch.targets.max()) <= 1
    _, first = jax.random.split(KEY)
    u = np.asarray(jax.random.uniform(first, (400, 4000), maxval=0.5))
    with np.errstate(over="ignore", invalid="ignore"):
        kept = (narma(u) <= 1).all(0)
    assert 0.001 < 1 - kept.mean() < 0.015  # about 0.6% of 400 steps
    same = (np.asarray(batch.inputs_TxBxI)[..., 0] == u).all(0)
    np.testing.assert_array_equal(same, kept)


def test_narma10_constants_and_baseline() -> None:
    task = build_task("narma10")
    batch = batch_of(task, 20_000)
    y = np.asarray(batch.targets, np.float64)[50:]
    # means over 150 steps correlated over about 10: 20,000 sequences leave under 0.0003
    np.testing.assert_allclose(y.mean(), narma10.MEAN, atol=1e-3)
    np.testing.assert_allclose(y.var(), narma10.VARIANCE, rtol=0.01)
    mean = mean_scores(task, jnp.full_like(batch.targets, narma10.MEAN), batch)
    np.testing.assert_allclose(mean["nmse"], 1, rtol=0.01)
    best = narma10.MEAN + 0.375 * (batch.inputs_TxBxI - 0.25)
    scores = mean_scores(task, best, batch)
    for name, value in task.baseline.items():
        np.testing.assert_allclose(scores[name], value, rtol=0.01)
    # no cubic of the last input is better
    u = np.asarray(batch.inputs_TxBxI, np.float64)[50:].ravel()
    fitted = np.polyval(np.polyfit(u, y.ravel(), 3), u)
    np.testing.assert_allclose(((fitted - y.ravel()) ** 2).mean(), scores["loss"], rtol=2e-3)


def test_narma10_does_not_score_the_warmup() -> None:
    task = build_task("narma10", length_steps=60)
    batch = batch_of(task, 3)
    warmup = jnp.where(jnp.arange(60)[:, None, None] < 50, jnp.inf, 0.0)
    assert set(mean_scores(task, batch.targets + warmup, batch).values()) == {0}


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
