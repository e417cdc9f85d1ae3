"""The tables of `rnnexp compare`, with flat columns for printing."""

from typing import Any

from rnnexp.results.groups import NOTHING, value_text
from rnnexp.results.summary import Rows

INTERVAL = "95 % of the mean"
MOST_TASKS = 8


def comparison_tables(rows: Rows, metric: str) -> list[tuple[str, Rows]]:
    """Titled tables of the rows of `compare`.

    They show all runs of each group, the setting chosen by validation (if a group has several
    settings), and the single best run by validation.
    """
    tables = [(f"{metric} of all completed runs", [_all_runs(row) for row in rows])]
    chosen = [row for row in rows if row["best_setting"] is not None]
    if any(row["best_setting"]["settings"] > 1 for row in chosen):
        title = f"{metric} over the seeds of the setting with the best mean validation score"
        tables.append((title, [_setting(row) for row in chosen]))
    best = [row for row in rows if row["best_by_validation"] is not None]
    if best:
        title = f"{metric} of the run with the best validation score"
        tables.append((title, [_run(row, metric) for row in best]))
    return tables


def rank_table(ranking: Rows) -> Rows:
    """Flat rows of `rank`, with ranks by task for few tasks, and the missing runs if any."""
    tasks = {task for row in ranking for task in [*row["ranks"], *row["missing"]]}
    shown = sorted(tasks) if len(tasks) <= MOST_TASKS else []
    gaps = any(row["missing"] for row in ranking)
    rows = []
    for row in ranking:
        by = next(iter(row))
        missing = "; ".join(f"{task}: {why}" for task, why in row["missing"].items())
        rows.append(
            {by: row[by], "mean rank": _or_nothing(row["rank"]), "tasks": row["tasks"]}
            | {task: _or_nothing(row["ranks"].get(task)) for task in shown}
            | ({"missing": missing or NOTHING} if gaps else {})
        )
    return rows


def _all_runs(row: dict[str, Any]) -> dict[str, Any]:
    other = ", ".join(f"{count} {status}" for status, count in row["other"].items())
    counts = {name: row[name] for name in ("runs", "completed", "diverged", "failed")}
    return _group(row) | counts | {"other": other or NOTHING} | _figures(row)


def _setting(row: dict[str, Any]) -> dict[str, Any]:
    best = row["best_setting"]
    setting = "  ".join(f"{key}={value_text(value)}" for key, value in best["setting"].items())
    some = best["seeds"] < best["runs"]
    seeds = f"{best['seeds']} of {best['runs']}" if some else str(best["seeds"])
    columns = {"setting": setting or NOTHING, "of": best["settings"], "seeds": seeds}
    return _group(row) | columns | {"validation": best["validation"]} | _figures(best)


def _run(row: dict[str, Any], metric: str) -> dict[str, Any]:
    best = row["best_by_validation"]
    scores = {"validation": best["validation"], metric: _or_nothing(best["value"])}
    return _group(row) | scores | {"run": best["run"]}


def _group(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value_text(value) for key, value in row["group"].items()}


def _figures(row: dict[str, Any]) -> dict[str, Any]:
    low, high = row["low"], row["high"]
    interval = NOTHING if low is None else f"{low:.4g} .. {high:.4g}"
    shown = {name: _or_nothing(row[name]) for name in ("mean", "median")}
    return shown | {INTERVAL: interval}


def _or_nothing(value: float | None) -> float | str:
    return NOTHING if value is None else value
