"""A finished run goes on to a larger number of steps, in the directory of the longer run."""

import logging
import shutil
import time
from pathlib import Path

from rnnexp.config.defaults import WORK
from rnnexp.config.schema import flat, from_saved
from rnnexp.core.errors import RunError, UsageError
from rnnexp.core.files import made_beside, replace_text, to_json
from rnnexp.run.about import FILE as ABOUT
from rnnexp.run.callbacks import RunResult, read_result
from rnnexp.run.files import read_json, saved_config
from rnnexp.run.sources import Sources, require_same
from rnnexp.train.plan import Plan

log = logging.getLogger("rnnexp")
LEFT_OUT = ("lock", "status.json", ABOUT)


def extend(origin: Path, plan: Plan, path: Path, sources: Sources) -> None:
    """Copy a finished run to `path`, the directory of a longer one, which then resumes there.

    What comes out is, bit for bit, the longer run made from its start. Configurations for which
    it would not be are refused. Nothing is copied if the longer run has begun already.

    Args:
      origin: the finished run; its directory is not changed.
      plan: of the longer run, which may differ from the finished one in its duration alone.
      sources: the user's own files now.

    Raises:
      UsageError: the run cannot go on to that plan.
      RunError: its files cannot be copied.
    """
    if (path / "checkpoints").exists():
        return
    result = read_result(origin)
    if result is None:
        raise UsageError(f"{origin} is not a run's directory: it has no status.json")
    require_same(origin, sources)
    _require_longer(origin, result, plan)
    try:
        with made_beside(path) as part:
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(origin, part, ignore=shutil.ignore_patterns(*LEFT_OUT))
            environment = read_json(part / "environment.json") or {}
            environment["extends"] = {"run": str(origin), "step": result.step}
            replace_text(part / "environment.json", to_json(environment, indent=2) + "\n")
            status = {"status": "interrupted", "step": result.step, "reason": f"extends {origin}"}
            replace_text(part / "status.json", to_json(status | {"time": time.time()}) + "\n")
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
    except OSError as error:
        raise RunError(f"cannot copy {origin} to {path}: {error}") from error
    log.info("goes on from step %d of %s", result.step, origin)


def _require_longer(origin: Path, result: RunResult, plan: Plan) -> None:
    """Raise `UsageError` unless the plan is that of the finished run, only longer."""
    before, now = flat(from_saved(saved_config(origin))), flat(plan.config)
    for key in now:
        if before[key] != now[key] and not key.startswith(("train.duration_", *WORK)):
            raise UsageError(
                f"config.{key} is {before[key]!r} in {origin} and {now[key]!r} here: a run goes on "
                "as it was trained; only config.train.duration_... may differ"
            )
    if result.status != "completed":
        raise UsageError(f"{origin} is {result.status}, not completed; the same command resumes it")
    if plan.total_steps <= result.step:
        raise UsageError(
            f"{origin} has {result.step} steps already; config.train.duration must be longer, not "
            f"{plan.total_steps} steps"
        )
    if result.reason.startswith("early stopping"):
        raise UsageError(f"{origin} ended by {result.reason}: a longer duration changes nothing")
    if plan.config.optimizer.schedule != "constant":
        raise UsageError(
            f"config.optimizer.schedule is {plan.config.optimizer.schedule!r}: its rates depend on "
            "the duration, so the steps already made are not those of a longer run"
        )
    if result.step % plan.eval_steps:
        raise UsageError(
            f"{origin} was validated at its end, after step {result.step}, where a longer run is "
            f"not (every {plan.eval_steps} steps): its best checkpoint may be another"
        )
