"""What a paper claims, and what a study does to test it: values alone.

A study is a Python file with `get_study()`, which returns a `Study`: the paper, the groups of
trainings or computations, and one claim for every cell of the paper's table. Every claim names
where its figure comes from, with a mark of how surely it is known:

| mark | the figure was |
| --- | --- |
| V | read in a primary source |
| T | read in a transcription of one |
| C | computed |

Figures from memory have no mark and cannot be given. A margin is declared, with its reason, before
anything runs; `claims_hash` stands with the results, so that a later change is visible.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MARKS = ("V", "T", "C")


@dataclass(frozen=True)
class Beyond:
    """A number of updates that is only known to exceed `steps`: the training ended there."""

    steps: float


Value = float | Beyond
"""What is measured of a training; NaN where it diverged."""


@dataclass(frozen=True)
class Reference:
    """Where a claim comes from.

    Attributes:
      source: paper, table or page.
      mark: how surely it is known; see `MARKS`.
      value: the published figure, if there is one.
      convention: how the figure is taken, "test accuracy of the best epoch by validation".
    """

    source: str
    mark: str
    value: float | None = None
    convention: str = ""


@dataclass(frozen=True)
class Margin:
    """How far a value may lie from the published one to count as the same, and why so far."""

    value: float
    reason: str


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What all claims have.

    Attributes:
      name: the cell of the table, "JSB Chorales, GRU, test".
      reference: where it is claimed.
      deviations: in what this claim's trainings differ from the paper's, beside the deviations of
        the whole study. With any, the verdict is one at reduced scale.
    """

    name: str
    reference: Reference
    deviations: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Number(Claim):
    """A published number: is ours the same within a margin?

    Attributes:
      group, measure: of which trainings, and what of them.
      published: `mean` of several trainings, or a `single` one (the best of several counts as one
        if the group repeats the choice).
      logarithm: whether means and margins are those of natural logarithms, for losses near 0;
        the margin is then a factor.
    """

    group: str
    measure: str
    margin: Margin
    higher_is_better: bool
    published: str = "mean"
    logarithm: bool = False


@dataclass(frozen=True, kw_only=True)
class Ordering(Claim):
    """One group is better than another.

    Attributes:
      pairs: the better group and the worse one, once for each task or condition.
    """

    pairs: Sequence[tuple[str, str]]
    measure: str
    higher_is_better: bool


@dataclass(frozen=True, kw_only=True)
class Comparable(Claim):
    """Two groups do equally well: their means differ by no more than a margin."""

    groups: tuple[str, str]
    measure: str
    margin: Margin


@dataclass(frozen=True, kw_only=True)
class Bound(Claim):
    """The mean of a group lies below a limit, or above it."""

    group: str
    measure: str
    at_most: float | None = None
    at_least: float | None = None


@dataclass(frozen=True, kw_only=True)
class Rate(Claim):
    """The fraction of trainings that succeed: whose measure is at most, or at least, a limit."""

    group: str
    measure: str
    margin: Margin
    at_most: float | None = None
    at_least: float | None = None


@dataclass(frozen=True, kw_only=True)
class Updates(Claim):
    """The median number of updates until solved, within a factor; censored where not solved.

    Attributes:
      margin: the factor, 1.5 for "at most half as many again, at least two thirds".
    """

    group: str
    measure: str
    margin: Margin


@dataclass(frozen=True, kw_only=True)
class Constant(Claim):
    """A number without chance in it, within an absolute tolerance."""

    group: str
    measure: str
    margin: Margin


@dataclass(frozen=True, kw_only=True)
class NotComparable(Claim):
    """A figure that cannot be tested here."""

    reason: str


@dataclass(frozen=True)
class Runs:
    """Trainings that differ in their seeds.

    Attributes:
      name: what claims call the group.
      experiment: TASK/CELL.
      changes: values by dotted configuration key.
      seeds: so many from 0 on, or which.
      settings: further changes to choose from, or a function of the seed that draws them; of
        each seed the setting with the best validation counts.
    """

    name: str
    experiment: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    seeds: int | Sequence[int] = 5
    settings: Sequence[Mapping[str, Any]] | Callable[[int], Sequence[Mapping[str, Any]]] = ({},)


@dataclass(frozen=True)
class Computation:
    """Values that a function of the seed computes, without a training.

    Attributes:
      compute: returns values by measure.
    """

    name: str
    compute: Callable[[int], Mapping[str, float]]
    seeds: int | Sequence[int] = 1


Group = Runs | Computation


@dataclass(frozen=True)
class Study:
    """A paper's table to be tested.

    Attributes:
      name: of the study, such as `bai_2018`.
      paper: authors, year, title.
      table: which table or figure.
      measures: by name a function of a finished run (`rnnexp.load_run`) that measures it. Other
        names are metrics, `test_accuracy` or `valid_loss`.
      deviations: in what every training differs from the paper's protocol.
      notes: what a reader of the table must know, a line each.
    """

    name: str
    paper: str
    table: str
    groups: Sequence[Group]
    claims: Sequence[Claim]
    measures: Mapping[str, Callable[[Any], Value]] = field(default_factory=dict)
    deviations: Sequence[str] = ()
    notes: Sequence[str] = ()


def seeds_of(group: Group) -> list[int]:
    """The seeds of a group."""
    return list(range(group.seeds)) if isinstance(group.seeds, int) else list(group.seeds)


def needs_of(claim: Claim) -> list[tuple[str, str]]:
    """The groups and measures, `(group, measure)`, that a claim is tested with."""
    match claim:
        case Ordering():
            names = [name for pair in claim.pairs for name in pair]
            return [(name, claim.measure) for name in dict.fromkeys(names)]
        case Comparable():
            return [(name, claim.measure) for name in claim.groups]
        case Number() | Bound() | Rate() | Updates() | Constant():
            return [(claim.group, claim.measure)]
    return []


def claims_hash(study: Study) -> str:
    """SHA-256 of a study's claims and deviations, in 16 hexadecimal digits."""
    content = {
        "claims": [[type(claim).__name__, dataclasses.asdict(claim)] for claim in study.claims],
        "deviations": list(study.deviations),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
