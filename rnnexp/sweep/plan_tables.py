"""Tables of a sweep's plan: what the runs of each group share and vary, and its points."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rnnexp.sweep.launch import SweepPlan
from rnnexp.sweep.plan import SETTLED, PlannedRun, run_status

CHOOSING = ("task.name", "cell.name", "seed")
"""The swept keys that no list of values names: a group's experiment and its number of runs do."""
MOST_VALUES = 6
"""A group's row lists so many values of a key; of more, how many there are and their range."""
MOST_POINTS = 20
"""A table lists so many points."""


def group_rows(
    plan: SweepPlan, runs_dir: Path, costs: Mapping[int, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """A table row for each group: experiment, values of the swept keys, runs, runs already made.

    `with` names each swept key with the value that all runs of the group share, or with all of
    its values among them; `values` are the same as data.
    """
    rows = []
    for group, runs in plan.groups.items():
        values = group_values(runs)
        text = "; ".join(f"{key} {values_text(some)}" for key, some in values.items())
        rows.append(
            {
                "group": group,
                "experiment": _experiment(runs[0]),
                "with": text or "-",
                "values": values,
                "runs": len(runs),
                "made": sum(run_status(runs_dir / run.run) in SETTLED for run in runs),
                **costs.get(group, {}),
            }
        )
    return rows


def group_values(runs: Sequence[PlannedRun]) -> dict[str, list[Any]]:
    """By swept key, the different values among runs: numbers rising, others in their order.

    Keys that choose the experiment, and the seed, are left out.
    """
    keys = dict.fromkeys(key for run in runs for key in run.changes if key not in CHOOSING)
    found = {}
    for key in keys:
        values = _distinct(run.changes[key] for run in runs if key in run.changes)
        numbers = all(isinstance(value, int | float) for value in values)
        found[key] = sorted(values) if numbers else values
    return found


def values_text(values: Sequence[Any]) -> str:
    """`0.0, 1.0`, or `20 values from 1e-05 to 0.1`."""
    if len(values) <= MOST_VALUES:
        return ", ".join(map(str, values))
    if all(isinstance(value, int | float) for value in values):
        return f"{len(values)} values from {values[0]} to {values[-1]}"
    return f"{', '.join(map(str, values[:MOST_VALUES]))} and {len(values) - MOST_VALUES} more"


def points(plan: SweepPlan) -> list[dict[str, Any]]:
    """Every point of a plan: `experiment`, `values` of the swept keys, `seeds`, and `group`."""
    found: dict[str, dict[str, Any]] = {}
    for run in plan.runs:
        values = {key: value for key, value in run.changes.items() if key not in CHOOSING}
        point = {"experiment": _experiment(run), "values": values, "group": run.group}
        found.setdefault(json.dumps(point), {**point, "seeds": []})["seeds"].append(
            run.changes["seed"]
        )
    return list(found.values())


def point_rows(plan: SweepPlan) -> tuple[list[dict[str, Any]], int]:
    """Flat rows of a plan's first `MOST_POINTS` points, and how many more there are.

    A column a swept key, `-` where the experiment has no such key; the experiment has one if
    there are several.
    """
    every = points(plan)
    keys = list(dict.fromkeys(key for point in every for key in point["values"]))
    several = len({point["experiment"] for point in every}) > 1
    rows = [
        {"point": number}
        | ({"experiment": point["experiment"]} if several else {})
        | {key: str(point["values"].get(key, "-")) for key in keys}
        | {"seeds": values_text(point["seeds"])}
        for number, point in enumerate(every[:MOST_POINTS])
    ]
    return rows, max(0, len(every) - MOST_POINTS)


def _experiment(run: PlannedRun) -> str:
    return str(Path(run.run).parent)


def _distinct(values: Iterable[Any]) -> list[Any]:
    """Each value once, truth values and numbers told apart."""
    return list({json.dumps(value): value for value in values}.values())
