"""torch's recurrent layers by their documented equations, in NumPy, from a `state_dict`.

https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html, GRU.html, RNN.html: the
equations, the names `weight_ih_l[k]_reverse`, and the order of the gates along the first axis.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

Weights = Mapping[str, np.ndarray]


def logistic(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


def step(
    kind: str, nonlinearity: str | None, w: Weights, ending: str, x_I: np.ndarray, h: Any, c: Any
) -> tuple[np.ndarray, np.ndarray]:
    """h_t and c_t."""
    given = w[f"rnn.weight_ih_{ending}"] @ x_I + w[f"rnn.bias_ih_{ending}"]
    own = w[f"rnn.weight_hh_{ending}"] @ h + w[f"rnn.bias_hh_{ending}"]
    if kind == "LSTM":
        i, f, g, o = np.split(given + own, 4)
        c = logistic(f) * c + logistic(i) * np.tanh(g)
        return logistic(o) * np.tanh(c), c
    if kind == "GRU":
        (x_r, x_z, x_n), (h_r, h_z, h_n) = np.split(given, 3), np.split(own, 3)
        r, z = logistic(x_r + h_r), logistic(x_z + h_z)
        return (1 - z) * np.tanh(x_n + r * h_n) + z * h, c
    a = given + own
    return (np.tanh(a) if nonlinearity == "tanh" else np.maximum(a, 0)), c


def outputs(w: Weights, about: Mapping[str, Any], x: np.ndarray) -> np.ndarray:
    """What the modules give for one sequence, (T, I) or numbers of symbols (T,): (T, O) or (O,)."""
    w = {name: array.astype(float) for name, array in w.items()}
    if "embedding.weight" in w:
        x = w["embedding.weight"][x] if x.ndim == 1 else x @ w["embedding.weight"]
    ends: list[np.ndarray] = []
    for layer in range(about["num_layers"]):
        read, ends = [], []
        for direction in range(1 + about["bidirectional"]):
            number = layer * (1 + about["bidirectional"]) + direction
            zero = np.zeros(about["hidden_size"])
            h = w["h_0"][number, 0] if "h_0" in w else zero
            c = w["c_0"][number, 0] if "c_0" in w else zero
            ending = f"l{layer}" + "_reverse" * direction
            found = []
            for x_I in x[::-1] if direction else x:
                h, c = step(about["kind"], about["nonlinearity"], w, ending, x_I, h, c)
                found.append(h)
            ends.append(h)
            read.append(np.stack(found[::-1] if direction else found))
        x = np.concatenate(read, -1)
    pool = {None: x, "last": np.concatenate(ends), "mean": x.mean(0), "max": x.max(0)}
    return np.asarray(pool[about["pooling"]] @ w["readout.weight"].T + w["readout.bias"])
