"""What a run makes of its evaluations: which one is a gain, and which scores are not finite."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rnnexp.run.files import figures


def is_gain(value: float, best: float | None, *, higher_is_better: bool) -> bool:
    """Whether a headline score is better than the best so far (None: there is none).

    One that is not finite never is, and any finite one is better than that.
    """
    if not math.isfinite(value):
        return False
    if best is None or not math.isfinite(best):
        return True
    return value > best if higher_is_better else value < best


def goal_is_met(values: Sequence[float], below: float, count: int) -> bool:
    """Whether the mean of a score over `count` validations, the last, is below a limit."""
    return len(values) >= count and sum(values[-count:]) / count < below


def nonfinite_text(scores: Mapping[str, float]) -> str:
    """`loss nan, bits_per_character nan`: the scores that are not finite; empty if all are."""
    return ", ".join(
        f"{name} {value}" for name, value in scores.items() if not math.isfinite(value)
    )


def nonfinite_lengths(by_length: Mapping[int, Mapping[str, float]]) -> str:
    """A clause about the tests by length that were not finite; empty if all were."""
    texts = {length: nonfinite_text(scores) for length, scores in by_length.items()}
    found = [f"{length}: {text}" for length, text in texts.items() if text]
    return f"not finite at length {'; '.join(found)}" if found else ""


def nonfinite_validations(rows: Sequence[Mapping[str, Any]]) -> str:
    """A clause about the validations of a run that were not finite; empty if all were.

    Args:
      rows: the lines of kind `valid` of the run's `metrics.jsonl`.
    """
    found = [(row["step"], text) for row in rows if (text := nonfinite_text(figures(dict(row))))]
    if not found:
        return ""
    step, text = found[0]
    were = "was" if len(found) == 1 else "were"
    return (
        f"{len(found)} of {len(rows)} validations {were} not finite, first at step {step}: {text}"
    )
