"""The neural Turing machine equals NumPy, slot by slot; its memory's adjoint is a product."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.ntm import ntm
from rnnexp.core.errors import UsageError
from rnnexp.core.masking import states_before
from rnnexp.core.types import Array, State
from rnnexp.gradflow.adjoints import tap
from rnnexp.scan.unroll import Probe, initial_state, unroll
from rnnexp.train.check_cell import check_cell
from tests.helpers.by_numpy import sigmoid
from tests.helpers.noisy_cells import H, I, T, inputs, noisy

N, W = 5, 3
Numbers = dict[str, np.ndarray]


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max())
    result: np.ndarray = powers / powers.sum()
    return result


def step_by_numpy(
    p: Numbers, old: Numbers, x: np.ndarray, clip: float, reach: int, epsilon: float = 1e-6
) -> Numbers:
    """One step, written down from the paper: a head at a time, a slot at a time."""
    readers, writers = len(old["r"]), len(old["w_write"])
    seen = np.concatenate([x, old["r"].ravel()])
    i, f, g, o = np.split(p["w_x"].T @ seen + p["w_h"].T @ old["h"] + p["b"], 4)
    c = sigmoid(f) * old["c"] + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    z = list(np.clip(p["w_heads"].T @ h + p["b_heads"], -clip, clip))

    def take(count: int) -> np.ndarray:
        taken = np.array(z[:count])
        del z[:count]
        return taken

    M, slots = old["M"], len(old["M"])
    addressed = []
    for before in [*old["w_read"], *old["w_write"]]:
        key, (beta,) = np.tanh(take(W)), np.log1p(np.exp(take(1)))
        (gate,), moves = sigmoid(take(1)), softmax(take(2 * reach + 1))
        gamma = 1 + np.log1p(np.exp(take(1)))[0]
        likeness = np.zeros(slots)
        for n in range(slots):
            size = np.sqrt(key @ key + epsilon) * np.sqrt(M[n] @ M[n] + epsilon)
            likeness[n] = key @ M[n] / (size + epsilon)
        mixed = gate * softmax(beta * likeness) + (1 - gate) * before
        moved = np.zeros(slots)
        for n in range(slots):
            for k in range(-reach, reach + 1):
                moved[(n + k) % slots] += mixed[n] * moves[k + reach]
        addressed.append(moved**gamma / np.sum(moved**gamma))
    erase = [sigmoid(take(W)) for _ in range(writers)]
    add = [np.tanh(take(W)) for _ in range(writers)]
    assert not z
    read, write = addressed[:readers], addressed[readers:]
    new = M.copy()
    for w, e in zip(write, erase, strict=True):
        for n in range(slots):
            new[n] *= 1 - w[n] * e
    for w, a in zip(write, add, strict=True):
        for n in range(slots):
            new[n] += w[n] * a
    r = np.array([sum(w[n] * M[n] for n in range(slots)) for w in read])
    return {"c": c, "h": h, "M": new, "w_read": np.array(read), "w_write": np.array(write), "r": r}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"read_heads": 2, "write_heads": 3, "shift": 2, "memory_init": "learned"},
        {"shift": 0, "memory_init": "random", "parameter_clip": 0.4},
    ],
)
def test_steps_equal_numpy(options: dict[str, Any], x64: None) -> None:
    cell = ntm(I, H, slots=N, width=W, **options)
    params, x = noisy(cell), inputs()[:, 0]
    p = {name: np.asarray(value) for name, value in params.items()}
    clip, reach = options.get("parameter_clip", 20.0), options.get("shift", 1)
    state: State = cell.init_state(params)
    expected = {leaf: np.asarray(value) for leaf, value in state.items()}
    step = jax.jit(cell.step)
    for t in range(4):
        state, y = step(params, state, x[t])
        expected = step_by_numpy(p, expected, np.asarray(x[t]), clip, reach)
        for leaf, value in expected.items():
            np.testing.assert_allclose(state[leaf], value, rtol=1e-10, atol=1e-13, err_msg=leaf)
        np.testing.assert_array_equal(y, np.concatenate([state["h"], state["r"].ravel()]))
    for leaf in ("w_read", "w_write"):
        np.testing.assert_allclose(np.sum(state[leaf], axis=-1), 1.0, rtol=1e-12)


def test_with_addresses_held_the_adjoint_is_a_product(x64: None) -> None:
    """No gate lets content in and no reading reaches the controller: weights ignore the memory."""
    cell = ntm(I, H, slots=N, width=W, write_heads=2, parameter_clip=float("inf"))
    params = dict(noisy(cell))
    address = W + 6
    gates = [head * address + W + 1 for head in range(3)]
    params["w_heads"] = params["w_heads"].at[:, jnp.array(gates)].set(0.0)
    params["b_heads"] = params["b_heads"].at[jnp.array(gates)].set(-1e4)
    params["w_x"] = params["w_x"].at[I:].set(0.0)
    x, ends = inputs()[:, :1], jnp.asarray(np.random.default_rng(3).standard_normal((N, W)))

    @jax.jit
    def adjoints_and_erasures(slots: State) -> Any:
        def loss(slots: State) -> tuple[Array, Any]:
            got = unroll(cell, params, x, probe=Probe(tap, slots, silent=True), keep_states=True)
            return jnp.sum(ends * got.final_state["M"][0]), got.states

        found, states = jax.grad(loss, has_aux=True)(slots)
        before = states_before(initial_state(cell, params, 1), states)
        gates = jax.vmap(cell.gates, (None, 0, 0))(
            params, {k: v[:, 0] for k, v in before.items()}, x[:, 0]
        )
        return found, states, gates["erase"]

    slots = {"M": jnp.zeros((T, 1, N, W))}
    found, states, erase = jax.device_get(adjoints_and_erasures(slots))
    kept = np.ones((N, W))
    for t in reversed(range(T)):
        np.testing.assert_allclose(found["M"][t, 0], ends * kept, rtol=1e-10)
        for head in range(2):
            kept = kept * (1 - np.outer(states["w_write"][t, 0, head], erase[t, head]))
    assert kept.max() < 0.9


def test_first_memories() -> None:
    for kind in ("constant", "learned", "random"):
        cell = ntm(I, 40, slots=60, width=20, memory_init=kind)
        params = jax.jit(cell.init)(jax.random.key(1))
        start = jax.jit(cell.init_state)(params)
        M = np.asarray(start["M"])
        assert ("M_0" in params) == (kind == "learned")
        if kind == "constant":
            np.testing.assert_array_equal(M, np.float32(1e-6))
        if kind == "learned":
            np.testing.assert_allclose(M, np.tanh(params["M_0"]), rtol=1e-6)
            assert 0.05 < np.abs(M).max() < 0.0706  # uniform, up to sqrt(6 / 1201)
        if kind == "random":
            assert 0.4 < M.std() < 0.5  # of a normal cut at two deviations: 0.88 of 0.5
            assert np.abs(M).max() < 1
            again = ntm(I, 41, slots=60, width=20, memory_init=kind)
            bias = {"b": jnp.zeros(4), "w_0": jnp.zeros((2, 60)), "r_0": jnp.zeros((1, 20))}
            np.testing.assert_allclose(M, again.init_state(bias)["M"], rtol=1e-6)
    assert 0.12 < float(jnp.std(params["w_heads"])) < 0.19  # 1 / sqrt(40) = 0.158
    assert np.all(params["b_heads"] == 0)
    np.testing.assert_array_equal(params["b"][40:80], 1.0)
    weights = np.asarray(start["w_write"])
    assert np.ptp(weights) > 1e-3  # equal weights on equal slots would never part
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-6)


def test_defaults_are_those_of_the_paper_and_keep_the_contract() -> None:
    cell = check_cell("ntm", ntm(9, 100), 9)
    assert cell.output_size == 120
    shapes = jax.eval_shape(cell.init, jax.random.key(0))
    assert shapes["w_heads"].shape == (100, 2 * (20 + 3 + 3) + 40)
    lstm = 4 * ((9 + 20) * 100 + 100 * 100 + 100)
    assert cell.parameter_count == lstm + 101 * 92 + 20 + 2 * 128


@pytest.mark.parametrize("memory_init", ["constant", "random"])
def test_gradients_at_the_start_are_finite(memory_init: str) -> None:
    cell = ntm(I, H, slots=N, width=W, memory_init=memory_init)
    x = inputs().astype(jnp.float32)

    @jax.jit
    def slopes(key: Array, share: Array) -> Any:
        params = cell.init(key)
        start = initial_state(cell, params, 3)
        start = {**start, "M": share * start["M"], "r": share * start["r"]}
        return jax.grad(lambda p: jnp.sum(unroll(cell, p, x, state=start).outputs_TxBxH ** 2))(
            params
        )

    for share in (1.0, 0.0):  # 0: a memory of zeros
        for name, slope in slopes(jax.random.key(0), jnp.float32(share)).items():
            assert np.isfinite(slope).all(), name


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"slots": 0}, "slots of ntm must be at least 1, not 0"),
        ({"width": 0}, "width of ntm must be at least 1"),
        ({"read_heads": 0}, "read_heads of ntm must be at least 1"),
        ({"write_heads": 0}, "write_heads of ntm must be at least 1"),
        ({"shift": -1}, "shift of ntm must be at least 0"),
        ({"slots": 4, "shift": 2}, "shift of ntm is 2: its 5 places .* slots .* is 4"),
        ({"memory_init": "zero"}, "memory_init.*zero.*constant, learned, random"),
        ({"parameter_clip": 0.0}, "parameter_clip of ntm must be above 0"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ntm(I, H, **options)
