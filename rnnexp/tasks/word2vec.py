"""Word2vec: from a word, the words around it; the skip-gram with negative sampling.

    loss of a pair (w, c) = -ln s(o_wc) - sum_{n of k drawn words} ln s(-o_wn)

s is the sigmoid, o_wc the score that the model gives to the context word c of the centre w, and the
k negatives are drawn with probabilities proportional to count^0.75. Mikolov, Sutskever, Chen,
Corrado & Dean 2013, "Distributed representations of words and phrases and their compositionality".

An example is a centre word with all words up to `window` from it: one step in, scores of all words
out, of which the loss reads those of the contexts and of their negatives. In the paper the window
of a centre is drawn from 1 to `window`; here a context at distance d has the weight
(window - d + 1) / window, the fraction of the draws that have it. Frequent words are not dropped
but have weights too: each word of a pair sqrt(subsample / its frequency), if that is below 1, which
is the expectation of dropping a word after the windows are formed ("clean" subsampling in Levy,
Goldberg & Dagan 2015). The loss is the weighted mean of pairs. A negative may be the context.

The scores with the least loss are, with P the weighted distribution of pairs and P_n that of noise,

    o_wc = ln(P(w, c) / (P(w) P_n(c))) - ln k,

with `noise_power` 1 the shifted pointwise mutual information of Levy & Goldberg 2014, "Neural word
embedding as implicit matrix factorization". A model of few features comes as near as its rank lets.

    h = E_w W + b (`feedforward`, linear, of an embedding E)        o_w = h C + b_C

has the vectors of the paper up to a linear map and biases.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.errors import UsageError, require_at_least
from rnnexp.core.seeds import require_seed
from rnnexp.core.types import Array, Batch, Key, Tree
from rnnexp.data.text import read_text, split_ends, text_file
from rnnexp.data.words import encode_words, require_vocabulary, split_words, word_vocabulary
from rnnexp.tasks.base import Finite, Score, Task

ABSENT = -1
"""The class of a context beyond an end of the text, and of its negatives."""


class Weights(NamedTuple):
    """Weights of a pair: the product of those of its distance (window,) and of both words (V,)."""

    distance_W: np.ndarray
    word_V: np.ndarray


class Pairs(NamedTuple):
    """Different ordered pairs (centre, context) of a text, and their weights, which sum to 1."""

    centre_N: np.ndarray
    context_N: np.ndarray
    weight_N: np.ndarray


def word2vec(
    *,
    file: str = "",
    window: int = 5,
    negatives: int = 5,
    noise_power: float = 0.75,
    subsample: float = 0.0,
    vocabulary: int = 2_000,
    least_count: int = 1,
    lower: bool = True,
    marks: bool = True,
    valid_fraction: float = 0.05,
    test_fraction: float = 0.05,
    data_seed: int = 0,
    data_dir: Path | None = None,
) -> Task:
    """Score the words around a word above drawn ones, in a text file.

    Of the words the first 90 % are for training, the next 5 % for validation and the last 5 % for
    test; a word that the vocabulary does not have is dropped before windows are formed. Without a
    test part (test_fraction 0) the test source is the validation source, and the test score is not
    independent: it is the best of many validations. Negatives of training are drawn anew at every
    step, those of an evaluation once.

    Baseline: the expected loss of the best scores that ignore the centre, ln(P(c) / (k P_n(c))),
    with P of the training part, on the test source. Reference: the least expected loss that any
    scores have on the test source, those of its own pairs.

    Args:
      file: any UTF-8 text file; "" is tiny Shakespeare.
      window: words on either side of a centre.
      negatives: drawn words a context, k.
      noise_power: the negatives are drawn with probabilities proportional to count to this power.
      subsample: frequency above which words count less; 0: none does.
      vocabulary: the most frequent words that are kept; 0: all.
      least_count: how often a word must occur in the training part to be kept.
      lower: capitals are read as small letters.
      marks: a punctuation mark is a word; False: words are what spaces divide.
      valid_fraction: fraction of the words that follow the training part.
      test_fraction: fraction of the words that follow the validation part; 0: none.
      data_seed: seed of the negatives of evaluations.
      data_dir: where to look for tiny Shakespeare first.

    Raises `UsageError` if the file or an option is unsuitable.
    """
    require_at_least(1, window=window, negatives=negatives, least_count=least_count)
    require_at_least(0, noise_power=noise_power, subsample=subsample)
    require_seed("data_seed", data_seed)
    require_vocabulary(vocabulary)
    path = text_file(file, data_dir)
    text = split_words(read_text(path), lower=lower, marks=marks)
    ends = split_ends(len(text), valid_fraction, test_fraction)
    words = kept_words(path, text[: ends[0]], vocabulary, least_count)
    parts, dropped = parts_of(path, text, ends, words)
    frequency_V = np.bincount(parts[0], minlength=len(words)) / len(parts[0])
    weights = pair_weights(frequency_V, window, subsample)
    noise_V = frequency_V**noise_power / np.sum(frequency_V**noise_power)
    train, valid, *test = [source(part, noise_V, window, negatives, data_seed) for part in parts]
    tested = pairs_of(parts[-1], weights)
    blind = blind_scores(pairs_of(parts[0], weights), noise_V, negatives)
    return Task(
        name="word2vec",
        mode="sequence_to_one",
        input_size=len(words),
        output_size=len(words),
        num_steps=1,
        train=train,
        valid=valid,
        test=test[0] if test else valid,
        scores=scores_with(weights),
        baseline={"loss": blind_loss(tested, blind, noise_V, negatives)},
        headline="loss",
        higher_is_better=False,
        references={
            "loss of the best scores of the test's own pairs": least_loss(
                tested, noise_V, negatives
            ),
            "unknown words, dropped": dropped,
        },
        words=words,
    )


def kept_words(path: Path, train: list[str], vocabulary: int, least_count: int) -> tuple[str, ...]:
    """The words of a training part that have a class; `UsageError` if there is only one."""
    most = vocabulary + 1 if vocabulary else 0  # the first of `word_vocabulary` is <unk>
    words = word_vocabulary(train, most=most, least_count=least_count)[1:]
    if len(words) < 2:
        raise UsageError(f"{path}: a single word is kept of the training part; two are needed")
    return words


def parts_of(
    path: Path, text: list[str], ends: tuple[int, int], words: tuple[str, ...]
) -> tuple[list[np.ndarray], float]:
    """The classes of the training, validation and test part (the last only if there is one),
    without words that have none, and the fraction of these in the last part.

    Raises `UsageError` if a part has no pair of words.
    """
    codes = [code - 1 for code in np.split(encode_words(text, ("", *words)), ends)]
    codes = codes if ends[1] < len(text) else codes[:2]
    kept = [code[code >= 0] for code in codes]
    for name, part in zip(("training", "validation", "test"), kept, strict=False):
        if len(part) < 2:
            raise UsageError(
                f"the {name} part of {path} has {len(part)} words of the vocabulary; it needs 2"
            )
    return kept, float(np.mean(codes[-1] < 0))


def pair_weights(frequency_V: np.ndarray, window: int, subsample: float) -> Weights:
    """The weights of the distances 1 to `window`, and of words of those frequencies."""
    distance_W = 1 - np.arange(window) / window
    word_V = np.ones(len(frequency_V))
    if subsample:
        word_V = np.minimum(1, np.sqrt(subsample / frequency_V))
    return Weights(distance_W, word_V)


def source(
    codes_N: np.ndarray, noise_V: np.ndarray, window: int, negatives: int, seed: int
) -> Finite:
    """Every word of a part as a centre: inputs (1, B) and targets (B, 2 window, 1 + k), which are
    each context and its negatives, `ABSENT` beyond the ends."""
    offset_C = [d for d in range(-window, window + 1) if d]
    before_V = jnp.asarray(np.cumsum(noise_V[:-1]))

    def with_negatives(context_BxC: Array, drawn_BxCxk: Array) -> Array:
        both = jnp.concatenate([context_BxC[..., None], drawn_BxCxk], -1)
        absent = jnp.full_like(both, ABSENT)
        return jnp.where(context_BxC[..., None] == ABSENT, absent, both)

    def draw(key: Key, shape: tuple[int, ...]) -> Array:
        uniform = jax.random.uniform(key, shape)
        return jnp.searchsorted(before_V, uniform, side="right").astype(jnp.int32)

    def take(codes: Tree, indices_B: Array) -> Batch:
        place_BxC = indices_B[:, None] + jnp.array([offset_C], jnp.int32)
        inside = (place_BxC >= 0) & (place_BxC < len(codes_N))
        context_BxC = codes[jnp.clip(place_BxC, 0, len(codes_N) - 1)]
        context_BxC = jnp.where(inside, context_BxC, jnp.full_like(context_BxC, ABSENT))
        key_B = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), indices_B)
        drawn = jax.vmap(lambda key: draw(key, (len(offset_C), negatives)))(key_B)
        return Batch(codes[indices_B][None], with_negatives(context_BxC, drawn))

    def augment(key: Key, batch: Batch) -> Batch:
        context_BxC = batch.targets[..., 0]
        drawn = draw(key, (*context_BxC.shape, negatives))
        return batch._replace(targets=with_negatives(context_BxC, drawn))

    return Finite(jnp.asarray(codes_N, jnp.int32), len(codes_N), take, augment)


def scores_with(weights: Weights) -> Callable[[Array, Batch], dict[str, Score]]:
    """The scores of a batch with these weights of its pairs."""
    distance_C = [*weights.distance_W[::-1], *weights.distance_W]

    def scores(outputs_BxV: Array, batch: Batch) -> dict[str, Score]:
        targets, centre_B = batch.targets, batch.inputs_TxBxI[0]
        batch_size, contexts, each = targets.shape
        read = jnp.maximum(targets, 0)
        score = jnp.take_along_axis(outputs_BxV, read.reshape(batch_size, -1), axis=1)
        score = score.reshape(batch_size, contexts, each)
        loss_BxC = jax.nn.softplus(-score[..., 0]) + jnp.sum(jax.nn.softplus(score[..., 1:]), -1)
        best_BxC = jnp.all(score[..., :1] > score[..., 1:], -1).astype(score.dtype)
        word_V = jnp.asarray(weights.word_V, score.dtype)
        of_words_BxC = word_V[centre_B][:, None] * word_V[read[..., 0]]
        weight_BxC = jnp.array([distance_C], score.dtype) * of_words_BxC
        absent_BxC = targets[..., 0] == ABSENT
        weight_BxC, loss_BxC = (
            jnp.where(absent_BxC, jnp.zeros_like(x_BxC), x_BxC) for x_BxC in (weight_BxC, loss_BxC)
        )
        count_B = jnp.sum(weight_BxC, -1)
        return {
            "loss": Score(jnp.sum(weight_BxC * loss_BxC, -1), count_B),
            "above_negatives": Score(jnp.sum(weight_BxC * best_BxC, -1), count_B),
        }

    return scores


def pairs_of(codes_N: np.ndarray, weights: Weights) -> Pairs:
    """The pairs of a text in both orders."""
    size = len(weights.word_V)
    keys, values = [], []
    for distance, of_distance in enumerate(weights.distance_W, 1):
        left, right = codes_N[:-distance].astype(int), codes_N[distance:].astype(int)
        keys += [left * size + right, right * size + left]
        values += [of_distance * weights.word_V[left] * weights.word_V[right]] * 2
    found, places = np.unique(np.concatenate(keys), return_inverse=True)
    weight_N = np.bincount(places, np.concatenate(values))
    return Pairs(found // size, found % size, weight_N / np.sum(weight_N))


def softplus(x: np.ndarray) -> np.ndarray:
    """ln(1 + e^x)."""
    result: np.ndarray = np.logaddexp(0, x)
    return result


def shifted_pmi(pairs: Pairs, noise_V: np.ndarray, negatives: int) -> np.ndarray:
    """The best score of each pair, (N,); that of a pair which does not occur is -infinity."""
    centre_V = np.bincount(pairs.centre_N, pairs.weight_N, minlength=len(noise_V))
    expected = negatives * centre_V[pairs.centre_N] * noise_V[pairs.context_N]
    result: np.ndarray = np.log(pairs.weight_N / expected)
    return result


def least_loss(pairs: Pairs, noise_V: np.ndarray, negatives: int) -> float:
    """The expected loss of the best scores, those of `shifted_pmi`."""
    score_N = shifted_pmi(pairs, noise_V, negatives)
    centre_V = np.bincount(pairs.centre_N, pairs.weight_N, minlength=len(noise_V))
    of_noise_N = negatives * centre_V[pairs.centre_N] * noise_V[pairs.context_N]
    return float(np.sum(pairs.weight_N * softplus(-score_N) + of_noise_N * softplus(score_N)))


def blind_scores(pairs: Pairs, noise_V: np.ndarray, negatives: int) -> np.ndarray:
    """The best scores (V,) that ignore the centre."""
    context_V = np.bincount(pairs.context_N, pairs.weight_N, minlength=len(noise_V))
    result: np.ndarray = np.log(context_V / (negatives * noise_V))
    return result


def blind_loss(pairs: Pairs, score_V: np.ndarray, noise_V: np.ndarray, negatives: int) -> float:
    """The expected loss on pairs of scores (V,) that ignore the centre."""
    context_V = np.bincount(pairs.context_N, pairs.weight_N, minlength=len(noise_V))
    found = context_V @ softplus(-score_V) + negatives * noise_V @ softplus(score_V)
    return float(found)
