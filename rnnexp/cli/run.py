"""The command `run`: train one experiment, or resume it."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rnnexp.cli.arguments import SIGNAL_CODES, about_from, add_about, add_data_dir
from rnnexp.core.errors import UsageError
from rnnexp.core.files import to_json

if TYPE_CHECKING:
    from ml_collections import FrozenConfigDict

    from rnnexp.run.callbacks import RunResult

log = logging.getLogger("rnnexp")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Arguments of `rnnexp run`."""
    command.epilog = (
        "Any key is overridden by --config.KEY=VALUE, such as "
        "--config.optimizer.learning_rate=3e-4 (`rnnexp list keys`); --config=FILE takes a "
        "configuration file (.py, .yaml, .json)."
    )
    command.add_argument("experiment", nargs="?", metavar="TASK/CELL")
    command.add_argument(
        "--again", metavar="RUN",
        help="the configuration of an existing run, from its start; --runs-dir says where",
    )  # fmt: skip
    command.add_argument(
        "--from", dest="origin", metavar="RUN",
        help="go on from the end of an existing run, with a longer --config.train.duration_...",
    )  # fmt: skip
    command.add_argument(
        "--print-config", action="store_true",
        help="train nothing; print every key's value and meaning, as YAML that --config=FILE reads",
    )  # fmt: skip
    add_about(command)
    add_data_dir(command)
    command.add_argument(
        "--coordinator", metavar="HOST:PORT",
        help="one run by several processes: where process 0 listens; config.devices counts all",
    )  # fmt: skip
    command.add_argument("--num-processes", type=int, metavar="P", help="how many processes")
    command.add_argument("--process-id", type=int, metavar="I", help="this one's number, from 0")


def run_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp run`."""
    if known.print_config:
        return _print_config(known, rest)
    from rnnexp.runtime.allocator import keep_memory
    from rnnexp.runtime.compilation_cache import keep_programs

    about = about_from(known)
    earlier, config = _configuration(known, rest)
    keep_memory()
    keep_programs()
    _join(known, config.devices)
    from rich.console import Console

    from rnnexp.cli.live import is_live
    from rnnexp.cli.progress import LiveProgress, PlainProgress
    from rnnexp.run.run import run
    from rnnexp.runtime.collectives import is_first

    console = Console(stderr=known.json)
    progress = (LiveProgress if is_live(console) else PlainProgress)(console)
    try:
        if not known.process_id:  # the others of a run print nothing
            progress.open()
        result = run(
            config, runs_dir=known.runs_dir, data_dir=known.data_dir, observer=progress,
            origin=earlier if known.origin is not None else None, about=about,
        )  # fmt: skip
    finally:
        progress.close()
    if is_first():  # the first process of a run prints how it ended
        _print_result(result, as_json=known.json)
        if known.again is not None and earlier is not None:
            _compare(earlier, result)
    return SIGNAL_CODES[result.reason.partition(";")[0]] if result.status == "interrupted" else 0


def _print_config(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp run --print-config`."""
    from rnnexp.config.describe import as_yaml

    _, config = _configuration(known, rest)
    print(to_json(config.to_dict(), indent=2) if known.json else as_yaml(config))
    return 0


def _configuration(
    known: argparse.Namespace, rest: Sequence[str]
) -> tuple[Path | None, "FrozenConfigDict"]:
    """The existing run that is named, if any, and the configuration to train."""
    from rnnexp.config.overrides import from_command_line, from_run

    named = [name for name in (known.again, known.origin) if name is not None]
    if not named:
        return None, from_command_line(known.experiment, rest)
    if len(named) > 1 or known.experiment is not None:
        raise UsageError("name one experiment: TASK/CELL, --config=FILE, --again RUN or --from RUN")
    from rnnexp.run.files import saved_config

    path = _find_earlier(named[0], known.runs_dir)
    return path, from_run(saved_config(path), rest)


def _find_earlier(name: str, runs_dir: Path) -> Path:
    """The existing run of that name: below `runs_dir`, or else where runs are by default."""
    from rnnexp.results.load import RUNS_DIR, find_run

    try:
        return find_run(name, runs_dir)
    except UsageError:
        if runs_dir == RUNS_DIR or not RUNS_DIR.is_dir():
            raise
    return find_run(name, RUNS_DIR)


def _compare(earlier: Path, result: "RunResult") -> None:
    """Say whether a run that was made again has the scores of the earlier one."""
    from rnnexp.run.callbacks import read_result

    before = read_result(earlier)
    if result.path.resolve() == earlier.resolve():
        log.info("this is that run itself; another --runs-dir makes it again")
    elif before is not None and "test" in before.details and "test" in result.details:
        old, new = before.details["test"], result.details["test"]
        if old == new:
            log.info("its test scores are those of %s, digit for digit", earlier)
        else:
            log.info("its test scores are not those of %s: %s, now %s", earlier, old, new)


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
    if (lengths := result.details.get("by_length")) is not None:
        first, last = lengths["train"]
        trained = str(first) if first == last else f"{first} to {last}"
        print(f"test by length ({lengths['unit']}; training has {trained}):")
        for length, scores in lengths["test"].items():
            print(f"  {length}: {scores_text(scores)}")
    print(f"rnnexp inspect {result.path}")
