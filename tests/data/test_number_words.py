"""Numbers in English words, read back by another rule, and their distribution."""

import numpy as np

from rnnexp.data.number_words import SCALES, TENS, UNITS, draw_numbers, number_words

VALUES = {word: value for value, word in enumerate(UNITS)}
VALUES |= {word: 10 * value for value, word in enumerate(TENS, 2)}


def value_of(words: list[str]) -> int:
    """The number that words say: they add up, and a scale multiplies what came before it."""
    total = below = 0
    for word in words:
        if word == "hundred":
            below *= 100
        elif word in SCALES:
            total, below = total + below * 1000 ** SCALES.index(word), 0
        else:
            below += VALUES[word]
    return total + below


def test_known_numbers() -> None:
    known = {
        0: "zero", 7: "seven", 10: "ten", 13: "thirteen", 20: "twenty", 21: "twenty one",
        100: "one hundred", 471: "four hundred seventy one", 1_000: "one thousand",
        20_015: "twenty thousand fifteen", 100_100: "one hundred thousand one hundred",
        1_000_000: "one million", 2_000_019: "two million nineteen",
        999_999_999: "nine hundred ninety nine million nine hundred ninety nine thousand nine "
        "hundred ninety nine",
    }  # fmt: skip
    assert {number: " ".join(number_words(number)) for number in known} == known


def test_words_say_the_number() -> None:
    numbers = [*range(2_000), *np.random.default_rng(0).integers(10**9, size=2_000).tolist()]
    assert [value_of(number_words(number)) for number in numbers] == numbers


def test_the_count_of_digits_is_uniform_and_so_is_the_number() -> None:
    numbers = draw_numbers(np.random.default_rng(1), 30_000, 3)
    assert set(range(10)) <= set(numbers)
    assert max(numbers) < 1000
    counts = np.bincount([len(str(number)) for number in numbers])[1:]
    np.testing.assert_allclose(counts / 30_000, 1 / 3, atol=0.012)  # 4 standard errors
    ones = np.bincount([number for number in numbers if number < 10])
    np.testing.assert_allclose(ones / 10_000, 0.1, atol=0.013)
