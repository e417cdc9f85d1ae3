"""Asynchronous tasks answer as plain Python does; baselines and exact matches are right."""

import itertools
import math
from collections import Counter, defaultdict
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Batch
from rnnexp.tasks import date_format, transduction
from rnnexp.tasks.addition import INPUT_ALPHABET as SUM_ALPHABET
from rnnexp.tasks.transduction import LETTERS, exact_match
from tests.helpers.transduction_batches import (
    answer_batch,
    batch_of,
    blind_logits,
    build_task,
    read,
    scored,
)

SHORT = {"symbols": 3, "shortest": 2, "longest": 4}
EVEN = {"symbols": 2, "shortest": 3, "longest": 6}


SMALL: list[tuple[str, dict[str, Any]]] = [
    ("reverse", SHORT),
    ("reverse", EVEN),
    ("sort", SHORT),
    ("sort", EVEN),
    ("addition", {"digits": 1}),
    ("addition", {"digits": 2}),
    ("addition", {"digits": 2, "reversed_output": True}),
]


DEFAULT: list[tuple[str, dict[str, Any]]] = [
    ("reverse", {}),
    ("reverse", {"symbols": 26, "shortest": 4, "longest": 4}),
    ("sort", {}),
    ("addition", {}),
    ("addition", {"reversed_output": True}),
    ("addition", {"digits": 6}),
]


def answer(name: str, text: str, options: dict[str, Any]) -> str:
    """What has to be written."""
    if name == "reverse":
        return "".join(reversed(text))
    if name == "sort":
        return "".join(sorted(text))
    left, right = text.split("+")
    assert (str(int(left)), str(int(right))) == (left, right)  # no zeros in front
    total = str(int(left) + int(right))
    return total[::-1] if options.get("reversed_output") else total


def input_alphabet(name: str) -> str:
    return SUM_ALPHABET if name == "addition" else LETTERS


@pytest.mark.parametrize(("name", "options"), [*DEFAULT, *SMALL[:1]])
def test_answers_are_those_of_plain_python(name: str, options: dict[str, Any]) -> None:
    task = build_task(name, **options)
    assert (task.mode, task.headline, task.higher_is_better) == ("asynchronous", "exact", True)
    assert task.alphabet is not None
    assert task.alphabet[0] == "$"
    assert len(set(task.alphabet)) == task.output_size
    batch = batch_of(task)
    assert batch.inputs_TxBxI.shape == (task.num_steps, 300, task.input_size)
    assert batch.inputs_TxBxI.dtype == jnp.float32
    assert batch.targets.shape == (task.target_steps, 300)
    for text, written in read(batch, input_alphabet(name), task.alphabet):
        assert written == answer(name, text, options)


@pytest.mark.usefixtures("x64")
def test_in_float64() -> None:
    for name in ("reverse", "sort", "addition", "date_format"):
        task = build_task(name, **({"examples": 50} if name == "date_format" else {}))
        batch = batch_of(task, 5)
        logits = jnp.zeros((*batch.targets.shape, task.output_size))
        tokens = jnp.argmax(logits, -1)
        values = scored(task, logits, tokens, batch).values()
        for array in (batch.inputs_TxBxI, *(value.total_B for value in values)):
            assert array.dtype == jnp.float64


def distribution(name: str, options: dict[str, Any]) -> dict[str, float]:
    """The probability of every answer, by enumeration of all inputs."""
    probability: dict[str, float] = defaultdict(float)
    if name == "addition":
        counts = range(1, options["digits"] + 1)
        for a, b in itertools.product(counts, repeat=2):
            numbers = [[n for n in range(10**k) if len(str(n)) == k] for k in (a, b)]
            share = 1 / (len(counts) ** 2 * len(numbers[0]) * len(numbers[1]))
            for left, right in itertools.product(*numbers):
                probability[answer(name, f"{left}+{right}", options)] += share
        return probability
    symbols, lengths = options["symbols"], range(options["shortest"], options["longest"] + 1)
    for length in lengths:
        for word in itertools.product(LETTERS[:symbols], repeat=length):
            written = answer(name, "".join(word), options)
            probability[written] += 1 / (len(lengths) * symbols**length)
    return probability


@pytest.mark.parametrize(("name", "options"), SMALL)
def test_baselines_are_what_the_best_blind_writer_scores(
    name: str, options: dict[str, Any]
) -> None:
    task = build_task(name, **options)
    probability = distribution(name, options)
    answers = list(probability)
    weight = np.array([probability[text] for text in answers])
    batch = answer_batch(answers, task)
    targets = np.asarray(batch.targets)
    constant = jnp.asarray(np.tile(targets[:, [np.argmax(weight)]], len(answers)))
    scores = scored(task, blind_logits(probability, answers, task), constant, batch)
    assert set(task.baseline) >= {"loss", "exact"}
    for score, value in task.baseline.items():
        total, count = np.asarray(scores[score].total_B), np.asarray(scores[score].count_B)
        mean = np.sum(weight * total) / np.sum(weight * count)
        np.testing.assert_allclose(value, mean, rtol=3e-6, err_msg=score)


@pytest.mark.parametrize(("name", "options"), SMALL)
def test_draws_have_the_distribution_of_the_baseline(name: str, options: dict[str, Any]) -> None:
    size = 100_000
    task = build_task(name, **options)
    probability = distribution(name, options)
    answers = list(probability)
    place = task.output_size ** np.arange(task.target_steps)
    numbers = np.asarray(answer_batch(answers, task).targets).T @ place
    drawn = Counter((np.asarray(batch_of(task, size).targets).T @ place).tolist())
    assert set(drawn) <= set(numbers.tolist())
    expected = size * np.array([probability[text] for text in answers])
    observed = np.array([drawn[number] for number in numbers.tolist()])
    chi_squared = np.sum((observed - expected) ** 2 / expected)
    freedom = len(answers) - 1
    # mean `freedom`, deviation sqrt(2 freedom + sum 1 / expected): five deviations
    assert chi_squared < freedom + 5 * math.sqrt(2 * freedom + np.sum(1 / expected))


def test_lengths_are_uniform_and_reach_both_ends() -> None:
    for name in ("reverse", "sort"):
        batch = batch_of(build_task(name), 10_000)
        counts = np.bincount(np.asarray(batch.lengths_B), minlength=11)
        assert counts[0] == 0
        assert np.abs(counts[1:] - 1000).max() < 5 * math.sqrt(900)
        np.testing.assert_array_equal(batch.target_lengths_B, np.asarray(batch.lengths_B) + 1)


def test_scores_ignore_what_follows_the_stop() -> None:
    task = build_task("reverse", symbols=3, longest=4)
    batch = answer_batch(["ab", "cabc"], task)
    right = jnp.where(jax.nn.one_hot(batch.targets, 4) == 1, 40.0, 0.0)
    wrong_after = right.at[3:, 0].set(-right[3:, 0]).at[0, 1].set(-right[0, 1])
    for logits, loss, accuracy in ((right, 0, 1), (wrong_after, (40 + math.log(3)) / 8, 7 / 8)):
        scores = scored(task, logits, batch.targets, batch)
        np.testing.assert_allclose(float(scores["loss"].mean()), loss, rtol=1e-6, atol=1e-6)
        assert float(scores["symbol_accuracy"].mean()) == accuracy
        np.testing.assert_array_equal(scores["loss"].count_B, [3, 5])


@pytest.mark.parametrize(
    ("tokens", "right"),
    [
        ([1, 2, 3, 0, 0], 1),
        ([1, 2, 3, 0, 2], 1),  # junk after the stop
        ([1, 2, 2, 0, 0], 0),  # a wrong symbol
        ([3, 2, 1, 0, 0], 0),  # the right symbols in the wrong order
        ([1, 2, 0, 0, 0], 0),  # stopped too early
        ([1, 2, 0, 3, 0], 0),  # and went on
        ([1, 2, 3, 3, 0], 0),  # stopped too late
        ([1, 2, 3, 1, 2], 0),  # never stopped
    ],
)
def test_exact_match(tokens: list[int], right: int) -> None:
    targets = jnp.array([[1, 2, 3, 0, 0], [3, 1, 2, 3, 0]], jnp.int32).T
    lengths = jnp.array([4, 5], jnp.int32)
    batch = Batch(jnp.zeros((3, 2, 3)), targets, lengths, lengths)
    score = exact_match(jnp.array([tokens, [3, 1, 2, 3, 0]], jnp.int32).T, batch)
    np.testing.assert_array_equal(score.total_B, [right, 1])
    np.testing.assert_array_equal(score.count_B, [1, 1])
    with pytest.raises(UsageError, match="target_lengths_B"):
        exact_match(targets, batch._replace(target_lengths_B=None))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("reverse", {"symbols": 1}, "symbols must be 2 to 26, not 1"),
        ("sort", {"symbols": 27}, "symbols must be 2 to 26, not 27"),
        ("reverse", {"shortest": 0}, "shortest must be at least 1, not 0"),
        ("sort", {"shortest": 0, "longest": 0}, "shortest must be at least 1, not 0"),
        ("sort", {"shortest": 5, "longest": 4}, "longest must be at least shortest = 5, not 4"),
        ("addition", {"digits": 0}, "digits must be 1 to 6, not 0"),
        ("addition", {"digits": 7}, "digits must be 1 to 6, not 7"),
        ("date_format", {"examples": 9}, "examples must be at least 10, not 9"),
        ("date_format", {"first_year": 2050}, "first_year to last_year must be.*2050 to 2049"),
        ("date_format", {"first_year": 950}, "years of four digits, not 950 to 2049"),
    ],
)
def test_bad_options(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_task(name, **options)


@pytest.mark.parametrize(
    ("text", "alphabet"),
    [
        ("thursday, march 5th 1998", date_format.INPUT_ALPHABET),
        ("1998-03-05", date_format.ALPHABET),
        ("12+345", SUM_ALPHABET),
        ("zebra", LETTERS),
    ],
)
def test_texts_go_round(text: str, alphabet: str) -> None:
    classes = transduction.encode(text, alphabet)
    assert [alphabet[i] for i in classes] == list(text)
    assert transduction.decode(classes, alphabet) == text
