"""The word-level language model reads its words in order, unknown ones among them."""

import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.config.schema import experiment, finish
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Batch
from rnnexp.data.kneser_ney import kneser_ney_losses
from rnnexp.data.words import UNKNOWN, encode_words
from rnnexp.tasks.base import Stream, Task
from rnnexp.tasks.word_lm import scores, word_lm
from rnnexp.train.compiled import Programs
from rnnexp.train.plan import make_plan

WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    ".",
    "the",
    "dog",
    "ran",
    ".",
    "a",
    "cat",
    "ran",
    "on",
]
SMALL = {"valid_fraction": 0.2, "test_fraction": 0.1, "window_steps": 8}


def text_of(path: Path, length: int = 400, new: str = "") -> Path:
    """A text of words of which each tells something about the next; `new` is in its last part."""
    steps = np.cumsum(np.random.default_rng(0).integers(1, 3, length)) % len(WORDS)
    words = [WORDS[step] for step in steps]
    words[-length // 20 :] = [new or word for word in words[-length // 20 :]]
    path.write_text(" ".join(words))
    return path


def whole(task: Task, split: str) -> tuple[list[str], list[str]]:
    """The inputs and targets of a source, as words."""
    source = getattr(task, split)
    assert isinstance(source, Stream)
    assert task.words is not None
    positions = jnp.arange(source.size, dtype=jnp.int32)[:, None]
    batch = jax.jit(source.take)(source.arrays, positions)
    assert batch.inputs_TxBxI.dtype == jnp.int32
    inputs, targets = ([task.words[i] for i in row[:, 0]] for row in (batch[0], batch[1]))
    return inputs, targets


def test_a_text_in_another_encoding_is_the_same_text(tmp_path: Path) -> None:
    content = text_of(tmp_path / "t.txt").read_text().replace("mat", "m\xe5t")
    (tmp_path / "t.txt").write_bytes(content.encode("latin-1"))
    task = word_lm(file=str(tmp_path / "t.txt"), encoding="latin-1", **SMALL)  # type: ignore[arg-type]
    assert "m\xe5t" in (task.words or ())
    with pytest.raises(UsageError, match="not utf-8: byte"):
        word_lm(file=str(tmp_path / "t.txt"))


def test_the_parts_of_the_text_follow_each_other(tmp_path: Path) -> None:
    path = text_of(tmp_path / "t.txt")
    words = path.read_text().split(" ")
    task = word_lm(file=str(path), **SMALL)  # type: ignore[arg-type]
    assert task.words is not None
    assert set(task.words) == {UNKNOWN, *WORDS}
    assert task.input_size == task.output_size == len(task.words)
    counts = [words[:280].count(word) for word in task.words[1:]]
    assert counts == sorted(counts, reverse=True)
    for split, part in {"train": words[:280], "valid": words[280:360], "test": words[360:]}.items():
        assert whole(task, split) == (part[:-1], part[1:])
    assert task.references["unknown words"] == 0


def test_words_that_training_does_not_have_are_unknown(tmp_path: Path) -> None:
    path = text_of(tmp_path / "t.txt", new="heron")
    task = word_lm(file=str(path), **SMALL)  # type: ignore[arg-type]
    inputs, _ = whole(task, "test")
    assert inputs[-19:] == [UNKNOWN] * 19
    assert task.references["unknown words"] == 20 / 40
    few = word_lm(file=str(path), vocabulary=4, **SMALL)  # type: ignore[arg-type]
    assert few.words == (task.words or ())[:4]
    train = path.read_text().split(" ")[:280]
    assert whole(few, "train")[0] == [w if w in (few.words or ()) else UNKNOWN for w in train[:-1]]
    often = word_lm(file=str(path), least_count=40, **SMALL)  # type: ignore[arg-type]
    assert often.words == (UNKNOWN, *(w for w in (task.words or ())[1:] if train.count(w) >= 40))
    assert 1 < len(often.words) < len(task.words or ())


def test_the_baseline_is_kneser_ney_on_the_test_part(tmp_path: Path) -> None:
    path = text_of(tmp_path / "t.txt", new="heron")
    task = word_lm(file=str(path), **SMALL)  # type: ignore[arg-type]
    words = path.read_text().split(" ")
    train, test = (encode_words(part, task.words or ()) for part in (words[:280], words[360:]))
    losses = kneser_ney_losses(train, test, task.output_size)
    assert task.baseline == {"loss": losses[3], "perplexity": math.exp(losses[3])}
    assert task.references["loss of Kneser-Ney 3-grams"] == losses[2]
    assert [*task.references] == [
        "loss of 1-grams", "loss of 2-grams", "loss of 3-grams", "loss of Kneser-Ney 2-grams",
        "loss of Kneser-Ney 3-grams", "unknown words",
    ]  # fmt: skip


def test_an_evaluation_has_exp_of_the_mean_loss(tmp_path: Path) -> None:
    """Of all words of the split together, and not the mean over batches or windows."""
    config = experiment("word_lm/gru")
    keys = {"task.file": str(text_of(tmp_path / "t.txt")), "task.window_steps": 8,
            "cell.hidden_size": 6, "model.embedding_size": 6, "model.tied_output": True,
            "train.batch_size": 4, "train.duration_steps": 2, "eval.batch_size": 3}  # fmt: skip
    config.update_from_flattened_dict(keys)
    plan = make_plan(finish(config), data_dir=None, chunk_steps=1)
    programs = Programs(plan)
    found = programs.scores("valid", programs.initial())
    np.testing.assert_allclose(found["perplexity"], math.exp(found["loss"]), rtol=1e-6)
    assert 1 < found["perplexity"] < 40
    np.testing.assert_allclose(math.log(found["perplexity"]), math.log(12), atol=1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"vocabulary": 1}, r"vocabulary must be 0 \(all words\) or at least 2, not 1"),
        ({"least_count": 0}, "least_count must be at least 1"),
        ({"least_count": 1_000}, "no word occurs 1000 times or more in the training part"),
        ({"window_steps": 100}, "the validation part .* has 80 of its 400 words"),
    ],
)
def test_options_that_will_not_do(tmp_path: Path, options: dict[str, int], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        word_lm(file=str(text_of(tmp_path / "t.txt")), **(SMALL | options))  # type: ignore[arg-type]


def test_scores_leave_the_padding_out() -> None:
    logits = jnp.log(jnp.array([[[0.5, 0.25, 0.25]], [[0.1, 0.1, 0.8]]]))
    batch = Batch(jnp.zeros((2, 1), jnp.int32), jnp.array([[1], [0]]), jnp.array([1]))
    found = {name: float(score.mean()) for name, score in scores(logits, batch).items()}
    np.testing.assert_allclose([found["loss"], found["accuracy"]], [math.log(4), 0], rtol=1e-6)
