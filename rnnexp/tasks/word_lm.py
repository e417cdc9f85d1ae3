"""Word-level language model: the next word of a text, read as one long stream.

Mikolov et al. 2010, "Recurrent neural network based language model". The parts of the text are, in
order, training, validation and test. The vocabulary is the training part's; every other word is
`<unk>`, class 0.

`perplexity` is exp(loss), the loss in nats a word. It depends on the vocabulary: the more words are
`<unk>`, the lower it is. Perplexities of different vocabularies say nothing about each other.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from rnnexp.core.errors import require_at_least
from rnnexp.core.types import Array, Batch, Tree
from rnnexp.data.kneser_ney import kneser_ney_losses
from rnnexp.data.ngrams import ngram_losses
from rnnexp.data.text import read_text, split_ends, text_file
from rnnexp.data.words import encode_words, require_vocabulary, split_words, word_vocabulary
from rnnexp.tasks.base import Score, Stream, Task
from rnnexp.tasks.char_lm import MOST_GRAM, require_room, sources_of
from rnnexp.tasks.scores import correct, cross_entropy, over_steps


def word_lm(
    *,
    file: str = "",
    encoding: str = "utf-8",
    vocabulary: int = 2_000,
    least_count: int = 1,
    lower: bool = True,
    marks: bool = True,
    line_ends: bool = False,
    valid_fraction: float = 0.05,
    test_fraction: float = 0.05,
    window_steps: int = 32,
    data_dir: Path | None = None,
) -> Task:
    """Predict the next word of a text file.

    Of the words the first 90 % are for training, the next 5 % for validation and the last 5 % for
    test. Without a test part (test_fraction 0) the test source is the validation source, and the
    test score is not independent: it is the best of many validations.

    The baseline is the interpolated Kneser-Ney 4-gram, counted on the training part and scored on
    the test source; shorter ones, and n-grams with 0.1 added to every count, are references. So is
    the fraction of the test source's words that the vocabulary does not have.

    Args:
      file: any text file; "" is tiny Shakespeare.
      encoding: of the file, such as utf-16, cp1252, latin-1.
      vocabulary: the most frequent words that have a class of their own, with `<unk>`; 0: all.
      least_count: how often a word must occur in the training part to have a class.
      lower: capitals are read as small letters.
      marks: a punctuation mark is a word; False: words are what spaces divide, as in a text that
        is divided into words already.
      line_ends: the end of a line is the word `<eos>`.
      valid_fraction: fraction of the words that follow the training part.
      test_fraction: fraction of the words that follow the validation part; 0: none.
      window_steps: words between two cuts of back-propagation.
      data_dir: where to look for tiny Shakespeare first.

    Raises `UsageError` if the file or an option is unsuitable.
    """
    require_at_least(1, window_steps=window_steps, least_count=least_count)
    require_vocabulary(vocabulary)
    path = text_file(file, data_dir)
    text = split_words(read_text(path, encoding), lower=lower, marks=marks, line_ends=line_ends)
    train_end, valid_end = split_ends(len(text), valid_fraction, test_fraction)
    lengths = np.diff([0, train_end, valid_end, len(text)])
    require_room(path, lengths, window_steps, of="words")
    words = word_vocabulary(text[:train_end], most=vocabulary, least_count=least_count)
    train, valid, test = np.split(encode_words(text, words), [train_end, valid_end])
    sources = sources_of(train, valid, test, lambda part: stream(part, window_steps))
    scored = test if len(test) else valid
    loss, references = count_references(train, scored, len(words))
    return Task(
        name="word_lm",
        mode="synchronous",
        input_size=len(words),
        output_size=len(words),
        num_steps=window_steps,
        train=sources.train,
        valid=sources.valid,
        test=sources.test,
        scores=scores,
        derived={"perplexity": perplexity},
        baseline={"loss": loss, "perplexity": math.exp(loss)},
        headline="loss",
        higher_is_better=False,
        causal=True,
        references=references,
        words=words,
    )


def count_references(
    train: np.ndarray, test: np.ndarray, symbols: int
) -> tuple[float, dict[str, float]]:
    """The loss of the longest Kneser-Ney model, and the further figures of the test source."""
    added = ngram_losses(train, test, symbols, most=MOST_GRAM - 1)
    *shorter, longest = kneser_ney_losses(train, test, symbols, most=MOST_GRAM)
    names = [f"loss of {n}-grams" for n in range(1, MOST_GRAM)]
    names += [f"loss of Kneser-Ney {n}-grams" for n in range(2, MOST_GRAM)]
    references = dict(zip(names, [*added, *shorter[1:]], strict=True))
    return longest, {**references, "unknown words": float(np.mean(test == 0))}


def stream(codes_N: np.ndarray, window_steps: int) -> Stream:
    """The source of a part of the text, in numbers; every word but the last is an input."""

    def take(codes: Tree, positions_TxB: Array) -> Batch:
        return Batch(codes[positions_TxB], codes[positions_TxB + 1])

    return Stream(jnp.asarray(codes_N), len(codes_N) - 1, window_steps, take)


def scores(logits_TxBxO: Array, batch: Batch) -> dict[str, Score]:
    """Cross-entropy in nats, and accuracy, over all valid steps."""
    loss_TxB = cross_entropy(logits_TxBxO, batch.targets)
    return {
        "loss": over_steps(loss_TxB, batch.lengths_B),
        "accuracy": over_steps(correct(logits_TxBxO, batch.targets), batch.lengths_B),
    }


def perplexity(means: Mapping[str, Array]) -> Array:
    """exp(loss), of the mean loss in nats a word."""
    return jnp.exp(means["loss"])
