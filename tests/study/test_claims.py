"""Claims as values: what they need, and the hash that a changed margin changes."""

from dataclasses import replace

from rnnexp.study.claims import Margin, claims_hash, needs_of, seeds_of
from tests.helpers.small_study import default_claims, number, quick, small_study


def test_hash_stands_for_claims_and_deviations_alone() -> None:
    study = small_study()
    assert claims_hash(study) == claims_hash(small_study())
    assert claims_hash(study) == claims_hash(replace(study, notes=["seen since"], name="other"))
    assert claims_hash(study) != claims_hash(replace(study, deviations=["fewer updates"]))
    wider = number(margin=Margin(6.0, "wide, for a test"))
    assert claims_hash(small_study(wider)) != claims_hash(small_study(number()))


def test_needs_name_every_group_once() -> None:
    needs = [needs_of(claim) for claim in default_claims()]
    assert needs == [
        [("lstm", "test_loss")],
        [("lstm", "test_loss"), ("rnn", "test_loss")],
        [("lstm", "solved after")],
        [("by hand", "value")],
        [],
    ]


def test_seeds_are_counted_or_named() -> None:
    assert seeds_of(quick("a", "rnn", 3)) == [0, 1, 2]
    assert seeds_of(replace(quick("a", "rnn"), seeds=(7, 9))) == [7, 9]
