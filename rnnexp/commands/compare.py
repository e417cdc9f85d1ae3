"""The command `compare`: groups of runs side by side."""

import argparse
from collections.abc import Sequence

from rnnexp.commands.output import print_table
from rnnexp.files import to_json


def compare_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp compare DIR`."""
    from rnnexp.report.compare import as_data, compare, rank
    from rnnexp.report.compare_tables import comparison_tables, rank_table
    from rnnexp.report.index import load_records
    from rnnexp.report.metrics import default_metric

    records = load_records(known.directory)
    metric = known.metric or default_metric(records)
    rows = compare(records, known.by.split(","), metric)
    ranking = rank(records, metric=metric, by=known.rank) if known.rank else None
    if known.plot is not None:
        from rnnexp.report.sensitivity import draw_sensitivity

        draw_sensitivity(records, known.plot, metric=metric, x=known.x, by=known.by.split(",")[0])
    if known.json:
        print(to_json(as_data(rows, metric, ranking), indent=2))
        return 0
    for title, table in comparison_tables(rows, metric):
        print_table(title, table)
    if ranking is not None:
        print_table(f"rank by {metric} over tasks", rank_table(ranking))
    if known.plot is not None:
        print(f"drawn: {known.plot}")
    return 0
