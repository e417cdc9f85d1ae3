"""Papers' tables as executable verdicts: a study's claims, trainings, rules and tables."""

from rnnexp.study.claims import (
    Beyond,
    Bound,
    Comparable,
    Computation,
    Constant,
    Margin,
    NotComparable,
    Number,
    Ordering,
    Rate,
    Reference,
    Runs,
    Study,
    Updates,
)
from rnnexp.study.measures import mean_of_last, over_lengths, score_of, steps_until

__all__ = [
    "Beyond", "Bound", "Comparable", "Computation", "Constant", "Margin", "NotComparable",
    "Number", "Ordering", "Rate", "Reference", "Runs", "Study", "Updates", "mean_of_last",
    "over_lengths", "score_of", "steps_until",
]  # fmt: skip
