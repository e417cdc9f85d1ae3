"""The tables of `rnnexp compare`, with flat columns for printing."""

from typing import Any

from rnnexp.results.groups import NOTHING, value_text
from rnnexp.results.statistics import interval_words
from rnnexp.results.summary import Rows

INTERVAL = "95 % of the mean"
EQUAL = "all equal"
MOST_TASKS = 8
MOST_KEYS = 4  # that the head of a table names


def comparison_tables(rows: Rows, metric: str) -> list[tuple[str, Rows]]:
    """Titled tables of the rows of `compare`.

    They show all runs of each group, the setting chosen by validation (if a group has several
    settings), and the single best run by validation. The first one's head says over which keys
    its groups pool, and the head of an interval's column by which method it is made.
    """
    tables = [(_all_title(rows, metric), _with_intervals([(_all_runs(r), r) for r in rows]))]
    chosen = [row for row in rows if row["best_setting"] is not None]
    if any(row["best_setting"]["settings"] > 1 for row in chosen):
        title = f"{metric} over the seeds of the setting with the best mean validation score"
        pairs = [(_setting(row), row["best_setting"]) for row in chosen]
        tables.append((title, _with_intervals(pairs)))
    best = [row for row in rows if row["best_by_validation"] is not None]
    if best:
        title = f"{metric} of the run with the best validation score"
        tables.append((title, [_run(row, metric) for row in best]))
    return tables


def length_table(rows: Rows, metric: str) -> tuple[str, Rows]:
    """The titled table of the rows of `compare_lengths`."""
    title = f"{metric} by length ({rows[0]['unit']}) of all completed runs"
    pairs = [(_group(row) | {"completed": row["completed"]}, row) for row in rows]
    return title, _with_intervals(pairs)


def _all_title(rows: Rows, metric: str) -> str:
    """`test_loss of all completed runs`, and what is pooled in the groups."""
    title = f"{metric} of all completed runs"
    keys = list(dict.fromkeys(key for row in rows for key in row["pooled"]))
    if not keys:
        return title
    more = f" and {len(keys) - MOST_KEYS} more keys" if len(keys) > MOST_KEYS else ""
    return (
        f"{title}; groups pool seeds and settings, which differ in "
        f"{', '.join(keys[:MOST_KEYS])}{more}"
    )


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
    return _group(row) | counts | {"other": other or NOTHING}


def _setting(row: dict[str, Any]) -> dict[str, Any]:
    best = row["best_setting"]
    setting = "  ".join(f"{key}={value_text(value)}" for key, value in best["setting"].items())
    some = best["seeds"] < best["runs"]
    seeds = f"{best['seeds']} of {best['runs']}" if some else str(best["seeds"])
    columns = {"setting": setting or NOTHING, "of": best["settings"], "seeds": seeds}
    return _group(row) | columns | {"validation": best["validation"]}


def _run(row: dict[str, Any], metric: str) -> dict[str, Any]:
    best = row["best_by_validation"]
    scores = {"validation": best["validation"], metric: _or_nothing(best["value"])}
    return _group(row) | scores | {"run": best["run"]}


def _group(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value_text(value) for key, value in row["group"].items()}


def _with_intervals(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> Rows:
    """First columns of a table's rows, and after them the figures that belong to them."""
    words = interval_words(_count(figures) for _, figures in pairs if figures["interval"])
    head = f"{INTERVAL} ({words})" if words else INTERVAL
    return [columns | _figures(figures, head) for columns, figures in pairs]


def _figures(figures: dict[str, Any], head: str) -> dict[str, Any]:
    """Mean, median, range and interval; all equal values have neither of the last two."""
    least, greatest = figures["least"], figures["greatest"]
    spread = interval = NOTHING
    if least is not None and least < greatest:
        spread = f"{least:.4g} .. {greatest:.4g}"
    elif least is not None and least == greatest and _count(figures) > 1:
        spread = EQUAL
    if figures["interval"]:
        interval = f"{figures['low']:.4g} .. {figures['high']:.4g}"
    shown = {name: _or_nothing(figures[name]) for name in ("mean", "median")}
    return shown | {"range": spread, head: interval}


def _count(figures: dict[str, Any]) -> int:
    """How many values the figures of a group, or of a setting, are of."""
    return int(figures["completed" if "completed" in figures else "seeds"])


def _or_nothing(value: float | None) -> float | str:
    return NOTHING if value is None else value
