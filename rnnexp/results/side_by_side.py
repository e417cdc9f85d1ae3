"""Single runs side by side: what they reached, how far their gradients flow, what differs.

Everything is what the runs have logged themselves; nothing is computed anew.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnexp.results.groups import NOTHING, settings, short_key, value_text, varying
from rnnexp.results.load import Run
from rnnexp.results.summary import Record, flatten
from rnnexp.run.files import shown_status

Rows = list[dict[str, Any]]
LONGEST = 48  # characters of a label


class Reading(NamedTuple):
    """A profile at one recorded step.

    Attributes:
      step: updates made before it.
      slope: of ln(norm) over the lag, nats per step.
      half_life: lags after which the norm has halved, steps.
      zero_lags: how many norms are exactly 0.
      steps_T: T, the steps of the sequence.
      norms: ||dL/dh_t|| at the lags 0, T/4, T/2 and T - 1 (rounded down).
    """

    step: int
    slope: float
    half_life: float
    zero_lags: int
    steps_T: int
    norms: dict[str, float]


def labels(runs: Sequence[Run]) -> list[str]:
    """A short name a run that tells it from the others.

    The cell and as few configuration values as tell the runs apart, the seed among them only
    where nothing else differs; the id of the run where that is too long, and the place in the
    list where a run is given twice.
    """
    records = [_record(run) for run in runs]
    places = {
        record.path: setting.values for setting in settings(records) for record in setting.records
    }
    texts = []
    for run, record in zip(runs, records, strict=True):
        values = {k: v for k, v in places.get(record.path, {}).items() if v is not None}
        names = [str(values.pop(key)) for key in ("task.name", "cell.name") if key in values]
        told = [f"{short_key(key).rpartition('.')[2]}={value_text(v)}" for key, v in values.items()]
        texts.append("  ".join([*(names or [run.config["cell"]["name"]]), *told]))
    if len(set(texts)) < len(texts):
        seeds = [str(run.config["seed"]) for run in runs]
        texts = [f"{text}  seed={seed}" for text, seed in zip(texts, seeds, strict=True)]
    long = [len(text) > LONGEST for text in texts]
    texts = [run.path.name if far else t for run, t, far in zip(runs, texts, long, strict=True)]
    return [
        f"{text}  ({number})" if texts.count(text) > 1 else text
        for number, text in enumerate(texts, 1)
    ]


def reading(run: Run, leaf: str, layer: int, index: int) -> Reading:
    """The profile of a unit at the `index`-th recorded step."""
    norms_T = run.by_lag(leaf, layer)[index]
    last, step = len(norms_T) - 1, int(run.steps[index])
    row = next((r for r in run.metrics if r["kind"] == "train" and r["step"] == step), {})
    place = f"{run.units[layer]}/{leaf}"
    lags = {"0": 0, "T/4": len(norms_T) // 4, "T/2": len(norms_T) // 2, "T-1": last}
    return Reading(
        step,
        float(row.get(f"slope/{place}", math.nan)),
        float(row.get(f"half_life/{place}", math.nan)),
        int(np.sum(norms_T == 0)),
        len(norms_T),
        {name: float(norms_T[lag]) for name, lag in lags.items()},
    )


def profiles(runs: Sequence[Run]) -> dict[tuple[str, str], list[list[Reading]]]:
    """By state leaf and unit, of each run its readings at the first and the last recorded step.

    A run without that leaf or unit, or without a recorded step, has none.
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
    """What `compare RUN RUN --json` prints: everything that the tables show."""
    return {
        "runs": [
            {
                "label": label, "run": str(run.path), "experiment": run.name,
                "status": shown_status(run.path, run.status["status"]),
                "step": run.status["step"], "reason": run.status["reason"],
                "best": run.status.get("best"), "test": run.status.get("test", {}),
                "baseline": run.baseline(),
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
    """Titled tables with flat columns: outcomes, a table a unit and leaf, what differs."""
    names = labels(runs)
    found = [("runs side by side", _outcomes(runs, names))]
    for (leaf, unit), readings in profiles(runs).items():
        rows = [
            _profile_row(name, reading)
            for name, ends in zip(names, readings, strict=True)
            for reading in ends
        ]
        if rows:
            found.append((f"mean ||dL/d{leaf}_t||, {unit}: first and last recorded step", rows))
    rows = [
        {"key": key} | {name: value_text(v) for name, v in zip(names, values, strict=True)}
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


def _profile_row(name: str, reading: Reading) -> dict[str, Any]:
    return (
        {"run": name, "step": reading.step, "nats/step": reading.slope}
        | {"half-life": reading.half_life, "zero lags": reading.zero_lags}
        | {f"lag {lag}": norm for lag, norm in reading.norms.items()}
        | {"T": reading.steps_T}
    )


def _record(run: Run) -> Record:
    """The run as `rnnexp.results.groups` takes it."""
    return Record(run.name, str(run.path), run.status["status"], keys=flatten(run.config))
