"""Where a diverged gradient began to grow: training step, unit, state leaf, time, gate.

The input is a window of training steps that ends with the one that failed, and the profiles
n_t = ||dL/ds_t|| of each. `final_rise` locates the beginning of growth in a series of positive
numbers that ends high; it is used twice:

1. *Training step.* The series is the largest profile norm of every step of the window; its
   rise begins at the onset.
2. *Time.* At the onset each profile is divided by the median of the window's steps before it.
   The series is this quotient in the order of the backward pass, from the unit's last step to
   the quotient's maximum. A constant quotient comes from the loss or the units above, and
   counts as growth from lag 0. If the onset is the window's first step, the series is the
   profile itself.

The unit is the topmost one, in the order of the backward pass, whose profile grew along its
own backward pass by at least half as many nats as that of any unit, because growth in an
upper unit passes into all units below it. If none grew by `FACTOR`, it is the top unit.

dL/ds_t depends on the steps after t, so the gates responsible for it are those of the step
after t (before t in a unit that reads backwards).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnexp.gradflow.nonfinite import UnitOrder

FACTOR = 2.0
"""A norm has grown if it exceeds so many times the low level of its series."""
LOW = 0.1
"""The low level is this quantile: the minimum, without a few outliers."""
SMALLEST, LARGEST = 1.4e-45, 3.4e38
"""The range of float32. A norm of 0 counts as the smallest, a non-finite one as the largest."""
SMALLEST_CHANGE = 0.01
"""A gate that closed or opened in a smaller fraction of its values has not changed."""

Sides = Mapping[str, tuple[float, float]]
"""Of every gate the fractions of its values that are low (closed) and high (open)."""


class GradientGrowth(NamedTuple):
    """Where growth began.

    Attributes:
      step: training step, the onset.
      since_start: the norms rose from the window's first step on, so growth began at that
        step or before it.
      unit, leaf: the profile.
      time, lag: position in the sequence, and steps before the unit's last one.
      rate: nats per step of the backward pass from there to the largest growth; 0 if it came
        from the loss or the units above.
      factor: the largest norm over its low level at the step that failed; None if not finite.
    """

    step: int
    since_start: bool
    unit: str
    leaf: str
    time: int
    lag: int
    rate: float
    factor: float | None


class GateChange(NamedTuple):
    """The gate that changed most: the fraction of its values that are closed (or open),
    before and after."""

    gate: str
    side: str
    before: float
    after: float


def final_rise(values: np.ndarray) -> int | None:
    """The index at which a series (N,) begins its last rise; None if it does not end high.

    The rise is the last stretch of values above `FACTOR` times the low level, and the steps
    before it as far as each rises at least half as much, in nats, as the median step of the
    stretch. 0: it rises from its beginning.
    """
    if len(values) == 1:
        return 0
    low = np.flatnonzero(values <= FACTOR * _low(values[:-1]))
    if low[-1] == len(values) - 1:
        return None
    first = began = int(low[-1]) + 1
    rises = np.diff(np.log(values))  # rises[n - 1] leads to value n
    enough = max(float(np.median(rises[began - 1 :])) / 2, 0.0)
    while first > 1 and rises[first - 2] > 0 and rises[first - 2] >= enough:
        first -= 1
    return 0 if first == 1 < began else first


def find_growth(
    steps: Sequence[int] | np.ndarray, norms: Mapping[str, np.ndarray], units: Sequence[UnitOrder]
) -> GradientGrowth | None:
    """Where growth began in profiles (N, L, T) by state leaf, of N training steps.

    The last step is the one that failed. None if no growth of dL/ds_t explains the failure: if
    the largest norm was not above `FACTOR` times its low level, or, in a window of one step, if
    all norms are finite and none grew along the backward pass.
    """
    ranged = {leaf: _in_range(values) for leaf, values in norms.items()}
    largest_N = np.max([values.max((1, 2)) for values in ranged.values()], 0)
    onset = final_rise(largest_N)
    if onset is None:
        return None
    row, leaf, path = _place(ranged, onset, units)
    finite = all(np.isfinite(values[-1]).all() for values in norms.values())
    if len(steps) == 1 and finite and path.nats == 0:
        return None
    return GradientGrowth(
        step=int(steps[onset]),
        since_start=onset == 0,
        unit=units[row].name,
        leaf=leaf,
        time=path.lag if units[row].backward else norms[leaf].shape[2] - 1 - path.lag,
        lag=path.lag,
        rate=path.rate,
        factor=float(largest_N[-1] / _low(largest_N[:-1])) if finite and len(steps) > 1 else None,
    )


def _low(values: np.ndarray) -> float:
    return float(np.quantile(values, LOW, method="lower"))


def _in_range(norms: np.ndarray) -> np.ndarray:
    values = norms.astype(np.float64)
    return np.clip(np.where(np.isnan(values), LARGEST, values), SMALLEST, LARGEST)


class _Path(NamedTuple):
    """Growth along the backward pass: nats, the lag where it began, its rate."""

    nats: float
    lag: int
    rate: float


def _path(now_T: np.ndarray, before_T: np.ndarray) -> _Path:
    """The growth of a profile over an earlier one, both in the order of the backward pass.

    It begins at the first non-zero norm, and ends at the largest quotient, or at the first
    non-finite norm.
    """
    entry = int(np.argmax(now_T > SMALLEST))
    grown_T = now_T[entry:] / before_T[entry:]
    beyond = np.flatnonzero(now_T[entry:] >= LARGEST)
    peak = int(beyond[0] if len(beyond) else np.argmax(grown_T))
    place = final_rise(grown_T[: peak + 1])
    if peak == 0 or place is None:
        return _Path(0.0, entry, 0.0)
    foot = max(place - 1, 0)
    nats = float(np.log(grown_T[peak]) - np.log(grown_T[foot]))
    return _Path(nats, entry + place, nats / (peak - foot))


def _place(
    norms: Mapping[str, np.ndarray], onset: int, units: Sequence[UnitOrder]
) -> tuple[int, str, _Path]:
    """Row of the unit, leaf, and path of the growth at the onset."""
    best: dict[int, tuple[_Path, str]] = {}
    for leaf, norms_NxLxT in norms.items():
        now_LxT = norms_NxLxT[onset]
        before_LxT = np.median(norms_NxLxT[:onset], 0) if onset else np.ones_like(now_LxT)
        for row, unit in enumerate(units):
            order = slice(None) if unit.backward else slice(None, None, -1)
            path = _path(now_LxT[row, order], before_LxT[row, order])
            if row not in best or (path.nats, -path.lag) > (best[row][0].nats, -best[row][0].lag):
                best[row] = path, leaf
    most = max(path.nats for path, _ in best.values())
    topmost_first = sorted(best, key=lambda row: (units[row].part, row), reverse=True)
    row = next(row for row in topmost_first if best[row][0].nats >= most / 2)
    return row, best[row][1], best[row][0]


def changed_gate(before: Sides, after: Sides) -> GateChange | None:
    """The gate whose fraction of closed or open values differs most; None if none differs.

    Fractions that are not finite are left out: there was no such step, or no such number.
    """
    changes = [
        GateChange(gate, side, before[gate][n], after[gate][n])
        for gate in before
        for n, side in enumerate(("closed", "open"))
        if np.isfinite([before[gate][n], after[gate][n]]).all()
    ]
    most = max(changes, key=lambda change: abs(change.after - change.before), default=None)
    return None if most is None or most.after == most.before else most


def growth_text(growth: Mapping[str, Any]) -> str:
    """A clause from `GradientGrowth` and `gate`, as `status.json` holds them."""
    began = "at or before" if growth["since_start"] and growth["step"] > 0 else "at"
    text = (
        f"growth began {began} step {growth['step']} in {growth['unit']}, dL/d{growth['leaf']} "
        f"at time {growth['time']} (lag {growth['lag']})"
    )
    if growth["rate"] == 0:
        text += ", where it came in from the loss or the units above"
    gate = growth["gate"]
    if gate and abs(gate["after"] - gate["before"]) < SMALLEST_CHANGE:
        text += f"; none of its gates changed in {SMALLEST_CHANGE:.0%} of its values"
    elif gate:
        text += (
            f"; of its gates {gate['gate']} changed most: {gate['side']} in "
            f"{gate['before']:.0%} of its values before, {gate['after']:.0%} after"
        )
    return text
