"""The character-level language model reads its text in order and scores n-grams as they should."""

import itertools
import logging
import math
from collections import Counter
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch
from rnnexp.data import text
from rnnexp.data.files import find
from rnnexp.tasks.base import Stream, Task
from rnnexp.tasks.char_lm import char_lm
from tests.helpers.babble import SYMBOLS, babble, probability, written
from tests.helpers.data_files import SHAKESPEARE, data_or_skip

TENTH = {"valid_fraction": 0.1, "test_fraction": 0.0}


def whole(source: object, symbols: str) -> tuple[Batch, str, str]:
    """A source in a single window, and its inputs and targets as text."""
    assert isinstance(source, Stream)
    positions = jnp.arange(source.size, dtype=jnp.int32)[:, None]
    batch = jax.jit(source.take)(source.arrays, positions)
    np.testing.assert_array_equal(jnp.sum(batch.inputs_TxBxI, -1), 1)
    inputs = np.argmax(batch.inputs_TxBxI, -1)[:, 0]
    targets = np.asarray(batch.targets)[:, 0]
    return batch, *("".join(symbols[i] for i in row) for row in (inputs, targets))


def test_the_parts_of_the_text_follow_each_other(tmp_path: Path) -> None:
    content = babble(1_000)
    path = written(tmp_path / "t.txt", content)
    task = char_lm(file=str(path), valid_fraction=0.2, test_fraction=0.1, window_steps=16)
    assert task.alphabet == "".join(sorted(set(content)))
    assert (task.input_size, task.output_size, task.num_steps) == (8, 8, 16)
    parts = {"train": content[:700], "valid": content[700:900], "test": content[900:]}
    for name, part in parts.items():
        _, inputs, targets = whole(getattr(task, name), task.alphabet)
        assert (inputs, targets) == (part[:-1], part[1:])


def test_positions_side_by_side_are_read_side_by_side(tmp_path: Path) -> None:
    content = babble(400)
    task = char_lm(file=str(written(tmp_path / "t.txt", content)), window_steps=8)
    assert isinstance(task.train, Stream)
    assert task.train.window_steps == 8
    positions = jnp.array([[0, 100, 350], [1, 101, 351]], jnp.int32)
    batch = task.train.take(task.train.arrays, positions)
    alphabet = task.alphabet or ""
    inputs = [[alphabet[i] for i in row] for row in np.argmax(batch.inputs_TxBxI, -1)]
    assert inputs == [[content[p] for p in row] for row in positions.tolist()]
    targets = [[alphabet[i] for i in row] for row in batch.targets.tolist()]
    assert targets == [[content[p + 1] for p in row] for row in positions.tolist()]


def bigram_scores(task: Task, train: str) -> dict[str, float]:
    """Test scores of a network that computes the 2-gram probabilities of a text."""
    alphabet = task.alphabet or ""
    batch, _, _ = whole(task.test, alphabet)
    table = [
        [math.log(probability(train, a, b, len(alphabet), 0.1)) for b in alphabet] for a in alphabet
    ]
    logits: Array = batch.inputs_TxBxI @ jnp.array(table)
    return {name: float(score.mean()) for name, score in task.scores(logits, batch).items()}


@pytest.mark.parametrize("test_fraction", [0.0, 0.1])
def test_a_network_that_is_the_2_gram_scores_the_2_gram(
    tmp_path: Path, test_fraction: float
) -> None:
    content = babble(1_000)
    path = written(tmp_path / "t.txt", content)
    task = char_lm(file=str(path), valid_fraction=0.1, test_fraction=test_fraction, window_steps=8)
    end = 900 if test_fraction == 0 else 800
    found = bigram_scores(task, content[:end])
    np.testing.assert_allclose(found["loss"], task.references["loss of 2-grams"], rtol=1e-5)
    np.testing.assert_allclose(found["bits_per_character"], found["loss"] / math.log(2), rtol=1e-6)
    follows = Counter(itertools.pairwise(content[:end]))
    guess = {a: max(SYMBOLS, key=lambda b: follows[a, b]) for a in SYMBOLS}
    pairs = list(itertools.pairwise(content[900:]))
    np.testing.assert_allclose(
        found["accuracy"], np.mean([guess[a] == b for a, b in pairs]), rtol=1e-6
    )
    assert (task.test is task.valid) == (test_fraction == 0)


def test_the_baseline_is_the_4_gram_on_the_test_part(tmp_path: Path) -> None:
    content = babble(1_000)
    path = written(tmp_path / "t.txt", content)
    task = char_lm(file=str(path), valid_fraction=0.2, test_fraction=0.1, window_steps=8)
    logs = [
        math.log(probability(content[:700], content[i - 3 : i], content[i], 8, 0.1))
        for i in range(903, 1_000)
    ]
    np.testing.assert_allclose(task.baseline["loss"], -np.mean(logs), rtol=1e-12)
    np.testing.assert_allclose(
        task.baseline["bits_per_character"], task.baseline["loss"] / math.log(2)
    )
    assert list(task.references) == [f"loss of {n}-grams" for n in (1, 2, 3)]


def test_no_character_is_in_two_parts_by_default(tmp_path: Path) -> None:
    """Each part of the text is a part of its own: nothing is chosen by what is tested."""
    content = "".join(chr(0x4E00 + n % 900) for n in range(900))
    content += content[:100]  # the parts after the first have no new symbol
    path = written(tmp_path / "t.txt", content)
    task = char_lm(file=str(path), window_steps=8)
    parts = [whole(source, task.alphabet or "") for source in (task.train, task.valid, task.test)]
    texts = [inputs + targets[-1] for _, inputs, targets in parts]
    assert texts == [content[:900], content[900:950], content[950:]]


def test_symbols_after_the_training_part_are_one_class_on_demand(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known = babble(800)
    content = known + known[:97] + "?!?" + known[:96] + "?#!!"
    path = written(tmp_path / "t.txt", content)
    options: dict[str, Any] = {"valid_fraction": 0.1, "test_fraction": 0.1, "window_steps": 8}
    with caplog.at_level(logging.INFO, "rnnexp"):
        task = char_lm(file=str(path), unknown=True, **options)
    assert "7 symbols after the training part are unknown, 3 of them distinct" in caplog.text
    alphabet = task.alphabet or ""
    assert alphabet == text.vocabulary(known) + "\ufffd"
    assert (task.input_size, task.output_size) == (len(alphabet), len(alphabet))
    _, inputs, targets = whole(task.test, alphabet)
    assert (inputs[-3:], targets[-4:]) == ("\ufffd\ufffd\ufffd", "\ufffd" * 4)
    assert inputs[:-3] == known[:96]
    _, inputs, targets = whole(task.train, alphabet)
    assert inputs + targets[-1] == known
    assert task.references["unknown symbols"] == 0.04
    found = bigram_scores(task, known)
    np.testing.assert_allclose(found["loss"], task.references["loss of 2-grams"], rtol=1e-5)


def test_a_replacement_character_of_the_text_is_the_unknown_class(tmp_path: Path) -> None:
    content = "\ufffd\U0001f600" + babble(700) + "?" * 80
    path = written(tmp_path / "t.txt", content)
    task = char_lm(file=str(path), unknown=True, window_steps=8, valid_fraction=0.1)
    assert task.alphabet == text.vocabulary(content.rstrip("?"))
    _, inputs, _ = whole(task.valid, task.alphabet)
    assert inputs[-1] == "\ufffd"


def test_a_text_in_another_encoding_is_the_same_text(tmp_path: Path) -> None:
    content = "\xe9t\xe9 et hiver, " * 80
    tasks = []
    for encoding in ("utf-8", "latin-1"):
        path = tmp_path / encoding
        path.write_bytes(content.encode(encoding))
        tasks.append(char_lm(file=str(path), encoding=encoding, window_steps=8))
    assert tasks[0].alphabet == tasks[1].alphabet
    assert tasks[0].baseline == tasks[1].baseline
    with pytest.raises(UsageError, match=r"not utf-8: byte 0 .* is 0xe9"):
        char_lm(file=str(tmp_path / "latin-1"))


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (babble(1_000), {"window_steps": 0}, "window_steps must be at least 1"),
        (babble(1_000), {"valid_fraction": 0.7, "test_fraction": 0.3}, "their sum below 1"),
        (
            babble(1_000),
            TENTH | {"window_steps": 100},
            r"the validation part .* has 100 of its 1,000",
        ),
        (
            babble(1_000),
            TENTH | {"test_fraction": 0.004, "window_steps": 2},
            "the test part .* least 5",
        ),
        (babble(100), TENTH | {"valid_fraction": 0.9}, "the training part .* needs at least 65"),
        (babble(900) + "?" * 100, TENTH, r"'\?' \(U\+003F\) at character 900"),
    ],
    ids=["window", "fractions", "validation", "test", "training", "unseen"],
)
def test_a_text_that_will_not_do(
    tmp_path: Path, content: str, options: dict[str, float], words: str
) -> None:
    path = written(tmp_path / "t.txt", content)
    with pytest.raises(UsageError, match=words):
        char_lm(file=str(path), **options)  # type: ignore[arg-type]


def test_facts_about_tiny_shakespeare() -> None:
    data_dir = data_or_skip(SHAKESPEARE)
    content = text.read_text(find(text.TINY_SHAKESPEARE, data_dir))
    assert (len(content), len(set(content)), content.count("\n")) == (1_115_394, 65, 40_000)
    task = char_lm(data_dir=data_dir, valid_fraction=0.1, test_fraction=0.0)
    assert isinstance(task.train, Stream)
    assert isinstance(task.valid, Stream)
    assert (task.train.size, task.valid.size) == (1_003_854 - 1, 111_540 - 1)
    # counted from the file by another program; the last tenth validates, 0.1 is added to counts
    losses = [*task.references.values(), task.baseline["loss"]]
    assert [round(loss, 3) for loss in losses] == [3.347, 2.484, 2.046, 1.784]
