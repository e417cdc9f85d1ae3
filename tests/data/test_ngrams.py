"""N-gram losses are counted right, and fast."""

import math
import time
from pathlib import Path

import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.data import text
from rnnexp.data.files import find
from rnnexp.data.ngrams import ngram_losses
from tests.helpers.babble import babble, probability
from tests.helpers.data_files import SHAKESPEARE, data_or_skip


@pytest.mark.parametrize("added", [0.1, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_ngram_losses_are_counted_right(seed: int, added: float) -> None:
    train, test = babble(150, seed), babble(40, seed + 10)[::-1]
    alphabet = text.vocabulary(train)
    codes, test_codes = (text.encode(part, alphabet, Path("f")) for part in (train, test))
    found = ngram_losses(codes, test_codes, len(alphabet), most=5, added=added)
    for n, loss in enumerate(found, 1):
        logs = [
            math.log(probability(train, test[i - n + 1 : i], test[i], len(alphabet), added))
            for i in range(n - 1, len(test))
        ]
        np.testing.assert_allclose(loss, -np.mean(logs), rtol=1e-12)


def test_ngrams_need_a_text_of_their_length() -> None:
    long, short = np.zeros(9, int), np.zeros(3, int)
    for train, test in ((long, short), (short, long)):
        with pytest.raises(UsageError, match="4-grams need 4 symbols"):
            ngram_losses(train, test, 1)
    assert ngram_losses(long, long, 1) == (0, 0, 0, 0)


def test_ngrams_of_a_million_symbols_take_seconds() -> None:
    data_dir = data_or_skip(SHAKESPEARE)
    content = text.read_text(find(text.TINY_SHAKESPEARE, data_dir))
    codes = text.encode(content, text.vocabulary(content), Path("f"))
    start = time.process_time()
    ngram_losses(codes[:1_003_854], codes[1_003_854:], 65)
    assert time.process_time() - start < 2
