"""A study's table: every claim with its published figure, ours, and the verdict."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from rnnexp.study.claims import Claim, Study, Value, claims_hash, needs_of
from rnnexp.study.rules import Values, holm, judge
from rnnexp.study.trainings import Measured
from rnnexp.study.verdict import DOES_NOT, NOT_COMPARABLE, NOT_REPRODUCED, VERDICTS, Verdict

FALSE_ALARM = 0.025
"""The greatest probability of either wrong verdict on one claim, at the edge of its margin."""


class Row(NamedTuple):
    """A claim and its verdict."""

    claim: Claim
    verdict: Verdict


@dataclass(frozen=True)
class Assessment:
    """The verdicts on a study.

    Attributes:
      rows: in the order of the claims.
      claims_hash: of the claims that were judged.
      hours: of training, 0 where nothing was trained.
      runs: how many trainings there are.
      stored_hash: that of the claims which stood with the values, if these were stored.
    """

    study: Study
    rows: list[Row]
    claims_hash: str
    hours: float
    runs: int
    stored_hash: str = ""

    @property
    def verdicts(self) -> list[dict[str, Any]]:
        """The rows as data."""
        return [{"claim": row.claim.name, **asdict(row.verdict)} for row in self.rows]

    @property
    def counts(self) -> dict[str, int]:
        """How many claims have each verdict."""
        found = Counter(row.verdict.word for row in self.rows)
        return {word: found[word] for word in VERDICTS}


def assess(
    study: Study,
    measured: Mapping[str, Mapping[int, Measured]],
    *,
    hours: float = 0.0,
    runs: int = 0,
    stored_hash: str = "",
) -> Assessment:
    """Judge every claim of a study by what was measured of its groups."""
    rows = []
    for claim in study.claims:
        values: Values = {
            (group, measure): _column(measured[group], measure)
            for group, measure in needs_of(claim)
        }
        reduced = bool(study.deviations or claim.deviations)
        rows.append(Row(claim, judge(claim, values, reduced=reduced)))
    return Assessment(study, rows, claims_hash(study), hours, runs, stored_hash)


def _column(seeds: Mapping[int, Measured], measure: str) -> list[Value]:
    return [seeds[seed].values[measure] for seed in sorted(seeds)]


def headline(found: Assessment) -> list[str]:
    """How many claims were tested, with which verdicts, and how many to expect by chance."""
    counts = found.counts
    tested = len(found.rows) - counts[NOT_COMPARABLE]
    texts = [f"{count} {word}" for word, count in counts.items() if count]
    lines = [f"{len(found.rows)} claims, {tested} tested: {', '.join(texts)}"]
    p_values = [row.verdict.p for row in found.rows if row.verdict.p is not None]
    if p_values:
        most = FALSE_ALARM * len(p_values)
        failed = counts[NOT_REPRODUCED] + counts[DOES_NOT]
        lines.append(
            f"{len(p_values)} verdicts rest on samples: were all these claims true, at most "
            f"{most:.2g} would be found false, and were all false, at most {most:.2g} true"
        )
        if failed:
            lines.append(
                f"corrected for their number (Holm, 5 % for any false alarm), "
                f"{holm(p_values)} are false"
            )
    return lines
