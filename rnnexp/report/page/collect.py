"""Runs as the data of a page: curves, profiles and the laboratory, thinned to a budget."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from rnnexp.core.errors import UsageError
from rnnexp.report.looks import run_looks, words
from rnnexp.report.page.answer import answers_html
from rnnexp.report.page.choose import find_all, left_out, to_show
from rnnexp.report.page.laboratory import read_laboratory
from rnnexp.report.page.pack import PRECISION, pack, rounded
from rnnexp.report.page.thin import MOST_RUNS, Sizes, evenly, kept_runs, kept_sizes
from rnnexp.report.table import clip_rate
from rnnexp.results.labels import Named, name_runs
from rnnexp.results.line_fit import line_fit
from rnnexp.results.load import Run, load_run
from rnnexp.results.summary import Record
from rnnexp.results.winner import Answer, answers

log = logging.getLogger("rnnexp")
PROFILE_VALUES, LABORATORY_VALUES, CURVE_VALUES = 500_000, 300_000, 45_000
"""How many values a page holds; its runs share them equally."""
MOST_POINTS = 400
"""The most points of a curve, since a screen has few more columns."""
DAMAGE = (UsageError, ValueError, KeyError, TypeError, AttributeError, OSError)
"""The errors of reading files that are damaged or were written by something else."""


def collect(directories: Sequence[Path]) -> dict[str, Any]:
    """The data of the page about all runs in directories.

    Runs that cannot be read are listed in `notes` and logged. Raises `UsageError` if no run can
    be read.
    """
    everything = find_all(directories)
    records, notes = to_show(everything, directories)
    runs, thinned = [], no_sizes()
    found = answers(everything)
    every = name_runs(records)
    named = _drawn(every, found, notes)
    for run in named:
        try:
            runs.append(run_data(run, load_run(run.record.path), len(named), thinned, notes))
        except DAMAGE as error:
            reason = str(error) if isinstance(error, UsageError) else repr(error)
            notes.append(left_out(run.record.path, reason))
    for note in notes:
        log.warning("%s", note)
    if not runs:
        raise UsageError(f"none of the {len(named)} runs can be read. {notes[-1]}")
    page = page_data(directories, runs, thinned, notes, answers_html(found))
    return page | {"every": len(every)}


def page_data(
    directories: Sequence[Path],
    runs: list[dict[str, Any]],
    thinned: dict[str, set[Sizes]],
    notes: list[str],
    which_wins: str,
) -> dict[str, Any]:
    """The data of the page from that of its runs, which get their looks.

    Args:
      which_wins: the content of the first section, as `answers_html` makes it.
    """
    looks = run_looks([run["cell"] for run in runs], [run["group"] for run in runs])
    for shown, look in zip(runs, looks.looks, strict=True):
        shown["look"] = list(look)
    return {
        "title": ", ".join(map(str, directories)),
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "notes": notes,
        "answers": which_wins,
        "every": len(runs),
        "precision": PRECISION,
        "looks": words(looks),
        "thinned": {part: thinned_line(part, sizes) for part, sizes in thinned.items()},
        "runs": runs,
    }


def _drawn(every: list[Named], found: Sequence[Answer], notes: list[str]) -> list[Named]:
    """The runs that are drawn; a note says which of many these are."""
    wanted = {
        row["best_by_validation"]["run"]
        for answer in found
        for row in answer.rows
        if row["best_by_validation"] is not None
    }
    places = kept_runs([named.record.run for named in every], wanted, MOST_RUNS)
    if len(places) < len(every):
        notes.append(
            f"{len(every):,} runs are too many to draw: below are {len(places)} of them, the best "
            "of every group by validation and others evenly spaced in the list. What stands "
            "above, under the heading Which wins, counts all."
        )
    return [every[place] for place in places]


def thinned_line(part: str, sizes: set[Sizes]) -> str:
    """The sentence about the entries omitted from a part of the page; empty if none were."""
    texts = []
    for kind in dict.fromkeys(size.what for size in sorted(sizes)):
        changed = {(size.there, size.kept) for size in sizes if size.what == kind}
        examples = [f"{kept:,} of {there:,}" for there, kept in sorted(changed)]
        more = f" (and {len(examples) - 3} other sizes)" if len(examples) > 3 else ""
        texts.append(f"{kind}: {', '.join(examples[:3])}{more}")
    if not texts:
        return ""
    return (
        f"Thinned to keep the file small. Kept, evenly spaced and with the first and last: "
        f"{'; '.join(texts)}. A peak between two kept entries is not seen; the runs' own files "
        f"have everything."
    )


def no_sizes() -> dict[str, set[Sizes]]:
    """For each part of the page, the sizes of what was thinned: none yet."""
    return {"profiles": set(), "laboratory": set(), "curves": set()}


def naming(named: Named) -> dict[str, Any]:
    """What the page has of a run that depends on the others."""
    return {
        "label": named.label, "group": named.group, "member": named.member,
        "options": named.options,
    }  # fmt: skip


def run_data(
    named: Named, run: Run, runs: int, thinned: dict[str, set[Sizes]], notes: list[str]
) -> dict[str, Any]:
    """The page's data of one run.

    Args:
      runs: how many share the page's budget.
      thinned, notes: get what was thinned and left out of this one.
    """
    record = named.record
    panels = sum(norms.shape[1] for norms in run.norms.values())
    profiles = {}
    for leaf in run.norms:
        for row, unit in enumerate(run.units):
            most = PROFILE_VALUES // (runs * panels)
            profiles[f"{unit} {leaf}"] = _profile(run, leaf, row, most, thinned["profiles"])
    headline = record.best.metric if record.best is not None else None
    return {
        **naming(named),
        "run": record.run, "path": str(record.path), "status": record.status,
        "step": record.step, "reason": record.reason, "dead": run.dead,
        "task": str(record.keys.get("task.name")), "cell": str(record.keys.get("cell.name")),
        "seed": record.keys.get("seed"), "headline": headline,
        "test": {name: rounded(value) for name, value in record.test.items()},
        "baseline": {name: rounded(value) for name, value in run.baseline().items()},
        "reference": {name: rounded(v) for name, v in run.baseline("reference").items()},
        "lengths": _lengths(record),
        "clipped": None if (rate := clip_rate(run)) is None else rounded(rate),
        "axis": run.axis,
        "decay": {name: _decay(run, name) for name in profiles},
        "curves": _curves(run, runs, thinned["curves"]),
        "profiles": profiles,
        "laboratory": _laboratory(run, runs, thinned["laboratory"], notes),
        "divergence": _divergence(run),
    }  # fmt: skip


def _lengths(record: Record) -> dict[str, Any] | None:
    """The test scores of a run and its baselines by name, a value a length; None without any."""
    if (found := record.by_length) is None:
        return None

    def by_name(table: dict[int, dict[str, float]]) -> dict[str, list[Any]]:
        names = dict.fromkeys(name for scores in table.values() for name in scores)
        return {n: [rounded(table[at].get(n, np.nan)) for at in lengths] for n in names}

    lengths = sorted(found.test)
    known = {length: found.baseline.get(length, {}) for length in lengths}
    return {
        "unit": found.unit, "train": list(found.train), "lengths": lengths,
        "test": by_name(found.test), "baseline": by_name(known),
    }  # fmt: skip


def _laboratory(
    run: Run, runs: int, thinned: set[Sizes], notes: list[str]
) -> dict[str, Any] | None:
    """The page's data from `laboratory.zarr`; None, with a note, if it cannot be read."""
    try:
        return read_laboratory(run.path, LABORATORY_VALUES // runs, thinned)
    except UsageError as error:
        notes.append(f"Left out: {error}")
        return None


def _profile(run: Run, leaf: str, row: int, most: int, thinned: set[Sizes]) -> dict[str, Any]:
    """The profiles of a unit's state leaf: packed norms by training step and time step."""
    norms = run.norms[leaf][:, row]
    sizes = kept_sizes(norms.shape, most)
    steps, times = (evenly(n, k) for n, k in zip(norms.shape, sizes, strict=True))
    kinds = ("recorded training steps", "time steps")
    for what, picks, there in zip(kinds, (steps, times), norms.shape, strict=True):
        if len(picks) < there:
            thinned.add(Sizes(what, there, len(picks)))
    return {
        "steps": run.steps[steps].tolist(),
        "times": times.tolist(),
        "length": norms.shape[1],
        "backward": run.units[row].endswith("_backward"),
        "norms": pack(norms[np.ix_(steps, times)], "log"),
    }


def _decay(run: Run, name: str) -> dict[str, Any]:
    """The last finite slope and half-life of a profile, and the fit of their line (R²); None
    without one.

    An infinite half-life is the text `inf`: the norm does not decay.
    """
    place = name.replace(" ", "/")
    steps, slopes = run.curve("train", f"slope/{place}")
    lives = dict(zip(*run.curve("train", f"half_life/{place}"), strict=True))
    finite = np.flatnonzero(np.isfinite(slopes))
    if not len(finite):
        return {"slope": None, "half_life": None, "fit": None, "step": None}
    step, slope = int(steps[finite[-1]]), float(slopes[finite[-1]])
    life = float(lives.get(step, np.nan))
    shown = "inf" if life == np.inf else rounded(life)
    unit, _, leaf = name.partition(" ")
    recorded = np.flatnonzero(run.steps == step)
    norms_T = run.norms[leaf][recorded[-1], run.units.index(unit)] if len(recorded) else []
    fit = line_fit(np.asarray(norms_T))
    return {
        "slope": rounded(slope), "half_life": shown, "step": step,
        "fit": rounded(fit) if np.isfinite(fit) else None,
    }  # fmt: skip


def _curves(run: Run, runs: int, thinned: set[Sizes]) -> dict[str, Any]:
    """Losses, scores and slopes of training and validation, by name over steps."""
    skip = ("kind", "step", "time")
    rows = {kind: [r for r in run.metrics if r["kind"] == kind] for kind in ("train", "valid")}
    scores = [name for name in (rows["valid"] or [{"loss": 0}])[0] if name not in skip]
    slopes = [f"slope/{unit}/{leaf}" for leaf in run.norms for unit in run.units]
    most = CURVE_VALUES // (runs * (2 * len(scores) + len(slopes) + 2))
    curves = {}
    for kind, names in (("train", [*scores, *slopes]), ("valid", scores)):
        picks = evenly(len(rows[kind]), min(MOST_POINTS, max(20, most)))
        if len(picks) < len(rows[kind]):
            thinned.add(Sizes(f"points of {kind} curves", len(rows[kind]), len(picks)))
        picked = [rows[kind][place] for place in picks]
        values = {n: [rounded(float(r.get(n, np.nan))) for r in picked] for n in names}
        there = {name: v for name, v in values.items() if any(x is not None for x in v)}
        curves[kind] = {"steps": [row["step"] for row in picked], "values": there}
    return curves


def _divergence(run: Run) -> dict[str, Any] | None:
    """The divergence in `status.json`, with numbers as text."""
    details = run.status.get("divergence")
    if run.status["status"] != "diverged" or not isinstance(details, dict):
        return None
    origin = details.get("origin")
    where = None
    if isinstance(origin, dict):
        where = {key: str(origin.get(key)) for key in ("leaf", "unit", "time", "lag")}
    return {
        **{key: str(details.get(key)) for key in ("step", "loss", "grad_norm")},
        "origin": where,
        "groups": [str(group) for group in details.get("groups", [])],
    }
