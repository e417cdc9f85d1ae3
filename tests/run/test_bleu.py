"""BLEU of written words: by hand, by sacrebleu itself, and with words that nobody knows."""

import math
import sys

import jax.numpy as jnp
import numpy as np
import pytest
import sacrebleu

from rnnexp.run.beam_widths import bleu_of
from rnnexp.run.bleu import NEEDS, UNSEEN, corpus_bleu, sentence

WORDS = ("<eos>", "<unk>", "the", "cat", "sat", "on", "a", "mat", "dog")


def test_bleu_of_a_small_corpus_by_hand() -> None:
    """Of 11, 9, 7 and 5 n-grams 10, 6, 4 and 2 are right; 11 words for 12 are too few."""
    written = ["the cat sat on the mat", "a dog sat on mat"]
    references = ["the cat sat on a mat", "a dog sat on the mat"]
    # the cat sat on | mat, each 1 of 1, the second "the" is not right: 5; a dog sat on mat: 5
    # the cat, cat sat, sat on; a dog, dog sat, sat on: 6 of 5 + 4
    # the cat sat, cat sat on; a dog sat, dog sat on: 4 of 4 + 3; 1 + 1 of 3 + 2
    precisions = [10 / 11, 6 / 9, 4 / 7, 2 / 5]
    expected = 100 * math.exp(1 - 12 / 11) * math.prod(precisions) ** (1 / 4)
    score, signature = corpus_bleu(written, references)
    assert score == pytest.approx(expected)
    assert signature.startswith("BLEU: sacrebleu nrefs:1|case:mixed|eff:no|tok:none|")


def test_bleu_is_sacrebleu_s_on_the_strings() -> None:
    random = np.random.default_rng(0)
    targets = random.integers(2, len(WORDS), (9, 40))
    written = np.where(random.random(targets.shape) < 0.8, targets, 2)
    lengths = random.integers(4, 9, 40)
    after = np.arange(9)[:, None] >= lengths
    targets[after] = written[after] = 0
    texts = [
        [" ".join(WORDS[n] for n in row[: int(np.argmin(row != 0))]) for row in classes.T]
        for classes in (written, targets)
    ]
    expected = sacrebleu.corpus_bleu(texts[0], [texts[1]], tokenize="none", force=True).score
    score, _ = bleu_of(jnp.asarray(written), jnp.asarray(targets), WORDS)
    assert score == expected
    assert 20 < expected < 95
    assert bleu_of(jnp.asarray(targets), jnp.asarray(targets), WORDS)[0] == pytest.approx(100)


def test_an_unknown_word_is_never_right() -> None:
    """The score is that against the words which the vocabulary does not have."""
    targets = jnp.array([[2, 3, 4, 5, 1, 7, 0]]).T
    written = jnp.array([[2, 3, 4, 5, 1, 7, 0]]).T
    real = sacrebleu.corpus_bleu(
        ["the cat sat on <unk> mat"], [["the cat sat on my mat"]], tokenize="none", force=True
    )
    assert bleu_of(written, targets, WORDS)[0] == pytest.approx(real.score)
    assert real.score < 60


def test_a_sentence_ends_at_its_stop() -> None:
    assert sentence([3, 1, 0, 4], WORDS) == "cat <unk>"
    assert sentence([3, 1], WORDS, unknown=UNSEEN) == "cat <unk>*"
    assert sentence([0], WORDS) == ""


def test_without_sacrebleu_a_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.bleu", None)
    assert corpus_bleu(["a"], ["a"]) == (None, NEEDS)
    assert "pip install 'rnnexp[bleu]'" in NEEDS
