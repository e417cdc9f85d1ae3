"""Formal languages, to be learned from short strings and tested on longer ones.

Delétang et al. 2022, "Neural networks and the Chomsky hierarchy" (arXiv 2207.02098), with the
strings of the authors' code. Four languages are regular: a finite automaton reads the string, and
its last state has the answer. One is deterministic context-free and needs a stack.

| language | string | answer |
| --- | --- | --- |
| even_pairs | bits | 1 if the number of 01 and 10 in it is odd |
| parity_check | bits | 1 if the number of ones is odd |
| cycle_navigation | 0, 1, 2: a step back, none, a step on | the place on a circle of 5 |
| modular_arithmetic | 1 + 2 * 3, of 0 to 4 and + - * | its value modulo 5, products first |
| reverse_string | bits | the bits, the last one first |

    input   s_1 s_2 ... s_n end          the answer at the end
    input   s_1 s_2 ... s_n end x n      s_n ... s_2 s_1 at the ends (reverse_string)

Lengths n and symbols are uniform; an expression of even length loses its last symbol. The end shows
nothing of the string, so without memory the frequencies of the answers are best: those of all
lengths together, exactly, by the automaton; ln(2) nats and 1/2 for reverse_string. A string counts
once, whatever its length.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.errors import require_choice
from rnnexp.core.masking import last_valid, take_steps, valid_steps
from rnnexp.core.types import Array, Batch, Key
from rnnexp.tasks.base import Endless, Lengths, Score, Task
from rnnexp.tasks.bit_vectors import draw_counts, require_range
from rnnexp.tasks.classification import classification_scores
from rnnexp.tasks.scores import correct, cross_entropy, once

PLACES = 5
"""Of the circle; and the modulus of an expression."""
BIT = range(2)


class Automaton(NamedTuple):
    """A finite automaton: it reads a string and answers by its state.

    Attributes:
      alphabets: the symbols of a place; the places take turns in them.
      table: the next state by state and symbol, (states, symbols).
      answers: the answer by state, (states,).
      start: the state before the first symbol.
    """

    alphabets: tuple[range, ...]
    table: np.ndarray
    answers: np.ndarray
    start: int = 0

    def draw(self, key: Key, steps: int, batch_size: int) -> Array:
        """Uniform symbols, (T, B)."""
        turns = [self.alphabets[t % len(self.alphabets)] for t in range(steps)]
        least_Tx1, end_Tx1 = (
            jnp.array([[getattr(turn, side)] for turn in turns], jnp.int32)
            for side in ("start", "stop")
        )
        return jax.random.randint(key, (steps, batch_size), least_Tx1, end_Tx1, dtype=jnp.int32)

    def read(self, string_TxB: Array) -> Array:
        """The answer to every beginning of a string, (T, B)."""
        table, answers = jnp.asarray(self.table, jnp.int32), jnp.asarray(self.answers, jnp.int32)

        def step(state_B: Array, symbol_B: Array) -> tuple[Array, Array]:
            after_B = table[state_B, symbol_B]
            return after_B, answers[after_B]

        return jax.lax.scan(step, jnp.full_like(string_TxB[0], self.start), string_TxB)[1]

    def frequencies(self, longest: int) -> np.ndarray:
        """The probability of every answer, by length from 0 on, (longest + 1, answers)."""
        state = np.eye(len(self.table))[self.start]
        states = [state]
        for t in range(longest):
            alphabet = self.alphabets[t % len(self.alphabets)]
            after = np.zeros_like(state)
            for symbol in alphabet:
                np.add.at(after, self.table[:, symbol], state / len(alphabet))
            states.append(state := after)
        chances: np.ndarray = np.stack(states) @ np.eye(self.answers.max() + 1)[self.answers]
        return chances

    def strings(self, shortest: int, longest: int) -> list[int]:
        """The symbols of a string of each length: all, or as many as end with the first turn."""
        return [n - (n - 1) % len(self.alphabets) for n in range(shortest, longest + 1)]


def even_pairs() -> Automaton:
    """The state is 1 + 2 * (first bit) + (last bit), or 0 at the start."""
    table = [[1, 4], *([1 + 2 * first, 2 + 2 * first] for first in (0, 0, 1, 1))]
    return Automaton((BIT,), np.array(table), np.array([0, 0, 1, 1, 0]))


def parity_check() -> Automaton:
    """The state is the parity."""
    return Automaton((BIT,), np.array([[0, 1], [1, 0]]), np.arange(2))


def cycle_navigation() -> Automaton:
    """The state is the place."""
    table = (np.arange(PLACES)[:, None] + np.arange(-1, 2)) % PLACES
    return Automaton((range(3),), table, np.arange(PLACES))


def modular_arithmetic() -> Automaton:
    """The state is 5 * (sum of the terms before) + (product of the present one).

    A number multiplies the product. + and - add it to the sum and leave 1 and -1 in its place.
    """
    total_Sx1, product_Sx1 = np.divmod(np.arange(PLACES**2)[:, None], PLACES)
    value_Sx1 = (total_Sx1 + product_Sx1) % PLACES
    after_number = PLACES * total_Sx1 + product_Sx1 * np.arange(PLACES) % PLACES
    after_plus, after_minus = PLACES * value_Sx1 + 1, PLACES * value_Sx1 + PLACES - 1
    after_times = PLACES * total_Sx1 + product_Sx1
    table = np.concatenate([after_number, after_plus, after_minus, after_times], axis=1)
    alphabets = (range(PLACES), range(PLACES, PLACES + 3))
    return Automaton(alphabets, table, value_Sx1[:, 0], start=1)


REGULAR: dict[str, Callable[[], Automaton]] = {
    "even_pairs": even_pairs,
    "parity_check": parity_check,
    "cycle_navigation": cycle_navigation,
    "modular_arithmetic": modular_arithmetic,
}
REVERSE = "reverse_string"


def formal_language(
    *, language: str = "parity_check", length_steps: int = 40, shortest_steps: int = 1
) -> Task:
    """Answer for strings of `shortest_steps` to `length_steps` symbols of a language.

    Inputs are numbers of symbols, (T, B), the last of them the end.

    Args:
      language: even_pairs, parity_check, cycle_navigation, modular_arithmetic or reverse_string.
      length_steps: symbols of the longest string.
      shortest_steps: symbols of the shortest one; 1 or more.

    Raises `UsageError` for other languages, and unless 1 <= shortest_steps <= length_steps.
    """
    require_choice("language", language, (*REGULAR, REVERSE))
    require_range(("shortest_steps", shortest_steps), ("length_steps", length_steps))
    lengths = Lengths(
        "symbols",
        (shortest_steps, length_steps),
        lambda n: formal_language(language=language, length_steps=n, shortest_steps=n),
        (length_steps, 2 * length_steps),
    )
    return reversal(lengths) if language == REVERSE else recognition(REGULAR[language](), lengths)


def recognition(automaton: Automaton, lengths: Lengths) -> Task:
    """The task of a regular language: one answer, at the end of a string."""
    strings = automaton.strings(*lengths.train)
    longest, end = strings[-1], automaton.table.shape[1]
    chances = automaton.frequencies(longest)[strings].mean(0)
    entropy = sum(-p * math.log(p) for p in map(float, chances) if p > 0)

    def draw(key: Key, batch_size: int) -> Batch:
        key_length, key_string = jax.random.split(key)
        length_B = jax.random.choice(key_length, jnp.array(strings, jnp.int32), (batch_size,))
        string_TxB = automaton.draw(key_string, longest, batch_size)
        targets_B = last_valid(automaton.read(string_TxB), length_B)
        return Batch(ended(string_TxB, length_B, 1, end), targets_B, length_B + 1)

    return drawn_answers(
        draw,
        mode="sequence_to_one",
        input_size=end + 1,
        output_size=len(chances),
        num_steps=longest + 1,
        scores=classification_scores,
        baseline={"loss": entropy, "accuracy": float(max(chances))},
        lengths=lengths,
    )


def reversal(lengths: Lengths) -> Task:
    """The task of reverse_string: an answer at each of as many ends as there are symbols."""
    shortest, longest = lengths.train
    t_Tx1 = jnp.arange(2 * longest, dtype=jnp.int32)[:, None]

    def draw(key: Key, batch_size: int) -> Batch:
        key_length, key_string = jax.random.split(key)
        length_B = draw_counts(key_length, batch_size, shortest, longest)
        string_TxB = jax.random.randint(key_string, (longest, batch_size), 0, 2, dtype=jnp.int32)
        mirrored_TxB = jnp.clip(2 * length_B[None, :] - 1 - t_Tx1, 0, longest - 1)
        targets_TxB = take_steps(string_TxB, mirrored_TxB)
        return Batch(ended(string_TxB, length_B, longest, 2), targets_TxB, 2 * length_B)

    return drawn_answers(
        draw,
        mode="synchronous",
        input_size=3,
        output_size=2,
        num_steps=2 * longest,
        scores=reversed_scores,
        baseline={"loss": math.log(2), "accuracy": 0.5},
        lengths=lengths,
        causal=False,
    )


def reversed_scores(logits_TxBxO: Array, batch: Batch) -> dict[str, Score]:
    """Cross-entropy in nats and accuracy, the mean of a string's answers, one term a string."""
    assert batch.lengths_B is not None
    steps = len(logits_TxBxO)
    due_TxB = valid_steps(steps, batch.lengths_B) & ~valid_steps(steps, batch.lengths_B // 2)
    dtype = logits_TxBxO.dtype

    def mean(value_TxB: Array) -> Score:
        total_B = jnp.sum(jnp.where(due_TxB, value_TxB, jnp.zeros_like(value_TxB)), 0)
        return once(total_B / jnp.sum(due_TxB, 0).astype(dtype))

    return {
        "loss": mean(cross_entropy(logits_TxBxO, batch.targets)),
        "accuracy": mean(correct(logits_TxBxO, batch.targets)),
    }


def ended(string_TxB: Array, length_B: Array, ends: int, end: int) -> Array:
    """Strings, T steps longer by `ends`, with the symbol `end` from the end of each on."""
    more = jnp.zeros((ends, string_TxB.shape[1]), string_TxB.dtype)
    longer_TxB = jnp.concatenate([string_TxB, more])
    return jnp.where(valid_steps(len(longer_TxB), length_B), longer_TxB, end)


def drawn_answers(draw: Callable[[Key, int], Batch], **facts: Any) -> Task:
    """The task of endless batches with these facts.

    The loss selects the best checkpoint: the accuracy on short strings is 1 long before a network
    is sure of its answers, and the first such network fails on longer ones.
    """
    source = Endless(draw)
    return Task(
        name="formal_language",
        train=source,
        valid=source,
        test=source,
        headline="loss",
        higher_is_better=False,
        **facts,
    )
