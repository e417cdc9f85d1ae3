"""Explains a divergence, from the record of the failed step."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnexp.gradflow.growth import growth_text
from rnnexp.gradflow.nonfinite import UnitOrder, find_origin
from rnnexp.train.step_metrics import Records


def divergence_verdict(
    records: Records,
    units: Sequence[UnitOrder],
    growth: Mapping[str, Any] | None = None,
    forward: Mapping[str, Any] | None = None,
) -> tuple[str, dict[str, Any]]:
    """Why a run diverged: a sentence, and its facts for `status.json`.

    Args:
      records: the failed step, in its first row.
      units: the model's units, in the order of the profiles' rows.
      growth: where growth began, if that was found: the data of `GradientGrowth` and the gate.
      forward: the first state that was not finite in the forward pass, if there is one; see
        `ForwardPass.origin`.
    """
    step = int(records.step[0])
    scalars = {name: values[0].item() for name, values in records.scalars.items()}
    norms = {leaf: np.asarray(values[0]) for leaf, values in records.norms.items()}
    origin = find_origin(norms, units)
    prefix = "grad_norm/"
    groups = [
        name.removeprefix(prefix)
        for name, value in scalars.items()
        if name.startswith(prefix) and not math.isfinite(value)
    ]
    details = {
        "step": step,
        "loss": scalars["loss"],
        "grad_norm": scalars["grad_norm"],
        "origin": None if origin is None else origin._asdict(),
        "groups": groups,
        "growth": growth,
        "forward": forward,
    }
    what = "gradient" if math.isfinite(scalars["loss"]) else "loss"
    where = "the replay of the step was finite: it diverges by rounding alone"
    if origin is not None:
        where = (
            f"dL/d{origin.leaf} left the finite range in {origin.unit} at time step "
            f"{origin.time}, {origin.lag} steps before the end of the sequence"
        )
    elif not math.isfinite(scalars["loss"]):
        where = "the loss alone left the finite range, its gradient did not"
    if origin is None and groups:
        where = f"dL/dh is finite throughout, the gradient of {', '.join(groups)} is not"
    if forward is not None:
        where = forward_text(forward)
        if growth is not None and growth["step"] == step:
            growth = None  # the gradient of that loss grew from nothing that it could name
    began = "" if growth is None else f"; {growth_text(growth)}"
    return f"non-finite {what} at step {step}: {where}{began}", details


def forward_text(forward: Mapping[str, Any]) -> str:
    """A clause from `ForwardPass.origin`."""
    text = (
        f"in the forward pass {forward['leaf']} of {forward['unit']} left the finite range at time "
        f"step {forward['time']}, {forward['lag']} steps before the end of the sequence"
    )
    if forward["input_time"] is not None:
        text += f"; the input at time step {forward['input_time']} is not finite"
    return text
