"""Runs compared, analysed and put on a page, from Python."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnexp.api.configure import NOTHING, as_path
from rnnexp.config.overrides import as_texts
from rnnexp.core.errors import UsageError
from rnnexp.results import side_by_side
from rnnexp.results.compare import compare as compare_groups
from rnnexp.results.frames import load_laboratory
from rnnexp.results.index import load_records
from rnnexp.results.load import RUNS_DIR, Run, find_run, load_run
from rnnexp.results.metrics import default_metric
from rnnexp.results.summary import Rows

if TYPE_CHECKING:
    import pandas
    import xarray

FIGURES = ("slope", "half_life", "fit", "zero_lags")
"""Of a profile, as `rnnexp.results.side_by_side.Reading` has them."""
STATISTICS = ("mean", "median", "least", "greatest", "low", "high")
"""Of a group, as `rnnexp.results.compare.compare` has them."""


def compare(
    runs: str | Path | Sequence[str | Path] = RUNS_DIR,
    *,
    by: str | Sequence[str] = "cell",
    metric: str | None = None,
    runs_dir: str | Path = RUNS_DIR,
) -> "pandas.DataFrame":
    """Groups of runs side by side, or single runs with their gradients.

    Of a directory, of runs or of a sweep, a row is a group of runs that agree on the keys `by`. The
    columns are these keys; `runs`, of which `completed`, `diverged` and `failed`; over all
    completed ones the `mean`, `median`, `least` and `greatest` of the metric, and `low` to `high`,
    the 95 % interval of the mean, by the method `interval`; of the setting that validation chooses
    `best_setting`, `best_seeds`, `best_mean`, `best_low`, `best_high`; and of the single run that
    validation chooses `best_run` and `best_value`. `attrs["metric"]` names the metric.

    Of a list of runs, a row is a run. The columns are `run` (what distinguishes it), `path`,
    `experiment`, `status`, `step`, `reason`, `test_NAME`, `baseline_NAME`; the keys that differ, as
    `config.KEY`; and of every unit and leaf, at the last recorded step, `slope/UNIT/LEAF` (nats per
    step), `half_life/UNIT/LEAF` (steps), `fit/UNIT/LEAF` (R²) and `zero_lags/UNIT/LEAF`.

    Args:
      runs: a directory; or a list of runs, each by its directory, id or name, or as TASK/CELL for
        the latest one below `runs_dir`.
      by: `cell`, `task` or configuration keys; of a directory alone.
      metric: such as `test_loss`; None: the test score of the headline.

    Raises:
      UsageError: there are no such runs, or no run has such a key or metric.
    """
    if isinstance(runs, str | Path):
        directory = Path(runs)
        if (directory / "status.json").exists() or not directory.is_dir():
            raise UsageError(
                f"{directory} is no directory of a sweep or of runs; `compare` takes one of those, "
                "or a list of runs"
            )
        return _groups(directory, by.split(",") if isinstance(by, str) else list(by), metric)
    if by != "cell" or metric is not None:
        raise UsageError("by and metric are for the groups of a directory, not for single runs")
    if len(runs) == 0:
        raise UsageError("there are no runs to compare: the list is empty")
    return _single([load_run(find_run(str(name), Path(runs_dir))) for name in runs])


def analyze(
    run: str | Path,
    settings: Mapping[str, Any] = NOTHING,
    *,
    again: bool = False,
    runs_dir: str | Path = RUNS_DIR,
    data_dir: str | Path | None = None,
) -> "xarray.Dataset":
    """Measure the initial weights and every checkpoint of a run with the laboratory.

    Rows go to the run's `laboratory.zarr`; steps that are there already are left alone. Returns all
    rows, as `rnnexp.load_laboratory` does.

    Args:
      run: its directory, id or name, or TASK/CELL for the latest one below `runs_dir`.
      settings: of the laboratory, in place of the run's own: `{"laboratory.examples": 16}`.
      again: measure all steps anew.
      data_dir: where to look for data files first.

    Raises:
      UsageError: the run or its data cannot be read, its code or data is no longer that with which
        it was made, or a setting is wrong.
    """
    from rnnexp.run.analyze import analyze_run

    path = find_run(str(run), Path(runs_dir))
    analyze_run(path, data_dir=as_path(data_dir), overrides=as_texts(settings), again=again)
    return load_laboratory(path)


def report(
    directories: str | Path | Sequence[str | Path] = RUNS_DIR,
    output: str | Path = "report.html",
) -> Path:
    """Write one page about many runs, which needs no network; returns its path.

    Args:
      directories: one or several, of runs, of a sweep, or of a run.
      output: the page, whose name ends in .html.

    Raises:
      UsageError: if no run can be read or `output` cannot hold a page.
      RunError: if the page cannot be written.
    """
    from rnnexp.report.page.html import write_report

    given = [directories] if isinstance(directories, str | Path) else directories
    return write_report([Path(directory) for directory in given], Path(output)).file


def _groups(directory: Path, by: Sequence[str], metric: str | None) -> "pandas.DataFrame":
    """The groups of a directory's runs; see `compare`."""
    import pandas

    records = load_records(directory)
    metric = metric or default_metric(records)
    rows = [_group_row(row) for row in compare_groups(records, by, metric)]
    table = pandas.DataFrame(rows)
    table.attrs["metric"] = metric
    return table


def _group_row(row: dict[str, Any]) -> dict[str, Any]:
    """A group as a row of flat columns."""
    best, single = row["best_setting"] or {}, row["best_by_validation"] or {}
    setting = [f"{key}={value}" for key, value in best.get("setting", {}).items()]
    return {
        **row["group"],
        **{name: row[name] for name in ("runs", "completed", "diverged", "failed", "settings")},
        **{name: _number(row[name]) for name in STATISTICS},
        "interval": row["interval"] or "",
        "best_setting": " ".join(setting),
        "best_seeds": best.get("seeds", 0),
        **{f"best_{name}": _number(best.get(name)) for name in ("mean", "low", "high")},
        "best_run": single.get("run", ""),
        "best_value": _number(single.get("value")),
    }


def _number(value: float | None) -> float:
    """A number that pandas computes with: NaN where there is none."""
    return math.nan if value is None else float(value)


def _single(runs: Sequence[Run]) -> "pandas.DataFrame":
    """Single runs side by side; see `compare`."""
    import pandas

    data = side_by_side.as_data(runs)
    rows: Rows = []
    for number, run in enumerate(data["runs"]):
        row = {"run": run["label"], "path": run["run"]}
        row |= {name: run[name] for name in ("experiment", "status", "step", "reason")}
        row |= {f"test_{name}": value for name, value in run["test"].items()}
        row |= {f"baseline_{name}": value for name, value in run["baseline"].items()}
        row |= {f"config.{key}": values[number] for key, values in data["differences"].items()}
        for profile in data["profiles"]:
            place = f"{profile['unit']}/{profile['leaf']}"
            for last in profile["runs"][number][-1:]:
                row |= {f"{name}/{place}": last[name] for name in FIGURES}
        rows.append(row)
    return pandas.DataFrame(rows)
