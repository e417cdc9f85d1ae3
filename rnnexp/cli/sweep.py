"""The command `sweep`: many runs from one line, planned, started, watched, stopped."""

import argparse
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rnnexp.cli.output import print_table
from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.files import to_json

log = logging.getLogger("rnnexp")
SIGNAL_CODES = {"SIGINT": 130, "SIGTERM": 143, "cancelled": 143}
SHOWN_REASONS = 5


def sweep_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp sweep`."""
    from rnnexp.sweep.executors import EXECUTORS

    for directory, function in (
        (known.status, print_state),
        (known.retry_failed, _retry),
        (known.cancel, _cancel),
    ):
        if directory is not None:
            if known.experiment or known.sweep or rest:
                raise UsageError("--status, --retry-failed and --cancel take a directory alone")
            return function(directory, known)
    require_choice("executor", known.executor, EXECUTORS)
    if known.search is not None:
        from rnnexp.cli.search import search_command

        return search_command(known, rest)
    refuse(known, "a sweep without --search", trials=50, pruner="none", storage=None)
    return _start(known, rest)


def refuse(known: argparse.Namespace, by: str, **defaults: object) -> None:
    """Raise `UsageError` for an argument that has no meaning together with `by`."""
    for name, default in defaults.items():
        if getattr(known, name) != default:
            raise UsageError(f"--{name.replace('_', '-')} does not go with {by}")


def read_space(known: argparse.Namespace, rest: Sequence[str]) -> tuple[Any, Any]:
    """The space and the base that the arguments describe."""
    from rnnexp.sweep.space import load_space, parse_space, read_base

    if known.space is not None:
        space, file = load_space(
            str(known.space), known.sweep, seeds=known.seeds, draw_seed=known.draw_seed
        )
    else:
        space = parse_space(known.sweep, seeds=known.seeds, draw_seed=known.draw_seed or 0)
        file = None
    return space, read_base(known.experiment, rest, file=file)


def _start(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """Plan, print the plan, and train what is missing."""
    from rnnexp.runtime.allocator import keep_memory
    from rnnexp.runtime.compilation_cache import keep_programs
    from rnnexp.sweep.launch import group_rows, plan_sweep, save_sweep

    space, base = read_space(known, rest)
    keep_memory()
    keep_programs()
    _choose_devices(known)
    data_dir = known.data_dir
    plan = plan_sweep(space, base, parameters=known.match_parameters, data_dir=data_dir)
    costs: Mapping[int, Mapping[str, Any]] = {}
    memory = {}
    if known.dry_run or known.executor != "local":
        from rnnexp.sweep.estimate import estimate, request_bytes

        costs = estimate(plan, data_dir=data_dir, measure=known.dry_run)
        lanes = (known.cpus or 1) * (known.width or 1)
        memory = {
            group: request_bytes(cost, len(plan.groups[group]), lanes)
            for group, cost in costs.items()
        }
    rows = group_rows(plan, known.runs_dir, costs)
    total = f"{_count(len(plan.runs), 'run')} in {_count(len(rows), 'compile group')}"
    if not known.json:
        for statement in plan.statements:
            print(statement)
        print_table(total, [_readable(row) for row in rows])
    if known.dry_run:
        if known.json:
            print(to_json({"statements": plan.statements, "groups": rows}, indent=2))
        elif costs:
            seconds = sum(cost["seconds"] or 0.0 for cost in costs.values())
            print(f"training steps alone: about {_duration(seconds)} on this machine")
        return 0
    sweep_dir = save_sweep(
        plan,
        known.runs_dir,
        known.name,
        arguments=[*known.sweep, *rest],
        imports=[str(Path(file).absolute()) for file in known.imports],
        data_dir=None if data_dir is None else str(data_dir.absolute()),
        width=known.width,
        cpus=None if known.executor == "local" else known.cpus or 1,
    )
    return _train(sweep_dir, known, memory)


def _choose_devices(known: argparse.Namespace) -> None:
    """For a dry run the devices that a worker would have. Otherwise keep this process off the
    accelerator, which its workers need whole."""
    import jax

    from rnnexp.sweep.lanes import start_devices

    if known.dry_run:
        start_devices(os.cpu_count() or 1)
    else:
        jax.config.update("jax_platforms", "cpu")


def _train(sweep_dir: Path, known: argparse.Namespace, memory: Mapping[int, int]) -> int:
    """Start what is missing and report how it ended."""
    from rnnexp.sweep.executors import Options
    from rnnexp.sweep.launch import launch

    options = Options(
        at_once=known.jobs, address=known.address, slurm=dict(_pair(text) for text in known.slurm)
    )
    log.info("sweep %s; stopped or killed, the same command goes on", sweep_dir)
    reason = launch(
        sweep_dir,
        executor=known.executor,
        options=options,
        cpus=known.cpus or 1,
        gpus=known.gpus,
        memory=memory,
    )
    code = print_state(sweep_dir, known)
    return SIGNAL_CODES[reason] if reason else code


def print_state(sweep_dir: Path, known: argparse.Namespace) -> int:
    """How many runs stand where, and why; exit code 1 if any failed."""
    from rnnexp.sweep.launch import count_statuses, reasons

    counts = count_statuses(sweep_dir)
    if known.json:
        print(to_json({"sweep": str(sweep_dir), "runs": counts}, indent=2))
        return 1 if counts.get("failed") else 0
    for status in ("failed", "diverged"):
        found = reasons(sweep_dir, status)
        for reason, count in found[:SHOWN_REASONS]:
            print(f"{count} {status}: {reason}")
        if len(found) > SHOWN_REASONS:
            rest = sum(count for _, count in found[SHOWN_REASONS:])
            print(f"{rest} {status} for {len(found) - SHOWN_REASONS} other reasons")
    parts = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    print(f"{_count(sum(counts.values()), 'run')}: {parts}")
    if counts.get("failed"):
        print(f"rnnexp sweep --retry-failed {sweep_dir}")
    print(f"rnnexp compare {sweep_dir}")
    return 1 if counts.get("failed") else 0


def _retry(sweep_dir: Path, known: argparse.Namespace) -> int:
    """Train failed runs once more, and whatever else is missing."""
    from rnnexp.sweep.launch import retry_failed

    log.info("%d failed run(s) to be tried again", retry_failed(sweep_dir))
    return _train(sweep_dir, known, {})


def _cancel(sweep_dir: Path, known: argparse.Namespace) -> int:
    """Ask a sweep to stop."""
    from rnnexp.sweep.launch import ask_to_cancel

    ask_to_cancel(sweep_dir)
    print(f"asked {sweep_dir} to stop; its runs are checkpointed, the same sweep goes on from them")
    return 0


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--slurm takes KEY=VALUE, not {text!r}")
    return name, value


def _readable(row: dict[str, Any]) -> dict[str, object]:
    """A group's row for people: whole MiB, a duration in words."""
    shown = {key: value for key, value in row.items() if key != "seconds"}
    for key in ("MiB a run", "MiB of data"):
        if key in shown:
            shown[key] = f"{shown[key]:.1f}"
    if "seconds" in row:
        seconds = row["seconds"]
        shown["time"] = "not measured" if seconds is None else _duration(seconds)
    return shown


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
