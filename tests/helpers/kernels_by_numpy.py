"""The recurrences of the compiled kernels and their gradients, written in NumPy, in float64.

A second implementation, by hand: it shares nothing with the cells, the scan or the kernels.
"""

from typing import Any, NamedTuple

import numpy as np

from tests.helpers.by_numpy import sigmoid

GATES = {"lstm": 4, "gru": 3, "tanh": 1, "relu": 1, "linear": 1}
Arrays = dict[str, np.ndarray]


class Operands(NamedTuple):
    """Weights, the input (T, B, I), the first state, and valid steps or None."""

    weights: Arrays
    x: np.ndarray
    h0: np.ndarray
    c0: np.ndarray
    lengths: np.ndarray | None


def forward(cell: str, given: Operands) -> tuple[np.ndarray, np.ndarray, list[Any]]:
    """h after every step, c after the last, and what the backward pass needs."""
    h, c = given.h0, given.c0
    hs, tape = [], []
    for t, x in enumerate(given.x):
        valid = _valid(given.lengths, t, len(h))
        new_h, new_c, kept = _step(cell, given.weights, x, h, c)
        tape.append((valid, x, h, c, new_h, new_c, kept))
        h = np.where(valid, new_h, h)
        c = np.where(valid, new_c, c) if cell == "lstm" else c
        hs.append(h)
    return np.array(hs).reshape(len(given.x), *given.h0.shape), c, tape


def backward(
    cell: str,
    given: Operands,
    tape: list[Any],
    dh_every: np.ndarray | None,
    dh: np.ndarray,
    dc: np.ndarray,
) -> Arrays:
    """Gradients by all operands and, `tap_h` and `tap_c`, by the states after every step."""
    grads = {name: np.zeros(w.shape) for name, w in given.weights.items()}
    dx = np.zeros(given.x.shape)
    tap_h = np.zeros((*given.x.shape[:2], dh.shape[1]))
    tap_c = np.zeros_like(tap_h)
    for t in reversed(range(len(tape))):
        valid, x, h, c, new_h, new_c, kept = tape[t]
        if dh_every is not None:
            dh = dh + dh_every[t]
        tap_h[t] = np.where(valid, dh, 0)
        if cell == "lstm":
            tap_c[t] = np.where(valid, dc, 0)
        old_h, old_c, zx, zh = _slopes(cell, given.weights, h, c, new_h, new_c, kept, dh, dc)
        zx, zh = np.where(valid, zx, 0), np.where(valid, zh, 0)
        grads["w_x"] += x.T @ zx
        grads["b"] += zx.sum(0)
        grads["w_h"] += h.T @ zh
        if cell == "gru":
            grads["b_hn"] += zh[:, 2 * h.shape[1] :].sum(0)
        dx[t] = zx @ given.weights["w_x"].T
        dh = np.where(valid, old_h + zh @ given.weights["w_h"].T, dh)
        dc = np.where(valid, old_c, dc) if cell == "lstm" else dc
    return {**grads, "dx": dx, "dh0": dh, "dc0": dc, "tap_h": tap_h, "tap_c": tap_c}


def _valid(lengths: np.ndarray | None, t: int, batch_size: int) -> np.ndarray:
    return np.ones((batch_size, 1), bool) if lengths is None else (t < lengths)[:, None]


def _split(z: np.ndarray, gates: int) -> list[np.ndarray]:
    return np.split(z, gates, axis=1)


def _step(cell: str, w: Arrays, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> Any:
    zx, zh = x @ w["w_x"] + w["b"], h @ w["w_h"]
    if cell == "lstm":
        i, f, g, o = _split(zx + zh, 4)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        new_c = f * c + i * g
        return o * np.tanh(new_c), new_c, (i, f, g, o)
    if cell == "gru":
        (rx, zx_, nx), (rh, zh_, nh) = _split(zx, 3), _split(zh, 3)
        r, z, inner = sigmoid(rx + rh), sigmoid(zx_ + zh_), nh + w["b_hn"]
        n = np.tanh(nx + r * inner)
        return (1 - z) * n + z * h, c, (r, z, n, inner)
    a = zx + zh
    return {"tanh": np.tanh(a), "relu": np.maximum(a, 0), "linear": a}[cell], c, a


def _slopes(
    cell: str, w: Arrays, h: Any, c: Any, new_h: Any, new_c: Any, kept: Any, dh: Any, dc: Any
) -> Any:
    """By the old h without the products, the old c, and both parts of the pre-activations."""
    if cell == "lstm":
        i, f, g, o = kept
        tanh_c = np.tanh(new_c)
        both = dc + dh * o * (1 - tanh_c**2)
        z = np.concatenate(
            [
                both * g * i * (1 - i),
                both * c * f * (1 - f),
                both * i * (1 - g**2),
                dh * tanh_c * o * (1 - o),
            ],
            axis=1,
        )
        return np.zeros_like(dh), both * f, z, z
    if cell == "gru":
        r, z, n, inner = kept
        dn = dh * (1 - z) * (1 - n**2)
        dr, dz = dn * inner * r * (1 - r), dh * (h - n) * z * (1 - z)
        zx = np.concatenate([dr, dz, dn], axis=1)
        zh = np.concatenate([dr, dz, dn * r], axis=1)
        return dh * z, dc, zx, zh
    slope = {"tanh": 1 - new_h**2, "relu": (kept > 0) * 1.0, "linear": np.ones_like(new_h)}[cell]
    return np.zeros_like(dh), dc, dh * slope, dh * slope
