"""The command `run`: train one experiment, or resume it."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rnnexp.cli.arguments import SIGNAL_CODES, add_data_dir
from rnnexp.core.errors import UsageError
from rnnexp.core.files import to_json

if TYPE_CHECKING:
    from rnnexp.run.callbacks import RunResult


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Arguments of `rnnexp run`."""
    command.epilog = (
        "Any key is overridden by --config.KEY=VALUE, such as "
        "--config.optimizer.learning_rate=3e-4; --config=FILE takes a configuration file."
    )
    command.add_argument("experiment", nargs="?", metavar="TASK/CELL")
    add_data_dir(command)
    command.add_argument(
        "--coordinator", metavar="HOST:PORT",
        help="one run by several processes: where process 0 listens; config.devices counts all",
    )  # fmt: skip
    command.add_argument("--num-processes", type=int, metavar="P", help="how many processes")
    command.add_argument("--process-id", type=int, metavar="I", help="this one's number, from 0")


def run_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp run`."""
    from rnnexp.config.overrides import from_command_line
    from rnnexp.runtime.allocator import keep_memory
    from rnnexp.runtime.compilation_cache import keep_programs

    config = from_command_line(known.experiment, rest)
    keep_memory()
    keep_programs()
    _join(known, config.devices)
    from rich.console import Console

    from rnnexp.cli.progress import LiveProgress, PlainProgress
    from rnnexp.run.run import run
    from rnnexp.runtime.collectives import is_first

    console = Console(stderr=known.json)
    progress = (LiveProgress if console.is_terminal else PlainProgress)(console)
    try:
        result = run(config, runs_dir=known.runs_dir, data_dir=known.data_dir, observer=progress)
    finally:
        progress.close()
    if is_first():  # the first process of a run prints how it ended
        _print_result(result, as_json=known.json)
    return SIGNAL_CODES[result.reason.partition(";")[0]] if result.status == "interrupted" else 0


def _join(known: argparse.Namespace, devices: int) -> None:
    """Become one of the processes of a run, if there are several."""
    missing = [x is None for x in (known.coordinator, known.num_processes, known.process_id)]
    if all(missing):
        return
    if any(missing):
        raise UsageError("--coordinator, --num-processes and --process-id go together")
    from rnnexp.runtime.mesh import join

    join(known.coordinator, known.num_processes, known.process_id, devices=devices)


def _print_result(result: "RunResult", *, as_json: bool) -> None:
    """Print how a run ended, its test scores, and the command that shows more."""
    from rnnexp.cli.progress import scores_text

    if as_json:
        print(to_json(vars(result) | {"path": str(result.path)}, indent=2))
        return
    reason = f": {result.reason}" if result.reason else ""
    print(f"{result.status} after {result.step} steps{reason}")
    if "test" in result.details:
        print(f"test, step {result.details['test_step']}: {scores_text(result.details['test'])}")
    print(f"rnnexp inspect {result.path}")
