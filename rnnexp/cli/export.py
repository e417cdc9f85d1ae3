"""The command `export`: runs as files for other programs, their curves or their weights."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rnnexp.cli.arguments import add_data_dir
from rnnexp.cli.output import print_table
from rnnexp.core.errors import require_choice
from rnnexp.core.files import to_json

log = logging.getLogger("rnnexp")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Arguments of `rnnexp export`."""
    command.add_argument(
        "runs", nargs="+", metavar="RUN",
        help="a run's directory or id, TASK/CELL for the latest, or a directory of runs or a sweep",
    )  # fmt: skip
    command.add_argument(
        "--to", required=True, metavar="NAME",
        help="curves: tensorboard, mlflow or wandb; trained weights: safetensors or pytorch",
    )  # fmt: skip
    command.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR",
        help="where the files go; a run that was exported there before is replaced",
    )  # fmt: skip
    command.add_argument(
        "--checkpoint", default="", metavar="WHICH",
        help="of weights: best, last or a training step (best, or last if there is none)",
    )  # fmt: skip
    add_data_dir(command)


def export_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp export RUN... --to NAME -o DIR`."""
    from rnnexp.export import EXPORTERS, export
    from rnnexp.results.load import load_run

    require_choice("exporter", known.to, EXPORTERS)
    if EXPORTERS[known.to].of_weights:
        from rnnexp.runtime.compilation_cache import keep_programs

        keep_programs()
    chosen: dict[str, Any] = {"checkpoint": known.checkpoint, "data_dir": known.data_dir}
    rows: list[dict[str, object]] = []
    shown_by: dict[str, None] = {}
    for path in [path for name in known.runs for path in _paths(name, known.runs_dir)]:
        result = export(load_run(path), known.to, known.output, **chosen)
        replaced = "replaced" if result.replaced else "new"
        rows.append({"run": str(path), "export": replaced, "path": str(result.path)})
        shown_by[result.shown_by] = None
    if known.json:
        print(to_json(rows, indent=2))
        return 0
    print_table(f"exported to {known.to}", rows)
    for line in shown_by:
        print(line)
    return 0


def _paths(name: str, runs_dir: Path) -> list[Path]:
    """The named run, or all runs of a directory that have started."""
    from rnnexp.results.index import load_records
    from rnnexp.results.load import find_run

    directory = Path(name)
    if not directory.is_dir() or (directory / "status.json").exists():
        return [find_run(name, runs_dir)]
    records = load_records(directory)
    begun = [Path(record.path) for record in records if record.status != "waiting"]
    if len(begun) < len(records):
        log.warning("%d runs of %s have not begun", len(records) - len(begun), directory)
    return begun
