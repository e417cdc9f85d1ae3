"""Date format: write a free-form date as YYYY-MM-DD.

    input   t h u r s d a y ,   m a r c h   5 t h   1 9 9 8
    target  1 9 9 8 - 0 3 - 0 5 $        ($ is the stop symbol)

A small translation with long reorderings: many texts have the year last, which the target
has first. The texts have ten formats, none of them ambiguous: years have four digits, and
a month that is a number comes after the year.
"""

import datetime
import math
from collections.abc import Iterable, Sequence

import jax.numpy as jnp
import numpy as np

from rnnexp.core.errors import UsageError
from rnnexp.core.seeds import require_seed
from rnnexp.core.types import Array, Batch, Tree
from rnnexp.tasks import transduction
from rnnexp.tasks.base import Finite, Task
from rnnexp.tasks.transduction import STOP, STOP_CHARACTER, transduction_batch, transduction_task

FORMATS = (
    "{day} {month} {year}",  # 5 march 1998
    "{Month} {day}, {year}",  # March 5, 1998
    "{weekday}, {month} {nth} {year}",  # thursday, march 5th 1998
    "{year}/{mm}/{dd}",  # 1998/03/05
    "{mon} {dd} {year}",  # mar 05 1998
    "{dd}-{MON}-{year}",  # 05-MAR-1998
    "{Wkd} {day} {Mon} {year}",  # Thu 5 Mar 1998
    "the {nth} of {Month}, {year}",  # the 5th of March, 1998
    "{day}.{roman}.{year}",  # 5.III.1998
    "{year}{mm}{dd}",  # 19980305
)
# fmt: off
MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)
# fmt: on
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")

INPUT_ALPHABET = " ,-./0123456789abcdefghijlmnoprstuvwyABCDEFGIJLMNOPRSTUVWXY"
ALPHABET = STOP_CHARACTER + "-0123456789"
INPUT_STEPS = len("wednesday, september 30th 1998")
TARGET_STEPS = len("YYYY-MM-DD$")
NO_CLASS = 255
"""Class of an input step after the end, as uint8; its one-hot vector is zero."""
HELD_OUT = 10
"""One date in ten is for validation, one in ten for the test."""


def date_format(
    *, examples: int = 20_000, first_year: int = 1950, last_year: int = 2049, data_seed: int = 0
) -> Task:
    """Write dates of `first_year` to `last_year` in ISO form, from `examples` texts.

    `numpy.random.default_rng(data_seed)` shuffles all dates and splits them 8 : 1 : 1, so
    no date of validation or test occurs in training. Training has `examples` texts,
    validation and test a tenth of that each; the date and format of each are uniform draws
    with replacement.

    Baseline, without reading: all dates of those years are equally likely, so the loss is
    ln(dates) nats over 11 symbols, and any constant answer is right once in `dates`.

    Args:
      examples: texts of the training set.
      first_year: earliest year.
      last_year: latest year.
      data_seed: seed of the split of the dates and of the texts.
    """
    if examples < HELD_OUT:
        raise UsageError(f"examples must be at least {HELD_OUT}, not {examples}")
    if not 1000 <= first_year <= last_year <= 9999:
        raise UsageError(
            "first_year to last_year must be a range of years of four digits, "
            f"not {first_year} to {last_year}"
        )
    require_seed("data_seed", data_seed)
    rng = np.random.default_rng(data_seed)
    pools = date_pools(rng, first_year, last_year)
    sizes = {"train": examples, "valid": examples // HELD_OUT, "test": examples // HELD_OUT}
    dates = sum(map(len, pools.values()))
    return transduction_task(
        "date_format",
        {split: draw_texts(rng, pools[split], size) for split, size in sizes.items()},
        input_alphabet=INPUT_ALPHABET,
        alphabet=ALPHABET,
        num_steps=INPUT_STEPS,
        target_steps=TARGET_STEPS,
        baseline={"loss": math.log(dates) / TARGET_STEPS, "exact": 1 / dates},
    )


def date_pools(rng: np.random.Generator, first_year: int, last_year: int) -> dict[str, np.ndarray]:
    """The ordinals of all dates of the years, shuffled and split into train, valid and test."""
    start = datetime.date(first_year, 1, 1).toordinal()
    end = datetime.date(last_year, 12, 31).toordinal() + 1
    order = rng.permutation(np.arange(start, end))
    held_out = len(order) // HELD_OUT
    test, valid, train = np.split(order, [held_out, 2 * held_out])
    return {"train": train, "valid": valid, "test": test}


def draw_texts(rng: np.random.Generator, pool: np.ndarray, size: int) -> Finite:
    """`size` dates of a pool, with replacement, each in a random format."""
    dates = [datetime.date.fromordinal(int(day)) for day in rng.choice(pool, size)]
    formats = rng.integers(len(FORMATS), size=size)
    texts = [write_date(date, FORMATS[i]) for date, i in zip(dates, formats, strict=True)]
    answers = [date.isoformat() + STOP_CHARACTER for date in dates]
    arrays = (
        jnp.asarray(padded_classes(texts, INPUT_ALPHABET, INPUT_STEPS, NO_CLASS)),
        jnp.asarray([len(text) for text in texts], jnp.int32),
        jnp.asarray(padded_classes(answers, ALPHABET, TARGET_STEPS, STOP)),
    )
    return Finite(arrays, size, take)


def write_date(date: datetime.date, template: str) -> str:
    """A date in one of `FORMATS`."""
    month, weekday = MONTHS[date.month - 1], WEEKDAYS[date.weekday()]
    return template.format(
        day=date.day,
        dd=f"{date.day:02}",
        nth=f"{date.day}{ordinal_suffix(date.day)}",
        mm=f"{date.month:02}",
        month=month,
        Month=month.title(),
        mon=month[:3],
        Mon=month[:3].title(),
        MON=month[:3].upper(),
        roman=ROMAN[date.month - 1],
        weekday=weekday,
        Wkd=weekday[:3].title(),
        year=date.year,
    )


def ordinal_suffix(day: int) -> str:
    """The letters after a day: 1st, 2nd, 3rd, 4th, 11th."""
    return "th" if 11 <= day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def padded_classes(texts: Sequence[str], alphabet: str, steps: int, padding: int) -> np.ndarray:
    """Classes of texts, (N, T) uint8, with `padding` after each text."""
    classes_NxT = np.full((len(texts), steps), padding, np.uint8)
    for row, text in zip(classes_NxT, texts, strict=True):
        row[: len(text)] = transduction.encode(text, alphabet)
    return classes_NxT


def take(arrays: Tree, indices_B: Array) -> Batch:
    """The batch of those indices; all targets have 11 symbols."""
    input_NxT, lengths_N, target_NxU = arrays
    return transduction_batch(
        input_NxT[indices_B].T,
        lengths_N[indices_B],
        target_NxU[indices_B].T.astype(jnp.int32),
        jnp.full(indices_B.shape, TARGET_STEPS, jnp.int32),
        len(INPUT_ALPHABET),
    )


def encode(text: str) -> np.ndarray:
    """The input classes of a free-form date, (T,); `UsageError` for an unknown symbol."""
    return transduction.encode(text, INPUT_ALPHABET)


def decode(tokens: Iterable[int]) -> str:
    """The text of written classes, up to the first stop symbol."""
    return transduction.decode(tokens, ALPHABET)
