"""Skip-gram with negative sampling: its loss by loops over a text, its noise, its optimum."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from rnnexp.cells.feedforward import feedforward
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch, Tree
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.structure import Structure
from rnnexp.tasks.base import Finite, Task
from rnnexp.tasks.word2vec import ABSENT, word2vec
from tests.helpers.task_batches import batch_of, mean_scores

WORDS = ["a", "b", "c", "d", "e", "f"]
SMALL: dict[str, Any] = {"window": 2, "negatives": 3, "valid_fraction": 0.1, "test_fraction": 0.1}


def text_of(path: Path, length: int = 600) -> list[str]:
    """A text in which words follow some words more often than others; all pairs occur."""
    random, words = np.random.default_rng(0), [0]
    chances = np.random.default_rng(1).dirichlet(np.full(len(WORDS), 1.5), len(WORDS))
    for _ in range(length - 1):
        words.append(int(random.choice(len(WORDS), p=0.8 * chances[words[-1]] + 0.2 / 6)))
    text = [WORDS[word] for word in words]
    path.write_text(" ".join(text))
    return text


def task_of(path: Path, **options: Any) -> tuple[Task, list[str]]:
    text = text_of(path / "t.txt")
    return word2vec(file=str(path / "t.txt"), **(SMALL | options)), text


def everything(task: Task, split: str = "train") -> Batch:
    source = getattr(task, split)
    assert isinstance(source, Finite)
    return batch_of(task, split, source.size)


def distribution(
    text: list[str], words: tuple[str, ...], window: int, kept: dict[str, float] | None = None
) -> np.ndarray:
    """P(w, c), (V, V), by loops over centres, drawn windows and their words."""
    found = np.zeros((len(words), len(words)))
    for at, word in enumerate(text):
        for drawn in range(1, window + 1):
            for other in range(max(0, at - drawn), min(len(text), at + drawn + 1)):
                if other != at:
                    of_words = 1.0 if kept is None else kept[word] * kept[text[other]]
                    found[words.index(word), words.index(text[other])] += of_words
    found /= found.sum()
    return found


def noise_of(text: list[str], words: tuple[str, ...], power: float) -> np.ndarray:
    counts = np.array([text.count(word) for word in words], float) ** power
    shares: np.ndarray = counts / counts.sum()
    return shares


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


@pytest.mark.parametrize("subsample", [0.0, 0.05])
def test_the_loss_is_that_of_loops_over_the_text(tmp_path: Path, subsample: float) -> None:
    task, text = task_of(tmp_path, subsample=subsample)
    train, words, batch = text[:480], task.words or (), everything(task)
    assert sorted(words) == WORDS
    assert [words[n] for n in np.asarray(batch.inputs_TxBxI)[0]] == train
    outputs = np.random.default_rng(2).normal(size=(480, 6))
    total = count = 0.0
    for at, targets_CxK in enumerate(np.asarray(batch.targets)):
        for distance, (context, *drawn) in zip((-2, -1, 1, 2), targets_CxK.tolist(), strict=True):
            if not 0 <= at + distance < 480:
                assert {context, *drawn} == {ABSENT}
                continue
            assert words[context] == train[at + distance]
            weight = {1: 1.0, 2: 0.5}[abs(distance)]
            for word in (train[at], train[at + distance]):
                frequency = train.count(word) / 480
                weight *= min(1, math.sqrt(subsample / frequency)) if subsample else 1
            chances = [sigmoid(outputs[at, context]), *(sigmoid(-outputs[at, n]) for n in drawn)]
            total -= weight * sum(math.log(chance) for chance in chances)
            count += weight
    found = mean_scores(task, jnp.asarray(outputs, jnp.float32), batch)["loss"]
    np.testing.assert_allclose(found, total / count, rtol=1e-5)


def test_the_gradient_is_that_of_central_differences(tmp_path: Path, x64: None) -> None:
    task, _ = task_of(tmp_path)
    batch = batch_of(task, "valid", 4)
    outputs = jax.random.normal(jax.random.key(0), (4, 6))

    @jax.jit
    def loss(outputs: Array) -> Array:
        return task.scores(outputs, batch)["loss"].mean()

    gradient, by_hand, step = jax.grad(loss)(outputs), np.zeros((4, 6)), 1e-5
    for at in np.ndindex(4, 6):
        values = [float(loss(outputs.at[at].add(sign * step))) for sign in (1, -1)]
        by_hand[at] = (values[0] - values[1]) / (2 * step)
    assert gradient.dtype == jnp.float64
    np.testing.assert_allclose(gradient, by_hand, rtol=1e-6, atol=1e-9)


def test_negatives_are_noise_and_new_at_every_step(tmp_path: Path) -> None:
    task, text = task_of(tmp_path, negatives=100)
    batch, source = everything(task), task.train
    assert isinstance(source, Finite)
    assert source.augment is not None
    augment = jax.jit(source.augment)
    one, again, other = (augment(jax.random.key(seed), batch) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.targets, again.targets)
    np.testing.assert_array_equal(one.targets[..., 0], batch.targets[..., 0])
    assert np.mean(np.asarray(one.targets) != np.asarray(other.targets)) > 0.5
    np.testing.assert_array_equal(everything(task).targets, batch.targets)
    expected = noise_of(text[:480], task.words or (), 0.75)
    for drawn in (batch.targets, one.targets):
        negatives = np.asarray(drawn)[..., 1:]
        counts = np.bincount(negatives[negatives != ABSENT], minlength=6)
        spread = np.sqrt(expected * (1 - expected) / counts.sum())
        assert np.all(np.abs(counts / counts.sum() - expected) < 4 * spread)


def test_the_baseline_ignores_the_centre_and_the_reference_is_the_best_table(
    tmp_path: Path,
) -> None:
    """The expected losses are means over many drawn negatives, at scores from counts by loops."""
    task, text = task_of(tmp_path, negatives=200)
    words, batch = task.words or (), everything(task, "test")
    noise = noise_of(text[:480], words, 0.75)
    blind = np.log(distribution(text[:480], words, 2).sum(0) / (200 * noise))
    own = distribution(text[540:], words, 2)
    with np.errstate(divide="ignore"):
        table = np.log(own / own.sum(1, keepdims=True) / (200 * noise))
    centres = np.asarray(batch.inputs_TxBxI)[0]
    of_blind = mean_scores(task, jnp.asarray(np.tile(blind, (60, 1)), jnp.float32), batch)
    of_table = mean_scores(task, jnp.asarray(table[centres], jnp.float32), batch)
    least = task.references["loss of the best scores of the test's own pairs"]
    np.testing.assert_allclose(of_blind["loss"], task.baseline["loss"], rtol=0.005)
    np.testing.assert_allclose(of_table["loss"], least, rtol=0.005)
    assert least < task.baseline["loss"] - 0.1


@pytest.mark.parametrize(
    ("power", "subsample"), [(1.0, 0.0), (0.75, 0.0), (1.0, 0.05)], ids=["pmi", "0.75", "subsample"]
)
def test_the_best_scores_are_the_shifted_pmi(
    tmp_path: Path, power: float, subsample: float
) -> None:
    """A model of full rank finds them (Levy & Goldberg 2014)."""
    task, text = task_of(tmp_path, negatives=5, noise_power=power, subsample=subsample)
    words, train = task.words or (), text[:480]
    counts = Counter(train)
    kept = {word: min(1, math.sqrt(subsample / (counts[word] / 480))) for word in words}
    joint = distribution(train, words, 2, kept if subsample else None)
    noise = noise_of(train, words, power)
    expected = np.log(joint / joint.sum(1, keepdims=True) / noise) - math.log(5)
    assert np.all(joint > 0)
    if power == 1 and not subsample:  # contexts at the ends apart, P_n is the contexts' own
        pmi = np.log(joint / joint.sum(1, keepdims=True) / joint.sum(0))
        np.testing.assert_allclose(expected, pmi - math.log(5), atol=0.02)
    found = trained_scores(task)
    assert np.ptp(expected) > 0.8
    np.testing.assert_allclose(found, expected, atol=0.05)


def trained_scores(task: Task, updates: int = 1_000) -> np.ndarray:
    """The scores (V, V) of a linear layer of full rank after updates on the whole text."""
    model = SequenceModel(
        lambda size, layer: feedforward(size, 6, activation="linear"),
        structure=Structure(embedding_size=6), input_size=6, output_size=6,
        mode="sequence_to_one", key=jax.random.key(0),
    )  # fmt: skip
    graphdef, params = nnx.graphdef(model), nnx.to_pure_dict(nnx.state(model, nnx.Param))
    batch, source = everything(task), task.train
    assert isinstance(source, Finite)
    assert source.augment is not None
    augment = source.augment
    optimizer = optax.adam(optax.cosine_decay_schedule(0.03, updates))

    def loss(params: Tree, batch: Batch) -> Array:
        return task.scores(nnx.merge(graphdef, params)(batch.inputs_TxBxI).outputs, batch)[
            "loss"
        ].mean()

    def update(carry: Tree, key: Array) -> tuple[Tree, None]:
        params, state = carry
        change, state = optimizer.update(jax.grad(loss)(params, augment(key, batch)), state)
        return (optax.apply_updates(params, change), state), None

    @jax.jit
    def train(params: Tree) -> Tree:
        keys = jax.random.split(jax.random.key(1), updates)
        return jax.lax.scan(update, (params, optimizer.init(params)), keys)[0][0]

    with jax.numpy_dtype_promotion("standard"):  # optax promotes
        trained = nnx.merge(graphdef, train(params))
    return np.asarray(trained(jnp.arange(6, dtype=jnp.int32)[None]).outputs)


def test_words_without_a_class_are_dropped_before_windows_are_formed(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("a b rare a b a b . " * 40)
    task = word2vec(file=str(path), vocabulary=2, window=1, valid_fraction=0.2, test_fraction=0.0)
    assert task.words == ("a", "b")
    assert task.test is task.valid
    assert task.references["unknown words, dropped"] == 0.25
    pairs = {tuple(pair) for pair in np.asarray(everything(task).targets)[..., 0].tolist()}
    assert pairs == {(1, 1), (0, 0), (ABSENT, 1), (0, ABSENT)}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window": 0}, "window must be at least 1, not 0"),
        ({"negatives": 0}, "negatives must be at least 1, not 0"),
        ({"noise_power": -1.0}, "noise_power must be at least 0"),
        ({"subsample": -1.0}, "subsample must be at least 0"),
        ({"vocabulary": 1}, r"vocabulary must be 0 \(all words\) or at least 2, not 1"),
        ({"least_count": 9_999}, "no word occurs 9999 times"),
        ({"test_fraction": 0.001}, "the test part of .* has 1 words of the vocabulary; it needs 2"),
    ],
)
def test_options_that_will_not_do(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        task_of(tmp_path, **options)
