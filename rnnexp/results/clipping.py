"""The effect of clipping on the gradients of a run, as lines and as data."""

from typing import Any

import numpy as np

from rnnexp.gradflow.clip_audit import ClipAudit, audit_clipping
from rnnexp.results.load import Run

FIELDS = ("grad_norm", "grad_norm_clipped", "clip_fired")
OF_UPDATE = ("update_norm", "update_norm_clipped", "clip_fired")
"""What `update_norm` clips."""


def fields(run: Run) -> tuple[str, ...]:
    """The names of the norms before and after clipping, and of whether it acted."""
    return OF_UPDATE if run.config["clip"]["name"] == "update_norm" else FIELDS


def audit(run: Run) -> ClipAudit | None:
    """The clip audit of a run's recorded steps; None if there are none."""
    rows = _rows(run)
    if not rows:
        return None
    before, after, fired = (_column(rows, name) for name in fields(run))
    clip = run.config["clip"]
    return audit_clipping(
        before, after, fired != 0, _column(rows, "clip_cosine"),
        name=clip["name"], threshold=float(clip["threshold"]),
    )  # fmt: skip


def clip_lines(run: Run) -> list[str]:
    """The norms before and after clipping, and the verdict; empty without recorded steps."""
    if (found := audit(run)) is None:
        return []
    clip, norms = run.config["clip"], _norms(run)
    unclipped = clip["name"] == "none"
    lines = []
    if found.steps:
        how = "not clipped"
        if not unclipped:
            after = norms["median_after"]
            how = f"clipped by {clip['name']} at {clip['threshold']:g}: median {after:.3g}"
        plural = "s" * (found.steps > 1)
        what = "update" if clip["name"] == "update_norm" else "gradient"
        lines.append(
            f"{what} norm at {found.steps} recorded step{plural}: median "
            f"{norms['median_before']:.3g}, largest {norms['max_before']:.3g}; {how}"
        )
    verdict = found.verdict[1:] if unclipped and found.steps else found.verdict
    return lines + ["; ".join(verdict)] * bool(verdict)


def clip_data(run: Run) -> dict[str, Any] | None:
    """The audit by name, with the kind of clipping and the norms; None without recorded steps."""
    if (found := audit(run)) is None:
        return None
    clip = run.config["clip"]
    facts = found._asdict() | {"verdict": list(found.verdict)}
    return {"name": clip["name"], "threshold": clip["threshold"]} | facts | _norms(run)


def _rows(run: Run) -> list[dict[str, Any]]:
    names = fields(run)
    return [
        row for row in run.metrics if row["kind"] == "train" and all(name in row for name in names)
    ]


def _column(rows: list[dict[str, Any]], name: str) -> np.ndarray:
    return np.array([float(row.get(name, np.nan)) for row in rows])


def _norms(run: Run) -> dict[str, float]:
    """Medians before and after and the largest norm, over the steps where both are finite."""
    rows = _rows(run)
    norms = np.stack([_column(rows, name) for name in fields(run)[:2]])
    usable = norms[:, np.isfinite(norms).all(0)]
    if not usable.size:
        return dict.fromkeys(("median_before", "median_after", "max_before"), np.nan)
    before, after = np.median(usable, 1).tolist()
    return {"median_before": before, "median_after": after, "max_before": float(usable[0].max())}
