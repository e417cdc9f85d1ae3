"""The results of a study as a JSON file: what was measured, and the claims' hash beside it.

The verdicts follow from the values by the rules, so the file needs neither the runs nor the
machine. It also holds the verdicts as they were, for a reader without rnnexp.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rnnexp.core.errors import UsageError
from rnnexp.core.files import replace_text, to_json
from rnnexp.study.assess import Assessment
from rnnexp.study.claims import Beyond, Study, Value, needs_of, seeds_of
from rnnexp.study.trainings import Measured

FORMAT = 1


class Stored(NamedTuple):
    """What a results file holds of a study: values by group and seed, and what stands with them."""

    study: str
    claims_hash: str
    measured: dict[str, dict[int, Measured]]
    hours: float
    runs: int
    content: dict[str, Any]


def write_results(
    file: Path, found: Assessment, measured: Mapping[str, Mapping[int, Measured]]
) -> None:
    """Write the results of a study that was just judged."""
    groups = {
        group: {
            str(seed): {"run": one.run, **{name: _plain(v) for name, v in one.values.items()}}
            for seed, one in sorted(seeds.items())
        }
        for group, seeds in measured.items()
    }
    content = {
        "format": FORMAT,
        "study": found.study.name,
        "paper": found.study.paper,
        "table": found.study.table,
        "claims_hash": found.claims_hash,
        "hours": round(found.hours, 3),
        "runs": found.runs,
        "counts": found.counts,
        "verdicts": found.verdicts,
        "groups": groups,
    }
    try:
        replace_text(file, to_json(content, indent=1) + "\n")
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from error


def read_results(file: Path) -> Stored:
    """The results in a file; `UsageError` if it is none, or damaged."""
    try:
        content = json.loads(file.read_text())
        if content["format"] != FORMAT:
            raise UsageError(f"{file} has the format {content['format']}; expected {FORMAT}")
        measured = {
            group: {
                int(seed): Measured(
                    {n: _value(v) for n, v in row.items() if n != "run"}, row["run"]
                )
                for seed, row in seeds.items()
            }
            for group, seeds in content["groups"].items()
        }
        hours, runs = float(content["hours"]), int(content["runs"])
        return Stored(content["study"], content["claims_hash"], measured, hours, runs, content)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    except UsageError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{file} holds no results of a study ({type(error).__name__}: {error}); "
            "`rnnexp study FILE -o RESULTS.json` writes them"
        ) from error


def require_whole(stored: Stored, study: Study, file: Path) -> None:
    """Raise `UsageError` unless the stored values are all that the study's claims need."""
    if stored.study != study.name:
        raise UsageError(f"{file} holds the results of {stored.study!r}, not of {study.name!r}")
    seeds = {group.name: seeds_of(group) for group in study.groups}
    for claim in study.claims:
        for group, measure in needs_of(claim):
            rows = stored.measured.get(group, {})
            for seed in seeds[group]:
                if seed not in rows or measure not in rows[seed].values:
                    raise UsageError(
                        f"{file} has no {measure} of group {group!r}, seed {seed}, which the claim "
                        f"{claim.name!r} needs; run the study anew"
                    )


def _plain(value: Value) -> Any:
    return {"beyond": value.steps} if isinstance(value, Beyond) else value


def _value(value: Any) -> Value:
    if isinstance(value, dict):
        return Beyond(float(value["beyond"]))
    number = float(value)
    return math.nan if math.isnan(number) else number
