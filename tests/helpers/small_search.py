"""A small search, what it leaves behind, and processes that take part in one."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rnnexp.sweep.axes import parse_space
from rnnexp.sweep.search.found import Found
from rnnexp.sweep.search.growing_plan import GrowingPlan
from rnnexp.sweep.search.outline import make_outline
from rnnexp.sweep.search.search import search
from rnnexp.sweep.search.space import import_optuna
from rnnexp.sweep.search.study import Seat, close_storage, open_storage, open_study
from rnnexp.sweep.search.trials import Trials
from rnnexp.sweep.starting_points import Base, read_base

optuna: Any = import_optuna()
STEPS, EVERY, TRIALS = 20, 5, 6
TINY = {
    "task.length_steps": 8,
    "cell.hidden_size": 4,
    "train.batch_size": 4,
    "train.duration_steps": STEPS,
    "eval.every_steps": EVERY,
    "eval.examples": 16,
    "eval.batch_size": 16,
    "checkpoint.every_steps": 10,
    "record.every_steps": 5,
}
AXES = ["optimizer.learning_rate=log:1e-4..1e-1"]
PROGRAMS = [*AXES, "cell.activation=tanh,relu"]


def tiny(**changes: Any) -> Base:
    """adding/rnn of a few steps; None leaves a key as it is."""
    values = TINY | {key.replace("__", "."): value for key, value in changes.items()}
    given = [f"--config.{key}={value}" for key, value in values.items() if value is not None]
    return read_base("adding/rnn", given)


def find(folder: Path, axes: list[str] = AXES, base: Base | None = None, **arguments: Any) -> Found:
    """A search in a folder of its own."""
    settings: dict[str, Any] = {"trials": TRIALS, "sampler": "random", "at_once": 2} | arguments
    return search(
        parse_space(axes), base or tiny(), name="s", runs_dir=folder, sweep_dir=folder / "s",
        **settings,
    )  # fmt: skip


def undisturbed_search(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Found]:
    """A random search by one process at a stretch, and its folder."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, find(folder)


def study_in(folder: Path) -> list[Any]:
    """The trials of the study in a folder, as Optuna reads them."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder}/s/study.db")
    trials: list[Any] = optuna.load_study(study_name="s", storage=storage).trials
    close_storage(storage)
    return trials


def told(folder: Path) -> list[tuple[Any, ...]]:
    """Of every trial what may not depend on how often the search was disturbed."""
    keys = ("values", "run", "outcome", "repeats")
    attributes = [{key: t.user_attrs.get(key) for key in keys} for t in study_in(folder)]
    return [
        (t.number, t.state.name, t.value, t.intermediate_values, a)
        for t, a in zip(study_in(folder), attributes, strict=True)
    ]


KILLS: dict[str, tuple[str, int]] = {
    "in mid-run": ("judge", 5),
    "before the study is told": ("ended", 1),
}


def child(folder: str, kill: str, wait: bool) -> None:
    """A process that searches; it kills itself at the call of a method, or waits for another."""
    asked: list[object] = []
    method, count = KILLS.get(kill, ("", 0))
    if method:
        original: Callable[..., Any] = getattr(Trials, method)

        def dying(*arguments: Any, **keywords: Any) -> Any:
            asked.append(None)
            if len(asked) == count:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **keywords)

        setattr(Trials, method, dying)
    if wait:
        judge = Trials.judge

        def waiting(self: Trials, run: str, step: int, value: float, *, last: bool) -> str | None:
            while len({t.user_attrs.get("searcher") for t in self.all()}) < 2:
                time.sleep(0.05)
            return judge(self, run, step, value, last=last)

        Trials.judge = waiting  # type: ignore[method-assign]
    logging.basicConfig(level=logging.INFO)
    sys.stdout.write(json.dumps(asdict(find(Path(folder)))))


def start(root: Path, folder: Path, *, kill: str = "", wait: bool = False) -> Any:
    """`child` in a process of its own."""
    code = f"from tests.helpers.small_search import child; child({str(folder)!r}, {kill!r}, {wait})"
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=pipe, stderr=pipe)


def trials_in(
    folder: Path, sweep: str, budget: int, pruner: str = "none"
) -> tuple[Trials, Callable[[], None]]:
    """The trials of a process that searches in a directory of its own, and how it dies."""
    outline = make_outline(
        parse_space(PROGRAMS), tiny(), trials=budget, sampler="random", pruner=pruner,
        prune_after=None, seed=0, data_dir=None,
    )  # fmt: skip
    seat = Seat(folder / sweep)
    storage = open_storage(f"sqlite:///{folder}/shared.db", folder)
    study = open_study(storage, "s", higher_is_better=False, identity=outline.identity)
    study.pruner = outline.pruner
    number = storage.get_study_id_from_name("s")
    trial_id = partial(storage.get_trial_id_from_study_id_trial_number, number)
    plan = GrowingPlan(folder / sweep, folder, None)
    trials = Trials(study, seat, plan, outline, runs_dir=folder, trial_id=trial_id)

    def die() -> None:
        close_storage(storage)
        seat.leave(keep=True)

    return trials, die
