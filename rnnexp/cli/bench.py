"""The command `bench`: the time of a training step, compared with other libraries."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from rnnexp.cli.arguments import require_picture_place, require_place
from rnnexp.cli.output import print_table
from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.files import replace_text, to_json


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Arguments of `rnnexp bench`."""
    command.add_argument("--workloads", default="W1,W2,W3,W4", metavar="NAMES", help="W1 to W5")
    command.add_argument("--cells", default="lstm,gru,rnn", metavar="NAMES")
    command.add_argument("--rounds", type=int, default=5, help="each has all contenders in turn")
    command.add_argument("--seconds", type=float, default=2.0, help="of a contender in a round")
    command.add_argument("-o", "--output", type=Path, metavar="FILE", help="where data go (json)")
    command.add_argument("--plot", type=Path, metavar="FILE", help="draw it (png, svg, pdf)")


def bench_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp bench`."""
    from rnnexp.bench import results
    from rnnexp.bench.measure import TimedRow, measure
    from rnnexp.bench.workloads import GATES, find_workloads

    require_picture_place(known.plot)
    require_place(known.output)
    works = find_workloads(known.workloads)
    cells = [cell.strip() for cell in known.cells.split(",") if cell.strip()]
    for cell in cells:
        require_choice("cell of the benchmark", cell, GATES)
    if known.rounds < 1 or not 0 < known.seconds < math.inf or not cells:
        raise UsageError(
            "--rounds must be at least 1, --seconds a number above 0, and a cell be named"
        )

    def on_row(row: TimedRow) -> None:
        if not known.json:
            print(results.title(row))
            print_table("", results.table(row))
            if text := results.loop_text(row):
                print(text)

    rows = measure(works, cells, rounds=known.rounds, seconds=known.seconds, on_row=on_row)
    data = to_json(results.as_data(rows, rounds=known.rounds, seconds=known.seconds), indent=2)
    if known.json:
        print(data)
    else:
        print_table("summary", results.summary(rows))
    if known.output is not None:
        replace_text(known.output, data + "\n")
    if known.plot is not None:
        results.draw(rows, known.plot)
    return 0
