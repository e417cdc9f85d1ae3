"""Recall of stored patterns from damaged cues, as for a Hopfield network.

Every example has patterns of its own, values -1 and 1, that are its context, and a cue: one of
them, of which some values are flipped and others erased (0). The target is the undamaged pattern.

| patterns | are |
| --- | --- |
| random | independent fair signs; with `correlation` c any two have a mean product of c |
| digits | scikit-learn's 8 x 8 digits, white from the middle grey level on |
| mnist | MNIST's digits, 28 x 28, likewise |

Scores: `loss`, the mean squared error of a value; `overlap`, the cosine of answer and target;
`retrieved`, the fraction of examples with every sign right; `spurious`, the fraction that ends
near no stored pattern nor the negative of one (|overlap| below 0.9).

Without the patterns, value by value, the best answer is a multiple of the cue: that of a cue with
the fractions f flipped and e erased has the loss 1 - (1 - e) q^2, q = 1 - 2 f / (1 - e), and the
overlap q sqrt(1 - e).
"""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.errors import UsageError, require_at_least, require_choice
from rnnexp.core.types import Array, Batch, Key
from rnnexp.data import digits as digits_data
from rnnexp.data import mnist as mnist_data
from rnnexp.tasks.base import Endless, Score, Task
from rnnexp.tasks.scores import once

PATTERNS = ("random", "digits", "mnist")
NEAR = 0.9
"""A final state is near a pattern if their cosine is at least this."""
Draw = Callable[[Key, int], Array]
"""`(key, batch_size) -> patterns (B, M, N)`."""


def pattern_recall(
    *,
    patterns: str = "random",
    count: int = 5,
    size: int = 100,
    correlation: float = 0.0,
    flipped: float = 0.1,
    erased: float = 0.0,
    data_dir: Path | None = None,
) -> Task:
    """Recall one of `count` stored patterns from a damaged cue.

    Args:
      patterns: random, digits or mnist.
      count: stored patterns of an example.
      size: values of a random pattern; images have their own.
      correlation: mean product of two random patterns' values, 0 to below 1.
      flipped: fraction of a cue's values with the wrong sign; the number is rounded.
      erased: fraction of a cue's values, among the others, that are 0; the number is rounded.
      data_dir: where to look for MNIST's files first.

    Raises `UsageError` for a bad option.
    """
    require_choice("patterns", patterns, PATTERNS)
    _check(patterns, count, size, correlation, flipped, erased)
    sources = _sources(patterns, count, size, correlation, data_dir)
    size = jax.eval_shape(lambda key: sources["train"](key, 1), jax.random.key(0)).shape[2]
    flips, blanks = round(flipped * size), round(erased * size)

    def source(split: str) -> Endless:
        def draw(key: Key, batch_size: int) -> Batch:
            key_patterns, key_cue = jax.random.split(key)
            stored_BxMxN = sources[split](key_patterns, batch_size)
            cue_BxN = damaged(stored_BxMxN[:, 0], key_cue, flips, blanks)
            context = {"patterns": stored_BxMxN, "cue": cue_BxN}
            return Batch(cue_BxN[None], stored_BxMxN[:, 0], context=context)

        return Endless(draw)

    kept = 1 - blanks / size
    factor = 1 - 2 * flips / size / kept
    return Task(
        name="pattern_recall",
        mode="cue_to_pattern",
        input_size=size,
        output_size=size,
        num_steps=1,
        train=source("train"),
        valid=source("valid"),
        test=source("test"),
        scores=scores,
        baseline={"loss": 1 - kept * factor**2, "overlap": factor * kept**0.5},
        headline="overlap",
        higher_is_better=True,
    )


def damaged(pattern_BxN: Array, key: Key, flips: int, blanks: int) -> Array:
    """Patterns with so many values flipped, and so many others 0, at random places."""

    def one(pattern_N: Array, key: Key) -> Array:
        rank_N = jax.random.permutation(key, pattern_N.size)
        flipped_N = jnp.where(rank_N < flips, -pattern_N, pattern_N)
        return jnp.where((rank_N >= flips) & (rank_N < flips + blanks), 0.0, flipped_N)

    return jax.vmap(one)(pattern_BxN, jax.random.split(key, len(pattern_BxN)))


def random_patterns(
    key: Key, batch_size: int, count: int, size: int, correlation: float = 0.0
) -> Array:
    """Signs (B, M, N); those of an example agree with a common parent's as often as it takes for
    any two to have that mean product."""
    key_parent, key_agree = jax.random.split(key)
    agree = jax.random.bernoulli(key_agree, (1 + correlation**0.5) / 2, (batch_size, count, size))
    parent = jax.random.bernoulli(key_parent, 0.5, (batch_size, 1, size))
    return jnp.where(agree == parent, 1.0, -1.0).astype(float)


def scores(answer_BxN: Array, batch: Batch) -> dict[str, Score]:
    """Scores of answers (B, N); see the module's docstring."""
    target_BxN, stored_BxMxN = batch.targets, batch.context["patterns"]
    signs = jnp.all(jnp.sign(answer_BxN) == target_BxN, -1)
    nearest_B = jnp.max(jnp.abs(_cosine(answer_BxN[:, None], stored_BxMxN)), -1)
    dtype = answer_BxN.dtype
    return {
        "loss": once(jnp.mean(jnp.square(answer_BxN - target_BxN), -1)),
        "overlap": once(_cosine(answer_BxN, target_BxN)),
        "retrieved": once(signs.astype(dtype)),
        "spurious": once((nearest_B < NEAR).astype(dtype)),
    }


def _cosine(a: Array, b: Array) -> Array:
    """Of vectors along the last axis; 0 for a vector of zeros."""
    product = jnp.sum(a * b, -1)
    square = jnp.sum(a * a, -1) * jnp.sum(b * b, -1)
    some = square > 0
    return jnp.where(some, product / jnp.sqrt(jnp.where(some, square, 1.0)), 0.0)


def _sources(
    patterns: str, count: int, size: int, correlation: float, data_dir: Path | None
) -> dict[str, Draw]:
    """How each split draws its patterns; images of one split are in no other."""
    if patterns == "random":

        def draw(key: Key, batch_size: int) -> Array:
            return random_patterns(key, batch_size, count, size, correlation)

        return dict.fromkeys(("train", "valid", "test"), draw)
    return {
        split: _image_draw(jnp.asarray(images), count)
        for split, images in _images(patterns, data_dir).items()
    }


def _image_draw(images_LxN: Array, count: int) -> Draw:
    def draw(key: Key, batch_size: int) -> Array:
        def one(key: Key) -> Array:
            chosen = jax.random.choice(key, len(images_LxN), (count,), replace=False)
            return jnp.where(images_LxN[chosen], 1.0, -1.0).astype(float)

        return jax.vmap(one)(jax.random.split(key, batch_size))

    return draw


def _images(patterns: str, data_dir: Path | None) -> dict[str, np.ndarray]:
    """White pixels (L, N) of the images of every split."""
    if patterns == "digits":
        images = digits_data.black_and_white(digits_data.load())
        # the file is ordered by writer, so images are dealt out in turn
        return {"train": images[0::3], "valid": images[1::3], "test": images[2::3]}
    sets = mnist_data.load(data_dir)
    white = {name: of.images.reshape(-1, 784) >= 128 for name, of in sets.items()}
    return {"train": white["train"][:55_000], "valid": white["train"][55_000:],
            "test": white["test"]}  # fmt: skip


def _check(
    patterns: str, count: int, size: int, correlation: float, flipped: float, erased: float
) -> None:
    """Raise `UsageError` for numbers out of range."""
    most = {"random": 2**31 - 1, "digits": 599, "mnist": 5_000}[patterns]
    if not 1 <= count <= most:
        raise UsageError(f"count must be 1 to {most:,} (patterns={patterns!r}), not {count}")
    require_at_least(2, size=size)
    if not 0 <= correlation < 1:
        raise UsageError(f"correlation must be at least 0 and below 1, not {correlation}")
    if correlation and patterns != "random":
        raise UsageError("correlation goes with patterns='random'; images have their own")
    for name, value in (("flipped", flipped), ("erased", erased)):
        if not 0 <= value < 1:
            raise UsageError(f"{name} must be at least 0 and below 1, not {value}")
    if flipped + erased >= 1:
        raise UsageError(
            f"flipped and erased must leave something of the cue: below 1 together, not "
            f"{flipped + erased:g}"
        )
