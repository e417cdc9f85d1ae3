"""The command line: sub-commands of a few lines each, and the only place that prints.

Exit codes: 0 done (a divergence is a result), 1 a run failed, 2 bad input,
130 or 143 interrupted by SIGINT or SIGTERM.
"""

import argparse
import difflib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from rnnexp.errors import RunError, UsageError
from rnnexp.files import to_json
from rnnexp.modules import load_module

SIGNAL_CODES = {"SIGINT": 130, "SIGTERM": 143}
LISTS = ("experiments", "cells", "tasks", "runs")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    logging.basicConfig(format="rnnexp: %(message)s", level=logging.ERROR)
    logging.getLogger("rnnexp").setLevel(logging.INFO)
    try:
        known, rest = parser().parse_known_args(arguments)
        if rest and known.command != "run":
            raise UsageError(f"unexpected arguments: {' '.join(rest)}")
        for file in known.imports:
            load_module(file, "imported file")
        code: int = known.function(known, rest)
        return code
    except (UsageError, RunError) as error:
        print(f"rnnexp: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("rnnexp: interrupted; the same command resumes", file=sys.stderr)
        return SIGNAL_CODES["SIGINT"]


class _Parser(argparse.ArgumentParser):
    """Argparse, with errors as `UsageError` and a suggestion for a mistyped command."""

    def error(self, message: str) -> None:  # type: ignore[override]
        typed = message.partition("invalid choice: '")[2].partition("'")[0]
        near = difflib.get_close_matches(typed, ["list", "run", "inspect", "sample", *LISTS], n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"{message}.{hint} See `{self.prog} --help`.")


def parser() -> argparse.ArgumentParser:
    """All sub-commands and their arguments."""
    common = _Parser(add_help=False)
    common.add_argument("--runs-dir", type=Path, default=Path("runs"), help="where runs are kept")
    common.add_argument(
        "--import", dest="imports", action="append", default=[], metavar="FILE",
        help="a Python file that adds cells or tasks of your own; may be repeated",
    )  # fmt: skip
    common.add_argument("--json", action="store_true", help="print data instead of tables")
    top = _Parser(prog="rnnexp", description="How far gradients flow through time.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, function: object, text: str, epilog: str = "") -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = commands.add_parser(
            name, parents=[common], help=text, description=text, epilog=epilog
        )
        command.set_defaults(function=function)
        return command

    listing = add("list", list_command, "show what there is")
    listing.add_argument("what", nargs="?", default="experiments", choices=LISTS)
    run = add(
        "run", run_command, "train one experiment; the same command again resumes it",
        "Any key is overridden by --config.KEY=VALUE, such as "
        "--config.optimizer.learning_rate=3e-4; --config=FILE takes a configuration file.",
    )  # fmt: skip
    run.add_argument("experiment", nargs="?", metavar="TASK/CELL")
    run.add_argument("--data-dir", type=Path, help="where to look for data files first")
    sample = add("sample", sample_command, "let a trained run write text, music or an answer")
    sample.add_argument("run", metavar="RUN", help="a run's directory or id, or TASK/CELL")
    sample.add_argument("--data-dir", type=Path, help="where to look for data files first")
    sample.add_argument("--prompt", default="", help="the text to go on from, or the question")
    sample.add_argument("--length", type=int, default=500, help="characters or steps of music")
    sample.add_argument("--temperature", type=float, default=1.0, help="0: always the likeliest")
    sample.add_argument("--top-k", type=int, default=0, help="draw from so many symbols; 0: all")
    sample.add_argument("--beam", type=int, default=1, help="answers that are kept and shown")
    sample.add_argument("--seed", type=int, default=0, help="of the draws")
    sample.add_argument("-o", "--output", type=Path, metavar="FILE", help="where music goes (.mid)")
    inspect = add("inspect", inspect_command, "show a run's gradient norms through time")
    inspect.add_argument("run", metavar="RUN", help="a run's directory or id, or TASK/CELL")
    inspect.add_argument("--plot", type=Path, metavar="FILE", help="draw them (png, svg, pdf)")
    return top


def list_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp list`."""
    from rnnexp.report import listing

    rows = listing.ROWS[known.what](known.runs_dir)
    if known.json:
        print(to_json(rows, indent=2))
    elif not rows:
        print(f"no {known.what} in {known.runs_dir}")
    else:
        print_table(f"{known.what}", rows)
    return 0


def run_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp run`."""
    from rnnexp.overrides import from_command_line

    config = from_command_line(known.experiment, rest)
    from rnnexp.progress import LiveProgress, PlainProgress, scores_text
    from rnnexp.runner import run

    console = Console(stderr=known.json)
    progress = (LiveProgress if console.is_terminal else PlainProgress)(console)
    imported = [Path(file) for file in known.imports]
    try:
        result = run(
            config, runs_dir=known.runs_dir, data_dir=known.data_dir,
            imported=imported, observer=progress,
        )  # fmt: skip
    finally:
        progress.close()
    if known.json:
        print(to_json(vars(result) | {"path": str(result.path)}, indent=2))
    else:
        print(
            f"{result.status} after {result.step} steps{': ' * bool(result.reason)}{result.reason}"
        )
        if "test" in result.details:
            print(
                f"test, step {result.details['test_step']}: {scores_text(result.details['test'])}"
            )
        print(f"rnnexp inspect {result.path}")
    return SIGNAL_CODES[result.reason.partition(";")[0]] if result.status == "interrupted" else 0


def sample_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp sample`."""
    from rnnexp import sampling
    from rnnexp.report.load import find_run

    trained = sampling.load_trained(find_run(known.run, known.runs_dir), known.data_dir)
    task = trained.plan.recipe.task
    if task.mode == "asynchronous":
        rows = [
            {"answer": text, "ln p": value}
            for text, value in sampling.answer(trained, known.prompt, width=known.beam)
        ]
        print(to_json(rows, indent=2)) if known.json else print_table(known.prompt, rows)
        return 0
    draws = {"length": known.length, "temperature": known.temperature, "seed": known.seed}
    if task.alphabet is not None:
        text = sampling.write_text(trained, known.prompt, top_k=known.top_k, **draws)
        print(to_json({"text": known.prompt + text}) if known.json else known.prompt + text)
        return 0
    if known.output is None:
        raise UsageError("music needs a file: -o FILE.mid")
    from rnnexp.data.midi import write_midi

    write_midi(known.output, sampling.write_notes(trained, **draws))
    print(to_json({"file": str(known.output)}) if known.json else f"written: {known.output}")
    return 0


def inspect_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp inspect`."""
    from rnnexp.report import table
    from rnnexp.report.load import find_run, load_run

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


def print_table(title: str, rows: Sequence[dict[str, object]]) -> None:
    """Rows of like keys as a table, with plain text where there is no terminal."""
    table = Table(title=title, title_justify="left")
    for name, value in rows[0].items():
        justify: JustifyMethod = "left" if isinstance(value, str) else "right"
        table.add_column(Text(name), justify=justify, overflow="fold")
    for row in rows:
        cells = (f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values())
        table.add_row(*map(Text, cells))  # Text: brackets in a summary are no markup
    console = Console()
    wide = console if console.is_terminal else Console(width=160)
    wide.print(table)
