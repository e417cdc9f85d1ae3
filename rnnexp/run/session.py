"""The host's side of one run: its directory, and what is due when.

It begins or resumes the run's files, writes what a program reports, keeps the best and the
last checkpoints, and turns what ends a run into a status. It computes nothing.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rnnexp.core.tree import tree_size
from rnnexp.core.types import Tree
from rnnexp.run.callbacks import Observer, Result
from rnnexp.run.checkpoint import Checkpoints, Progress
from rnnexp.run.divergence import store
from rnnexp.run.divergence.verdict import divergence_verdict
from rnnexp.run.divergence.window import Flight
from rnnexp.run.files import RunLog, read_json
from rnnexp.run.first_process import in_first_process
from rnnexp.run.gradient_store import GradientLog
from rnnexp.run.laboratory_store import LaboratoryLog
from rnnexp.run.measure import Examiner
from rnnexp.runtime import collectives, environment
from rnnexp.train.choose_time_loop import FallBacks
from rnnexp.train.compiled import initial_state
from rnnexp.train.plan import Plan
from rnnexp.train.program import TrainState
from rnnexp.train.step_metrics import Records

log = logging.getLogger("rnnexp")


class Journal:
    """A run in progress: where it stands, and the files that follow it."""

    def __init__(self, plan: Plan, files: RunLog, observer: Observer):
        self.plan, self.files, self.observer = plan, files, observer
        self.task = plan.recipe.task
        self.units = plan.units
        names = [unit.name for unit in self.units]
        self.gradients = in_first_process(GradientLog, files.path / "gradients.zarr", names)
        self.laboratory = in_first_process(LaboratoryLog, files.path / "laboratory.zarr")
        self.progress = Progress()
        self.fall_backs = FallBacks()

    @property
    def step(self) -> int:
        """Updates made."""
        return self.progress.step

    def begin(self, imported: Sequence[Path]) -> TrainState:
        """Restore the last checkpoint, or begin, and make the files agree with it."""
        self.files.write_json("config.json", self.plan.config.to_dict())
        self.checkpoints = in_first_process(Checkpoints, self.files.path / "checkpoints")
        fresh = initial_state(self.plan)
        self.like = jax.device_get(fresh)  # the fresh one is given up to the device
        restored = self.checkpoints.restore("last", self.like)
        state, self.progress = restored or (fresh, Progress())
        self.gradients.truncate(self.step)
        kept = None if restored is None else self.step
        self.laboratory.truncate(kept)
        self.files.truncate(kept)
        if not bool(state.diverged) and collectives.is_first():
            store.discard(self.files.path)
        here = environment.describe(imported) | {"recurrence": self.plan.recurrence}
        if exponents := self.plan.newton.exponents:
            here["largest_lyapunov_exponents"] = dict(exponents)
        if restored is None:
            self.files.write_json("environment.json", here)
            self.files.log("baseline", [{"step": 0, **self.task.baseline}])
            if self.task.references:
                self.files.log("reference", [{"step": 0, **self.task.references}])
        elif collectives.is_first():
            self._warn_of_changes(here)
        self.files.set_status("running", self.step, "")
        self._introduce()
        return state

    def _introduce(self) -> None:
        """Tell whoever watches what this run is."""
        parameters = f"{tree_size(self.plan.params):,} parameters"
        self.observer.started(self.files.path, self.step, self.plan.total_steps)
        self.observer.noted(parameters)
        if (left_out := self.plan.left_out_examples) > 0:
            self.observer.noted(f"{left_out} examples fill no batch and are left out of each epoch")
        if text := self.plan.buckets_text:
            self.observer.noted(text)
        self.observer.compared({**self.task.baseline, **self.task.references})

    def _warn_of_changes(self, here: dict[str, Any]) -> None:
        """Say so if the run goes on elsewhere than it began."""
        before = read_json(self.files.path / "environment.json") or {}
        for name in ("python", "packages", "device", "imported", "recurrence"):
            if before.get(name) != here[name]:
                log.warning(
                    "%s changed since the run began (%s, now %s): its results may differ in "
                    "the last digits from an uninterrupted run's",
                    name, before.get(name), here[name],
                )  # fmt: skip

    @property
    def ended(self) -> bool:
        """Whether all steps are made, or validation has stopped gaining."""
        patience = self.plan.config.early_stopping.patience
        stale = 0 < patience <= self.progress.stale_evaluations
        return self.step >= self.plan.total_steps or stale

    def next_boundary(self) -> int:
        """The next step at which the host has something to do, or an epoch ends."""
        plan, step = self.plan, self.step
        periods = [plan.eval_steps, plan.checkpoint_steps, plan.epoch_steps or plan.total_steps]
        periods += filter(None, (plan.keep_steps, plan.laboratory_steps))
        return min(plan.total_steps, *((step // period + 1) * period for period in periods))

    @property
    def evaluation_due(self) -> bool:
        """Whether validation comes after the step just made."""
        return self.step % self.plan.eval_steps == 0 or self.step == self.plan.total_steps

    @property
    def checkpoint_due(self) -> bool:
        """Whether a checkpoint comes after the step just made."""
        return self.step % self.plan.checkpoint_steps == 0

    @property
    def keeping_due(self) -> bool:
        """Whether a checkpoint that is kept for good comes after the step just made."""
        return self.plan.keep_steps > 0 and self.step % self.plan.keep_steps == 0

    @property
    def laboratory_due(self) -> bool:
        """Whether the laboratory measures the present state, and has not done so yet."""
        every = self.plan.laboratory_steps
        if every == 0 or self.step % every:
            return False
        return not self.laboratory.has(self.step)

    @property
    def pauses(self) -> bool:
        """Whether anything comes before the next chunk."""
        due = self.evaluation_due or self.checkpoint_due or self.keeping_due
        return self.ended or due or self.laboratory_due

    def moved(self, step: int) -> None:
        """A chunk brought the run to `step`; what it reported comes with `report`."""
        self.progress = replace(self.progress, step=step)

    def report(self, records: Records) -> None:
        """Write down what the chunk that brought the run here reported."""
        rows = self._log_records(records)
        self.observer.advanced(self.step, rows[-1] if rows else None)

    def _log_records(self, records: Records) -> list[dict[str, Any]]:
        """Write the recorded steps of a chunk; returns the rows of `metrics.jsonl`."""
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
        return rows

    def evaluated(self, scores: dict[str, float], state: TrainState) -> None:
        """Validation gave these scores; the best checkpoint so far is kept."""
        value = scores[self.task.headline]
        self.files.log("valid", [{"step": self.step, **scores}])
        self.observer.evaluated("valid", self.step, scores)
        best = self.progress.best_value
        sign = 1 if self.task.higher_is_better else -1
        if best is None or math.isnan(best) or sign * value > sign * best:
            self.progress = Progress(self.step, value, self.step, 0)
            self.checkpoints.save("best", state, self.progress)
        else:
            stale = self.progress.stale_evaluations + 1
            self.progress = replace(self.progress, stale_evaluations=stale)

    def measure(self, examiner: Examiner, params: Tree) -> None:
        """The laboratory measures the present state; its parameters lie on the host."""
        self.laboratory.append_made(lambda: examiner.measure(self.plan, params, self.step))

    def keep(self, state: TrainState) -> None:
        """A checkpoint that stays."""
        self.checkpoints.save("kept", state, self.progress)

    def save_last(self, state: TrainState) -> None:
        """A checkpoint to resume from, with everything before it on the disk."""
        self.gradients.flush()
        self.laboratory.flush()
        self.checkpoints.save("last", state, self.progress)

    def tested_state(self, state: TrainState) -> tuple[TrainState, int]:
        """What is tested of a run that ended with `state`: the best by validation, and its step."""
        best = self.checkpoints.restore("best", self.like)
        return (state, self.step) if best is None else (best[0], best[1].step)

    def complete(self, scores: dict[str, float], at: int) -> Result:
        """The run is through, with these test scores of its state after `at` updates."""
        self.files.log("test", [{"step": at, **scores}])
        self.observer.evaluated("test", at, scores)
        whole = self.step >= self.plan.total_steps
        early = "" if whole else f"early stopping after step {self.step}"
        return self.finish("completed", early, test=scores, test_step=at)

    def diverge(self, state: TrainState, flight: Flight) -> Result:
        """A step was not finite: say where, and keep the steps that led to it."""
        records = flight.window.failed
        if self.step % self.plan.record_steps != 0:
            self._log_records(records)
        names = [unit.name for unit in self.units]
        # before the checkpoint, from which a run that is killed here would know no steps before
        growth = collectives.from_first(lambda: store.keep(self.files.path, flight, names))
        self.save_last(state)
        reason, details = divergence_verdict(records, self.units, growth)
        return self.finish("diverged", reason, divergence=details)

    def finish(self, status: str, reason: str, **details: Any) -> Result:
        """Write the final status. Of a run that was validated, also the best value and its step."""
        if (best := self.progress.best_value) is not None:
            details["best"] = {
                "metric": self.task.headline,
                "value": best,
                "step": self.progress.best_step,
                "higher_is_better": self.task.higher_is_better,
            }
        self.files.set_status(status, self.step, reason, **details)
        self.close()
        return Result(self.files.path, status, self.step, reason, details)

    def fail(self, reason: str) -> Result:
        """The run cannot go on; what it has is kept."""
        try:
            self.files.set_failed(self.step, reason)
        except OSError as error:  # what fills a disk also keeps this from being written
            log.warning("cannot write status.json: %s", error)
        self.close()
        return Result(self.files.path, "failed", self.step, reason)

    def close(self) -> None:
        """Release the directory."""
        if hasattr(self, "checkpoints"):
            self.checkpoints.close()
        self.files.close()
