"""One run in progress: its directory, its checkpoints and its status. It computes nothing.

A session begins or resumes the run's files, writes what the program reports, keeps the best
and the last checkpoints, and turns what ends a run into a status.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

from rnnexp.config.validate import require_log
from rnnexp.core.tree import tree_size
from rnnexp.core.types import Tree
from rnnexp.run.callbacks import Observer, RunResult
from rnnexp.run.checkpoint import Checkpoints, Progress
from rnnexp.run.divergence.store import DivergenceStore
from rnnexp.run.divergence.verdict import divergence_verdict
from rnnexp.run.divergence.window import Recording
from rnnexp.run.evaluations import (
    goal_is_met,
    is_gain,
    nonfinite_lengths,
    nonfinite_text,
    nonfinite_validations,
)
from rnnexp.run.files import RunLog
from rnnexp.run.first_process import in_first_process
from rnnexp.run.gradient_store import GradientLog
from rnnexp.run.laboratory_store import LaboratoryLog
from rnnexp.run.measure import Examiner
from rnnexp.run.schedule import Action, due_actions, is_recorded, schedule_of
from rnnexp.run.sources import Sources, write_sources
from rnnexp.run.task_facts import write_task
from rnnexp.runtime import environment
from rnnexp.runtime.collectives import from_first
from rnnexp.train.choose_time_loop import FallBacks
from rnnexp.train.compiled import initial_state
from rnnexp.train.lengths import described_lengths
from rnnexp.train.plan import Plan
from rnnexp.train.program import TrainState
from rnnexp.train.step_metrics import Records

log = logging.getLogger("rnnexp")


class RunSession:
    """A run in progress: how far it is, and the files that record it."""

    def __init__(self, plan: Plan, files: RunLog, observer: Observer):
        self.plan, self.files, self.observer = plan, files, observer
        self.schedule = schedule_of(plan)
        self.task = plan.recipe.task
        self.units = plan.units
        path, names = files.path, [unit.name for unit in self.units]
        self.gradients = in_first_process(
            GradientLog, path / "gradients.zarr", names, plan.recipe.axis
        )
        self.laboratory = in_first_process(LaboratoryLog, path / "laboratory.zarr")
        self.divergence = in_first_process(DivergenceStore, path, names, plan.recipe.axis)
        self.progress = Progress()
        self.goal_values: list[float] = []
        """The score of `early_stopping.goal` in the last validations, as many as count."""
        self.fall_backs = FallBacks()
        self.warned: set[str] = set()
        """The evaluations (validation, test) of which a warning was given."""

    @property
    def step(self) -> int:
        """Updates made."""
        return self.progress.step

    def begin(self, sources: Sources = Sources()) -> TrainState:  # noqa: B008  an immutable value
        """Restore the last checkpoint, or begin; drop from the files what comes after it.

        Args:
          sources: the user's own files of which the run is made.

        Raises `UsageError` if the package of a log is not installed.
        """
        require_log(self.plan.config)
        from_first(lambda: write_sources(self.files.path, sources))
        from_first(lambda: write_task(self.files.path, self.task))
        self.files.write_json("config.json", self.plan.config.to_dict())
        self.checkpoints = in_first_process(Checkpoints, self.files.path / "checkpoints")
        fresh = initial_state(self.plan)
        self.like = jax.device_get(fresh)  # the first chunk takes the buffers of `fresh`
        restored = self.checkpoints.restore_to_resume(self.like)
        state, self.progress = restored or (fresh, Progress())
        self.gradients.truncate(self.step)
        kept = None if restored is None else self.step
        self.laboratory.truncate(kept)
        self.files.truncate(kept)
        self._take_goal(self.files.rows("valid") if kept else [])
        if self.plan.config.log.tensorboard:
            from rnnexp.run.tensorboard import EventLog

            path, config = self.files.path, self.plan.config
            self.files.copy_lines(lambda rows: EventLog(path, config, rows))
        if not bool(state.diverged):
            self.divergence.discard()
        here = environment.describe() | {"recurrence": self.plan.recurrence}
        if exponents := self.plan.newton.exponents:
            here["largest_lyapunov_exponents"] = dict(exponents)
        if restored is None:
            self.files.write_json("environment.json", here)
            if self.plan.baseline:
                self.files.log("baseline", [{"step": 0, **self.plan.baseline}])
            if self.plan.references:
                self.files.log("reference", [{"step": 0, **self.plan.references}])
        else:
            self.files.warn_of_changes(here)
        self.files.set_status("running", self.step, "")
        self._introduce()
        return state

    def _introduce(self) -> None:
        """Describe this run to the observer."""
        parameters = f"{tree_size(self.plan.params):,} parameters"
        self.observer.started(self.files.path, self.step, self.schedule.total)
        self.observer.noted(parameters)
        if (left_out := self.plan.left_out_examples) > 0:
            self.observer.noted(f"{left_out} examples fill no batch and are left out of each epoch")
        for line in self.plan.notes:
            self.observer.noted(line)
        if text := self.plan.buckets_text:
            self.observer.noted(text)
        if known := {**self.plan.baseline, **self.plan.references}:
            self.observer.compared(known)

    @property
    def ended(self) -> bool:
        """Whether all steps are made, validation has stopped improving, or the goal is met."""
        stopping = self.plan.config.early_stopping
        stale = 0 < stopping.patience <= self.progress.stale_evaluations
        return self.step >= self.schedule.total or stale or self.goal_met

    @property
    def goal_met(self) -> bool:
        """Whether the last validations meet `early_stopping.goal`."""
        stopping = self.plan.config.early_stopping
        return goal_is_met(self.goal_values, stopping.goal_below, stopping.goal_validations)

    def due(self) -> frozenset[Action]:
        """What is due after the step just made; a step that has been measured is not due again."""
        due = due_actions(self.schedule, self.step)
        return due - {"measure"} if "measure" in due and self.laboratory.has(self.step) else due

    @property
    def validates_first(self) -> bool:
        """Whether the run is to be validated before its first update, and was not yet."""
        made = self.progress.best_value is not None or self.progress.stale_evaluations > 0
        return bool(self.plan.config.eval.at_start) and self.step == 0 and not made

    @property
    def pauses(self) -> bool:
        """Whether the host acts before the next chunk."""
        return self.ended or bool(self.due())

    def advance_to(self, step: int) -> None:
        """A chunk brought the run to `step`; `write_records` gets what it reported."""
        self.progress = replace(self.progress, step=step)

    def write_records(self, records: Records) -> None:
        """Write what the chunk that led here reported."""
        rows = self._log_records(records)
        self.observer.advanced(self.step, rows[-1] if rows else None)

    def _log_records(self, records: Records) -> list[dict[str, Any]]:
        """Write the recorded steps of a chunk; returns their rows of `metrics.jsonl`."""
        rows, profiles = [], []
        for index in np.flatnonzero(records.recorded):
            scalars = {name: values[index].item() for name, values in records.scalars.items()}
            rows.append({"step": int(records.step[index]), **scalars})
            norms = {leaf: np.asarray(values[index]) for leaf, values in records.norms.items()}
            profiles.append((rows[-1]["step"], norms))
        if rows:
            self.gradients.extend(profiles)
            self.files.log("train", rows)
            self.fall_backs.notice(rows)
        for row in rows:
            self.observer.recorded(row["step"], {k: v for k, v in row.items() if k != "step"})
        return rows

    def evaluated(self, scores: dict[str, float], state: TrainState) -> None:
        """Log the scores of a validation; if they are the best so far, or meet the goal that ends
        the run, keep a checkpoint.

        Those with a headline that is not finite are never the best: they count as no gain.
        """
        value = scores[self.task.headline]
        self.files.log("valid", [{"step": self.step, **scores}])
        self.observer.evaluated("valid", self.step, scores)
        self._warn_of_nonfinite("validation", scores)
        self._take_goal([scores])
        best, higher = self.progress.best_value, self.task.higher_is_better
        if is_gain(value, None if self.goal_met else best, higher_is_better=higher):
            self.progress = Progress(self.step, value, self.step, 0)
            self.checkpoints.save("best", state, self.progress)
        else:
            stale = self.progress.stale_evaluations + 1
            self.progress = replace(self.progress, stale_evaluations=stale)

    def _take_goal(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Note the goal's score in validations that follow those known, as many as count."""
        stopping = self.plan.config.early_stopping
        if stopping.goal:
            values = [*self.goal_values, *(float(row[stopping.goal]) for row in rows)]
            self.goal_values = values[-stopping.goal_validations :]

    def _warn_of_nonfinite(self, what: str, scores: dict[str, float]) -> None:
        """Say at once, and once only, which scores of an evaluation are not finite."""
        text = nonfinite_text(scores)
        if text and what not in self.warned:
            self.warned.add(what)
            log.warning("%s: the %s at step %d is not finite: %s",
                        self.files.path, what, self.step, text)  # fmt: skip

    def measure(self, examiner: Examiner, params: Tree) -> None:
        """Measure the present parameters, which are on the host, with the laboratory."""
        self.laboratory.append_made(lambda: examiner.measure(self.plan, params, self.step))

    def keep(self, state: TrainState) -> None:
        """Save a checkpoint that is kept for good."""
        self.checkpoints.save("kept", state, self.progress)

    def save_last(self, state: TrainState) -> None:
        """Save a checkpoint to resume from, after everything that precedes it is written.

        `status.json` then has its step, so that a reader knows how far the run is.
        """
        self.gradients.flush()
        self.laboratory.flush()
        self.checkpoints.save("last", state, self.progress)
        self.files.set_status("running", self.step, "")

    def tested_state(self, state: TrainState) -> tuple[TrainState, int]:
        """The state to test of a run that ended with `state`, and its step: the best by
        validation, or `state` itself where there is no best."""
        best = self.checkpoints.restore("best", self.like)
        return (state, self.step) if best is None else (best[0], best[1].step)

    def complete(
        self,
        scores: dict[str, float],
        at: int,
        by_length: Mapping[int, dict[str, float]] = MappingProxyType({}),
    ) -> RunResult:
        """End a run with the test scores of its state after `at` updates, and those by length.

        The reason names scores that were not finite, of any validation and of the tests.
        """
        self.files.log("test", [{"step": at, **scores}])
        self.observer.evaluated("test", at, scores)
        self._warn_of_nonfinite("test", scores)
        if by_length:
            rows = [{"step": at, "length": n, **found} for n, found in by_length.items()]
            self.files.log("length", rows)
        for length, found in by_length.items():
            self._warn_of_nonfinite(f"test at length {length}", found)
        lost = [length for length in self.plan.length_tasks if length not in by_length]
        whole, text = self.step >= self.schedule.total, nonfinite_text(scores)
        clauses = [
            "" if whole else f"early stopping after step {self.step}",
            nonfinite_validations(self.files.rows("valid")),
            f"the test is not finite: {text}" if text else "",
            nonfinite_lengths(by_length),
            f"no test at length {', '.join(map(str, lost))}" if lost else "",
        ]
        lengths = {"by_length": self._lengths(by_length)} if by_length else {}
        reason = "; ".join(filter(None, clauses))
        return self.finish("completed", reason, test=scores, test_step=at, **lengths)

    def _lengths(self, by_length: Mapping[int, dict[str, float]]) -> dict[str, Any]:
        """The scores by length as `status.json` has them, with what a reader needs of the task."""
        found = {str(length): scores for length, scores in by_length.items()}
        return described_lengths(self.task, self.plan.length_tasks) | {"test": found}

    def diverge(self, state: TrainState, recording: Recording) -> RunResult:
        """End a run whose step was not finite: say where, and keep the steps before it."""
        records = recording.window.failed
        if not is_recorded(self.schedule, self.step):
            self._log_records(records)
        # The store comes before the checkpoint: resumed from that, a run no longer knows the
        # steps before.
        growth = self.divergence.keep(recording)
        self.save_last(state)
        reason, details = divergence_verdict(records, self.units, growth, recording.forward)
        return self.finish("diverged", reason, divergence=details)

    def finish(self, status: str, reason: str, **details: Any) -> RunResult:
        """Write the final status, with the best validation score and its step if there is one."""
        if (best := self.progress.best_value) is not None and math.isfinite(best):
            details["best"] = {
                "metric": self.task.headline,
                "value": best,
                "step": self.progress.best_step,
                "higher_is_better": self.task.higher_is_better,
            }
        self.files.set_status(status, self.step, reason, **details)
        self.close()
        return RunResult(self.files.path, status, self.step, reason, details)

    def fail(self, reason: str) -> RunResult:
        """End a run that cannot continue; the files that it has are kept."""
        try:
            self.files.set_failed(self.step, reason)
        except OSError as error:  # a full disk can be the failure, and prevent this file too
            log.warning("cannot write status.json: %s", error)
        self.close()
        return RunResult(self.files.path, "failed", self.step, reason)

    def close(self) -> None:
        """Release the directory."""
        if hasattr(self, "checkpoints"):
            self.checkpoints.close()
        self.files.close()
