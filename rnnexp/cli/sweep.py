"""The command `sweep`: plans, starts, follows and stops many runs from one line."""

import argparse
import logging
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnexp.cli import search
from rnnexp.cli.arguments import SIGNAL_CODES, add_data_dir, read_space, refuse
from rnnexp.cli.output import duration_text, print_table
from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.files import to_json

if TYPE_CHECKING:
    from rnnexp.sweep.launch import SweepPlan

log = logging.getLogger("rnnexp")
SHOWN_REASONS = 5
TEXT = """\
A space is made of --sweep values, which multiply:

  cell=rnn,lstm,gru                          cells (or tasks) to choose from
  optimizer.learning_rate=1e-3,1e-2          a list
  optimizer.learning_rate=log:1e-5..1e-1:10  10 values, evenly spaced logarithms
  model.dropout=linear:0..0.5:6              6 values, evenly spaced
  "zip:cell.hidden_size=32,64;train.batch_size=64,32"   lists that go together
  random:20                                  20 random draws instead of the grid

Any key is set for all runs by --config.KEY=VALUE; --config=FILE takes a configuration file.
Runs that differ only in seed, learning rate, momentum, weight decay, clip threshold, rate of
dropout, or in how weights are drawn, train together in one compiled program.
The same command again makes only what is missing.
"""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Arguments of `rnnexp sweep`."""
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.epilog = TEXT
    command.add_argument("experiment", nargs="?", metavar="TASK/CELL")
    space = command.add_argument_group("space")
    space.add_argument("--sweep", action="append", default=[], metavar="AXIS", help="see below")
    space.add_argument("--space", type=Path, metavar="FILE", help="a Python file with get_space()")
    space.add_argument("--seeds", metavar="N", help="so many seeds of every point, or a list")
    space.add_argument("--draw-seed", type=int, metavar="N", help="of the draws of random:N")
    space.add_argument(
        "--match-parameters", type=int, metavar="N",
        help="choose every cell's width so that the model has N parameters within 1 %%",
    )  # fmt: skip
    place = command.add_argument_group("where and how")
    place.add_argument("--name", help="of the sweep's directory (default: from its runs)")
    add_place(place)
    search.add_arguments(command)
    state = command.add_argument_group("a sweep that was started")
    state.add_argument("--status", type=Path, metavar="DIR", help="how many runs stand where")
    state.add_argument("--retry-failed", type=Path, metavar="DIR", help="try failed runs again")
    state.add_argument("--cancel", type=Path, metavar="DIR", help="checkpoint its runs and stop")


def add_place(place: argparse._ActionsContainer) -> None:
    """Arguments of a command that trains many runs: where, and how many at a time."""
    place.add_argument("--dry-run", action="store_true", help="plan, measure, and start nothing")
    add_data_dir(place)
    place.add_argument(
        "--width", type=int, metavar="N",
        help="runs side by side on a device (default: what is measured to be fastest)",
    )  # fmt: skip
    place.add_argument("--executor", default="local", metavar="NAME", help="local, ray or slurm")
    place.add_argument("--jobs", type=int, metavar="N", help="local: groups at a time")
    place.add_argument("--address", help="ray: HOST:PORT of the cluster's head, or auto")
    place.add_argument("--cpus", type=int, metavar="N", help="ray, slurm: cores a group (1)")
    place.add_argument("--gpus", type=float, default=0.0, help="ray, slurm: GPUs a group")
    place.add_argument(
        "--slurm", action="append", default=[], metavar="KEY=VALUE", help="slurm: an option of it"
    )


def sweep_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp sweep`."""
    actions = (known.status, print_state), (known.retry_failed, _retry), (known.cancel, _cancel)
    for directory, function in actions:
        if directory is not None:
            if known.experiment or known.sweep or rest:
                raise UsageError("--status, --retry-failed and --cancel take a directory alone")
            return function(directory, known)
    require_options(known)
    if known.search is not None:
        return search.search_command(known, rest)
    refuse(known, "a sweep without --search", trials=50, pruner="none", storage=None)
    return _start(known, rest)


def require_options(known: argparse.Namespace) -> None:
    """Raise `UsageError` for a value of `add_place`'s options that cannot be."""
    from rnnexp.sweep.executors import EXECUTORS

    require_choice("executor", known.executor, EXECUTORS)
    for name in ("width", "jobs", "cpus"):
        if (number := getattr(known, name)) is not None and number < 1:
            raise UsageError(f"--{name} must be at least 1, not {number}")
    if not 0 <= known.gpus < math.inf:
        raise UsageError(f"--gpus must not be negative, and finite, not {known.gpus}")


def _start(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """Plan, print the plan, and train what is missing."""
    from rnnexp.sweep.directory import sweep_folder
    from rnnexp.sweep.launch import plan_sweep

    if known.name is not None:
        sweep_folder(known.runs_dir, known.name)  # before the work
    space, base = read_space(known, rest)
    prepare(known)
    plan = plan_sweep(space, base, parameters=known.match_parameters, data_dir=known.data_dir)
    costs, memory = costs_of(plan, known)
    print_plan(plan, costs, known)
    if known.dry_run:
        return 0
    sweep_dir = save_plan(plan, known, known.name, [*known.sweep, *rest])
    return _train(sweep_dir, known, memory)


def prepare(known: argparse.Namespace) -> None:
    """Keep memory and programs, and start the devices that a plan is measured on."""
    from rnnexp.runtime.allocator import keep_memory
    from rnnexp.runtime.compilation_cache import keep_programs

    keep_memory()
    keep_programs()
    _choose_devices(known)


def save_plan(
    plan: "SweepPlan", known: argparse.Namespace, name: str | None, arguments: Sequence[str]
) -> Path:
    """Write the plan with what its workers need; returns the sweep's directory."""
    from rnnexp.sweep.directory import with_hashes
    from rnnexp.sweep.launch import save_sweep

    data_dir = known.data_dir
    return save_sweep(
        plan,
        known.runs_dir,
        name,
        arguments=list(arguments),
        imports=list(with_hashes(known.imports)),
        data_dir=None if data_dir is None else str(data_dir.absolute()),
        width=known.width,
        cpus=None if known.executor == "local" else known.cpus or 1,
    )


def costs_of(
    plan: "SweepPlan", known: argparse.Namespace
) -> tuple[Mapping[int, Mapping[str, Any]], Mapping[int, int]]:
    """By group, the costs of its runs and the bytes to request of an executor.

    A local sweep requests nothing, so both are empty unless it is a dry run.
    """
    if not known.dry_run and known.executor == "local":
        return {}, {}
    from rnnexp.sweep.estimate import estimate, request_bytes

    costs = estimate(plan, data_dir=known.data_dir, measure=known.dry_run)
    lanes, groups = (known.cpus or 1) * (known.width or 1), plan.groups
    return costs, {g: request_bytes(cost, len(groups[g]), lanes) for g, cost in costs.items()}


def print_plan(
    plan: "SweepPlan", costs: Mapping[int, Mapping[str, Any]], known: argparse.Namespace
) -> None:
    """Print the groups of a plan, and for a dry run the time and the points that were drawn.

    As JSON only for a dry run, with every point.
    """
    from rnnexp.sweep.plan_tables import group_rows, points

    rows = group_rows(plan, known.runs_dir, costs)
    if known.json:
        if known.dry_run:
            content = {"statements": plan.statements, "groups": rows, "points": points(plan)}
            print(to_json(content, indent=2))
        return
    for statement in plan.statements:
        print(statement)
    total = f"{_count(len(plan.runs), 'run')} in {_count(len(rows), 'compile group')}"
    print_table(total, [_readable(row) for row in rows])
    if known.dry_run and plan.drawn:
        _print_points(plan)
    if known.dry_run and costs:
        seconds = sum(cost["seconds"] or 0.0 for cost in costs.values())
        print(f"training steps alone: about {duration_text(seconds)} on this machine")


def _print_points(plan: "SweepPlan") -> None:
    """Print the points that were drawn, the first of many."""
    from rnnexp.sweep.plan_tables import point_rows

    rows, more = point_rows(plan)
    print_table("points that were drawn", rows)
    if more:
        print(f"and {_count(more, 'more point')}: --dry-run --json lists them all")


def _choose_devices(known: argparse.Namespace) -> None:
    """Start a worker's devices for a dry run; otherwise leave the accelerator to the workers."""
    import jax

    from rnnexp.sweep.lanes import start_devices

    if known.dry_run:
        start_devices(os.cpu_count() or 1)
    else:
        jax.config.update("jax_platforms", "cpu")


def _train(sweep_dir: Path, known: argparse.Namespace, memory: Mapping[int, int]) -> int:
    """Start what is missing and report how it ended."""
    reason = start_plan(sweep_dir, known, memory)
    code = print_state(sweep_dir, known)
    return SIGNAL_CODES[reason] if reason else code


def start_plan(sweep_dir: Path, known: argparse.Namespace, memory: Mapping[int, int]) -> str:
    """Train what is missing of a plan, and show how far it is.

    Returns what stopped it before its end, or "".
    """
    from rnnexp.cli.sweep_progress import open_progress
    from rnnexp.sweep.executors import Options
    from rnnexp.sweep.launch import launch

    options = Options(
        at_once=known.jobs, address=known.address, slurm=dict(_pair(text) for text in known.slurm)
    )
    log.info("sweep %s; stopped or killed, the same command goes on", sweep_dir)
    progress = open_progress(sweep_dir, as_json=known.json)
    try:
        return launch(
            sweep_dir, executor=known.executor, options=options, cpus=known.cpus or 1,
            gpus=known.gpus, memory=memory, imports=known.imports, on_tick=progress.tick,
        )  # fmt: skip
    finally:
        progress.close()


def print_state(sweep_dir: Path, known: argparse.Namespace) -> int:
    """Print how many runs have each status, and the reasons; exit code 1 if any failed."""
    from rnnexp.sweep.launch import count_statuses, reasons

    counts = count_statuses(sweep_dir)
    code = 1 if counts.get("failed") else 0
    if known.json:
        print(to_json({"sweep": str(sweep_dir), "runs": counts}, indent=2))
        return code
    for status in ("failed", "diverged"):
        found = reasons(sweep_dir, status)
        for reason, count in found[:SHOWN_REASONS]:
            print(f"{count} {status}: {reason}")
        if len(found) > SHOWN_REASONS:
            rest = sum(count for _, count in found[SHOWN_REASONS:])
            print(f"{rest} {status} for {len(found) - SHOWN_REASONS} other reasons")
    parts = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    print(f"{_count(sum(counts.values()), 'run')}: {parts}")
    if code:
        print(f"rnnexp sweep --retry-failed {sweep_dir}")
    print(f"rnnexp compare {sweep_dir}")
    return code


def _retry(sweep_dir: Path, known: argparse.Namespace) -> int:
    """Train failed runs again, and all others that are missing."""
    from rnnexp.sweep.directory import require_imports, with_hashes
    from rnnexp.sweep.launch import retry_failed

    require_imports(sweep_dir, with_hashes(known.imports))
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
    """A group's row for the table: MiB with one digit, a duration in words."""
    shown = {key: value for key, value in row.items() if key not in ("seconds", "values")}
    for key in ("MiB a run", "MiB of data"):
        if key in shown:
            shown[key] = f"{shown[key]:.1f}"
    if "seconds" in row:
        seconds = row["seconds"]
        shown["time"] = "not measured" if seconds is None else duration_text(seconds)
    return shown


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
