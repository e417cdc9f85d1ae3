"""Gated and oscillating cells equal NumPy written from their papers; options and counts fit."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.antisymmetric import antisymmetric
from rnnexp.cells.base import Cell
from rnnexp.cells.cornn import cornn
from rnnexp.cells.indrnn import indrnn
from rnnexp.cells.lem import lem
from rnnexp.cells.lstm import WITHOUT, lstm
from rnnexp.cells.lstm_1997 import lstm_1997
from rnnexp.cells.minimal_gated import minimal_gated
from rnnexp.cells.scrn import scrn
from rnnexp.core.errors import UsageError
from rnnexp.core.tree import tree_size
from rnnexp.scan.unroll import unroll
from tests.helpers.by_numpy import sigmoid
from tests.helpers.distributions import assert_uniform
from tests.helpers.noisy_cells import B, C, H, I, T, inputs, noisy

Weights = dict[str, np.ndarray]
States = dict[str, np.ndarray]


def columns(w: np.ndarray, blocks: int) -> list[np.ndarray]:
    """The blocks of a kernel or bias, transposed: matrices that act on column vectors."""
    return [block.T for block in np.split(w, blocks, axis=-1)]


# Every reference step below is for one example and works on column vectors as the
# papers do: W x, not x W.


def mgu_step(p: Weights, old: States, x: np.ndarray) -> States:
    (V_f, V_n), (U_f, U_n), (b_f, b_n) = (columns(p[k], 2) for k in ("w_x", "w_h", "b"))
    h = old["h"]
    f = sigmoid(V_f @ x + U_f @ h + b_f)
    candidate = np.tanh(U_n @ np.multiply(f, h) + V_n @ x + b_n)
    return {"h": h - f * h + f * candidate}


def indrnn_step(p: Weights, old: States, x: np.ndarray) -> States:
    limit = 2.0 ** (1 / 50)
    u = np.array([max(-limit, min(limit, value)) for value in p["u"]])
    return {"h": np.maximum(0, p["w_x"].T @ x + np.diag(u) @ old["h"] + p["b"])}


def cornn_step(p: Weights, old: States, x: np.ndarray) -> States:
    y, z = old["h"], old["z"]
    force = np.tanh(p["w_h"].T @ y + p["w_z"].T @ z + p["w_x"].T @ x + p["b"])
    z = z + 0.1 * force - 0.1 * 2.0 * y - 0.1 * 3.0 * z
    return {"h": y + 0.1 * z, "z": z}


def lem_step(p: Weights, old: States, x: np.ndarray) -> States:
    V_1, V_2, V_z, V_y = columns(p["w_x"], 4)
    W_1, W_2, W_z = columns(p["w_h"], 3)
    b_1, b_2, b_z, b_y = columns(p["b"], 4)
    y, z = old["h"], old["z"]
    step_z, step_y = 0.7 * sigmoid(W_1 @ y + V_1 @ x + b_1), 0.7 * sigmoid(W_2 @ y + V_2 @ x + b_2)
    z = z + step_z * (np.tanh(W_z @ y + V_z @ x + b_z) - z)
    y = y + step_y * (np.tanh(p["w_z"].T @ z + V_y @ x + b_y) - y)
    return {"h": y, "z": z}


def recurrent_matrix(upper: np.ndarray, gamma: float) -> np.ndarray:
    """W - W^T - gamma I from the entries of W above the diagonal, row by row."""
    entries, A = iter(upper), -gamma * np.eye(H)
    for row in range(H):
        for column in range(row + 1, H):
            A[row, column] = next(entries)
            A[column, row] = -A[row, column]
    return A


def antisymmetric_step(p: Weights, old: States, x: np.ndarray) -> States:
    recurrent = recurrent_matrix(p["w_upper"], 0.3) @ old["h"]
    return {"h": old["h"] + 0.2 * np.tanh(recurrent + p["w_x"].T @ x + p["b"])}


def gated_antisymmetric_step(p: Weights, old: States, x: np.ndarray) -> States:
    (V_h, V_z), (b_h, b_z) = columns(p["w_x"], 2), columns(p["b"], 2)
    recurrent = recurrent_matrix(p["w_upper"], 0.3) @ old["h"]
    z = sigmoid(recurrent + V_z @ x + b_z)
    return {"h": old["h"] + 0.2 * z * np.tanh(recurrent + V_h @ x + b_h)}


def scrn_step(p: Weights, old: States, x: np.ndarray) -> States:
    s = 0.2 * p["w_xs"].T @ x + 0.8 * old["s"]
    return {"h": sigmoid(p["w_sh"].T @ s + p["w_x"].T @ x + p["w_h"].T @ old["h"]), "s": s}


def coupled_lstm_step(p: Weights, old: States, x: np.ndarray) -> States:
    (V_f, V_g, V_o), (U_f, U_g, U_o), (b_f, b_g, b_o) = (
        columns(p[k], 3) for k in ("w_x", "w_h", "b")
    )
    p_f, p_o = p.get("p", np.zeros((2, H)))
    c, h = old["c"], old["h"]
    f = sigmoid(V_f @ x + U_f @ h + p_f * c + b_f)
    c = f * c + (1 - f) * np.tanh(V_g @ x + U_g @ h + b_g)
    return {"c": c, "h": sigmoid(V_o @ x + U_o @ h + p_o * c + b_o) * np.tanh(c)}


def lstm_1997_step(p: Weights, old: States, x: np.ndarray) -> States:
    """Blocks of four cells: of H = 6 there are two, the second with two cells."""
    n = -(-H // 4)
    z = p["w_x"].T @ x + p["w_h"].T @ old["h"] + p["w_a"].T @ old["a"] + p["b"]
    i, o = sigmoid(z[:n]), sigmoid(z[n : 2 * n])
    c, h = old["c"].copy(), np.zeros(H)
    for cell in range(H):
        c[cell] += i[cell // 4] * (4 * sigmoid(z[2 * n + cell]) - 2)
        h[cell] = o[cell // 4] * (2 * sigmoid(c[cell]) - 1)
    return {"c": c, "h": h, "a": np.concatenate([i, o])}


def lstm_without(part: str) -> Callable[[Weights, States, np.ndarray], States]:
    """The step of an LSTM with peepholes that lacks a part."""
    gates = [g for g in "ifgo" if g != part[0] or not part.endswith("gate")]

    def step(p: Weights, old: States, x: np.ndarray) -> States:
        of = {
            name: dict(zip(gates, columns(p[name], len(gates)), strict=True))
            for name in ("w_x", "w_h", "b")
        }
        peeking = [gate for gate in gates if gate != "g"]
        z = {g: of["w_x"][g] @ x + of["w_h"][g] @ old["h"] + of["b"][g] for g in gates}

        def gate(name: str, c: np.ndarray) -> np.ndarray:
            if name not in gates:
                return np.ones(H)
            return sigmoid(z[name] + p["p"][peeking.index(name)] * c)

        g = z["g"] if part == "input_activation" else np.tanh(z["g"])
        c = gate("f", old["c"]) * old["c"] + gate("i", old["c"]) * g
        return {"c": c, "h": gate("o", c) * (c if part == "output_activation" else np.tanh(c))}

    return step


CASES: dict[str, tuple[Cell, Callable[[Weights, States, np.ndarray], States]]] = {
    "minimal_gated": (minimal_gated(I, H), mgu_step),
    "indrnn": (indrnn(I, H, longest_steps=50), indrnn_step),
    "cornn": (cornn(I, H, dt=0.1, gamma=2.0, epsilon=3.0), cornn_step),
    "lem": (lem(I, H, dt=0.7), lem_step),
    "antisymmetric": (antisymmetric(I, H, epsilon=0.2, gamma=0.3), antisymmetric_step),
    "antisymmetric-gated": (
        antisymmetric(I, H, epsilon=0.2, gamma=0.3, gated=True),
        gated_antisymmetric_step,
    ),
    "scrn": (scrn(I, H, context_size=C, alpha=0.8), scrn_step),
    "lstm-coupled": (lstm(I, H, coupled=True), coupled_lstm_step),
    "lstm-coupled-peepholes": (lstm(I, H, coupled=True, peepholes=True), coupled_lstm_step),
    "lstm_1997": (lstm_1997(I, H, block_size=4, output_bias=-0.5), lstm_1997_step),
    **{
        f"lstm-without-{part}": (lstm(I, H, without=part, peepholes=True), lstm_without(part))
        for part in WITHOUT[1:]
    },
}


@pytest.mark.parametrize("case", CASES)
def test_the_cell_equals_numpy_at_every_step(case: str, x64: None) -> None:
    cell, reference = CASES[case]
    params, x = noisy(cell), inputs()
    got = unroll(cell, params, x)
    weights = {k: np.asarray(v) for k, v in params.items()}
    for b in range(B):
        state = {k: np.asarray(v) for k, v in cell.init_state(params).items()}
        for t in range(T):
            state = reference(weights, state, np.asarray(x[t, b]))
            y = np.concatenate([state["h"], state["s"]]) if "s" in state else state["h"]
            np.testing.assert_allclose(got.outputs_TxBxH[t, b], y, rtol=1e-11, atol=1e-13)
        assert set(cell.probed) == set(state) == set(got.final_state)
        for leaf, value in state.items():
            np.testing.assert_allclose(got.final_state[leaf][b], value, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    ("cell", "count"),
    [
        (minimal_gated(10, 16), 2 * (160 + 256 + 16)),
        (indrnn(10, 16), 160 + 16 + 16),
        (cornn(10, 16), 160 + 256 + 256 + 16),
        (lem(10, 16), 4 * (160 + 256 + 16)),
        (antisymmetric(10, 16), 120 + 160 + 16),
        (antisymmetric(10, 16, gated=True), 120 + 2 * (160 + 16)),
        (scrn(10, 16), 160 + 256 + 80 + 128),
        (scrn(10, 16, context_size=3), 160 + 256 + 30 + 48),
        (lstm(10, 16, without="output_gate"), 3 * (160 + 256 + 16)),
        (lstm(10, 16, without="input_activation"), 4 * (160 + 256 + 16)),
        (lstm_1997(2, 4), 93 - 5),  # experiment 4, less 4 weights and a bias of the output
        (lstm_1997(8, 4), 156 - 4 * 5),  # experiment 6a
        (lstm_1997(8, 6), 308 - 8 * 7),  # experiment 6b
        (lstm(10, 16, coupled=True), 3 * (160 + 256 + 16)),
        (lstm(10, 16, coupled=True, peepholes=True), 3 * (160 + 256 + 16) + 32),
    ],
    ids=lambda v: v.name if isinstance(v, Cell) else str(v),
)
def test_counts_by_hand(cell: Cell, count: int) -> None:
    assert cell.parameter_count == count
    assert tree_size(jax.eval_shape(cell.init, jax.random.key(0))) == count


def test_start_of_cornn_and_lem() -> None:
    for cell, limit in [(cornn(30, 100), 230**-0.5), (lem(30, 100), 0.1)]:
        for values in cell.init(jax.random.key(0)).values():
            assert_uniform(values, -limit, limit)


def test_gates_of_the_other_cells(x64: None) -> None:
    x_I = inputs()[0, 0]
    expected = {
        "minimal_gated": {"forget"},
        "lem": {"time_step_z", "time_step_h"},
        "antisymmetric-gated": {"update"},
        "antisymmetric": set(),
        "indrnn": set(),
        "cornn": set(),
        "scrn": set(),
    }
    for case, names in expected.items():
        cell, _ = CASES[case]
        params = noisy(cell)
        gates = cell.gates(params, {k: v + 0.3 for k, v in cell.init_state(params).items()}, x_I)
        assert set(gates) == names
        for values in gates.values():
            assert values.shape == (H,)
            assert bool(jnp.all((values > 0) & (values < 1)))


@pytest.mark.parametrize(
    ("factory", "options", "word"),
    [
        (indrnn, {"start": "far"}, "uniform"),
        (indrnn, {"longest_steps": -1}, "longest_steps"),
        (indrnn, {"gamma": 0.5}, "gamma"),
        (indrnn, {"start": "long"}, "longest_steps"),
        (cornn, {"dt": 0.0}, "dt"),
        (cornn, {"gamma": -1.0}, "gamma"),
        (cornn, {"epsilon": -1.0}, "epsilon"),
        (lem, {"dt": -1.0}, "dt"),
        (antisymmetric, {"epsilon": 0.0}, "epsilon"),
        (antisymmetric, {"gamma": -0.1}, "gamma"),
        (scrn, {"context_size": -1}, "context_size"),
        (scrn, {"alpha": 1.0}, "alpha"),
    ],
    ids=lambda v: getattr(v, "__name__", str(v)),
)
def test_bad_options_name_themselves(
    factory: Callable[..., Cell], options: dict[str, Any], word: str
) -> None:
    with pytest.raises(UsageError, match=word):
        factory(I, H, **options)
