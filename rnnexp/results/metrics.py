"""Metrics of runs by name: `test_NAME` of the best checkpoint, `valid_NAME` of the headline.

A run records whether a higher headline is better. For other scores the name decides: lower is
better for losses and errors (`LOWER`), higher for `HIGHER`; any other direction must be given.
"""

import logging
from collections.abc import Sequence

from rnnexp.core.errors import UsageError, unknown
from rnnexp.results.summary import Record

log = logging.getLogger("rnnexp")
PREFIXES = ("test_", "valid_")
LOWER = frozenset({"loss", "nll", "error", "mse", "nmse", "rmse", "mae", "bits", "perplexity"})
HIGHER = frozenset({"accuracy", "exact", "f1", "precision", "recall"})


def metric_value(record: Record, metric: str) -> float | None:
    """The metric of a run; None if the run has no such metric or is not completed."""
    if record.status != "completed":
        return None
    prefix, _, name = metric.partition("_")
    if prefix == "test":
        return record.test.get(name)
    best = record.best
    return best.value if best is not None and best.metric == name else None


def known_metrics(records: Sequence[Record]) -> list[str]:
    """The metrics that at least one of the completed runs has."""
    done = [record for record in records if record.status == "completed"]
    test = {f"test_{name}" for record in done for name in record.test}
    valid = {f"valid_{record.best.metric}" for record in done if record.best is not None}
    return sorted(test | valid)


def require_metric(records: Sequence[Record], metric: str) -> None:
    """Raise `UsageError`, which lists the known metrics, if no completed run has this one.

    If no run is completed, any name of the right form is accepted.
    """
    known = known_metrics(records)
    if not known and metric.startswith(PREFIXES):
        log.warning("no run is completed yet: there is no %s", metric)
        return
    if metric not in known:
        error = unknown("metric", metric, known or ("test_NAME", "valid_NAME"))
        hint = " Of validation only the headline is kept." if metric.startswith("valid_") else ""
        raise UsageError(f"{error}{hint}")


def default_metric(records: Sequence[Record]) -> str:
    """The test score of the headline; `UsageError` unless all evaluated runs share one."""
    names = {record.best.metric for record in records if record.best is not None}
    if len(names) == 1:
        return f"test_{names.pop()}"
    why = f"these runs have the headlines {', '.join(sorted(names))}"
    raise UsageError(
        f"choose a metric: {why if names else 'no run has been evaluated'}. "
        f"Known: {', '.join(known_metrics(records)) or 'none'}."
    )


def headline_direction(records: Sequence[Record]) -> bool:
    """Whether a higher validation headline is better; False if no run was evaluated.

    Raises `UsageError` if the runs disagree.
    """
    kinds = {(r.best.metric, r.best.higher_is_better) for r in records if r.best is not None}
    if len(kinds) > 1:
        texts = ", ".join(f"{name} ({'higher' if up else 'lower'})" for name, up in sorted(kinds))
        raise UsageError(
            f"runs of one group have different validation headlines: {texts}; "
            "compare them separately"
        )
    return kinds.pop()[1] if kinds else False


def direction(records: Sequence[Record], metric: str) -> bool:
    """Whether a higher `metric` is better; `UsageError` if neither runs nor name decide it."""
    name = metric.partition("_")[2]
    ways = {
        record.best.higher_is_better
        for record in records
        if record.best is not None and record.best.metric == name
    }
    if len(ways) == 1:
        return ways.pop()
    words = set(name.split("_"))
    lower, higher = bool(words & LOWER), bool(words & HIGHER)
    if ways or lower == higher:
        raise UsageError(
            f"cannot tell whether a higher {metric} is better: the runs "
            f"{'do not agree' if ways else 'do not say'}; pass higher_is_better"
        )
    return higher
