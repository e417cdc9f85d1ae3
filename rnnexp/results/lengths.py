"""Runs by the length at which they were tested: the table and the picture of generalisation."""

from collections.abc import Sequence
from dataclasses import replace

from rnnexp.core.errors import UsageError
from rnnexp.results.compare import compare
from rnnexp.results.summary import Record, Rows

LENGTH = "length"
"""The key, beside those of the configuration, of the length of a test."""


def at_lengths(records: Sequence[Record]) -> list[Record]:
    """A record for each run and length at which it was tested, with the test scores there.

    The length is its key `LENGTH`, so that such records are grouped, compared and drawn like
    others.
    """
    return [
        replace(record, test=scores, keys=record.keys | {LENGTH: length})
        for record in records
        if record.by_length is not None
        for length, scores in record.by_length.test.items()
    ]


def require_lengths(records: Sequence[Record]) -> list[Record]:
    """`at_lengths`; `UsageError` if no run was tested at other lengths."""
    if found := at_lengths(records):
        return found
    raise UsageError(
        "none of these runs was tested at other lengths: config.eval.lengths, such as "
        "--config.eval.lengths=20,40, names some"
    )


def compare_lengths(records: Sequence[Record], by: Sequence[str], metric: str) -> Rows:
    """The rows of `compare` for each group and length, with the `unit` of the length.

    There are none if no run was tested at other lengths, or the metric is no test score of
    them.
    """
    name = metric.removeprefix("test_")
    found = [record for record in at_lengths(records) if name in record.test]
    if not found or name == metric:
        return []
    units = sorted({record.by_length.unit for record in found if record.by_length is not None})
    return [row | {"unit": " or ".join(units)} for row in compare(found, [*by, LENGTH], metric)]
