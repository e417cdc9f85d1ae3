"""Plans a sweep, starts it, reports its state and stops it."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_collections import FrozenConfigDict

from rnnexp.core.errors import UsageError
from rnnexp.core.files import replace_text
from rnnexp.run.callbacks import read_result
from rnnexp.run.files import RunLog
from rnnexp.run.sources import sources_reader
from rnnexp.sweep.directory import (
    cancelled,
    require_imports,
    runs_dir_of,
    sweep_folder,
    with_hashes,
)
from rnnexp.sweep.executors import Job, Options, Outcome, run_jobs
from rnnexp.sweep.plan import (
    SETTLED,
    PlannedRun,
    by_group,
    plan_id,
    planned,
    read_plan,
    record_failure,
    run_status,
    write_plan,
)
from rnnexp.sweep.program_groups import group_runs
from rnnexp.sweep.space import Base, Space, expand

log = logging.getLogger("rnnexp")


@dataclass(frozen=True)
class SweepPlan:
    """The runs of a sweep, and lines to print about them before they start.

    Attributes:
      drawn: whether the points were drawn at random, not taken from a grid.
    """

    runs: list[PlannedRun]
    statements: list[str]
    drawn: bool = False

    @property
    def groups(self) -> dict[int, list[PlannedRun]]:
        """The runs by group number."""
        return by_group(self.runs)


def plan_sweep(
    space: Space, base: Base, *, parameters: int | None = None, data_dir: Path | None = None
) -> SweepPlan:
    """The runs of a space, each with its group.

    Args:
      parameters: gives every model the width at which it has so many parameters; None keeps
        the widths of the space.

    Raises:
      UsageError: for an error in the space or in one of its points.
    """
    points = expand(space, base)
    statements: list[str] = []
    if parameters is not None:
        from rnnexp.sweep.matching import matched  # slow to import

        points, statements = matched(points, parameters, data_dir=data_dir)
    runs = plan_runs([(point.config, point.changes) for point in points], data_dir)
    return SweepPlan(runs, statements, drawn=space.random is not None)


def plan_runs(
    points: Sequence[tuple[FrozenConfigDict, dict[str, Any]]], data_dir: Path | None
) -> list[PlannedRun]:
    """The runs of configurations, each with what it changes, in groups that share a program."""
    groups = group_runs([config for config, _ in points], data_dir=data_dir)
    sources_of = sources_reader(data_dir)
    return [
        planned(config, group, changes, sources_of(config).digest)
        for (config, changes), group in zip(points, groups, strict=True)
    ]


def save_sweep(plan: SweepPlan, runs_dir: Path, name: str | None, **facts: Any) -> Path:
    """Write the plan; returns the sweep's directory, which by default is named after its runs.

    Raises `UsageError` if a sweep of that name has other runs.
    """
    sweep_dir = sweep_folder(runs_dir, plan_id(plan.runs) if name is None else name)
    if (sweep_dir / "plan.jsonl").exists():
        before = {run.run for run in read_plan(sweep_dir)}
        if before != {run.run for run in plan.runs}:
            raise UsageError(
                f"{sweep_dir} is another sweep, of {len(before)} runs; choose another --name"
            )
    write_plan(sweep_dir, plan.runs, runs_dir, **facts)
    return sweep_dir


def train_all(
    configs: Sequence[FrozenConfigDict], runs_dir: Path, *, data_dir: Path | None = None,
    width: int | None = None,
) -> tuple[Path, str]:  # fmt: skip
    """Train what is missing of these runs, several side by side where they can.

    Args:
      width: how many at most; None measures which is fastest.

    Returns the sweep's directory, and what stopped it before its end, or "".
    """
    groups = group_runs(configs, data_dir=data_dir)
    runs = [planned(config, group, {}) for config, group in zip(configs, groups, strict=True)]
    place = None if data_dir is None else str(data_dir.absolute())
    sweep_dir = save_sweep(SweepPlan(runs, []), runs_dir, None, data_dir=place, width=width)
    return sweep_dir, launch(sweep_dir)


def launch(
    sweep_dir: Path,
    *,
    executor: str = "local",
    options: Options | None = None,
    cpus: int = 1,
    gpus: float = 0.0,
    memory: Mapping[int, int] | None = None,
    imports: Sequence[str] = (),
    on_tick: Callable[[Collection[int]], None] = lambda running: None,
) -> str:
    """Train the missing runs of a sweep; returns what stopped it before its end, or "".

    Args:
      cpus, gpus: requested for each group; a local group uses all cores.
      memory: bytes requested for each group, by group number.
      imports: files of the user's that define cells or tasks of the sweep. Those that the
        sweep's own files name are not loaded: who starts a sweep says which code may run.
      on_tick: called again and again with the groups that run; see `run_jobs`.

    Raises:
      UsageError: unless `imports` are what the sweep was planned with.
    """
    files = with_hashes(imports)
    require_imports(sweep_dir, files)
    (sweep_dir / "cancel").unlink(missing_ok=True)
    runs_dir = runs_dir_of(sweep_dir)
    jobs = []
    for group, runs in by_group(read_plan(sweep_dir)).items():
        if any(run_status(runs_dir / run.run) not in SETTLED for run in runs):
            name = str(Path(runs[0].run).parent)
            bytes_ = (memory or {}).get(group)
            jobs.append(Job(sweep_dir, group, name, bytes_, gpus, cpus, files))

    def on_job_end(job: Job, outcome: Outcome) -> None:
        if outcome.status == "failed":
            _record_failure(sweep_dir, job.group, outcome.reason)

    return run_jobs(
        executor,
        jobs,
        on_job_end=on_job_end,
        cancelled=lambda: cancelled(sweep_dir),
        options=options,
        on_tick=lambda running: on_tick([job.group for job in running]),
    )


def _record_failure(sweep_dir: Path, group: int, reason: str) -> None:
    """Record that the unfinished runs of a group failed because its process gave up."""
    runs_dir = runs_dir_of(sweep_dir)
    for run in read_plan(sweep_dir):
        path = runs_dir / run.run
        if run.group != group or run_status(path) in SETTLED:
            continue
        try:
            record_failure(path, run, f"its process: {reason}")
        except UsageError as held:
            log.warning("%s is left to others: %s", path, held)


def count_statuses(sweep_dir: Path) -> dict[str, int]:
    """How many runs of a sweep have each status; `waiting` runs have not started."""
    runs_dir = runs_dir_of(sweep_dir)
    return dict(Counter(run_status(runs_dir / run.run) for run in read_plan(sweep_dir)))


def reasons(sweep_dir: Path, status: str) -> list[tuple[str, int]]:
    """The reasons recorded with a status and how many runs have each, most frequent first."""
    runs_dir = runs_dir_of(sweep_dir)
    found: Counter[str] = Counter()
    for run in read_plan(sweep_dir):
        with suppress(UsageError):  # a damaged status has no reason
            result = read_result(runs_dir / run.run)
            if result is not None and result.status == status:
                found[result.reason] += 1
    return found.most_common()


def retry_failed(sweep_dir: Path) -> int:
    """Mark failed runs to go on from their checkpoints at the next start; returns how many."""
    runs_dir, count = runs_dir_of(sweep_dir), 0
    for run in read_plan(sweep_dir):
        path = runs_dir / run.run
        if run_status(path) == "failed":
            files = RunLog(path)
            before = read_result(path)
            step = before.step if before else 0
            files.set_status("interrupted", step, "failed before; to be tried again")
            files.close()
            count += 1
    return count


def ask_to_cancel(sweep_dir: Path) -> None:
    """Ask all processes of a sweep, on any machine, to checkpoint their runs and stop."""
    read_plan(sweep_dir)
    replace_text(sweep_dir / "cancel", "")
