"""A laboratory Dataset as a run has it, of numbers that a formula gives."""

import numpy as np
import xarray


def laboratory(steps: int = 5, times: int = 40) -> xarray.Dataset:
    """Two units; the second has no gates. Every quantity of the format but `adjoint_matrix`."""
    step = np.arange(steps) * 100
    s, t = np.arange(steps)[:, None, None], np.arange(times)
    span = 2 ** np.arange(6)
    exponent = -0.1 * np.arange(1, 5) - 0.02 * s
    gates = 1 / (1 + np.exp(-(t / times * 4 - 2)))
    gate_high = np.stack([np.stack([gates * g for g in (1.0, 0.5, 0.2)]) * (1 + n) / steps
                          for n in range(steps)])[:, None]  # fmt: skip
    gates_SxUxGxT = np.concatenate([gate_high, np.full_like(gate_high, np.nan)], 1)
    lag = np.array([1, 2, 4, 8, 16, 32])
    lag_norm = np.exp(-0.1 * np.arange(3)[None, :, None] * lag - 0.05 * s)
    lag_norm[:, 2] = np.nan  # a readout has no lags
    singular = -0.05 * span[:, None] * (1 + np.arange(3)) * np.ones((steps, 2, 1, 1))
    both = np.ones((steps, 2, 1))
    return xarray.Dataset(
        {
            "lyapunov": (("step", "unit", "exponent"), exponent * both),
            "lyapunov_error": (("step", "unit", "exponent"), 0.01 * np.ones((steps, 2, 4))),
            "kaplan_yorke": (("step", "unit"), np.zeros((steps, 2))),
            "singular": (("step", "unit", "span", "rank"), singular),
            "singular_smallest": (("step", "unit", "span"), -0.4 * span * both),
            "condition": (("step", "unit", "span"), 0.35 * span * both),
            "spectral_radius": (("step", "unit", "matrix"), (0.9 + 0.02 * s) * np.ones((1, 2, 2))),
            "spectral_norm": (("step", "unit", "matrix"), (1.1 + 0.05 * s) * np.ones((1, 2, 2))),
            "gate_low": (("step", "unit", "gate", "time"), 0.8 - 0.8 * gates_SxUxGxT),
            "gate_high": (("step", "unit", "gate", "time"), gates_SxUxGxT),
            "time_constant": (("step", "unit", "time"), np.where(
                np.arange(2)[None, :, None] == 0, 2 + t * (1 + s) / 4, np.nan)),
            "dead": (("step", "unit"), np.zeros((steps, 2))),
            "saturated": (("step", "unit"), np.arange(2 * steps).reshape(steps, 2) / 20),
            "lag_norm": (("step", "parameter", "lag"), lag_norm),
            "parameter_norm": (("step", "parameter"), np.ones((steps, 3))),
        },
        {
            "step": step, "unit": ["layer_0", "layer_1"], "exponent": np.arange(4), "span": span,
            "rank": np.arange(3), "gate": ["input", "forget", "output"], "time": t,
            "matrix": ["w_h", "w_$x"], "lag": lag, "parameter": ["layers/0/w_h", "layers/0/w_x",
                                                                "readout/kernel"],
        },
    )  # fmt: skip
