"""The command `bench`: the time of a training step, compared with other libraries."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rnnexp.cli.arguments import require_picture_place, require_place
from rnnexp.cli.output import print_table
from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.files import replace_text, to_json

if TYPE_CHECKING:
    from rnnexp.bench.measure import TimedRow


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Arguments of `rnnexp bench`."""
    command.add_argument("--workloads", default="W1,W2,W3,W4", metavar="NAMES", help="W1 to W5")
    command.add_argument("--cells", default="lstm,gru,rnn", metavar="NAMES")
    command.add_argument("--rounds", type=int, default=5, help="each has all contenders in turn")
    command.add_argument("--seconds", type=float, default=2.0, help="of a contender in a round")
    command.add_argument("-o", "--output", type=Path, metavar="FILE", help="where data go (json)")
    command.add_argument("--plot", type=Path, metavar="FILE", help="draw it (png, svg, pdf)")
    command.add_argument("--roofline", type=Path, metavar="FILE", help="draw the rates reached")
    command.add_argument(
        "--grid", action="store_true",
        help="many sizes, and layers, directions, lengths, evaluation, in place of --workloads",
    )  # fmt: skip


def bench_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp bench`."""
    from rnnexp.bench import grid, results
    from rnnexp.bench.contender import CONTENDERS
    from rnnexp.bench.measure import TimedRow, measure
    from rnnexp.bench.workloads import GATES, find_workloads

    require_picture_place(known.plot)
    require_picture_place(known.roofline)
    require_place(known.output)
    works = [*grid.sizes(), *grid.VARIANTS] if known.grid else find_workloads(known.workloads)
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

    contenders = grid.CONTENDERS if known.grid else tuple(CONTENDERS)
    budget = {"rounds": known.rounds, "seconds": known.seconds}
    rows = measure(works, cells, on_row=on_row, contenders=contenders, **budget)
    data = to_json(results.as_data(rows, **budget), indent=2)
    if known.json:
        print(data)
    else:
        _print_summary(rows, as_grid=known.grid)
    if known.output is not None:
        replace_text(known.output, data + "\n")
    _draw(rows, known)
    return 0


def _print_summary(rows: Sequence["TimedRow"], *, as_grid: bool) -> None:
    from rnnexp.bench import grid, results

    if not as_grid:
        print_table("summary", results.summary(rows))
        return
    of_sizes = [row for row in rows if row.work not in grid.VARIANTS]
    for cell in dict.fromkeys(row.cell for row in rows):
        print_table("fastest peer / rnnexp", grid.size_table(of_sizes, cell))
    of_variants = [row for row in rows if row.work in grid.VARIANTS]
    print_table("fastest peer / rnnexp", grid.variant_table(of_variants))


def _draw(rows: Sequence["TimedRow"], known: argparse.Namespace) -> None:
    from rnnexp.bench import grid, pictures

    if known.plot is not None and known.grid:
        pictures.draw_map([row for row in rows if row.work not in grid.VARIANTS], known.plot)
    elif known.plot is not None:
        pictures.draw_ratios(rows, known.plot)
    if known.roofline is not None:
        pictures.draw_roofline(rows, known.roofline)
