"""Training from Python: one run, or the runs of a sweep."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ml_collections import ConfigDict, FrozenConfigDict

from rnnexp.api.configure import NOTHING, as_path
from rnnexp.config.overrides import as_texts, configuration
from rnnexp.config.schema import from_saved, unfinished
from rnnexp.core.errors import UsageError, require_at_least
from rnnexp.core.load_module import forget_imports, load_imports
from rnnexp.results.load import RUNS_DIR, find_run
from rnnexp.run.about import About, require_about
from rnnexp.run.callbacks import Callbacks, Observer, RunResult, as_callbacks
from rnnexp.run.files import saved_config

if TYPE_CHECKING:
    from rnnexp.sweep.space import Space

log = logging.getLogger("rnnexp")
Experiment: TypeAlias = str | Path | ConfigDict | FrozenConfigDict
"""What to train: TASK/CELL, the path of a configuration file, or a configuration."""


def run(
    experiment: Experiment | None = None,
    changes: Mapping[str, Any] = NOTHING,
    *,
    runs_dir: str | Path = RUNS_DIR,
    data_dir: str | Path | None = None,
    callbacks: Callbacks | Sequence[Callbacks] = (),
    origin: str | Path | None = None,
    name: str = "",
    tags: Sequence[str] = (),
    note: str = "",
    observer: Observer | None = None,
) -> RunResult:
    """Train one run, as `rnnexp run` does, and return how it ended.

    A run that has a checkpoint is resumed from it. A run that has ended already is not trained, and
    no callback is called; its result is returned.

    Args:
      experiment: TASK/CELL, the `Path` of a configuration file, or a configuration, finished or
        not. None: that of `origin`.
      changes: values by dotted key, as in `rnnexp.experiment`.
      runs_dir: where runs are kept.
      data_dir: where to look for data files first.
      callbacks: functions to call while it trains, which may stop it: see `rnnexp.Callbacks`.
      origin: a finished run to go on from, with a longer `train.duration_...`: its directory, id or
        name, or TASK/CELL for the latest one.
      name, tags, note: what to say of the run; they do not change what it is.
      observer: receives all events of the run.

    Returns:
      The run's directory `path`, its `status`, `step` (updates made), the `reason`, and `details`
      with the scores, such as `details["test"]["loss"]`.

    Raises:
      UsageError: the configuration, the data or a name cannot be used.
      RunError: storage, the device or a callback failed; the same call resumes.
    """
    from rnnexp.run.run import run as train

    about = About(name, (tags,) if isinstance(tags, str) else tuple(tags), note)
    require_about(about)
    runs_dir = Path(runs_dir)
    earlier = None if origin is None else find_run(str(origin), runs_dir)
    if experiment is None:
        if earlier is None:
            raise UsageError("name an experiment: TASK/CELL, a Path of a file or a configuration")
        experiment = from_saved(saved_config(earlier))
    return train(
        configuration(experiment, changes),
        runs_dir=runs_dir,
        data_dir=as_path(data_dir),
        observer=observer,
        callbacks=as_callbacks(callbacks),
        origin=earlier,
        about=about,
    )


class SweepResult(NamedTuple):
    """The sweep's directory, which `rnnexp.load_runs` and `rnnexp.compare` take; how many of its
    runs have each status; and what stopped it before its end, or ""."""

    path: Path
    runs: dict[str, int]
    stopped: str


def sweep(
    experiment: Experiment | None,
    axes: Mapping[str, Any] | Sequence[str],
    changes: Mapping[str, Any] = NOTHING,
    *,
    seeds: int | Sequence[int] = 1,
    random: int | None = None,
    draw_seed: int = 0,
    match_parameters: int | None = None,
    name: str | None = None,
    runs_dir: str | Path = RUNS_DIR,
    data_dir: str | Path | None = None,
    width: int | None = None,
    jobs: int | None = None,
    imports: Sequence[str | Path] = (),
) -> SweepResult:
    """Train the runs of a sweep on this machine, as `rnnexp sweep` does: those that are missing.

    Runs train in processes of their own, so a cell or a task of yours must be in a file, one of
    `imports`. On a graphics processor they need memory that this process must not have taken.

    Args:
      experiment: as in `rnnexp.run`; "TASK/" or None where `axes` choose the cell, or both.
      axes: what varies: `{"cell": ["rnn", "lstm"], "optimizer.learning_rate": "log:1e-4..1e-2:3"}`,
        values by key, as a list or as the text after `KEY=`; or whole texts, as `--sweep` has them.
      changes: values that all runs have, by dotted key.
      seeds: so many seeds of every point, or a list of them.
      random: draw so many points in place of the whole grid, with the seed `draw_seed`.
      match_parameters: choose every cell's width so that the model has so many parameters.
      name: of the sweep's directory; None: from its runs.
      width: runs side by side on a device; None: what is measured to be fastest.
      jobs: groups of runs at a time.
      imports: files of your own that define cells or tasks of the sweep.

    Raises:
      UsageError: for an error in the space or in one of its points.
    """
    for key, value in {"width": width, "jobs": jobs}.items():
        if value is not None:
            require_at_least(1, of="a sweep", **{key: value})
    from rnnexp.sweep.directory import with_hashes
    from rnnexp.sweep.executors import Options
    from rnnexp.sweep.launch import count_statuses, launch, plan_sweep, reasons, save_sweep

    files = [str(file) for file in imports]
    load_imports(files, again=False)
    try:
        space, texts = _space(axes, seeds, random, draw_seed), as_texts(changes)
        plan = plan_sweep(
            space, _base(experiment, texts), parameters=match_parameters, data_dir=as_path(data_dir)
        )
        sweep_dir = save_sweep(
            plan,
            Path(runs_dir),
            name,
            arguments=[*map(str, space.axes), *_flags(texts)],
            imports=list(with_hashes(files)),
            data_dir=None if data_dir is None else str(Path(data_dir).absolute()),
            width=width,
            cpus=None,
        )
    finally:
        forget_imports()
    stopped = launch(sweep_dir, options=Options(at_once=jobs), imports=files)
    for reason, count in reasons(sweep_dir, "failed"):
        log.warning("%s: %d failed: %s", sweep_dir, count, reason)
    return SweepResult(sweep_dir, count_statuses(sweep_dir), stopped)


def _space(
    axes: Mapping[str, Any] | Sequence[str], seeds: Any, random: int | None, draw_seed: int
) -> "Space":
    """The space of `sweep`; `UsageError` for one that cannot be."""
    from rnnexp.sweep.axes import SHORT, Axis, Group, parse_seeds
    from rnnexp.sweep.space import Space, parse_space

    text = ",".join(map(str, seeds)) + "," if isinstance(seeds, Sequence) else str(seeds)
    if not isinstance(axes, Mapping):
        read = parse_space([axes] if isinstance(axes, str) else axes, seeds=text)
        return Space(read.groups, read.seeds, random or read.random, draw_seed)
    groups: list[Group] = []
    for key, values in axes.items():
        if isinstance(values, str):
            groups += parse_space([f"{key}={values}"]).groups
        elif isinstance(values, Sequence) or hasattr(values, "tolist"):
            texts = [as_texts({key: value})[key] for value in values]
            groups.append((Axis(SHORT.get(key, key), tuple(texts)),))
        else:
            raise UsageError(f"sweep of {key}: give a list of values, not {values!r}")
    return Space(tuple(groups), parse_seeds(text), random, draw_seed)


def _base(experiment: Experiment | None, texts: Mapping[str, str]) -> Any:
    """What the runs of a sweep have in common."""
    from rnnexp.sweep.space import read_base

    if experiment is None or isinstance(experiment, str):
        return read_base(experiment, _flags(texts))
    file = unfinished(configuration(experiment).to_dict())
    return read_base(None, _flags(texts), file=file)


def _flags(texts: Mapping[str, str]) -> list[str]:
    """Changes as they are typed."""
    return [f"--config.{key}={text}" for key, text in texts.items()]
