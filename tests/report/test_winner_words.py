"""The sentences about who wins: known cases, and that none claims more than the intervals say."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnexp.report.winner_words import (
    answer_words,
    difference_words,
    ended_words,
    level_words,
    relation_words,
)
from rnnexp.results.index import read_index
from rnnexp.results.winner import WORSE, Answer, answers
from tests.helpers.report_runs import write_whole_run
from tests.helpers.synthetic_runs import protocol_runs, write_run

CLOSE = (0.10, 0.13, 0.12)
"""Losses of three seeds that overlap with those of `GOOD`."""
GOOD = (0.11, 0.10, 0.12)
BAD = (0.50, 0.53, 0.49)


def write(root: Path, **losses: Sequence[float | None]) -> Answer:
    """The answer about cells of copy memory by their losses; None has diverged."""
    for place, (cell, values) in enumerate(losses.items()):
        for seed, loss in enumerate(values):
            ended: dict[str, Any] = {"test": {"loss": loss}, "valid": 0.1 + place}
            if loss is None:
                ended = {"test": None, "status": "diverged", "valid": 0.1 + place}
            write_whole_run(root, f"copy_memory/{cell}", {"seed": seed}, times=4, **ended)
    (answer,) = answers(read_index(root))
    return answer


@pytest.mark.parametrize(
    ("losses", "who", "why"),
    [
        (
            {"gru": GOOD, "lstm": BAD},
            "On copy_memory, gru is best (test loss 0.11 [0.0852, 0.135], 3 seeds).",
            "The difference of lstm from it excludes zero: +0.397 [",
        ),
        (
            {"gru": GOOD, "lstm": BAD, "rnn": (0.9, 0.91, 0.93)},
            "On copy_memory, gru is best (",
            "The differences of all 2 others from it exclude zero, by intervals that all hold",
        ),
        (
            {"gru": GOOD, "lstm": CLOSE},
            "gru is first by validation (test loss 0.11 [0.0852, 0.135], 3 seeds), but no winner "
            "can be named.",
            "The seeds cannot tell it from lstm: the interval of the difference includes zero.",
        ),
        (
            {"gru": GOOD, "lstm": CLOSE, "rnn": BAD, "lem": (0.2,)},
            "gru is first by validation",
            "No interval tells it from lem (one seed). rnn is worse.",
        ),
        (
            {"gru": BAD, "lstm": GOOD},
            "gru is first by validation",
            "By the test loss, lstm is better than it.",
        ),
        (
            {"gru": (0.1,), "lstm": (0.5,)},
            "gru is first by validation (test loss 0.1, one seed: no interval), but no winner can "
            "be named.",
            "No interval tells it from lstm (one seed). The baseline is 0.5.",
        ),
        (
            {"gru": (0.1, 0.1), "lstm": (0.5, 0.5)},
            "(test loss 0.1, 2 seeds, all equal: no interval), but no winner can be named.",
            "No interval tells it from lstm (all differences equal).",
        ),
        (
            {"gru": GOOD},
            "On copy_memory, gru is the only group (test loss 0.11 [0.0852, 0.135], 3 seeds): "
            "nothing to compare.",
            "The interval of gru is better than the baseline, 0.5.",
        ),
        (
            {"gru": GOOD, "lstm": (None, None)},
            "gru is the only group with a score",
            "2 of 5 runs have no score: 2 diverged (lstm: 2 diverged).",
        ),
        (
            {"gru": (None,), "lstm": (None, None)},
            "On copy_memory, nothing can be compared: no run is completed.",
            "All 3 runs have no score: 3 diverged.",
        ),
        (
            {"gru": BAD},
            "gru is the only group",
            "The interval of gru includes the baseline, 0.5.",
        ),
        (
            {"gru": (0.9, 0.91, 0.92)},
            "gru is the only group",
            "The interval of gru is worse than the baseline, 0.5.",
        ),
    ],
)
def test_known_cases(
    tmp_path: Path, losses: dict[str, Sequence[float | None]], who: str, why: str
) -> None:
    said, more = answer_words(write(tmp_path, **losses))
    assert who in said
    assert why in more
    assert said.endswith(".")


def test_a_winner_is_named_only_if_every_interval_excludes_zero(tmp_path: Path) -> None:
    rng, named = np.random.default_rng(0), 0
    for turn in range(12):
        cells = {
            cell: rng.normal(0.3 * place * (turn % 4), 0.1, size=int(rng.integers(1, 5)))
            for place, cell in enumerate(("gru", "lstm", "rnn"))
        }
        for place, (cell, values) in enumerate(cells.items()):
            for seed, loss in enumerate(values.tolist()):
                write_run(
                    tmp_path / str(turn), f"adding/{cell}", {"seed": seed}, valid=float(place),
                    test={"loss": loss},
                )  # fmt: skip
        (answer,) = answers(read_index(tmp_path / str(turn)))
        said = answer_words(answer)[0]
        lows = [
            one.difference.low if one.difference and one.difference.low is not None else -1.0
            for one in answer.contenders[1:]
        ]
        assert ("is best" in said) == all(low > 0 for low in lows)
        assert ("no winner can be named" in said) == any(low <= 0 for low in lows)
        named += "is best" in said
    assert 0 < named < 12


def test_runs_under_way_may_change_the_answer(tmp_path: Path) -> None:
    answer = write(tmp_path, gru=GOOD, lstm=BAD)
    assert "may change" not in answer_words(answer)[1]
    run = write_run(tmp_path, "copy_memory/lstm", {"seed": 9}, status="running", valid=0.3)
    (tmp_path / run / "lock").touch()  # of a process that is no more
    (answer,) = answers(read_index(tmp_path))
    assert answer_words(answer)[1].endswith(
        "1 of 7 runs have no score: 1 killed (lstm: 1 killed). The answer may change when they are "
        "done."
    )


def test_many_groups_are_counted_and_few_named(tmp_path: Path) -> None:
    cells = ("gru", "lstm", "rnn", "lem", "cornn", "lru", "scrn", "indrnn")
    answer = write(tmp_path, **{cell: [0.1] for cell in cells})
    assert "from lstm, rnn, lem, cornn and 3 others (one seed)" in answer_words(answer)[1]


def test_the_cells_of_a_table(tmp_path: Path) -> None:
    answer = write(tmp_path, gru=GOOD, lstm=BAD, rnn=(None,), lem=(0.2,))
    found = {one.name: one for one in answer.contenders}
    words = {name: relation_words(one, answer) for name, one in found.items()}
    assert words == {
        "gru": "first by validation", "lstm": WORSE, "lem": "no interval (one seed)",
        "rnn": "no score",
    }  # fmt: skip
    assert difference_words(found["gru"]) == difference_words(found["rnn"]) == "-"
    assert difference_words(found["lstm"]).endswith(", 3 pairs")
    assert difference_words(found["lem"]) == "+0.09, unpaired"
    assert ended_words(found["rnn"].row) == "1 diverged"
    assert "97.5 %" in level_words(answer)
    assert "together" not in level_words(answer._replace(contenders=answer.contenders[:2]))


def test_the_metric_of_other_headlines(tmp_path: Path) -> None:
    protocol_runs(tmp_path)
    (answer,) = answers(read_index(tmp_path))
    said, _ = answer_words(answer)
    assert said.startswith("On adding, learning_rate=0.001 is first by validation (test loss 0.31")
