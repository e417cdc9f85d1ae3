"""Tasks that write another sequence: answers in plain Python, baselines by enumeration."""

import datetime
import itertools
import math
import re
from collections import Counter, defaultdict
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.errors import UsageError
from rnnexp.tasks import TASKS, date_format, transduction
from rnnexp.tasks.addition import INPUT_ALPHABET as SUM_ALPHABET
from rnnexp.tasks.addition import sum_distribution
from rnnexp.tasks.base import Endless, Finite, Score, Task
from rnnexp.tasks.transduction import LETTERS, exact_match
from rnnexp.types import Batch

KEY = jax.random.key(0)
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


def test_the_distribution_of_sums_of_many_digits() -> None:
    number = [1 / 30] * 10 + [1 / 270] * 90 + [1 / 2700] * 900
    np.testing.assert_allclose(sum_distribution(3), np.convolve(number, number), rtol=1e-9)
    most = sum_distribution(6)
    assert len(most) == 2 * 10**6 - 1
    np.testing.assert_allclose(np.sum(most), 1)
    smallest, largest = 1 / 60**2, (1 / (6 * 900_000)) ** 2
    np.testing.assert_allclose([most[0], most[-1]], [smallest, largest], rtol=1e-4)


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


def test_reading_and_writing_dates() -> None:
    assert date_format.encode("5.3").tolist() == [10, 3, 8]
    assert date_format.decode([3, 11, 0, 5, 99]) == "19"  # up to the stop
    assert date_format.decode(jnp.array([3, 11])) == "19"
    with pytest.raises(UsageError, match="unknown symbol 'ä' at position 3 of '5 mär 1998'"):
        date_format.encode("5 mär 1998")
    for bad in (12, -1):
        with pytest.raises(
            UsageError, match=f"unknown class {bad} at position 2; expected 0 to 11"
        ):
            date_format.decode([1, 2, bad])


# Dates


# fmt: off
PATTERNS = (
    "%d %B %Y", "%B %d, %Y", "%A, %B %d %Y", "%Y/%m/%d", "%b %d %Y", "%d-%b-%Y",
    "%a %d %b %Y", "the %d of %B, %Y", "%d %m %Y", "%Y%m%d",
    "%d/%m/%Y", "%m/%d/%Y", "%d%m%Y", "%m%d%Y",  # in which nothing here is written
)
# fmt: on
ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")


@cache
def dates_task() -> Task:
    return build_task("date_format", examples=400)


def texts_of(task: Task, split: str) -> list[tuple[str, str]]:
    """(text, answer) of a whole split."""
    source = getattr(task, split)
    assert isinstance(source, Finite)
    batch = batch_of(task, source.size, split)
    return read(batch, date_format.INPUT_ALPHABET, date_format.ALPHABET)


def meanings(text: str) -> set[datetime.date]:
    """All dates that a text can mean; a wrong day of the week is an error."""
    plain = re.sub(r"\.([IVX]+)\.", lambda m: f" {ROMAN.index(m[1]) + 1} ", text)
    plain = re.sub(r"(?<=\d)(st|nd|rd|th)\b", "", plain)
    found = set()
    for pattern in PATTERNS:
        try:
            date = datetime.datetime.strptime(plain, pattern).date()
        except ValueError:
            continue
        if pattern[:2] in ("%A", "%a"):
            weekday = plain.partition(" ")[0].strip(",")
            assert date.strftime(pattern[:2]).lower() == weekday.lower(), text
        if 1950 <= date.year <= 2049:
            found.add(date)
    return found


def test_dates_are_what_strptime_reads() -> None:
    task = dates_task()
    assert (task.input_size, task.output_size) == (59, 12)
    assert (task.num_steps, task.target_steps) == (30, 11)
    for split, size in (("train", 400), ("valid", 40), ("test", 40)):
        pairs = texts_of(task, split)
        assert len(pairs) == size
        for text, written in pairs:
            assert {date.isoformat() for date in meanings(text)} == {written}, text


def test_every_format_of_a_date() -> None:
    date = datetime.date(1998, 3, 5)
    assert [date_format.write_date(date, template) for template in date_format.FORMATS] == [
        "5 march 1998",
        "March 5, 1998",
        "thursday, march 5th 1998",
        "1998/03/05",
        "mar 05 1998",
        "05-MAR-1998",
        "Thu 5 Mar 1998",
        "the 5th of March, 1998",
        "5.III.1998",
        "19980305",
    ]
    texts = [text for text, _ in texts_of(dates_task(), "train")]
    shapes = Counter(re.sub(r"[A-Za-z]+", "a", re.sub(r"\d+", "0", text)) for text in texts)
    assert len(shapes) == 10
    assert np.abs(np.array(list(shapes.values())) - 40).max() < 5 * math.sqrt(400 * 0.1 * 0.9)


def test_the_alphabet_and_the_steps_are_just_enough() -> None:
    days = [datetime.date(2023, 1, 1) + datetime.timedelta(i) for i in range(7 * 365)]
    texts = [date_format.write_date(day, form) for day in days for form in date_format.FORMATS]
    assert "".join(sorted(set("".join(texts)))) == "".join(sorted(date_format.INPUT_ALPHABET))
    assert max(map(len, texts)) == date_format.INPUT_STEPS
    suffixes = {f"{n}{date_format.ordinal_suffix(n)}" for n in (1, 2, 3, 4, 11, 12, 13, 21, 22, 31)}
    expected = {"1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "31st"}
    assert suffixes == expected


def test_no_held_out_date_occurs_in_training_in_any_format() -> None:
    # 3,650 dates and 8,000 texts: without the cut, nearly every date would be shared
    task = build_task("date_format", examples=8000, first_year=2001, last_year=2010)
    written = {
        split: {answer for _, answer in texts_of(task, split)}
        for split in ("train", "valid", "test")
    }
    for one, other in itertools.combinations(written.values(), 2):
        assert not one & other
    years = Counter(answer[:4] for answer in written["train"])
    assert sorted(years) == [str(year) for year in range(2001, 2011)]
    # of the training dates (3,652 - 2 * 365), a share of exp(-8000 / 2922) is never drawn
    np.testing.assert_allclose(
        len(written["train"]), 2922 * (1 - math.exp(-8000 / 2922)), rtol=0.03
    )


def test_the_data_seed_decides() -> None:
    one, again = (
        texts_of(dates_task(), "test"),
        texts_of(build_task("date_format", examples=400), "test"),
    )
    assert one == again
    assert one != texts_of(build_task("date_format", examples=400, data_seed=1), "test")


def test_date_baselines_are_what_the_best_blind_writer_scores() -> None:
    task = build_task("date_format", examples=200, first_year=1999, last_year=2000)
    days = [datetime.date(1999, 1, 1) + datetime.timedelta(i) for i in range(365 + 366)]
    probability = {day.isoformat(): 1 / len(days) for day in days}
    batch = batch_of(task, 20, "test")
    held_out = [answer for _, answer in texts_of(task, "test")]
    logits = blind_logits(probability, held_out, task)
    loss = scored(task, logits, batch.targets, batch)["loss"].mean()
    np.testing.assert_allclose(float(loss), task.baseline["loss"], rtol=1e-5)
    everything = answer_batch(list(probability), task)
    constant = jnp.broadcast_to(batch.targets[:, :1], everything.targets.shape)
    exact = exact_match(constant, everything)
    np.testing.assert_allclose(float(exact.mean()), task.baseline["exact"], rtol=1e-5)
    default = dates_task().baseline
    np.testing.assert_allclose(default["loss"], math.log(36_525) / 11)
