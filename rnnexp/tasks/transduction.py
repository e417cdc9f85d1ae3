"""Symbols, batches and scores of tasks that read one sequence and write another.

Inputs are one-hot; steps after the end of a sequence are zero vectors. Targets are
(U, B) classes, class 0 the stop symbol, which ends every target and pads it.

The baseline of these tasks is the best writer that reads nothing. It knows the
distribution of answers and, as the loss is teacher-forced, all symbols before the one it
writes. Its loss is the entropy of an answer / the mean symbols of an answer, the stop
included; no network whose state is independent of the input scores less. "exact" is the
probability of the likeliest answer.
"""

import math
import string
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.errors import UsageError, require_at_least
from rnnexp.core.masking import valid_steps
from rnnexp.core.types import Array, Batch, Key
from rnnexp.tasks.base import Endless, Lengths, Score, Source, Task
from rnnexp.tasks.scores import correct, cross_entropy, once, over_steps

STOP = 0
STOP_CHARACTER = "$"
PADDING = -1
"""The class of an input step after the end; its one-hot vector is zero."""
LETTERS = string.ascii_lowercase
"""The input alphabet of `words_task` is the first `symbols` of these."""

Rewrite: TypeAlias = Callable[[Array, Array], Array]
"""`(word_TxB, lengths_B) -> target_TxB`, both classes; 0 after the end of a target."""


def transduction_task(
    name: str,
    sources: Mapping[str, Source],
    *,
    input_alphabet: str,
    alphabet: str,
    num_steps: int,
    target_steps: int,
    baseline: Mapping[str, float],
    lengths: Lengths | None = None,
) -> Task:
    """An asynchronous task from its sources "train", "valid", "test" and its alphabets."""
    return Task(
        name=name,
        mode="asynchronous",
        input_size=len(input_alphabet),
        output_size=len(alphabet),
        num_steps=num_steps,
        train=sources["train"],
        valid=sources["valid"],
        test=sources["test"],
        scores=scores,
        baseline=baseline,
        headline="exact",
        higher_is_better=True,
        target_steps=target_steps,
        alphabet=alphabet,
        input_alphabet=input_alphabet,
        lengths=lengths,
    )


def scores(logits_UxBxO: Array, batch: Batch) -> dict[str, Score]:
    """Cross-entropy and accuracy of teacher-forced logits, over the symbols up to the stop."""
    lengths_B = batch.target_lengths_B
    return {
        "loss": over_steps(cross_entropy(logits_UxBxO, batch.targets), lengths_B),
        "symbol_accuracy": over_steps(correct(logits_UxBxO, batch.targets), lengths_B),
    }


def exact_match(tokens_UxB: Array, batch: Batch) -> Score:
    """1 for each example whose classes `tokens_UxB` are right through its stop, else 0."""
    if batch.target_lengths_B is None:
        raise UsageError("exact_match needs a batch with target_lengths_B")
    valid_UxB = valid_steps(len(batch.targets), batch.target_lengths_B)
    right_UxB = tokens_UxB.astype(batch.targets.dtype) == batch.targets
    return once(jnp.all(right_UxB | ~valid_UxB, 0).astype(float))


def encode(text: str, alphabet: str) -> np.ndarray:
    """The classes of a text, (T,) int32. Raises `UsageError` for an unknown character."""
    for position, character in enumerate(text):
        if character not in alphabet:
            raise UsageError(
                f"unknown symbol {character!r} at position {position} of {text!r}; "
                f"expected one of {alphabet!r}"
            )
    return np.array([alphabet.index(character) for character in text], np.int32)


def decode(tokens: Iterable[int], alphabet: str) -> str:
    """The text of classes, up to the first stop symbol if there is one.

    Raises `UsageError` for an unknown class before it.
    """
    text = ""
    for position, token in enumerate(map(int, tokens)):
        if not 0 <= token < len(alphabet):
            raise UsageError(
                f"unknown class {token} at position {position}; expected 0 to {len(alphabet) - 1}"
            )
        if alphabet[token] == STOP_CHARACTER:
            break
        text += alphabet[token]
    return text


def transduction_batch(
    input_TxB: Array, lengths_B: Array, target_UxB: Array, target_lengths_B: Array, input_size: int
) -> Batch:
    """A batch from classes; those of padded inputs are out of range."""
    inputs_TxBxI = jax.nn.one_hot(input_TxB, input_size, dtype=float)
    return Batch(inputs_TxBxI, target_UxB, lengths_B, target_lengths_B)


def words_task(
    name: str,
    rewrite: Rewrite,
    *,
    symbols: int,
    shortest: int,
    longest: int,
    baseline: Mapping[str, float],
    at: Callable[[int], Task],
) -> Task:
    """A task whose answer is as long as its input, with batches from `draw_words`."""

    def draw(key: Key, batch_size: int) -> Batch:
        word_TxB, lengths_B = draw_words(
            key, batch_size, symbols=symbols, shortest=shortest, longest=longest
        )
        stop_1xB = jnp.full((1, batch_size), STOP, jnp.int32)
        target_UxB = jnp.concatenate([rewrite(word_TxB, lengths_B), stop_1xB])
        return transduction_batch(word_TxB, lengths_B, target_UxB, lengths_B + 1, symbols)

    return transduction_task(
        name,
        dict.fromkeys(("train", "valid", "test"), Endless(draw)),
        input_alphabet=LETTERS[:symbols],
        alphabet=STOP_CHARACTER + LETTERS[:symbols],
        num_steps=longest,
        target_steps=longest + 1,
        baseline=baseline,
        lengths=Lengths("letters", (shortest, longest), at),
    )


def check_words(symbols: int, shortest: int, longest: int) -> None:
    """Raise `UsageError` unless the options of `words_task` are valid."""
    if not 2 <= symbols <= len(LETTERS):
        raise UsageError(f"symbols must be 2 to {len(LETTERS)}, not {symbols}")
    require_at_least(1, shortest=shortest)
    if longest < shortest:
        raise UsageError(f"longest must be at least shortest = {shortest}, not {longest}")


def draw_words(
    key: Key, batch_size: int, *, symbols: int, shortest: int, longest: int
) -> tuple[Array, Array]:
    """Random classes (T, B), padded with -1, and their lengths (B,), all uniform."""
    key_length, key_symbol = jax.random.split(key)
    lengths_B = jax.random.randint(
        key_length, (batch_size,), shortest, longest + 1, dtype=jnp.int32
    )
    shape = (longest, batch_size)
    symbol_TxB = jax.random.randint(key_symbol, shape, 0, symbols, dtype=jnp.int32)
    return jnp.where(valid_steps(longest, lengths_B), symbol_TxB, PADDING), lengths_B


def words_loss(word_entropy: Callable[[int], float], shortest: int, longest: int) -> float:
    """The baseline's loss in nats, from the entropy of an answer of known length.

    The length is uniform, which adds ln(lengths) nats.
    """
    lengths = range(shortest, longest + 1)
    entropy = math.log(len(lengths)) + sum(map(word_entropy, lengths)) / len(lengths)
    return entropy / ((shortest + longest) / 2 + 1)
