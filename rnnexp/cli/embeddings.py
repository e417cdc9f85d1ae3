"""The command `embeddings`: the vectors of a trained run's words, as a table or a picture."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rnnexp.cli.arguments import add_data_dir, add_run, require_picture_place, require_place
from rnnexp.cli.output import print_table
from rnnexp.core.errors import require_at_least
from rnnexp.core.files import to_json

if TYPE_CHECKING:
    from rnnexp.run.embeddings import Embeddings

SHOWN = 20
"""Symbols whose neighbours are shown if none is named, the most frequent words."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Arguments of `rnnexp embeddings`."""
    add_run(command)
    add_data_dir(command)
    command.add_argument(
        "--near", action="append", default=[], metavar="WORD",
        help="show the words nearest to this one, by cosine; may be repeated",
    )  # fmt: skip
    command.add_argument("--count", type=int, default=8, help="how many neighbours")
    command.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write all vectors: FILE.csv or FILE.npz"
    )
    command.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw words in a plane, by t-SNE"
    )
    command.add_argument("--words", type=int, default=300, help="words in the picture, the first")


def embeddings_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp embeddings RUN`."""
    require_at_least(1, **{"--count": known.count, "--words": known.words})
    require_picture_place(known.plot)
    require_place(known.output)
    from rnnexp.results.load import find_run
    from rnnexp.run.embeddings import embeddings_of, nearest, require_table_name, write_table

    if known.output is not None:
        require_table_name(known.output)
    path = find_run(known.run, known.runs_dir)
    found = embeddings_of(path, known.data_dir)
    near = {
        symbol: nearest(found, symbol, known.count)
        for symbol in known.near or found.symbols[:SHOWN]
    }
    if known.output is not None:
        write_table(found, known.output)
    if known.plot is not None:
        _draw(known, path, found)
    files = [str(file) for file in (known.output, known.plot) if file is not None]
    symbols, size = found.vectors_VxE.shape
    if known.json:
        facts = {"run": str(path), "symbols": symbols, "size": size, "near": near, "files": files}
        print(to_json(facts, indent=2))
        return 0
    print(str(path))
    for symbol in known.near:
        rows: list[dict[str, object]] = [{"word": w, "cosine": c} for w, c in near[symbol]]
        print_table(f"nearest to {symbol}", rows)
    if not known.near:
        all_rows: list[dict[str, object]] = [
            {"word": word, "nearest, by cosine": "  ".join(f"{w} {c:.2f}" for w, c in others)}
            for word, others in near.items()
        ]
        print_table(f"{symbols:,} vectors of {size} numbers", all_rows)
    for file in files:
        print(f"written: {file}")
    return 0


def _draw(known: argparse.Namespace, path: Path, found: "Embeddings") -> None:
    from rnnexp.report.embeddings import draw_embeddings

    task, cell, run_id = path.absolute().parts[-3:]
    count = known.words
    draw_embeddings(
        found.symbols[:count], found.vectors_VxE[:count], known.plot, f"{task}/{cell} {run_id}"
    )
