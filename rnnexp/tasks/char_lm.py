"""Character-level language model: the next character of a text, read as one long stream.

Karpathy 2015, "The unreasonable effectiveness of recurrent neural networks". The parts of
the text are, in order, training, validation and test. The vocabulary is the training
part's; on demand every other character is one class more.
"""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.errors import UsageError, require_at_least
from rnnexp.core.types import Array, Batch, Tree
from rnnexp.data.ngrams import ngram_losses
from rnnexp.data.text import (
    UNKNOWN_SYMBOL,
    encode,
    read_text,
    split_ends,
    text_file,
    unknown_symbols,
    vocabulary,
)
from rnnexp.tasks.base import Score, Stream, Task
from rnnexp.tasks.scores import correct, cross_entropy, over_steps

log = logging.getLogger("rnnexp")
MOST_GRAM = 4
MOST_SAID = 5
"""Unknown symbols that are named."""


def char_lm(
    *,
    file: str = "",
    encoding: str = "utf-8",
    unknown: bool = False,
    valid_fraction: float = 0.05,
    test_fraction: float = 0.05,
    window_steps: int = 64,
    data_dir: Path | None = None,
) -> Task:
    """Predict the next character of a text file.

    Of the text the first 90 % are for training, the next 5 % for validation and the last 5 % for
    test. Without a test part (test_fraction 0) the test source is the validation source, and the
    test score is not independent: it is the best of many validations.

    The baseline is the 4-gram model with 0.1 added to every count, fitted on the training
    part and scored on the test source; shorter n-grams are references.

    Args:
      file: any text file; "" is tiny Shakespeare.
      encoding: of the file, such as utf-16, cp1252, latin-1.
      unknown: symbols that only the validation or the test part has are one more class, U+FFFD.
        It does not occur in training. Without it such a text is refused.
      valid_fraction: fraction of the text that follows the training part.
      test_fraction: fraction of the text that follows the validation part; 0: none.
      window_steps: characters between two cuts of back-propagation.
      data_dir: where to look for tiny Shakespeare first.

    Raises `UsageError` if the file or an option is unsuitable.
    """
    require_at_least(1, window_steps=window_steps)
    path = text_file(file, data_dir)
    text = read_text(path, encoding)
    train_end, valid_end = split_ends(len(text), valid_fraction, test_fraction)
    require_room(path, np.diff([0, train_end, valid_end, len(text)]), window_steps)
    alphabet, codes = symbols_of(text, train_end, path, unknown=unknown)
    train, valid, test = np.split(codes, [train_end, valid_end])
    symbols = len(alphabet)
    sources = sources_of(train, valid, test, lambda part: stream(part, symbols, window_steps))
    losses = ngram_losses(train, test if len(test) else valid, symbols, most=MOST_GRAM)
    references = {f"loss of {n}-grams": loss for n, loss in enumerate(losses[:-1], 1)}
    if unknown:
        scored = text[valid_end:] or text[train_end:]
        fraction = unknown_symbols(scored, text[:train_end]).total() / len(scored)
        references["unknown symbols"] = fraction
    return Task(
        name="char_lm",
        mode="synchronous",
        input_size=symbols,
        output_size=symbols,
        num_steps=window_steps,
        train=sources.train,
        valid=sources.valid,
        test=sources.test,
        scores=scores,
        baseline={"loss": losses[-1], "bits_per_character": losses[-1] / math.log(2)},
        headline="loss",
        higher_is_better=False,
        causal=True,
        references=references,
        alphabet=alphabet,
    )


def symbols_of(text: str, train_end: int, path: Path, *, unknown: bool) -> tuple[str, np.ndarray]:
    """The alphabet of a text's training part, and the classes of the whole text.

    With `unknown` it has `UNKNOWN_SYMBOL` as well, for symbols that the training part does not
    have. How many there are is logged.

    Raises `UsageError` for such a symbol without `unknown`.
    """
    alphabet = vocabulary(text[:train_end])
    if not unknown:
        return alphabet, encode(text, alphabet, path)
    found = unknown_symbols(text[train_end:], alphabet)
    most = ", ".join(
        f"{symbol!r} {count:,} times" for symbol, count in found.most_common(MOST_SAID)
    )
    log.info(
        "%s: %d symbols after the training part are unknown, %d of them distinct%s",
        path, found.total(), len(found), f": {most}" if found else "",
    )  # fmt: skip
    whole = alphabet if UNKNOWN_SYMBOL in alphabet else alphabet + UNKNOWN_SYMBOL
    return whole, encode(text, alphabet, path, whole.index(UNKNOWN_SYMBOL))


def require_room(
    path: Path, lengths: np.ndarray, window_steps: int, *, of: str = "characters"
) -> None:
    """Raise `UsageError` if a part is shorter than a window or the longest n-gram.

    Args:
      lengths: those of the training, validation and test part; the last may be 0.
      of: what they count.
    """
    least = max(window_steps, MOST_GRAM) + 1
    for name, length in zip(("training", "validation", "test"), lengths.tolist(), strict=True):
        if length < least and not (name == "test" and length == 0):
            raise UsageError(
                f"the {name} part of {path} has {length} of its {lengths.sum():,} {of}; "
                f"with window_steps {window_steps} it needs at least {least}"
            )


class Sources(NamedTuple):
    """The sources of the parts of a text."""

    train: Stream
    valid: Stream
    test: Stream


def sources_of(
    train: np.ndarray, valid: np.ndarray, test: np.ndarray, make: Callable[[np.ndarray], Stream]
) -> Sources:
    """The source that `make` makes of each part; without a test part that of validation is both."""
    of_valid = make(valid)
    return Sources(make(train), of_valid, make(test) if len(test) else of_valid)


def stream(codes_N: np.ndarray, symbols: int, window_steps: int) -> Stream:
    """The source of a part of the text; every symbol but the last is an input."""

    def take(codes: Tree, positions_TxB: Array) -> Batch:
        inputs = jax.nn.one_hot(codes[positions_TxB], symbols, dtype=float)
        return Batch(inputs, codes[positions_TxB + 1])

    return Stream(jnp.asarray(codes_N), len(codes_N) - 1, window_steps, take)


def scores(logits_TxBxO: Array, batch: Batch) -> dict[str, Score]:
    """Cross-entropy in nats and in bits, and accuracy, over all valid steps."""
    loss_TxB = cross_entropy(logits_TxBxO, batch.targets)
    return {
        "loss": over_steps(loss_TxB, batch.lengths_B),
        "bits_per_character": over_steps(loss_TxB / math.log(2), batch.lengths_B),
        "accuracy": over_steps(correct(logits_TxBxO, batch.targets), batch.lengths_B),
    }
