"""Answers of formal languages against their definitions; frequencies against all strings."""

import itertools
import math
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Batch
from rnnexp.tasks.base import Lengths, Task
from rnnexp.tasks.formal_language import modular_arithmetic
from rnnexp.train.build import build_task
from tests.helpers.synthetic_batches import KEY, batch_of, certain, spread
from tests.helpers.task_batches import mean_scores

CHARACTERS = "01234+-*"


def pairs(string: list[int]) -> int:
    text = "".join(map(str, string))
    return sum(text[i : i + 2] in ("01", "10") for i in range(len(text))) % 2


def parity(string: list[int]) -> int:
    return string.count(1) % 2


def walk(string: list[int]) -> int:
    place = 0
    for action in string:
        place = (place, place + 1, place + 4)[(1, 2, 0).index(action)] % 5
    return place


def calculate(string: list[int]) -> int:
    value: int = eval("".join(CHARACTERS[symbol] for symbol in string))
    return value % 5


LANGUAGES: dict[str, tuple[int, int, Callable[[list[int]], int]]] = {
    "even_pairs": (2, 2, pairs),
    "parity_check": (2, 2, parity),
    "cycle_navigation": (3, 5, walk),
    "modular_arithmetic": (8, 5, calculate),
}
"""The number of symbols, which is the end's, and of answers; a string's answer."""


def language(name: str, **options: Any) -> Task:
    return build_task("formal_language", language=name, **options)


def strings_of(batch: Batch, end: int) -> list[list[int]]:
    """The strings before their ends, which fill the valid rest of each sequence."""
    symbols = np.asarray(batch.inputs_TxBxI)
    lengths = np.asarray(batch.lengths_B)
    strings = []
    for column, length in zip(symbols.T, lengths, strict=True):
        valid = column[:length].tolist()
        strings.append(valid[: valid.index(end)])
        assert set(valid[len(strings[-1]) :]) == {end}
    return strings


@pytest.mark.parametrize("name", LANGUAGES)
@pytest.mark.parametrize("longest", [1, 2, 17, 40])
def test_answers_are_those_of_the_definition(name: str, longest: int) -> None:
    end, answers, answer = LANGUAGES[name]
    task = language(name, length_steps=longest)
    batch = batch_of(task, 300)
    assert (task.mode, task.input_size, task.output_size) == ("sequence_to_one", end + 1, answers)
    strings = strings_of(batch, end)
    np.testing.assert_array_equal(batch.targets, [answer(string) for string in strings])
    np.testing.assert_array_equal(batch.lengths_B, [len(string) + 1 for string in strings])


@pytest.mark.parametrize("longest", [1, 2, 17])
def test_reversed_strings_are_due_after_the_string(longest: int) -> None:
    batch = batch_of(language("reverse_string", length_steps=longest), 200)
    targets = np.asarray(batch.targets)
    for b, string in enumerate(strings_of(batch, 2)):
        assert batch.lengths_B is not None
        assert int(batch.lengths_B[b]) == 2 * len(string)
        assert targets[len(string) : 2 * len(string), b].tolist() == string[::-1]


def test_products_come_before_sums() -> None:
    texts = ["1+2*3", "1-1-1", "0*1+4*3-2", "4-2*3*4", "3"]
    for text in texts:
        string = jnp.array([[CHARACTERS.index(c)] for c in text])
        assert int(modular_arithmetic().read(string)[-1, 0]) == eval(text) % 5


@pytest.mark.parametrize("name", [*LANGUAGES, "reverse_string"])
def test_lengths_and_symbols_are_uniform(name: str) -> None:
    batch = batch_of(language(name, length_steps=9, shortest_steps=4), 20_000)
    end, turns = (2, 1) if name == "reverse_string" else (LANGUAGES[name][0], 1)
    turns += name == "modular_arithmetic"
    strings = strings_of(batch, end)
    drawn = [n - (n - 1) % turns for n in range(4, 10)]
    lengths = np.bincount([len(string) for string in strings], minlength=10) / len(strings)
    for length in range(10):
        np.testing.assert_allclose(
            lengths[length], drawn.count(length) / 6, atol=spread(6, 20_000) * 1.5
        )
    for t in range(3):
        numbers = [string[t] for string in strings]
        kinds = sorted(set(numbers))
        expected = range(end) if turns == 1 else (range(5), range(5, 8))[t % 2]
        assert kinds == list(expected)
        shares = np.bincount(numbers)[kinds] / len(numbers)
        np.testing.assert_allclose(shares, 1 / len(kinds), atol=spread(len(kinds), len(numbers)))


def all_strings(name: str, length: int) -> Iterable[tuple[int, ...]]:
    if name != "modular_arithmetic":
        return itertools.product(range(LANGUAGES[name][0]), repeat=length)
    turns = (range(5), range(5, 8))
    return itertools.product(*(turns[t % 2] for t in range(length - (length - 1) % 2)))


@pytest.mark.parametrize("name", LANGUAGES)
@pytest.mark.parametrize(("shortest", "longest"), [(1, 1), (1, 6), (4, 5)])
def test_baseline_is_that_of_all_strings(name: str, shortest: int, longest: int) -> None:
    _, answers, answer = LANGUAGES[name]
    chances = [Fraction(0)] * answers
    for length in range(shortest, longest + 1):
        found = [answer(list(string)) for string in all_strings(name, length)]
        for k in range(answers):
            chances[k] += Fraction(found.count(k), len(found) * (longest - shortest + 1))
    assert sum(chances) == 1
    entropy = -sum(float(p) * math.log(p) for p in chances if p)
    baseline = language(name, length_steps=longest, shortest_steps=shortest).baseline
    np.testing.assert_allclose(baseline["loss"], entropy, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(baseline["accuracy"], float(max(chances)), rtol=1e-12)


def test_baselines_of_long_strings_are_those_of_even_answers() -> None:
    for name, answers in (("parity_check", 2), ("even_pairs", 2), ("cycle_navigation", 5)):
        task = language(name, length_steps=500, shortest_steps=500)
        np.testing.assert_allclose(task.baseline["accuracy"], 1 / answers, rtol=1e-9)
        np.testing.assert_allclose(task.baseline["loss"], math.log(answers), rtol=1e-9)


def test_a_reversed_string_counts_once_and_its_answers_alone() -> None:
    task = language("reverse_string", length_steps=6)
    batch = batch_of(task, 400)
    assert batch.lengths_B is not None
    lengths_B = np.asarray(batch.lengths_B) // 2
    t_Tx1 = np.arange(12)[:, None]
    due_TxB = (t_Tx1 >= lengths_B) & (t_Tx1 < 2 * lengths_B)
    targets = np.asarray(batch.targets)
    only_due = certain(np.where(due_TxB, targets, 1 - targets), 2)
    assert mean_scores(task, only_due, batch) == {"loss": 0, "accuracy": 1}
    first = certain(np.where(t_Tx1 == lengths_B, targets, 1 - targets), 2)  # one answer right
    found = mean_scores(task, first, batch)["accuracy"]
    np.testing.assert_allclose(found, np.mean(1 / lengths_B), rtol=1e-5)
    even = mean_scores(task, jnp.zeros((12, 400, 2)), batch)
    np.testing.assert_allclose(even["loss"], task.baseline["loss"], rtol=1e-6)
    assert task.baseline == {"loss": math.log(2), "accuracy": 0.5}


@pytest.mark.parametrize("name", [*LANGUAGES, "reverse_string"])
def test_a_length_has_strings_of_that_length_alone(name: str) -> None:
    lengths = language(name, length_steps=8, shortest_steps=2).lengths
    assert isinstance(lengths, Lengths)
    assert (lengths.unit, lengths.train, lengths.test) == ("symbols", (2, 8), (8, 16))
    at = lengths.at(31)
    assert at.lengths is not None
    assert at.lengths.train == (31, 31)
    end = LANGUAGES[name][0] if name in LANGUAGES else 2
    strings = strings_of(batch_of(at, 20), end)
    assert {len(string) for string in strings} == {31}


def test_batches_differ_by_key() -> None:
    source = language("parity_check").train
    one, other = (source.draw(key, 8) for key in jax.random.split(KEY))  # type: ignore[union-attr]
    assert (np.asarray(one.inputs_TxBxI) != np.asarray(other.inputs_TxBxI)).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"language": "palindromes"}, "palindromes"),
        ({"shortest_steps": 0}, "shortest_steps must be at least 1, not 0"),
        ({"length_steps": 0}, "length_steps must be at least shortest_steps = 1"),
        ({"length_steps": 3, "shortest_steps": 4}, "length_steps must be at least"),
    ],
)
def test_options_that_make_no_strings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_task("formal_language", **options)
