"""Numbers in digits and the same numbers in English words.

    4 7 1       four hundred seventy one
    2 0 0 1 5   twenty thousand fifteen

What a digit becomes depends on how many digits follow it, so a reader of the first digit does not
know yet what to write. A 0 is written as nothing (but in `zero`), a 1 before a last digit makes one
word of both (`fifteen`), and `thousand` is written where its three digits are not all 0.
"""

import numpy as np

UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
SCALES = ("", "thousand", "million")
MOST_DIGITS = 3 * len(SCALES)


def number_words(number: int) -> list[str]:
    """The English words of 0 to 10^9 - 1, without "and" and hyphens."""
    if number < len(UNITS):
        return [UNITS[number]]
    words: list[str] = []
    for power in reversed(range(len(SCALES))):
        group = number // 1000**power % 1000
        if group:
            words += _below_thousand(group) + [SCALES[power]] * (power > 0)
    return words


def _below_thousand(number: int) -> list[str]:
    """The words of 1 to 999."""
    hundreds, rest = divmod(number, 100)
    words = [UNITS[hundreds], "hundred"] * (hundreds > 0)
    if rest >= len(UNITS):
        words.append(TENS[rest // 10 - 2])
        rest %= 10
    return words + [UNITS[rest]] * (rest > 0)


def draw_numbers(rng: np.random.Generator, size: int, digits: int) -> list[int]:
    """`size` numbers: the count of digits is uniform in 1 to `digits`, and so is the number given
    its digits (0 is one of the ten with one digit)."""
    counts = rng.integers(1, digits + 1, size=size)
    smallest = np.where(counts == 1, 0, 10 ** (counts - 1))
    numbers: list[int] = rng.integers(smallest, 10**counts).tolist()
    return numbers
