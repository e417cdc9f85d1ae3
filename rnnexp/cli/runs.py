"""The command `runs`: names, tags and notes of runs; runs deleted, put away and brought back."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rnnexp.cli.arguments import about_from, add_about, add_where, refuse
from rnnexp.cli.output import print_table
from rnnexp.core.errors import UsageError
from rnnexp.core.files import to_json

ACTIONS = {
    "label": "give names, tags and notes; a tag that begins with - is taken away",
    "delete": "delete them for good",
    "archive": "put them away into RUNS_DIR/archive, a runs directory of its own",
    "restore": "bring them back from there",
}
DONE = {"delete": "deleted", "archive": "archived", "restore": "restored"}


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Arguments of `rnnexp runs`."""
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.epilog = "\n".join(
        [
            *(f"{name:8}  {text}" for name, text in ACTIONS.items()),
            "",
            "A run that is being trained is never deleted or moved. The command that made a run,",
            "or a sweep that planned it, makes it again once it is deleted or put away.",
        ]
    )
    command.add_argument("action", choices=ACTIONS)
    command.add_argument(
        "runs", nargs="*", metavar="RUN",
        help="a run's directory, id or name; TASK/CELL where it has a single run",
    )  # fmt: skip
    add_where(command)
    add_about(command)
    command.add_argument("--yes", action="store_true", help="do not ask before runs are deleted")


def runs_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp runs ACTION RUN...`."""
    if known.action != "label":
        refuse(known, f"`runs {known.action}`", name="", tag=[], note="")
    if known.action != "delete":
        refuse(known, f"`runs {known.action}`", yes=False)
    paths = _paths(known)
    if known.action == "label":
        return _label(paths, known)
    if known.action == "delete" and not known.yes:
        _confirm(paths)
    from rnnexp.run.remove import ARCHIVE, delete_run, move_run

    for path in paths:
        place = Path(*path.absolute().parts[-3:])
        if known.action == "delete":
            delete_run(path)
        elif known.action == "archive":
            move_run(path, known.runs_dir / ARCHIVE / place)
        else:
            move_run(path, known.runs_dir / place)
    _report(DONE[known.action], paths, known)
    return 0


def _paths(known: argparse.Namespace) -> list[Path]:
    """The runs that are named and meet all conditions, each once."""
    from rnnexp.results.index import read_index
    from rnnexp.results.load import find_runs
    from rnnexp.results.select import parse_condition, select
    from rnnexp.run.remove import ARCHIVE

    if not (known.runs or known.where):
        raise UsageError("name a RUN, or choose runs by --where")
    conditions = [parse_condition(text) for text in known.where]
    folder = known.runs_dir / ARCHIVE if known.action == "restore" else known.runs_dir
    named = [path for name in known.runs for path in find_runs(name, folder, most=1)]
    if not conditions:
        return list(dict.fromkeys(named))
    kept = [Path(record.path) for record in select(read_index(folder), conditions)]
    wanted = {path.resolve() for path in named}
    found = [path for path in kept if not known.runs or path.resolve() in wanted]
    if not found:
        raise UsageError(f"no run in {folder} meets {' and '.join(known.where)}")
    return found


def _confirm(paths: Sequence[Path]) -> None:
    """Ask whether to delete runs; `UsageError` unless the answer is yes."""
    if not sys.stdin.isatty():
        raise UsageError(f"{_count(paths)} would be deleted; say so with --yes")
    for path in paths:
        print(path)
    if input(f"Delete {_count(paths)} for good? [y/N] ").strip().lower() not in ("y", "yes"):
        raise UsageError("nothing is deleted")


def _label(paths: Sequence[Path], known: argparse.Namespace) -> int:
    """`rnnexp runs label`: write what is given, and show what is said now."""
    from rnnexp.run.about import read_about, write_about

    about = about_from(known)
    if known.name and len(paths) > 1:
        raise UsageError(f"--name is for a single run, not for {len(paths)}")
    for path in paths:
        write_about(path, about)
    rows = [{"run": str(path), **read_about(path)._asdict()} for path in paths]
    if known.json:
        print(to_json(rows, indent=2))
    else:
        print_table("runs", [row | {"tags": ", ".join(row["tags"])} for row in rows])
    return 0


def _report(done: str, paths: Sequence[Path], known: argparse.Namespace) -> None:
    if known.json:
        print(to_json({done: [str(path) for path in paths]}, indent=2))
    else:
        print(f"{done}: {_count(paths)}")


def _count(paths: Sequence[Path]) -> str:
    return "1 run" if len(paths) == 1 else f"{len(paths)} runs"
