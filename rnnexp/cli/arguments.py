"""Code shared by commands: arguments, refusals, the space of a sweep, exit codes."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rnnexp.core.errors import UsageError

SIGNAL_CODES = {
    "SIGINT": 130, "SIGPIPE": 141, "SIGTERM": 143, "cancelled": 143,
    "time budget": 75,  # EX_TEMPFAIL of BSD's sysexits.h: try again
}  # fmt: skip
"""The exit code of a command that was stopped, by what stopped it."""


def add_run(command: argparse.ArgumentParser) -> None:
    """Add the argument RUN: one existing run."""
    command.add_argument("run", metavar="RUN", help="a run's directory or id, or TASK/CELL")


def add_data_dir(parser: argparse._ActionsContainer) -> None:
    """Add the option --data-dir."""
    parser.add_argument("--data-dir", type=Path, help="where to look for data files first")


def add_where(parser: argparse._ActionsContainer) -> None:
    """Add the option --where."""
    parser.add_argument(
        "--where", action="append", default=[], metavar="CONDITION",
        help="runs that meet it: KEY=VALUE,VALUE, KEY!=VALUE, 'KEY>=NUMBER', KEY~TEXT of keys, "
        "test_SCORE, valid_SCORE, status, step, name, tag, note; may be repeated",
    )  # fmt: skip


def add_about(parser: argparse._ActionsContainer) -> None:
    """Add the options --name, --tag and --note, which `about_from` reads."""
    parser.add_argument("--name", default="", help="what the run is called in lists and pictures")
    parser.add_argument("--tag", action="append", default=[], help="a word; may be repeated")
    parser.add_argument("--note", default="", help="anything worth knowing about the run")


def about_from(known: argparse.Namespace) -> Any:
    """What is said of a run on the command line."""
    from rnnexp.run.about import About, require_about

    about = About(known.name, tuple(known.tag), known.note)
    require_about(about)
    return about


def require_place(file: Path | None) -> None:
    """Raise `UsageError` if a file cannot be written there, before the work that makes it."""
    if file is None:
        return
    if file.is_dir():
        raise UsageError(f"cannot write {file}: it is a directory; name a file in it")
    if not file.absolute().parent.is_dir():
        raise UsageError(f"cannot write {file}: there is no directory {file.parent}")


def require_picture_place(file: Path | None) -> None:
    """`require_place` for a picture, whose ending must be known too."""
    if file is not None:
        from rnnexp.report.figures import require_picture_name

        require_picture_name(file)
        require_place(file)


def refuse(known: argparse.Namespace, by: str, **defaults: object) -> None:
    """Raise `UsageError` for an argument that does not go with `by`, unless it is the default."""
    for name, default in defaults.items():
        if getattr(known, name) != default:
            raise UsageError(f"--{name.replace('_', '-')} does not go with {by}")


def read_space(known: argparse.Namespace, rest: Sequence[str]) -> tuple[Any, Any]:
    """The space and the base that the arguments of a sweep or a search describe."""
    from rnnexp.sweep.space import load_space, parse_space, read_base

    seeds, draw_seed, file = known.seeds, known.draw_seed, None
    if known.space is not None:
        space, file = load_space(str(known.space), known.sweep, seeds=seeds, draw_seed=draw_seed)
    else:
        space = parse_space(known.sweep, seeds=seeds, draw_seed=draw_seed or 0)
    return space, read_base(known.experiment, rest, file=file)
