"""How often clipping acted in a run, and whether it changed the gradient's direction.

The input is what a run logs at its recorded steps, a sample of all steps: `grad_norm`,
`grad_norm_clipped`, `clip_fired` and, in newer runs, `clip_cosine`. Where the update is clipped and
not the gradient, the norms are those of the update.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnexp.core.errors import UsageError, require_choice

KINDS = {
    "none": ("", ""),
    "global_norm": ("every norm seen", "it acts as a normalised gradient"),
    "value": (
        "every element of every gradient seen",
        "part of nearly every gradient is set by the threshold, not by the loss",
    ),
    "adaptive": (
        "the ratio of gradient to weights of every unit seen",
        "part of nearly every gradient is as long as the weights say, not the loss",
    ),
    "update_norm": ("every norm of an update seen", "nearly every update has the same norm"),
}
"""For every kind of clipping (`rnnexp.train.optim.CLIPS`, whose import is slow): what exceeds no
threshold that never acts, and what a threshold that always acts means."""
NEARLY_ALWAYS = 0.9
"""Fraction of steps from which on clipping sets the size of nearly every update."""
STRAIGHT = 1e-4
"""By how much rounding in float32 may lower a cosine of 1."""


class ClipAudit(NamedTuple):
    """What clipping did at the recorded steps.

    Attributes:
      steps: recorded steps with finite norms.
      left_out: recorded steps with a norm that is not finite; such a step makes no update.
      fired_share: fraction of the steps at which clipping changed anything. NaN without steps.
      ratio_median, ratio_max: of the norm before to the norm after, over all steps.
      norm_max: the largest norm before clipping.
      cosine_min: the smallest cosine between the gradients before and after; NaN if unknown.
      verdict: sentences.
    """

    steps: int
    left_out: int
    fired_share: float
    ratio_median: float
    ratio_max: float
    norm_max: float
    cosine_min: float
    verdict: tuple[str, ...]


def audit_clipping(
    grad_norm: ArrayLike,
    grad_norm_clipped: ArrayLike,
    clip_fired: ArrayLike,
    clip_cosine: ArrayLike | None = None,
    *,
    name: str,
    threshold: float,
) -> ClipAudit:
    """Audit the clipping of a run from its logged arrays, one entry a recorded step.

    Args:
      clip_cosine: None, or NaN, in runs that did not log it: then `none` and `global_norm`,
        which keep the direction, have 1, and the others no known value.
      name, threshold: `config.clip.name` and `config.clip.threshold`.

    Raises `UsageError` for an unknown kind of clipping, or arrays of different lengths.
    """
    require_choice("clip", name, KINDS)
    before, after = np.asarray(grad_norm, float), np.asarray(grad_norm_clipped, float)
    fired = np.asarray(clip_fired, bool)
    known = 1.0 if name in ("none", "global_norm", "update_norm") else np.nan
    cosine = np.full(before.shape, known)
    if clip_cosine is not None:
        logged = np.asarray(clip_cosine, float)
        cosine = np.where(np.isnan(logged), known, logged)
    if len({before.shape, after.shape, fired.shape, cosine.shape}) > 1 or before.ndim != 1:
        raise UsageError(
            "the logged arrays must have one entry a recorded step each, but have the shapes "
            f"{before.shape}, {after.shape}, {fired.shape}, {cosine.shape}"
        )
    usable = np.isfinite(before) & np.isfinite(after)
    before, after, fired, cosine = (x[usable] for x in (before, after, fired, cosine))
    left_out = int(np.sum(~usable))
    if not before.size:
        nan = float("nan")
        nothing = ("no recorded step has a finite gradient norm: nothing to audit",)
        return ClipAudit(0, left_out, nan, nan, nan, nan, nan, nothing)
    ratio = np.divide(before, after, out=np.ones_like(before), where=after > 0)
    finite = cosine[np.isfinite(cosine)]
    audit = ClipAudit(
        steps=int(before.size),
        left_out=left_out,
        fired_share=float(np.mean(fired)),
        ratio_median=float(np.median(ratio)),
        ratio_max=float(np.max(ratio)),
        norm_max=float(np.max(before)),
        cosine_min=float(np.min(finite)) if finite.size else float("nan"),
        verdict=(),
    )
    return audit._replace(verdict=_verdict(audit, name, threshold))


def _verdict(audit: ClipAudit, name: str, threshold: float) -> tuple[str, ...]:
    sentences = [_how_often(audit, name, threshold)]
    if audit.fired_share > 0:
        sentences.append(_direction(audit))
    if audit.left_out:
        plural = "s" * (audit.left_out > 1)
        sentences.append(f"{audit.left_out} step{plural} with a norm that is not finite left out")
    return tuple(sentences)


def _how_often(audit: ClipAudit, name: str, threshold: float) -> str:
    if name == "none":
        return f"there is no clipping: the largest norm seen is {audit.norm_max:.3g}"
    fraction = f"{100 * audit.fired_share:.3g} %"
    above, always = KINDS[name]
    if audit.fired_share == 0:
        return (
            f"clipping is a no-op: threshold {threshold:g} is above {above} "
            f"(largest norm {audit.norm_max:.3g})"
        )
    if audit.fired_share >= NEARLY_ALWAYS:
        return f"clipping fires on nearly every step ({fraction}): {always}"
    what = "update" if name == "update_norm" else "gradient"
    return (
        f"clipping fires on {fraction} of the steps and shortens the {what} by a factor of up "
        f"to {audit.ratio_max:.3g}"
    )


def _direction(audit: ClipAudit) -> str:
    if np.isnan(audit.cosine_min):
        return "whether it keeps the direction is not known: the run did not log clip_cosine"
    if audit.cosine_min >= 1 - STRAIGHT:
        return "the direction is kept"
    return (
        "it changes the direction: the cosine between the gradients before and after is as "
        f"low as {audit.cosine_min:.3g}"
    )
