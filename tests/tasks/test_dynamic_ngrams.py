"""Dynamic n-grams: drawn as they should be, and Bayes' answer against a count by hand."""

import math
import random
from collections import Counter

import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.tasks.dynamic_ngrams import bayes_logits, expected_bits
from rnnexp.train.build import build_task
from tests.helpers.synthetic_batches import batch_of
from tests.helpers.task_batches import mean_scores


def counted(text: str, order: int) -> tuple[float, float]:
    """Bits of Bayes' answer over a text of 0 and 1, and of the answer by its last bit alone."""
    ones, zeros, bits = Counter[str](), Counter[str](), 0.0
    for place in range(order - 1, len(text)):
        context, bit = text[place - order + 1 : place], text[place]
        right = (ones if bit == "1" else zeros)[context] + 0.5
        bits -= math.log2(right / (ones[context] + zeros[context] + 1))
        (ones if bit == "1" else zeros)[context] += 1
    repeats = sum(a == b for a, b in zip(text[order - 2 :], text[order - 1 :], strict=False))
    return bits, repeats / (len(text) - order + 1)


def text_of(source: random.Random, length: int, order: int) -> tuple[str, float]:
    """A text from a table of its own, and the entropy in bits of the table along it."""
    table: dict[str, float] = {}
    text, entropy = "".join(source.choice("01") for _ in range(order - 1)), 0.0
    while len(text) < length:
        context = text[len(text) - order + 1 :]
        p = table.setdefault(context, source.betavariate(0.5, 0.5))
        entropy -= sum(q * math.log2(q) for q in (p, 1 - p) if q > 0)
        text += "1" if source.random() < p else "0"
    return text, entropy


@pytest.mark.parametrize(("bits", "order"), [(200, 6), (30, 3), (2, 2)])
def test_scores_are_bayes_by_hand(bits: int, order: int) -> None:
    task = build_task("dynamic_ngrams", bits=bits, order=order)
    batch = batch_of(task, 12)
    x, y = (np.asarray(part)[..., 0].astype(int) for part in (batch.inputs_TxBxI, batch.targets))
    np.testing.assert_array_equal(x[1:], y[:-1])
    texts = ["".join(map(str, [*x[:, b], y[-1, b]])) for b in range(12)]
    bayes = np.mean([counted(text, order)[0] for text in texts])
    even = mean_scores(task, jnp.zeros(batch.targets.shape), batch)
    assert even["bits"] == pytest.approx(bits - order + 1)
    assert even["loss"] == pytest.approx((bits - order + 1) * math.log(2), rel=1e-5)
    assert even["excess_bits"] == pytest.approx(bits - order + 1 - bayes, rel=1e-4, abs=1e-4)
    exact = mean_scores(task, bayes_logits(batch, order)[..., None], batch)
    assert exact["bits"] == pytest.approx(bayes, rel=1e-5)
    assert exact["excess_bits"] == pytest.approx(0, abs=1e-4)


def test_what_is_said_before_enough_bits_are_known_does_not_count() -> None:
    task = build_task("dynamic_ngrams", bits=20, order=6)
    batch = batch_of(task, 3)
    outputs = jnp.zeros(batch.targets.shape)
    odd = mean_scores(task, outputs.at[:4].set(9.0), batch)
    assert odd == mean_scores(task, outputs, batch)
    assert mean_scores(task, outputs.at[4].set(9.0), batch) != odd


def test_the_drawn_bits_are_those_of_such_tables() -> None:
    """Of Beta(1/2, 1/2): after the same five bits, one in two is 1 the first time, three of four
    repeat the first one the second time, and five of six repeat two equal ones the third."""
    batch = batch_of(build_task("dynamic_ngrams"), 300)
    bits = np.asarray(batch.inputs_TxBxI)[..., 0].astype(int)
    first, second, third = [], [], []
    for text in bits.T.tolist():
        followed: dict[tuple[int, ...], list[int]] = {}
        for t in range(5, len(text)):
            followed.setdefault(tuple(text[t - 5 : t]), []).append(text[t])
        first += [found[0] for found in followed.values()]
        second += [found[1] == found[0] for found in followed.values() if len(found) > 1]
        third += [f[2] == f[0] for f in followed.values() if len(f) > 2 and f[0] == f[1]]
    for found, share in ((first, 1 / 2), (second, 3 / 4), (third, 5 / 6)):
        assert len(found) > 2000
        error = math.sqrt(share * (1 - share) / len(found))
        np.testing.assert_allclose(np.mean(found), share, atol=4.5 * error)


def test_figures_by_simulation() -> None:
    """They agree with another simulation, of fewer texts, within 4.5 standard errors."""
    source, found, rows = random.Random(1), expected_bits(40, 4), []
    for _ in range(1500):
        text, entropy = text_of(source, 40, 4)
        rows.append((*counted(text, 4), entropy))
    bayes, repeats, table = np.array(rows).T
    for values, figure in ((bayes, found.bayes), (table, found.table)):
        error = values.std() / math.sqrt(len(values))
        np.testing.assert_allclose(values.mean(), figure, atol=4.5 * 1.2 * error)
    p = repeats.mean()
    alone = -37 * (p * math.log2(p) + (1 - p) * math.log2(1 - p))
    np.testing.assert_allclose(alone, found.last_bit, atol=0.3)
    assert found.table < found.bayes < found.last_bit < 37


@pytest.mark.slow
def test_200_bits_have_the_known_losses() -> None:
    source = random.Random(2)
    rows = []
    for _ in range(3000):
        text, entropy = text_of(source, 200, 6)
        rows.append((*counted(text, 6), entropy))
    bayes, _, table = np.array(rows).mean(0)
    found = expected_bits(200, 6)
    np.testing.assert_allclose([bayes, found.bayes], 127.6, atol=1.8)
    np.testing.assert_allclose([table, found.table], 97.5, atol=1.8)


def test_baseline_and_references_are_these_figures() -> None:
    task, found = build_task("dynamic_ngrams"), expected_bits(200, 6)
    assert task.baseline == {"bits": found.last_bit, "loss": found.last_bit * math.log(2)}
    assert task.references == {
        "bits of Bayes' answer": found.bayes,
        "bits of the table": found.table,
    }
    assert abs(found.bayes - 127.6) < 1.8
    assert abs(found.table - 97.5) < 1.8


def test_the_baseline_is_what_the_last_bit_alone_says() -> None:
    task = build_task("dynamic_ngrams", bits=60, order=2)
    batch = batch_of(task, 4000)
    x = np.asarray(batch.inputs_TxBxI)
    same = float(np.mean(x == np.asarray(batch.targets)))
    logit = math.log(same / (1 - same))
    outputs = jnp.where(batch.inputs_TxBxI > 0.5, logit, -logit)
    bits = mean_scores(task, outputs, batch)["bits"]
    np.testing.assert_allclose(bits, task.baseline["bits"], rtol=0.02)
    for factor in (0.5, 1.5):
        assert mean_scores(task, factor * outputs, batch)["bits"] > bits


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 1}, "order must be 2 to 12, not 1"),
        ({"order": 13}, "order must be 2 to 12, not 13"),
        ({"bits": 5}, r"bits must be 6 \(order\) to 10,?000, not 5"),
        ({"bits": 10_001}, "bits must be"),
    ],
)
def test_bad_options(options: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_task("dynamic_ngrams", None, **options)
