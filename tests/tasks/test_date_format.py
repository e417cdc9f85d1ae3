"""Free-form dates mean what strptime reads, are split by date, and come in every format."""

import datetime
import itertools
import math
import re
from collections import Counter
from functools import cache

import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.tasks import date_format
from rnnexp.tasks.base import Finite, Task
from rnnexp.tasks.transduction import exact_match
from tests.helpers.transduction_batches import (
    answer_batch,
    batch_of,
    blind_logits,
    build_task,
    read,
    scored,
)


def test_reading_and_writing_dates() -> None:
    assert date_format.encode("5.3").tolist() == [10, 3, 8]
    assert date_format.decode([3, 11, 0, 5, 99]) == "19"  # up to the stop
    assert date_format.decode(jnp.array([3, 11])) == "19"
    with pytest.raises(UsageError, match="unknown symbol 'ä' at position 3 of '5 mär 1998'"):
        date_format.encode("5 mär 1998")
    for bad in (12, -1):
        with pytest.raises(
            UsageError, match=f"unknown class {bad} at position 2; expected 0 to 11"
        ):
            date_format.decode([1, 2, bad])


# fmt: off
PATTERNS = (
    "%d %B %Y", "%B %d, %Y", "%A, %B %d %Y", "%Y/%m/%d", "%b %d %Y", "%d-%b-%Y",
    "%a %d %b %Y", "the %d of %B, %Y", "%d %m %Y", "%Y%m%d",
    "%d/%m/%Y", "%m/%d/%Y", "%d%m%Y", "%m%d%Y",  # in which nothing here is written
)


# fmt: on
ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")


@cache
def dates_task() -> Task:
    return build_task("date_format", examples=400)


def texts_of(task: Task, split: str) -> list[tuple[str, str]]:
    """(text, answer) of a whole split."""
    source = getattr(task, split)
    assert isinstance(source, Finite)
    batch = batch_of(task, source.size, split)
    return read(batch, date_format.INPUT_ALPHABET, date_format.ALPHABET)


def meanings(text: str) -> set[datetime.date]:
    """All dates that a text can mean; a wrong day of the week is an error."""
    plain = re.sub(r"\.([IVX]+)\.", lambda m: f" {ROMAN.index(m[1]) + 1} ", text)
    plain = re.sub(r"(?<=\d)(st|nd|rd|th)\b", "", plain)
    found = set()
    for pattern in PATTERNS:
        try:
            date = datetime.datetime.strptime(plain, pattern).date()
        except ValueError:
            continue
        if pattern[:2] in ("%A", "%a"):
            weekday = plain.partition(" ")[0].strip(",")
            assert date.strftime(pattern[:2]).lower() == weekday.lower(), text
        if 1950 <= date.year <= 2049:
            found.add(date)
    return found


def test_dates_are_what_strptime_reads() -> None:
    task = dates_task()
    assert (task.input_size, task.output_size) == (59, 12)
    assert (task.num_steps, task.target_steps) == (30, 11)
    for split, size in (("train", 400), ("valid", 40), ("test", 40)):
        pairs = texts_of(task, split)
        assert len(pairs) == size
        for text, written in pairs:
            assert {date.isoformat() for date in meanings(text)} == {written}, text


def test_every_format_of_a_date() -> None:
    date = datetime.date(1998, 3, 5)
    assert [date_format.write_date(date, template) for template in date_format.FORMATS] == [
        "5 march 1998",
        "March 5, 1998",
        "thursday, march 5th 1998",
        "1998/03/05",
        "mar 05 1998",
        "05-MAR-1998",
        "Thu 5 Mar 1998",
        "the 5th of March, 1998",
        "5.III.1998",
        "19980305",
    ]
    texts = [text for text, _ in texts_of(dates_task(), "train")]
    shapes = Counter(re.sub(r"[A-Za-z]+", "a", re.sub(r"\d+", "0", text)) for text in texts)
    assert len(shapes) == 10
    assert np.abs(np.array(list(shapes.values())) - 40).max() < 5 * math.sqrt(400 * 0.1 * 0.9)


def test_the_alphabet_and_the_steps_are_just_enough() -> None:
    days = [datetime.date(2023, 1, 1) + datetime.timedelta(i) for i in range(7 * 365)]
    texts = [date_format.write_date(day, form) for day in days for form in date_format.FORMATS]
    assert "".join(sorted(set("".join(texts)))) == "".join(sorted(date_format.INPUT_ALPHABET))
    assert max(map(len, texts)) == date_format.INPUT_STEPS
    suffixes = {f"{n}{date_format.ordinal_suffix(n)}" for n in (1, 2, 3, 4, 11, 12, 13, 21, 22, 31)}
    expected = {"1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "31st"}
    assert suffixes == expected


def test_no_held_out_date_occurs_in_training_in_any_format() -> None:
    # 3,650 dates and 8,000 texts: without the cut, nearly every date would be shared
    task = build_task("date_format", examples=8000, first_year=2001, last_year=2010)
    written = {
        split: {answer for _, answer in texts_of(task, split)}
        for split in ("train", "valid", "test")
    }
    for one, other in itertools.combinations(written.values(), 2):
        assert not one & other
    years = Counter(answer[:4] for answer in written["train"])
    assert sorted(years) == [str(year) for year in range(2001, 2011)]
    # of the training dates (3,652 - 2 * 365), a share of exp(-8000 / 2922) is never drawn
    np.testing.assert_allclose(
        len(written["train"]), 2922 * (1 - math.exp(-8000 / 2922)), rtol=0.03
    )


def test_the_data_seed_decides() -> None:
    one, again = (
        texts_of(dates_task(), "test"),
        texts_of(build_task("date_format", examples=400), "test"),
    )
    assert one == again
    assert one != texts_of(build_task("date_format", examples=400, data_seed=1), "test")


def test_date_baselines_are_what_the_best_blind_writer_scores() -> None:
    task = build_task("date_format", examples=200, first_year=1999, last_year=2000)
    days = [datetime.date(1999, 1, 1) + datetime.timedelta(i) for i in range(365 + 366)]
    probability = {day.isoformat(): 1 / len(days) for day in days}
    batch = batch_of(task, 20, "test")
    held_out = [answer for _, answer in texts_of(task, "test")]
    logits = blind_logits(probability, held_out, task)
    loss = scored(task, logits, batch.targets, batch)["loss"].mean()
    np.testing.assert_allclose(float(loss), task.baseline["loss"], rtol=1e-5)
    everything = answer_batch(list(probability), task)
    constant = jnp.broadcast_to(batch.targets[:, :1], everything.targets.shape)
    exact = exact_match(constant, everything)
    np.testing.assert_allclose(float(exact.mean()), task.baseline["exact"], rtol=1e-5)
    default = dates_task().baseline
    np.testing.assert_allclose(default["loss"], math.log(36_525) / 11)
