"""The command `compare`: groups of runs side by side, or single runs with their gradients."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rnnexp.cli.arguments import require_picture_place
from rnnexp.cli.output import print_table
from rnnexp.core.errors import UsageError
from rnnexp.core.files import to_json

GROUPED = ("by", "metric", "rank", "x")  # options that only groups have


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Arguments of `rnnexp compare`."""
    command.add_argument(
        "names", nargs="+", metavar="NAME",
        help="a directory of a sweep or of runs; or two runs or more, each by its directory or id, "
        "or TASK/CELL for the latest",
    )  # fmt: skip
    command.add_argument(
        "-o", "--output", "--plot", type=Path, metavar="FILE",
        help="draw (png, svg, pdf): of a directory the metric over --x; of runs loss, slopes, "
        "profiles and heat maps",
    )  # fmt: skip
    groups = command.add_argument_group("a directory: groups of runs")
    groups.add_argument("--by", metavar="KEYS", help="what to compare (cell)")
    groups.add_argument("--metric", help="such as test_loss, test_accuracy, valid_loss")
    groups.add_argument("--rank", nargs="?", const="cell", metavar="KEY", help="rank over tasks")
    groups.add_argument(
        "--x",
        metavar="KEY",
        help="of the picture (optimizer.learning_rate); length: that of tests",
    )


def compare_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp compare DIR`, or `rnnexp compare RUN RUN`."""
    require_picture_place(known.output)
    if len(known.names) > 1:
        return _compare_runs(known)
    directory = Path(known.names[0])
    if (directory / "status.json").exists() or not directory.exists():
        raise UsageError(
            f"{directory} is no directory of a sweep or of runs; `compare` takes one of those, "
            "or two runs or more"
        )
    return _compare_groups(known, directory)


def _compare_groups(known: argparse.Namespace, directory: Path) -> int:
    from rnnexp.report.compare_tables import comparison_tables, length_table, rank_table
    from rnnexp.results.compare import as_data, compare, rank
    from rnnexp.results.index import load_records
    from rnnexp.results.lengths import LENGTH, compare_lengths, require_lengths
    from rnnexp.results.metrics import default_metric

    records = load_records(directory)
    metric = known.metric or default_metric(records)
    by = (known.by or "cell").split(",")
    rows = compare(records, by, metric)
    lengths = compare_lengths(records, list(rows[0]["group"]), metric)
    ranking = rank(records, metric=metric, by=known.rank) if known.rank else None
    if known.output is not None:
        from rnnexp.report.sensitivity import draw_sensitivity

        x = known.x or "optimizer.learning_rate"
        drawn = require_lengths(records) if x == LENGTH else records
        draw_sensitivity(drawn, known.output, metric=metric, x=x, by=by[0])
    if known.json:
        print(to_json(as_data(rows, metric, ranking, lengths), indent=2))
        return 0
    for title, table in comparison_tables(rows, metric):
        print_table(title, table)
    if lengths:
        print_table(*length_table(lengths, metric))
    if ranking is not None:
        print_table(f"rank by {metric} over tasks", rank_table(ranking))
    if known.output is not None:
        print(f"drawn: {known.output}")
    return 0


def _compare_runs(known: argparse.Namespace) -> int:
    given = [f"--{name}" for name in GROUPED if getattr(known, name) is not None]
    if given:
        raise UsageError(f"{', '.join(given)}: for the groups of a directory, not for single runs")
    from rnnexp.results import side_by_side
    from rnnexp.results.load import find_run, load_run

    runs = [load_run(find_run(name, known.runs_dir)) for name in known.names]
    if known.output is not None:
        from rnnexp.report.paper import draw_comparison

        draw_comparison(runs, known.output)
    if known.json:
        print(to_json(side_by_side.as_data(runs), indent=2))
        return 0
    for title, table in side_by_side.tables(runs):
        print_table(title, table)
    if known.output is not None:
        print(f"drawn: {known.output}")
    return 0
