"""The command line: sub-commands and their arguments.

Exit codes: 0 done (a divergence is a result), 1 a run failed, 2 bad input,
130 or 143 interrupted by SIGINT or SIGTERM. What a command does is in `rnnexp.cli`,
with this file the only place that prints.
"""

import argparse
import difflib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from rnnexp.cli.analyze import add_analyze, analyze_command
from rnnexp.cli.arguments import add_compare, add_sweep
from rnnexp.cli.bench import add_bench, bench_command
from rnnexp.cli.compare import compare_command
from rnnexp.cli.export import add_export, export_command
from rnnexp.cli.report import add_report, report_command
from rnnexp.cli.runs import (
    SIGNAL_CODES,
    inspect_command,
    list_command,
    run_command,
    sample_command,
)
from rnnexp.cli.sweep import sweep_command
from rnnexp.core.errors import RunError, UsageError
from rnnexp.core.load_module import load_module

LISTS = ("experiments", "cells", "tasks", "runs")
COMMANDS = (
    "list",
    "run",
    "sweep",
    "compare",
    "inspect",
    "analyze",
    "report",
    "export",
    "sample",
    "bench",
)
CONFIGURED = ("run", "sweep", "analyze")
"""Commands that take `--config.KEY=VALUE`, and all but `analyze` `--config=FILE`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    logging.basicConfig(format="rnnexp: %(message)s", level=logging.ERROR)
    logging.getLogger("rnnexp").setLevel(logging.INFO)
    try:
        known, rest = parser().parse_known_args(arguments)
        if rest and known.command not in CONFIGURED:
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
        near = difflib.get_close_matches(typed, [*COMMANDS, *LISTS], n=1)
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
    run.add_argument(
        "--coordinator", metavar="HOST:PORT",
        help="one run by several processes: where process 0 listens; config.devices counts all",
    )  # fmt: skip
    run.add_argument("--num-processes", type=int, metavar="P", help="how many processes")
    run.add_argument("--process-id", type=int, metavar="I", help="this one's number, from 0")
    add_sweep(add("sweep", sweep_command, "train many runs, and only those that are missing"))
    add_compare(add("compare", compare_command, "groups of runs side by side, or single runs"))
    add_report(add("report", report_command, "many runs as one page that needs no network"))
    add_export(add("export", export_command, "runs for TensorBoard, MLflow or Weights & Biases"))
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
    inspect.add_argument(
        "--divergence", action="store_true", help="how it diverged, and that step computed again"
    )
    inspect.add_argument(
        "--data-dir", type=Path, help="with --divergence: where to look for data files first"
    )
    add_analyze(add("analyze", analyze_command, "Lyapunov spectra and more of a run's checkpoints"))
    add_bench(add("bench", bench_command, "a training step beside other libraries"))
    return top
