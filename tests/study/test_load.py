"""What a study's file must hold, and what is refused before anything runs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.study import Bound, Margin, Number, Ordering, Rate, Reference, Updates
from rnnexp.study.claims import Claim
from rnnexp.study.load import load_study, require_study
from tests.helpers.small_study import PAPER, number, quick, small_study


def rate(**changes: Any) -> Rate:
    return Rate(
        name="r", reference=PAPER, group="lstm", measure="test_loss", margin=Margin(0.5, "why"),
        **changes,
    )  # fmt: skip


def bound(**changes: Any) -> Bound:
    return Bound(name="b", reference=PAPER, group="lstm", measure="test_loss", **changes)


def memory(mark: str) -> Number:
    return number(reference=replace(PAPER, mark=mark))


ORDER = Ordering(
    name="o", reference=PAPER, pairs=[("lstm", "rnn")], measure="test_loss", higher_is_better=False
)
UPDATES = Updates(
    name="u", reference=PAPER, group="lstm", measure="solved after", margin=Margin(2.0, "why")
)


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        (number(group="lstn"), "Did you mean 'lstm'"),
        (memory("M"), "from memory is no reference"),
        (memory("E"), "known: V"),
        (memory(""), "known: V"),
        (number(reference=Reference(" ", "V", 1.0)), "names no source"),
        (number(reference=Reference("p", "V")), "has no value"),
        (number(margin=Margin(0.0, "why")), "must exceed 0"),
        (number(margin=Margin(0.9, "why"), logarithm=True), "must exceed 1"),
        (number(margin=Margin(1.0, "")), "no reason"),
        (number(published="best"), "unknown kind of published value 'best'"),
        (bound(), "either at_most or at_least"),
        (rate(at_most=1.0, at_least=0.0), "either at_most or at_least"),
        (UPDATES, "with 4 seeds, fewer than 6"),
        (number(published="single"), "with 4 seeds, fewer than 5"),
    ],
)
def test_claims_that_cannot_be_tested_are_refused(claim: Claim, said: str) -> None:
    with pytest.raises(UsageError, match=f"study small, claim .*{said}"):
        require_study(small_study(claim))


def test_ordering_needs_as_many_seeds_as_its_test() -> None:
    require_study(small_study(ORDER))
    study = small_study(ORDER, groups=[quick("lstm", "lstm", 4), quick("rnn", "rnn", 3)])
    with pytest.raises(UsageError, match="with 3 seeds, fewer than 4, nothing can be decided"):
        require_study(study)


def test_names_are_given_once_and_there_are_claims() -> None:
    with pytest.raises(UsageError, match="2 claims are called 'lstm, test loss'"):
        require_study(small_study(number(), number()))
    twice = [quick("lstm", "lstm"), quick("lstm", "rnn")]
    with pytest.raises(UsageError, match="2 groups are called 'lstm'"):
        require_study(small_study(groups=twice))
    with pytest.raises(UsageError, match="no claims"):
        require_study(replace(small_study(), claims=[]))


def test_file_must_return_a_study(tmp_path: Path) -> None:
    good, bad, empty = (tmp_path / name for name in ("good.py", "bad.py", "empty.py"))
    good.write_text(
        "from tests.helpers.small_study import small_study\n\ndef get_study():\n"
        "    return small_study()\n"
    )
    bad.write_text("def get_study():\n    return 3\n")
    empty.write_text("")
    assert load_study(good).name == "small"
    with pytest.raises(UsageError, match="returned a int; return a rnnexp"):
        load_study(bad)
    with pytest.raises(UsageError, match="get_study"):
        load_study(empty)
    with pytest.raises(UsageError, match="no study file"):
        load_study(tmp_path / "missing.py")
