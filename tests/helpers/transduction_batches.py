"""Asynchronous tasks by name, their batches read as text, and scores of a blind writer."""

import math
from collections import defaultdict
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.types import Batch
from rnnexp.tasks import TASKS
from rnnexp.tasks.base import Endless, Finite, Score, Task
from rnnexp.tasks.transduction import exact_match

KEY = jax.random.key(0)


def build_task(name: str, **options: Any) -> Task:
    """The task of that name with its options."""
    task: Task = TASKS.entry(name).factory()(**options)
    assert task.name == name
    return task


def batch_of(task: Task, size: int = 300, split: str = "train") -> Batch:
    """A batch drawn inside jit, or the first examples of a data set."""
    source = getattr(task, split)
    if isinstance(source, Endless):
        drawn: Batch = jax.jit(source.draw, static_argnums=1)(KEY, size)
        return drawn
    assert isinstance(source, Finite)
    taken: Batch = jax.jit(source.take)(source.arrays, jnp.arange(size))
    return taken


def scored(task: Task, logits: jax.Array, tokens: jax.Array, batch: Batch) -> dict[str, Score]:
    """All scores: those of the task, and "exact" of the tokens."""

    @jax.jit
    def score(logits: jax.Array, tokens: jax.Array, batch: Batch) -> dict[str, Score]:
        return {**task.scores(logits, batch), "exact": exact_match(tokens, batch)}

    scores: dict[str, Score] = score(logits, tokens, batch)
    return scores


def read(batch: Batch, input_alphabet: str, alphabet: str) -> list[tuple[str, str]]:
    """(text, answer without stop) of each example; checks padding, lengths and stops."""
    inputs, targets = np.asarray(batch.inputs_TxBxI), np.asarray(batch.targets)
    assert batch.lengths_B is not None
    assert batch.target_lengths_B is not None
    steps_B, symbols_B = np.asarray(batch.lengths_B), np.asarray(batch.target_lengths_B)
    assert steps_B.dtype == symbols_B.dtype == targets.dtype == np.int32
    pairs = []
    for b in range(inputs.shape[1]):
        steps, symbols = int(steps_B[b]), int(symbols_B[b])
        assert 1 <= steps <= len(inputs)
        assert 2 <= symbols <= len(targets)
        assert (np.sort(inputs[:steps, b])[:, -2:] == [0, 1]).all()  # one-hot
        assert not inputs[steps:, b].any()
        assert targets[: symbols - 1, b].all()
        assert not targets[symbols - 1 :, b].any()
        text = "".join(input_alphabet[i] for i in inputs[:steps, b].argmax(-1))
        pairs.append((text, "".join(alphabet[i] for i in targets[: symbols - 1, b])))
    return pairs


def answer_batch(answers: list[str], task: Task) -> Batch:
    """A batch with those answers; what was read does not matter."""
    assert task.alphabet is not None
    targets = np.zeros((task.target_steps, len(answers)), np.int32)
    for b, text in enumerate(answers):
        targets[: len(text), b] = [task.alphabet.index(c) for c in text]
    lengths = jnp.array([len(text) + 1 for text in answers], jnp.int32)
    inputs = jnp.zeros((task.num_steps, len(answers), task.input_size))
    return Batch(inputs, jnp.asarray(targets), lengths, lengths)


def blind_logits(probability: dict[str, float], answers: list[str], task: Task) -> jax.Array:
    """ln p(symbol | symbols before) at every position of each answer, nothing else known."""
    assert task.alphabet is not None
    prefixes: dict[str, float] = defaultdict(float)
    for text, p in probability.items():
        for end in range(len(text) + 2):
            prefixes[(text + "$")[:end]] += p
    logits = np.full((task.target_steps, len(answers), task.output_size), -1e4, np.float32)
    for b, text in enumerate(answers):
        for u in range(len(text) + 1):
            for k, symbol in enumerate(task.alphabet):
                if (text[:u] + symbol) in prefixes:
                    logits[u, b, k] = math.log(prefixes[text[:u] + symbol] / prefixes[text[:u]])
    return jnp.asarray(logits)
