"""The command `inspect`: a run's gradient norms, how it diverged, what it attends to."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rnnexp.cli import attention
from rnnexp.cli.arguments import add_run, refuse, require_picture_place
from rnnexp.cli.output import print_table
from rnnexp.core.errors import UsageError
from rnnexp.core.files import to_json


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Arguments of `rnnexp inspect`."""
    add_run(command)
    command.add_argument("--plot", type=Path, metavar="FILE", help="draw them (png, svg, pdf)")
    command.add_argument(
        "--divergence", action="store_true", help="how it diverged, and that step computed again"
    )
    command.add_argument(
        "--data-dir", type=Path,
        help="with --divergence or --attention: where to look for data files first",
    )  # fmt: skip
    attention.add_arguments(command)


def inspect_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp inspect`."""
    if known.example is not None and not known.attention:
        raise UsageError("--example names a test question; it goes with --attention")
    if known.divergence:
        refuse(known, "--divergence", attention=False)
        if known.plot is not None:
            raise UsageError("--plot draws a run's gradients; it does not go with --divergence")
        from rnnexp.cli.divergence import divergence_command

        return divergence_command(known)
    if known.attention:
        refuse(known, "--attention", plot=None)
        return attention.attention_command(known)
    if known.data_dir is not None:
        raise UsageError(
            "--data-dir is for the replay of a step, or a question; it goes with --divergence or "
            "--attention"
        )
    require_picture_place(known.plot)
    from rnnexp.report import table
    from rnnexp.results.load import find_run, load_run

    run = load_run(find_run(known.run, known.runs_dir))
    if known.plot is not None:
        from rnnexp.report.figures import draw_run

        draw_run(run, known.plot)
    if known.json:
        print(to_json(table.as_data(run)))
        return 0
    for line in table.headlines(run):
        print(line)
    for title, rows in table.gradient_tables(run):
        print_table(title, rows)
    if known.plot is not None:
        print(f"drawn: {known.plot}")
    return 0
