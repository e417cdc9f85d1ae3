"""Translation: pairs of a file or of numbers, their words, parts, lengths and baseline."""

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
from rnnexp.data.number_words import number_words
from rnnexp.data.words import UNKNOWN
from rnnexp.tasks.base import Finite, Task
from rnnexp.tasks.transduction import exact_match
from rnnexp.tasks.translation import translation
from tests.helpers.task_batches import batch_of, mean_scores

SMALL: dict[str, Any] = {"examples": 900, "digits": 4}


def read(task: Task, split: str) -> list[tuple[list[str], list[str]]]:
    """All pairs of a source, in words; a target with its stop symbol."""
    source = getattr(task, split)
    assert isinstance(source, Finite)
    assert task.words is not None
    assert task.output_words is not None
    batch = batch_of(task, split, source.size)
    assert batch.lengths_B is not None
    assert batch.target_lengths_B is not None
    inputs, targets = np.asarray(batch.inputs_TxBxI), np.asarray(batch.targets)
    return [
        (
            [task.words[n] for n in inputs[: batch.lengths_B[b], b]],
            [task.output_words[n] for n in targets[: batch.target_lengths_B[b], b]],
        )
        for b in range(source.size)
    ]


def file_of(path: Path, copies: int = 60) -> Path:
    """Sentences of 2 to 5 words, each side its own words; one of them is rare."""
    lines = []
    for number in range(copies):
        names = [f"w{number // 5**place % 5}" for place in range(2 + number % 4)]
        lines.append(" ".join(names) + "\t" + " ".join(name.upper() for name in reversed(names)))
    lines.append("w1 rare w2\tW2 RARE W1")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_numbers_become_their_words() -> None:
    task = translation(**SMALL)
    assert (task.mode, task.headline, task.target_steps) == ("asynchronous", "exact", 6 + 1)
    assert set(task.words or ()) == {UNKNOWN, *"0123456789"}
    parts = {split: read(task, split) for split in ("train", "valid", "test")}
    numbers = {split: ["".join(source) for source, _ in pairs] for split, pairs in parts.items()}
    for pairs in parts.values():
        for source, target in pairs:
            assert target == [*number_words(int("".join(source))), "<eos>"]
    everything = [number for part in numbers.values() for number in part]
    assert len(set(everything)) == len(everything)  # each once, in one part
    for split, fraction in {"train": 0.8, "valid": 0.1, "test": 0.1}.items():
        assert abs(len(numbers[split]) / len(everything) - fraction) < 0.04
    other = translation(**SMALL, data_seed=1)
    assert {"".join(source) for source, _ in read(other, "train")} != set(numbers["train"])


def test_a_file_of_pairs(tmp_path: Path) -> None:
    path = file_of(tmp_path / "p.tsv")
    task = translation(path=str(path), lower=False, valid_fraction=0.2, test_fraction=0.2)
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    found = [pair for split in ("train", "valid", "test") for pair in read(task, split)]
    known = {(" ".join(source), " ".join(target[:-1])) for source, target in found}
    assert len(found) == len(lines)
    assert known >= {tuple(line) for line in lines if "rare" not in line[0]}
    train = Counter(word for source, _ in read(task, "train") for word in source)
    counts = [train[word] for word in (task.words or ())[1:]]
    assert counts == sorted(counts, reverse=True)
    assert (task.output_words or ())[:2] == ("<eos>", UNKNOWN)
    again = translation(path=str(path), lower=False, valid_fraction=0.2, test_fraction=0.2)
    assert read(again, "test") == read(task, "test")
    whole = translation(path=str(path), lower=False, valid_fraction=0.2, test_fraction=0.0)
    assert whole.test is whole.valid


def test_rare_words_have_no_class_on_either_side(tmp_path: Path) -> None:
    path = file_of(tmp_path / "p.tsv")
    task = translation(path=str(path), vocabulary=4, valid_fraction=0.3, test_fraction=0.3)
    assert (task.input_size, task.output_size) == (4, 5)
    pairs = read(task, "test")
    for side, name in enumerate(("source", "target")):
        words = [word for pair in pairs for word in pair[side] if word != "<eos>"]
        fraction = words.count(UNKNOWN) / len(words)
        assert task.references[f"unknown words of the {name}"] == pytest.approx(fraction)
        assert 0 < fraction < 1


def test_pairs_that_are_too_long_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = file_of(tmp_path / "p.tsv")
    with caplog.at_level(logging.WARNING, "rnnexp"):
        task = translation(path=str(path), longest=4, valid_fraction=0.2, test_fraction=0.2)
    assert task.num_steps == 4
    assert task.target_steps == 5
    assert task.references["pairs of more than 4 words, left out"] == 15
    assert "15 of 61 pairs" in caplog.text
    assert "first in line 4; the longest has 5" in caplog.text
    assert not any("left out" in name for name in translation(path=str(path)).references)


def test_the_baseline_is_a_writer_that_reads_nothing() -> None:
    """Of unigrams and longer ones: at least as good as the frequencies of words, and not exact."""
    task = translation(**SMALL)
    train = [tuple(target) for _, target in read(task, "train")]
    test = [tuple(target) for _, target in read(task, "test")]
    likeliest = Counter(train).most_common(1)[0][0]
    assert task.baseline["exact"] == test.count(likeliest) / len(test) == 0
    counts = Counter(word for target in train for word in target)
    words = [word for target in test for word in target]
    unigrams = -np.mean([math.log(counts[word] / sum(counts.values())) for word in words])
    assert 0.4 * unigrams < task.baseline["loss"] < 0.9 * unigrams


def test_padding_has_no_part_in_the_scores() -> None:
    task = translation(**SMALL)
    batch = batch_of(task)
    assert batch.target_lengths_B is not None
    right = 50 * jax.nn.one_hot(batch.targets, task.output_size, dtype=float)
    valid = jnp.arange(task.target_steps)[:, None] < batch.target_lengths_B[None]
    wrong = jnp.where(valid[..., None], right, jnp.roll(right, 1, -1))
    found = mean_scores(task, wrong, batch)
    assert found == {"loss": pytest.approx(0, abs=1e-6), "symbol_accuracy": 1}
    written = jnp.where(valid, batch.targets, jnp.ones_like(batch.targets))
    assert exact_match(written, batch).total_B.tolist() == [1.0] * 6


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"digits": 0}, "digits must be at least 1, not 0"),
        ({"digits": 10}, "digits must be 1 to 9, not 10"),
        ({"examples": 10}, "examples must be at least 100, not 10"),
        ({"vocabulary": 1}, r"vocabulary must be 0 \(all words\) or at least 2, not 1"),
        ({"longest": 0}, "longest must be at least 1"),
        ({"least_count": 99_999}, "no word occurs 99999 times"),
        ({"valid_fraction": 0.0}, "valid_fraction must be above 0"),
    ],
)
def test_options_that_will_not_do(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        translation(**(SMALL | options))


def test_a_file_without_short_pairs(tmp_path: Path) -> None:
    path = file_of(tmp_path / "p.tsv", copies=4)
    with pytest.raises(UsageError, match=r"each of the 5 pairs of .* more than 1 words; choose a"):
        translation(path=str(path), longest=1)
