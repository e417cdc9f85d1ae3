"""Single runs side by side: their scores, gradient profiles and differing settings.

All figures are those that the runs logged; nothing is recomputed.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnexp.core.axis import TIME, step_of_all
from rnnexp.results.groups import NOTHING, settings, short_key, value_text, varying
from rnnexp.results.line_fit import line_fit
from rnnexp.results.load import Run
from rnnexp.results.summary import Record, Rows, by_length, flatten, with_later_keys
from rnnexp.run.about import read_about
from rnnexp.run.files import shown_status

LONGEST = 48  # characters of a label


class Reading(NamedTuple):
    """A profile at one recorded step.

    Attributes:
      step: updates made before it.
      slope: of ln(norm) over the lag, nats per step.
      half_life: lags after which the norm has halved, steps.
      fit: R² of the line whose slope that is; see `line_fit`.
      zero_lags: the number of norms that are exactly 0.
      steps_T: T, the time steps of the sequence.
      norms: ||dL/dh_t|| at the lags 0, T/4, T/2 and T - 1 (rounded down).
    """

    step: int
    slope: float
    half_life: float
    fit: float
    zero_lags: int
    steps_T: int
    norms: dict[str, float]


def labels(runs: Sequence[Run]) -> list[str]:
    """A short, unique name for each run.

    It is the name that its user gave the run. Otherwise it has the cell and the fewest
    configuration values that distinguish the runs; the seed only if nothing else differs. The
    run's id replaces a name longer than `LONGEST`. A number in the list is added if a run is
    listed twice.
    """
    records = [_record(run) for run in runs]
    places = {
        record.path: setting.values for setting in settings(records) for record in setting.records
    }
    texts = []
    for run, record in zip(runs, records, strict=True):
        values = {k: v for k, v in places.get(record.path, {}).items() if v is not None}
        names = [str(values.pop(key)) for key in ("task.name", "cell.name") if key in values]
        parts = [f"{short_key(k).rpartition('.')[2]}={value_text(v)}" for k, v in values.items()]
        texts.append("  ".join([*(names or [run.config["cell"]["name"]]), *parts]))
    if len(set(texts)) < len(texts):
        seeds = [str(run.config["seed"]) for run in runs]
        texts = [f"{text}  seed={seed}" for text, seed in zip(texts, seeds, strict=True)]
    texts = [
        read_about(run.path).name or (run.path.name if len(text) > LONGEST else text)
        for run, text in zip(runs, texts, strict=True)
    ]
    return [
        f"{text}  ({number})" if texts.count(text) > 1 else text
        for number, text in enumerate(texts, 1)
    ]


def reading(run: Run, leaf: str, layer: int, index: int) -> Reading:
    """The profile of a unit at the `index`-th recorded step."""
    norms_T = run.by_lag(leaf, layer)[index]
    steps_T, step = len(norms_T), int(run.steps[index])
    row = next((r for r in run.metrics if r["kind"] == "train" and r["step"] == step), {})
    place = f"{run.units[layer]}/{leaf}"
    lags = {"0": 0, "T/4": steps_T // 4, "T/2": steps_T // 2, "T-1": steps_T - 1}
    return Reading(
        step,
        float(row.get(f"slope/{place}", math.nan)),
        float(row.get(f"half_life/{place}", math.nan)),
        line_fit(norms_T),
        int(np.sum(norms_T == 0)),
        steps_T,
        {name: float(norms_T[lag]) for name, lag in lags.items()},
    )


def profiles(runs: Sequence[Run]) -> dict[tuple[str, str], list[list[Reading]]]:
    """By state leaf and unit, the readings of each run at its first and last recorded step.

    A run without that leaf or unit, or without a recorded step, has no readings.
    """
    places = dict.fromkeys((leaf, unit) for run in runs for leaf in run.norms for unit in run.units)
    first = {leaf: number for number, (leaf, _) in reversed([*enumerate(places)])}
    ordered = sorted(places, key=lambda place: first[place[0]])  # by leaf, the hidden state first
    return {place: [_ends(run, *place) for run in runs] for place in ordered}


def _ends(run: Run, leaf: str, unit: str) -> list[Reading]:
    if leaf not in run.norms or unit not in run.units or len(run.steps) == 0:
        return []
    ends = dict.fromkeys([0, len(run.steps) - 1])
    return [reading(run, leaf, run.units.index(unit), index) for index in ends]


def differences(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """By configuration key, the values of the runs where they are not all the same."""
    records = [_record(run) for run in runs]
    keys = varying(records)
    if len({record.keys.get("seed") for record in records}) > 1:
        keys.append("seed")
    return {key: [record.keys.get(key) for record in records] for key in keys}


def as_data(runs: Sequence[Run]) -> dict[str, Any]:
    """The data that `compare RUN RUN --json` prints: everything that the tables show."""
    return {
        "runs": [
            {
                "label": label, "run": str(run.path), "experiment": run.name,
                "status": shown_status(run.path, run.status["status"]),
                "step": run.status["step"], "reason": run.status["reason"],
                "axis": run.axis, "best": run.status.get("best"),
                "test": run.status.get("test", {}), "baseline": run.baseline(),
                **{key: run.status[key] for key in ("by_length",) if key in run.status},
            }
            for run, label in zip(runs, labels(runs), strict=True)
        ],
        "profiles": [
            {"leaf": leaf, "unit": unit, "runs": [[r._asdict() for r in ends] for ends in found]}
            for (leaf, unit), found in profiles(runs).items()
        ],
        "differences": differences(runs),
    }  # fmt: skip


def tables(runs: Sequence[Run]) -> list[tuple[str, Rows]]:
    """Titled tables with flat columns: outcomes, profiles by unit and leaf, differing settings."""
    names, word = labels(runs), step_of_all(run.axis for run in runs)
    found = [("runs side by side", _outcomes(runs, names))]
    if lengths := _lengths(runs, names):
        found.append(("test by length", lengths))
    for (leaf, unit), readings in profiles(runs).items():
        rows: Rows = [
            {
                "run": name, "step": one.step, f"nats/{word}": one.slope,
                "half-life": one.half_life, "R²": one.fit, "zero lags": one.zero_lags,
                **{f"lag {lag}": norm for lag, norm in one.norms.items()},
                **({} if run.axis == TIME else {"axis": run.axis}), "T": one.steps_T,
            }
            for run, name, ends in zip(runs, names, readings, strict=True)
            for one in ends
        ]  # fmt: skip
        if rows:
            found.append((f"mean ||dL/d{leaf}_t||, {unit}: first and last recorded step", rows))
    rows = [
        {"key": key, **{name: value_text(v) for name, v in zip(names, values, strict=True)}}
        for key, values in differences(runs).items()
    ]
    return [*found, ("what differs in the configuration", rows)] if rows else found


def _outcomes(runs: Sequence[Run], names: Sequence[str]) -> Rows:
    scores = sorted({name for run in runs for name in run.status.get("test", {})})
    rows = []
    for run, name in zip(runs, names, strict=True):
        best, test, baseline = run.status.get("best"), run.status.get("test", {}), run.baseline()
        row = {
            "run": name, "status": shown_status(run.path, run.status["status"]),
            "step": run.status["step"],
            "best valid": f"{best['metric']} {float(best['value']):.4g}" if best else NOTHING,
        }  # fmt: skip
        for score in scores:
            row[f"test_{score}"] = float(test[score]) if score in test else NOTHING
            row[f"baseline_{score}"] = baseline.get(score, NOTHING)
        rows.append(row | {"directory": str(run.path)})
    unknown = [
        f"baseline_{score}" for score in scores if all(score not in r.baseline() for r in runs)
    ]
    return [{key: value for key, value in row.items() if key not in unknown} for row in rows]


def _lengths(runs: Sequence[Run], names: Sequence[str]) -> Rows:
    """A row for each run and length at which it was tested."""
    rows: Rows = []
    for run, name in zip(runs, names, strict=True):
        if (found := by_length(run.status)) is not None:
            rows += [{"run": name, found.unit: n, **scores} for n, scores in found.test.items()]
    columns = dict.fromkeys(column for row in rows for column in row)
    return [{column: row.get(column, NOTHING) for column in columns} for row in rows]


def _record(run: Run) -> Record:
    """The run in the form that `rnnexp.results.groups` takes."""
    return Record(
        run.name, str(run.path), run.status["status"], keys=with_later_keys(flatten(run.config))
    )
