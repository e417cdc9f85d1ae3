"""The recurrences of the compiled kernels and their gradients, written in NumPy, in float64.

A second implementation: it shares nothing with the cells, the scan or the kernels. Of a step only
the equations of a unit are written down; their derivatives are taken by complex steps, d f(x) / dx
= Im f(x + i e) / e, exact to rounding for a tiny e (Squire & Trapp 1998).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rnnexp.scan.kernels.cells import CELLS
from tests.helpers.by_numpy import sigmoid

GATES = {name: cell.gates for name, cell in CELLS.items()}
TWO_STAGES = ("gru_before", "minimal_gated")
"""Cells whose candidate, the last block, reads a gated state in place of h."""
TINY = 1e-40
Arrays = dict[str, np.ndarray]


class Operands(NamedTuple):
    """Weights, the input (T, B, I), the first state, and valid steps or None."""

    weights: Arrays
    x: np.ndarray
    h0: np.ndarray
    c0: np.ndarray
    lengths: np.ndarray | None


class Unit(NamedTuple):
    """All that a unit reads in a step, (B, H) each: shares of x and of h, or of the gated state,
    in its blocks, its own states, and the weights on these."""

    z_x: list[np.ndarray]
    z_h: list[np.ndarray]
    h: np.ndarray
    c: np.ndarray
    p: list[np.ndarray]


def forward(cell: str, given: Operands) -> tuple[np.ndarray, np.ndarray, list[Any]]:
    """h after every step, c after the last, and what the backward pass needs."""
    h, c = given.h0, given.c0
    hs, tape = [], []
    for t, x in enumerate(given.x):
        valid = _valid(given.lengths, t, len(h))
        unit, q = _unit(cell, given.weights, x, h, c)
        new_h, new_c = _new_state(cell, unit)
        tape.append((valid, x, h, q, unit))
        h = np.where(valid, new_h, h)
        c = np.where(valid, new_c, c) if CELLS[cell].has_c else c
        hs.append(h)
    return np.array(hs).reshape(len(given.x), *given.h0.shape), c, tape


def backward(
    cell: str,
    given: Operands,
    tape: list[Any],
    dh_every: np.ndarray | None,
    dh: np.ndarray,
    dc: np.ndarray,
    cut_steps: int = 0,
) -> Arrays:
    """Gradients by all operands and, `tap_h` and `tap_c`, by the states after every step."""
    grads = {name: np.zeros(w.shape) for name, w in given.weights.items()}
    dx = np.zeros(given.x.shape)
    tap_h = np.zeros((*given.x.shape[:2], dh.shape[1]))
    tap_c = np.zeros_like(tap_h)
    has_c = CELLS[cell].has_c
    for t in reversed(range(len(tape))):
        valid, x, h, q, unit = tape[t]
        if dh_every is not None:
            dh = dh + dh_every[t]
        tap_h[t] = np.where(valid, dh, 0)
        if has_c:
            tap_c[t] = np.where(valid, dc, 0)
        slopes = _slopes(cell, given.weights, unit, dh, dc)
        masked = {k: np.where(valid, np.concatenate(v, 1), 0) for k, v in slopes.items() if v}
        back = _gather(cell, given.weights, grads, masked, x, h, q)
        dx[t] = masked["z_x"] @ given.weights["w_x"].T
        going = 0.0 if cut_steps and t and t % cut_steps == 0 else 1.0
        dh = np.where(valid, going * (masked["h"] + back), dh)
        dc = np.where(valid, going * masked["c"], dc) if has_c else dc
    return {**grads, "dx": dx, "dh0": dh, "dc0": dc, "tap_h": tap_h, "tap_c": tap_c}


def _valid(lengths: np.ndarray | None, t: int, batch_size: int) -> np.ndarray:
    return np.ones((batch_size, 1), bool) if lengths is None else (t < lengths)[:, None]


def _split(z: np.ndarray, blocks: int) -> list[np.ndarray]:
    return np.split(z, blocks, axis=1)


def _unit(
    cell: str, w: Arrays, x: np.ndarray, h: np.ndarray, c: np.ndarray
) -> tuple[Unit, np.ndarray]:
    """What a unit reads, and the gated state, which is h itself in cells of one stage."""
    gates, size = GATES[cell], h.shape[1]
    z_x = _split(x @ w["w_x"] + w["b"], gates)
    z_h = _split(h @ w["w_h"], gates) if len(w["w_h"]) else [np.zeros_like(h)] * gates
    if cell == "gru":
        z_h[2] = z_h[2] + w["b_hn"]
    own = [np.broadcast_to(row, h.shape) for row in w["p"]]
    c = c if CELLS[cell].has_c else np.zeros_like(h)
    unit, q = Unit(z_x, z_h, h, c, own), h
    if cell in TWO_STAGES:
        q = _gated(unit)
        z_h[-1] = q @ w["w_h"][:, (gates - 1) * size :]
    return unit, q


def _gated(unit: Unit) -> np.ndarray:
    """The state times the first gate."""
    gated: np.ndarray = sigmoid(unit.z_x[0] + unit.z_h[0]) * unit.h
    return gated


def _new_state(cell: str, unit: Unit) -> tuple[np.ndarray, np.ndarray]:
    """h and c of a unit after the step."""
    h, c, p = unit.h, unit.c, unit.p
    z = [a + b for a, b in zip(unit.z_x, unit.z_h, strict=True)]
    if cell.startswith("lstm"):
        return _lstm(z, c, p, coupled="coupled" in cell, peepholes="peephole" in cell)
    if cell == "gru":
        r, u = sigmoid(z[0]), sigmoid(z[1])
        return (1 - u) * np.tanh(unit.z_x[2] + r * unit.z_h[2]) + u * h, c
    if cell == "gru_before":
        u = sigmoid(z[1])
        return (1 - u) * np.tanh(z[2]) + u * h, c
    if cell == "minimal_gated":
        f = sigmoid(z[0])
        return (1 - f) * h + f * np.tanh(z[1]), c
    if cell.startswith("min_gru"):
        u = sigmoid(z[0])
        return (1 - u) * h + u * _candidate(cell, z[1]), c
    if cell.startswith("min_lstm"):
        f, i = sigmoid(z[0]), sigmoid(z[1])
        return (f * h + i * _candidate(cell, z[2])) / (f + i), c
    if cell == "indrnn":
        return _relu(z[0] + p[0] * h), c
    activations: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "tanh": np.tanh,
        "relu": _relu,
        "linear": lambda a: a,
    }
    return activations[cell](z[0]), c


def _lstm(
    z: list[np.ndarray], c: np.ndarray, p: list[np.ndarray], *, coupled: bool, peepholes: bool
) -> tuple[np.ndarray, np.ndarray]:
    names = "fgo" if coupled else "ifgo"
    z_of = dict(zip(names, z, strict=True))
    p_of = dict(zip(names.replace("g", ""), p, strict=True)) if peepholes else {}

    def gate(name: str, seen: np.ndarray) -> np.ndarray:
        return sigmoid(z_of[name] + p_of.get(name, 0) * seen)

    f = gate("f", c)
    i = 1 - f if coupled else gate("i", c)
    new_c = f * c + i * np.tanh(z_of["g"])
    return gate("o", new_c) * np.tanh(new_c), new_c


def _relu(a: np.ndarray) -> np.ndarray:
    return np.where(a.real > 0, a, 0)


def _candidate(cell: str, a: np.ndarray) -> np.ndarray:
    return np.where(a.real >= 0, a + 0.5, sigmoid(a)) if "positive" in cell else a


def _slopes(
    cell: str, w: Arrays, unit: Unit, dh: np.ndarray, dc: np.ndarray
) -> dict[str, list[np.ndarray]]:
    """The derivatives of dh h + dc c and of the gated state times its adjoint, by what it reads."""

    def of_state(u: Unit) -> np.ndarray:
        new_h, new_c = _new_state(cell, u)
        total: np.ndarray = dh * new_h + (dc * new_c if CELLS[cell].has_c else 0)
        return total

    if cell not in TWO_STAGES:
        return _by_complex_steps(of_state, unit)
    size = unit.h.shape[1]
    of_candidate = _by_complex_steps(of_state, unit)["z_h"][-1]
    dq = of_candidate @ w["w_h"][:, -size:].T
    return _by_complex_steps(lambda u: of_state(u) + dq * _gated(u), unit)


def _by_complex_steps(f: Callable[[Unit], np.ndarray], unit: Unit) -> dict[str, list[np.ndarray]]:
    """The derivatives of f, element by element, by every array of a unit."""
    found: dict[str, list[np.ndarray]] = {}
    for name in Unit._fields:
        value = getattr(unit, name)
        arrays = list(value) if isinstance(value, list) else [value]
        found[name] = []
        for place, array in enumerate(arrays):
            moved = [*arrays[:place], array + 1j * TINY, *arrays[place + 1 :]]
            replacement: Any = moved if isinstance(value, list) else moved[0]
            changed = unit._replace(**{name: replacement})
            found[name].append(np.imag(f(changed)) / TINY)
    return found


def _gather(
    cell: str, w: Arrays, grads: Arrays, by: Arrays, x: np.ndarray, h: np.ndarray, q: np.ndarray
) -> np.ndarray:
    """Add a step's part to the gradients; what comes back to h through the products."""
    size = h.shape[1]
    grads["w_x"] += x.T @ by["z_x"]
    grads["b"] += by["z_x"].sum(0)
    if "p" in by:
        grads["p"] += by["p"].sum(0).reshape(grads["p"].shape)
    if not len(w["w_h"]):
        return np.zeros_like(h)
    if cell == "gru":
        grads["b_hn"] += by["z_h"][:, 2 * size :].sum(0)
    of_h = by["z_h"].copy()
    if cell in TWO_STAGES:
        grads["w_h"][:, -size:] += q.T @ of_h[:, -size:]
        of_h[:, -size:] = 0
    grads["w_h"] += h.T @ of_h
    back: np.ndarray = of_h @ w["w_h"].T
    return back
