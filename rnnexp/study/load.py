"""Reads the file of a study and refuses what could not give an honest verdict."""

from collections import Counter
from pathlib import Path

from rnnexp.config.overrides import call
from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.load_module import load_module
from rnnexp.study.claims import (
    MARKS,
    Bound,
    Claim,
    Comparable,
    Constant,
    NotComparable,
    Number,
    Ordering,
    Rate,
    Study,
    Updates,
    needs_of,
    seeds_of,
)
from rnnexp.study.rank_order import seeds_to_decide

LEAST_SINGLE = 5
"""Values behind an interval for one more training."""
PUBLISHED = ("mean", "single")


def load_study(file: Path) -> Study:
    """The study of a Python file with `get_study()`.

    Raises `UsageError` if there is no such file, it fails, it returns something else, or a claim
    cannot be tested; see `require_study`.
    """
    study = call(load_module(str(file), "study file"), "get_study", str(file))
    if not isinstance(study, Study):
        raise UsageError(
            f"get_study() of {file} returned a {type(study).__name__}; return a rnnexp.study.Study"
        )
    require_study(study)
    return study


def require_study(study: Study) -> None:
    """Raise `UsageError` for a claim that cannot be tested as it is planned.

    That is: a group that does not exist, a reference without a mark or with an unknown one, a
    margin without a reason, fewer seeds than its rule can decide with, names that are given twice.
    """
    for kind, names in (
        ("group", [group.name for group in study.groups]),
        ("claim", [claim.name for claim in study.claims]),
    ):
        for name, count in Counter(names).items():
            if count > 1:
                raise UsageError(f"study {study.name}: {count} {kind}s are called {name!r}")
    if not study.claims:
        raise UsageError(f"study {study.name} has no claims")
    for claim in study.claims:
        try:
            _require(claim, study)
        except UsageError as error:
            raise UsageError(f"study {study.name}, claim {claim.name!r}: {error}") from error


def _require(claim: Claim, study: Study) -> None:
    mark = claim.reference.mark
    if mark not in MARKS:
        raise UsageError(
            f"its reference has the mark {mark!r}; known: V (read in the source), T (in a "
            "transcription), C (computed). A figure from memory is no reference"
        )
    if not claim.reference.source.strip():
        raise UsageError("its reference names no source")
    sizes = {group.name: len(seeds_of(group)) for group in study.groups}
    for name, _ in needs_of(claim):
        require_choice("group", name, sizes)
    least = min((sizes[name] for name, _ in needs_of(claim)), default=0)
    _require_published(claim)
    _require_margin(claim)
    if (fewest := _fewest(claim)) > least:
        raise UsageError(
            f"with {least} seeds, fewer than {fewest}, nothing can be decided: {_why(claim)}"
        )


def _require_published(claim: Claim) -> None:
    """The published value, or the limit, that the claim's rule needs."""
    if isinstance(claim, Number):
        require_choice("kind of published value", claim.published, PUBLISHED)
    if isinstance(claim, Bound | Rate) and (claim.at_most is None) == (claim.at_least is None):
        raise UsageError("give either at_most or at_least")
    needs = isinstance(claim, Number | Rate | Updates | Constant)
    if needs and claim.reference.value is None:
        raise UsageError("its reference has no value")


def _require_margin(claim: Claim) -> None:
    """A margin that can be kept, with its reason."""
    margin = getattr(claim, "margin", None)
    if margin is None:
        return
    factor = isinstance(claim, Updates) or (isinstance(claim, Number) and claim.logarithm)
    least = 1.0 if factor else 0.0
    if not margin.value > least and not (isinstance(claim, Constant) and margin.value == 0):
        raise UsageError(f"its margin must exceed {least:g}, not {margin.value}")
    if not margin.reason.strip():
        raise UsageError("its margin has no reason")


def _fewest(claim: Claim) -> int:
    """The fewest seeds with which a claim can be decided."""
    match claim:
        case Ordering():
            return seeds_to_decide(len(claim.pairs))
        case Number():
            return LEAST_SINGLE if claim.published == "single" else 2
        case Comparable() | Bound():
            return 2
        case Updates():
            return 6
        case NotComparable():
            return 0
    return 1


def _why(claim: Claim) -> str:
    match claim:
        case Ordering():
            return "the exact rank test cannot reject at 5 %, whatever the values are"
        case Updates():
            return "the median has no interval"
        case Number() if claim.published == "single":
            return "an interval for one more training needs them"
    return "one value has no spread"
