"""Addition: read two numbers digit by digit, write the digits of their sum.

    input   1 2 + 3 4 5
    target  3 5 7 $        ($ is the stop symbol)

The addition of Zaremba & Sutskever 2014, "Learning to execute", with no program around
the sum. The first digit written can depend on every carry; `reversed_output` makes each
carry local.
"""

from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch, Key
from rnnexp.tasks.base import Endless, Task
from rnnexp.tasks.transduction import (
    PADDING,
    STOP,
    STOP_CHARACTER,
    transduction_batch,
    transduction_task,
)

DIGITS = "0123456789"
INPUT_ALPHABET = DIGITS + "+"
ALPHABET = STOP_CHARACTER + DIGITS
PLUS = INPUT_ALPHABET.index("+")
MOST_DIGITS = 6
"""The baseline needs the distribution of all sums, 2 * 10^digits numbers."""

Number: TypeAlias = tuple[Array, Array]
"""Numbers (B,) and their counts of digits (B,), both int32."""


def addition(*, digits: int = 3, reversed_output: bool = False) -> Task:
    """Add two numbers of up to `digits` digits.

    The number of digits is uniform, and so is the number given its digits (0 is one of the
    ten with one digit). No number is padded with zeros.

    Baseline, without reading: the entropy of the sum, and the likeliest sum.

    Args:
      digits: largest number of digits of a number.
      reversed_output: write the sum backwards, its lowest digit first.
    """
    if not 1 <= digits <= MOST_DIGITS:
        raise UsageError(f"digits must be 1 to {MOST_DIGITS}, not {digits}")

    def draw(key: Key, batch_size: int) -> Batch:
        left_key, right_key = jax.random.split(key)
        left = draw_number(left_key, batch_size, digits)
        right = draw_number(right_key, batch_size, digits)
        total = counted(left[0] + right[0], digits + 1)
        return transduction_batch(
            written_problem(left, right, 2 * digits + 1),
            left[1] + 1 + right[1],
            written_number(total, digits + 2, reversed_output=reversed_output),
            total[1] + 1,
            len(INPUT_ALPHABET),
        )

    return transduction_task(
        "addition",
        dict.fromkeys(("train", "valid", "test"), Endless(draw)),
        input_alphabet=INPUT_ALPHABET,
        alphabet=ALPHABET,
        num_steps=2 * digits + 1,
        target_steps=digits + 2,
        baseline=blind_baseline(digits),
    )


def draw_number(key: Key, batch_size: int, digits: int) -> Number:
    """Numbers whose count of digits is uniform in 1 ... `digits`."""
    count_key, number_key = jax.random.split(key)
    count_B = jax.random.randint(count_key, (batch_size,), 1, digits + 1, dtype=jnp.int32)
    smallest_B = jnp.where(count_B == 1, 0, powers_of_ten(count_B - 1))
    number_B = jax.random.randint(
        number_key, (batch_size,), smallest_B, powers_of_ten(count_B), dtype=jnp.int32
    )
    return number_B, count_B


def counted(number_B: Array, digits: int) -> Number:
    """Numbers of at most `digits` digits with their counts of digits."""
    power_Kx1 = powers_of_ten(jnp.arange(1, digits, dtype=jnp.int32))[:, None]
    return number_B, 1 + jnp.sum(number_B[None, :] >= power_Kx1, 0, dtype=jnp.int32)


def written_problem(left: Number, right: Number, steps: int) -> Array:
    """Input classes (T, B) of `left + right`, padded with -1."""
    (left_B, left_count_B), (right_B, right_count_B) = left, right
    step_Tx1 = jnp.arange(steps, dtype=jnp.int32)[:, None]
    plus_1xB = left_count_B[None, :]
    end_1xB = plus_1xB + 1 + right_count_B[None, :]
    left_TxB = digit_at(left_B, plus_1xB - 1 - step_Tx1)
    right_TxB = digit_at(right_B, end_1xB - 1 - step_Tx1)
    class_TxB = jnp.where(step_Tx1 < plus_1xB, left_TxB, right_TxB)
    class_TxB = jnp.where(step_Tx1 == plus_1xB, PLUS, class_TxB)
    return jnp.where(step_Tx1 < end_1xB, class_TxB, PADDING)


def written_number(number: Number, steps: int, *, reversed_output: bool) -> Array:
    """Target classes (U, B) of numbers: their digits, then stops."""
    number_B, count_B = number
    step_Ux1 = jnp.arange(steps, dtype=jnp.int32)[:, None]
    ahead_UxB = count_B[None, :] - 1 - step_Ux1
    place_UxB = jnp.broadcast_to(step_Ux1, ahead_UxB.shape) if reversed_output else ahead_UxB
    return jnp.where(ahead_UxB >= 0, digit_at(number_B, place_UxB) + 1, STOP)


def digit_at(number_B: Array, place_TxB: Array) -> Array:
    """The digit of each number at each place, 0 the ones; arbitrary at negative places."""
    return number_B[None, :] // powers_of_ten(place_TxB) % 10


def powers_of_ten(exponent: Array) -> Array:
    """10^exponent as int32, the exponent clipped to 0 ... MOST_DIGITS + 1."""
    power_K = jnp.array([10**k for k in range(MOST_DIGITS + 2)], jnp.int32)
    return power_K[jnp.clip(exponent, 0, MOST_DIGITS + 1)]


def blind_baseline(digits: int) -> dict[str, float]:
    """Scores of the best writer that reads nothing but knows the distribution of the sums."""
    probability = sum_distribution(digits)
    symbols = 1 + sum(probability[10**k :].sum() for k in range(1, digits + 1)) + 1
    return {
        "loss": float(-np.sum(probability * np.log(probability)) / symbols),
        "exact": float(np.max(probability)),
    }


def sum_distribution(digits: int) -> np.ndarray:
    """The probability of each sum, 0 to 2 * 10^digits - 2: a number's, convolved with itself."""
    number = np.empty(10**digits)
    for count in range(digits, 0, -1):
        numbers = 10**count - (10 ** (count - 1) if count > 1 else 0)
        number[: 10**count] = 1 / (digits * numbers)
    size = 2 * len(number)
    return np.fft.irfft(np.fft.rfft(number, size) ** 2, size)[:-1]
