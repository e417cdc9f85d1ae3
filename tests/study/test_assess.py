"""A study judged whole: counts, the hash, and what to expect by chance."""

from dataclasses import replace

from rnnexp.study.assess import assess, headline
from rnnexp.study.claims import claims_hash
from rnnexp.study.trainings import Measured
from rnnexp.study.verdict import DOES_NOT, HOLDS, NOT_COMPARABLE, REPRODUCED, UNDECIDED
from tests.helpers.small_study import PAPER, number, small_study


def values(*losses: float) -> dict[int, Measured]:
    return {
        seed: Measured({"test_loss": loss, "solved after": 1.0 + loss}, str(seed))
        for seed, loss in enumerate(losses)
    }


MEASURED = {
    "lstm": values(0.1, 0.2, 0.3, 0.4),
    "rnn": values(1.1, 1.2, 1.3, 1.4),
    "by hand": {0: Measured({"value": 1.0})},
}


def test_every_claim_is_judged_and_counted() -> None:
    found = assess(small_study(), MEASURED, runs=8)
    words = [row.verdict.word for row in found.rows]
    assert words == [REPRODUCED] * 4 + [NOT_COMPARABLE]
    assert found.counts[REPRODUCED] == 4
    assert found.claims_hash == claims_hash(small_study())
    assert headline(found) == [
        "5 claims, 4 tested: 4 reproduced, 1 not comparable",
        "3 verdicts rest on samples: were all these claims true, at most 0.075 would be found "
        "false, and were all false, at most 0.075 true",
    ]


def test_a_deviation_of_the_study_or_of_a_claim_reduces_its_verdict() -> None:
    whole = assess(replace(small_study(), deviations=["fewer updates"]), MEASURED)
    assert [row.verdict.word for row in whole.rows] == [HOLDS] * 4 + [NOT_COMPARABLE]
    far = replace(PAPER, value=99.0)
    claims = [number(deviations=["other data"], reference=far), number("as published")]
    found = assess(small_study(*claims), MEASURED)
    assert [row.verdict.word for row in found.rows] == [DOES_NOT, REPRODUCED]
    assert headline(found)[-1].endswith("(Holm, 5 % for any false alarm), 1 are false")


def test_undecided_is_no_verdict_on_the_claim() -> None:
    found = assess(small_study(), MEASURED | {"lstm": values(-9.0, 9.0, 0.0, 1.0)})
    assert found.rows[0].verdict.word == UNDECIDED
