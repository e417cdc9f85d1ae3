"""The commands about single runs: list, run, sample, inspect."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rnnexp.cli.output import print_table
from rnnexp.core.errors import UsageError
from rnnexp.core.files import to_json

SIGNAL_CODES = {"SIGINT": 130, "SIGTERM": 143}


def list_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp list`."""
    from rnnexp.results import listing

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
    from rnnexp.config.overrides import from_command_line
    from rnnexp.runtime.allocator import keep_memory
    from rnnexp.runtime.compilation_cache import keep_programs

    config = from_command_line(known.experiment, rest)
    keep_memory()
    keep_programs()
    _join(known, config.devices)
    from rich.console import Console

    from rnnexp.cli.progress import LiveProgress, PlainProgress, scores_text
    from rnnexp.run.run import run
    from rnnexp.runtime.collectives import is_first

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
    if not is_first():
        pass  # the first process of a run tells how it ended
    elif known.json:
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


def _join(known: argparse.Namespace, devices: int) -> None:
    """Become one of the processes of a run, if there are several."""
    given = [known.coordinator, known.num_processes, known.process_id]
    if all(value is None for value in given):
        return
    if any(value is None for value in given):
        raise UsageError("--coordinator, --num-processes and --process-id go together")
    from rnnexp.runtime.mesh import join

    join(known.coordinator, known.num_processes, known.process_id, devices=devices)


def sample_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp sample`."""
    from rnnexp.results.load import find_run
    from rnnexp.run import sample
    from rnnexp.runtime.compilation_cache import keep_programs

    keep_programs()
    trained = sample.load_trained(find_run(known.run, known.runs_dir), known.data_dir)
    task = trained.plan.recipe.task
    if task.mode == "asynchronous":
        rows = [
            {"answer": text, "ln p": value}
            for text, value in sample.answer(trained, known.prompt, width=known.beam)
        ]
        print(to_json(rows, indent=2)) if known.json else print_table(known.prompt, rows)
        return 0
    draws = {"length": known.length, "temperature": known.temperature, "seed": known.seed}
    if task.alphabet is not None:
        text = sample.write_text(trained, known.prompt, top_k=known.top_k, **draws)
        print(to_json({"text": known.prompt + text}) if known.json else known.prompt + text)
        return 0
    if known.output is None:
        raise UsageError("music needs a file: -o FILE.mid")
    from rnnexp.data.midi import write_midi

    write_midi(known.output, sample.write_notes(trained, **draws))
    print(to_json({"file": str(known.output)}) if known.json else f"written: {known.output}")
    return 0


def inspect_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp inspect`."""
    if known.divergence:
        if known.plot is not None:
            raise UsageError(
                "--plot draws the gradients of a run; it does not go with --divergence"
            )
        from rnnexp.cli.divergence import divergence_command

        return divergence_command(known)
    if known.data_dir is not None:
        raise UsageError("--data-dir is for the replay of a step; it goes with --divergence")
    from rnnexp.report import table
    from rnnexp.results.load import find_run, load_run

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
