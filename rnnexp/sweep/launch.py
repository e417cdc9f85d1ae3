"""From a space to runs under way: the plan of a sweep, its start, its state, its end."""

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnexp.core.errors import UsageError
from rnnexp.core.files import replace_text
from rnnexp.run.callbacks import read_result
from rnnexp.run.files import RunLog, read_json
from rnnexp.sweep.executors import Job, Options, Outcome, run_jobs
from rnnexp.sweep.plan import (
    SETTLED,
    PlannedRun,
    cancelled,
    plan_id,
    planned,
    read_plan,
    record_failure,
    run_status,
    runs_dir_of,
    write_plan,
)
from rnnexp.sweep.program_groups import group_runs
from rnnexp.sweep.space import Base, Space, expand

log = logging.getLogger("rnnexp")


@dataclass(frozen=True)
class Proposal:
    """The runs of a sweep, and what is to be said of them before they begin."""

    runs: list[PlannedRun]
    statements: list[str]

    @property
    def groups(self) -> dict[int, list[PlannedRun]]:
        """The runs by the number of their group."""
        groups: dict[int, list[PlannedRun]] = {}
        for run in self.runs:
            groups.setdefault(run.group, []).append(run)
        return groups


def propose(
    space: Space, base: Base, *, parameters: int | None = None, data_dir: Path | None = None
) -> Proposal:
    """All runs of a space, each in its group; with `parameters`, at the width that has as many.

    Raises `UsageError` for whatever is wrong with the space or one of its points.
    """
    points = expand(space, base)
    statements: list[str] = []
    if parameters is not None:
        from rnnexp.sweep.matching import matched  # slow to import

        points, statements = matched(points, parameters, data_dir=data_dir)
    groups = group_runs([point.config for point in points], data_dir=data_dir)
    runs = [planned(p.config, g, p.changes) for p, g in zip(points, groups, strict=True)]
    return Proposal(runs, statements)


def save_proposal(proposal: Proposal, runs_dir: Path, name: str | None, **facts: Any) -> Path:
    """Write the plan; returns the sweep's directory, which the same runs always share.

    Raises `UsageError` if a sweep of that name has other runs.
    """
    sweep_dir = runs_dir / "sweeps" / (name or plan_id(proposal.runs))
    if (sweep_dir / "plan.jsonl").exists():
        before = {run.run for run in read_plan(sweep_dir)}
        if before != {run.run for run in proposal.runs}:
            raise UsageError(
                f"{sweep_dir} is another sweep, of {len(before)} runs; choose another --name"
            )
    write_plan(sweep_dir, proposal.runs, runs_dir, **facts)
    return sweep_dir


def launch(
    sweep_dir: Path,
    *,
    executor: str = "local",
    options: Options | None = None,
    cpus: int = 1,
    gpus: float = 0.0,
    memory: Mapping[int, int] | None = None,
) -> str:
    """Train what is missing of a sweep; returns what stopped it before its end, or nothing.

    Args:
      cpus, gpus: how many a group is to be given; a local one has all cores.
      memory: bytes that each group is to be given, by its number.
    """
    (sweep_dir / "cancel").unlink(missing_ok=True)
    runs_dir = runs_dir_of(sweep_dir)
    jobs = []
    for group, runs in Proposal(read_plan(sweep_dir), []).groups.items():
        if any(run_status(runs_dir / run.run) not in SETTLED for run in runs):
            name = str(Path(runs[0].run).parent)
            share = (memory or {}).get(group)
            jobs.append(Job(sweep_dir, group, name, share, gpus, cpus))

    def finished(job: Job, outcome: Outcome) -> None:
        if outcome.status == "failed":
            _record_failure(sweep_dir, job.group, outcome.reason)

    return run_jobs(
        executor, jobs, finished=finished, cancelled=lambda: cancelled(sweep_dir), options=options
    )


def _record_failure(sweep_dir: Path, group: int, reason: str) -> None:
    """Runs of a group whose process gave up: those that it left open have failed for that."""
    runs_dir = runs_dir_of(sweep_dir)
    for run in read_plan(sweep_dir):
        path = runs_dir / run.run
        if run.group != group or run_status(path) in SETTLED:
            continue
        try:
            record_failure(path, run, f"its process: {reason}")
        except UsageError as held:
            log.warning("%s is left to others: %s", path, held)


def tally(sweep_dir: Path) -> dict[str, int]:
    """How many runs of a sweep stand in each status; `waiting` have not begun."""
    runs_dir = runs_dir_of(sweep_dir)
    return dict(Counter(run_status(runs_dir / run.run) for run in read_plan(sweep_dir)))


def reasons(sweep_dir: Path, status: str) -> list[tuple[str, int]]:
    """Why runs stand in a status, the most frequent reason first."""
    runs_dir = runs_dir_of(sweep_dir)
    found: Counter[str] = Counter()
    for run in read_plan(sweep_dir):
        content = read_json(runs_dir / run.run / "status.json") or {}
        if content.get("status") == status:
            found[str(content.get("reason", ""))] += 1
    return found.most_common()


def retry_failed(sweep_dir: Path) -> int:
    """Let runs that failed go on from their checkpoints at the next start; returns how many."""
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
    """Ask whoever works on a sweep, on any machine, to checkpoint its runs and stop."""
    read_plan(sweep_dir)
    replace_text(sweep_dir / "cancel", "")


def group_rows(
    proposal: Proposal, runs_dir: Path, costs: Mapping[int, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """A row a group: which experiment, what sets it apart, how many runs are to be made."""
    rows = []
    apart = _differing([runs[0] for runs in proposal.groups.values()])
    for group, runs in proposal.groups.items():
        settled = sum(run_status(runs_dir / run.run) in SETTLED for run in runs)
        values = {key: runs[0].changes[key] for key in apart if key in runs[0].changes}
        text = ", ".join(f"{key} {value}" for key, value in values.items())
        rows.append(
            {
                "group": group,
                "experiment": str(Path(runs[0].run).parent),
                "with": text or "-",
                "runs": len(runs),
                "made": settled,
                **costs.get(group, {}),
            }
        )
    return rows


def _differing(firsts: Sequence[PlannedRun]) -> list[str]:
    """Swept keys, but for task and cell, whose value is not the same in all groups."""
    keys = dict.fromkeys(key for run in firsts for key in run.changes)
    skipped = ("task.name", "cell.name", "seed")
    return [
        key
        for key in keys
        if key not in skipped and len({json.dumps(run.changes.get(key)) for run in firsts}) > 1
    ]
