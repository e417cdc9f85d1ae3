"""A verdict: the word, the estimate with its interval, and what would decide."""

from dataclasses import dataclass

REPRODUCED, NOT_REPRODUCED, UNDECIDED = "reproduced", "not reproduced", "undecided"
HOLDS, DOES_NOT = "holds at reduced scale", "does not hold at reduced scale"
NOT_COMPARABLE = "not comparable"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, UNDECIDED, HOLDS, DOES_NOT, NOT_COMPARABLE)


@dataclass(frozen=True)
class Verdict:
    """What may be said of a claim.

    Attributes:
      word: one of `VERDICTS`.
      detail: why, or which of the two is better.
      value, low, high: the estimate and its 95 % interval; None where there is none.
      n: values behind it, diverged trainings included.
      p: of the hypothesis that the claim holds within its margin; None where nothing is tested.
      seeds: how many would decide an undecided claim; None where that cannot be said.
    """

    word: str
    detail: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    p: float | None = None
    seeds: int | None = None
