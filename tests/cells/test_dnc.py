"""The differentiable neural computer equals NumPy, slot by slot, and keeps its invariants."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.base import Cell
from rnnexp.cells.dnc import allocation, dnc, link, precedence
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Params, State
from rnnexp.scan.unroll import initial_state, unroll
from rnnexp.train.check_cell import check_cell
from tests.helpers.by_numpy import sigmoid
from tests.helpers.noisy_cells import B, H, I, inputs, noisy

N, W = 4, 3
Numbers = dict[str, np.ndarray]
EPSILON = 1e-6


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max())
    result: np.ndarray = powers / powers.sum()
    return result


def free_by_sorting(usage: np.ndarray) -> np.ndarray:
    """The allocation as the paper has it: along the list of slots, the freest first."""
    u = EPSILON + (1 - EPSILON) * usage
    free_list, weights = np.argsort(u, kind="stable"), np.zeros(len(u))
    for place, slot in enumerate(free_list):
        weights[slot] = (1 - u[slot]) * np.prod(u[free_list[:place]])
    return weights


def by_content(key: np.ndarray, strength: float, M: np.ndarray) -> np.ndarray:
    likeness = []
    for row in M:
        size = np.sqrt(key @ key + EPSILON) * np.sqrt(row @ row + EPSILON)
        likeness.append(key @ row / (size + EPSILON))
    return softmax(np.log1p(np.exp(strength)) * np.array(likeness))


def step_by_numpy(p: Numbers, old: Numbers, x: np.ndarray, clip: float) -> tuple[Numbers, Any]:
    """One step, written down from the paper: a head at a time, a slot at a time; and r_t."""
    readers, writers = len(old["w_read"]), len(old["w_write"])
    M, link, slots = old["M"], old["link"], range(len(old["M"]))
    seen = np.concatenate([x, *(w @ M for w in old["w_read"])])
    i, f, g, o = np.split(p["w_x"].T @ seen + p["w_h"].T @ old["h"] + p["b"], 4)
    c = sigmoid(f) * old["c"] + sigmoid(i) * np.tanh(g)
    h = np.clip(sigmoid(o) * np.tanh(c), -clip, clip)
    c = np.clip(c, -clip, clip)
    z = list(p["w_heads"].T @ h + p["b_heads"])

    def take(*shape: int) -> np.ndarray:
        taken = np.array(z[: int(np.prod(shape))]).reshape(shape)
        del z[: int(np.prod(shape))]
        return taken

    vectors, erase = take(writers, W), sigmoid(take(writers, W))
    write_keys, read_keys = take(writers, W), take(readers, W)
    write_strengths, read_strengths = take(writers), take(readers)
    free, allocate, gate = sigmoid(take(readers)), sigmoid(take(writers)), sigmoid(take(writers))
    modes = [softmax(row) for row in take(readers, 1 + 2 * writers)]
    assert not z

    usage = np.zeros(len(M))
    for n in slots:
        untouched = np.prod([1 - w[n] for w in old["w_write"]])
        retained = np.prod([1 - free[r] * w[n] for r, w in enumerate(old["w_read"])])
        usage[n] = (1 - (1 - old["usage"][n]) * untouched) * retained
    expected, w_write = usage.copy(), []
    for v in range(writers):
        a = free_by_sorting(expected)
        content = by_content(write_keys[v], write_strengths[v], M)
        w_write.append(gate[v] * (allocate[v] * a + (1 - allocate[v]) * content))
        expected = expected + (1 - expected) * allocate[v] * gate[v] * a

    new_M, new_link = M.copy(), np.zeros_like(link)
    for v, w in enumerate(w_write):
        for n in slots:
            new_M[n] *= 1 - w[n] * erase[v]
            for j in slots:
                if n != j:
                    kept = (1 - w[n] - w[j]) * link[v, n, j]
                    new_link[v, n, j] = kept + w[n] * old["precedence"][v, j]
    for v, w in enumerate(w_write):
        new_M += np.outer(w, vectors[v])
    precedence = np.array(
        [(1 - w.sum()) * was + w for w, was in zip(w_write, old["precedence"], strict=True)]
    )
    w_read = []
    for r, before in enumerate(old["w_read"]):
        new = modes[r][-1] * by_content(read_keys[r], read_strengths[r], new_M)
        for v in range(writers):
            new = new + modes[r][v] * new_link[v].T @ before
            new = new + modes[r][writers + v] * new_link[v] @ before
        w_read.append(new)
    leaves: Numbers = {
        "c": c, "h": h, "M": new_M, "usage": usage, "link": new_link, "precedence": precedence,
        "w_read": np.array(w_read), "w_write": np.array(w_write),
    }  # fmt: skip
    return leaves, np.concatenate([h, *(w @ new_M for w in w_read)])


@pytest.mark.parametrize(
    "options",
    [{"read_heads": 1}, {"read_heads": 2, "write_heads": 2, "controller_clip": 0.2}],
)
def test_steps_equal_numpy(options: dict[str, Any], x64: None) -> None:
    cell = dnc(I, H, slots=N, width=W, **options)
    params, x = noisy(cell), inputs()[:, 0]
    p = {name: np.asarray(value) for name, value in params.items()}
    state: State = cell.init_state(params)
    expected = {leaf: np.asarray(value) for leaf, value in state.items()}
    step = jax.jit(cell.step)
    for t in range(5):
        state, y = step(params, state, x[t])
        expected, output = step_by_numpy(
            p, expected, np.asarray(x[t]), options.get("controller_clip", 20.0)
        )
        assert set(expected) == set(state)
        for leaf, value in expected.items():
            np.testing.assert_allclose(state[leaf], value, rtol=1e-9, atol=1e-13, err_msg=leaf)
        np.testing.assert_allclose(y, output, rtol=1e-9, atol=1e-13)


def trajectory(cell: Cell, params: Params, x: Array) -> Numbers:
    """All states, (T, B, ...) by leaf."""
    states = jax.jit(lambda p: unroll(cell, p, x, keep_states=True).states)(params)
    assert states is not None
    return {leaf: np.asarray(value) for leaf, value in states.items()}


def test_usage_and_links_keep_within_their_bounds(x64: None) -> None:
    cell = dnc(I, H, slots=N, width=W, read_heads=2, write_heads=2)
    params = {name: 5 * value for name, value in noisy(cell).items()}
    x = jnp.asarray(np.random.default_rng(0).standard_normal((40, B, I)))
    states = trajectory(cell, params, x)
    assert 0 <= states["usage"].min() <= states["usage"].max() <= 1
    assert states["usage"].max() > 0.9  # and the bounds are reached
    assert np.all(np.diagonal(states["link"], axis1=-2, axis2=-1) == 0)
    assert states["link"].min() >= -1e-15
    for axis in (-1, -2):
        assert states["link"].sum(axis).max() <= 1 + 1e-12
    for leaf in ("w_read", "w_write", "precedence"):
        assert states[leaf].min() >= -1e-15
        assert states[leaf].sum(-1).max() <= 1 + 1e-12


def test_links_of_sharp_writes_reach_their_bounds_and_keep_them(x64: None) -> None:
    rng = np.random.default_rng(0)
    sharp = np.exp(9 * rng.standard_normal((300, 1, N)))
    writes = sharp / sharp.sum(-1, keepdims=True) * rng.uniform(0.5, 1, (300, 1, 1))

    def step(old: tuple[Array, Array], w: Array) -> tuple[tuple[Array, Array], Array]:
        links = link(old[0], old[1], w)
        return (links, precedence(old[1], w)), links

    start = jnp.zeros((1, N, N)), jnp.zeros((1, N))
    links = jax.jit(lambda w: jax.lax.scan(step, start, w)[1])(jnp.asarray(writes))
    assert np.all(np.diagonal(links, axis1=-2, axis2=-1) == 0)
    assert links.min() >= 0
    for axis in (-1, -2):
        assert 0.95 < links.sum(axis).max() <= 1 + 1e-12


def test_the_first_writes_go_to_free_slots_in_turn_and_are_read_in_that_order(x64: None) -> None:
    """By allocation alone, then forwards along the links: what was written comes back."""
    cell = dnc(2, 3, slots=3, width=2, read_heads=1)
    params = {name: jnp.zeros_like(v) for name, v in noisy(cell).items()}
    order = ["vector", "vector", "erase", "erase", *["key"] * 4, "strength", "strength"]
    order += ["free", "allocation", "write", "backward", "forward", "content"]
    at = {name: order.index(name) for name in order}
    b = np.zeros(len(order))
    b[at["free"]], b[at["allocation"]], b[at["write"]], b[at["forward"]] = -1e3, 1e3, 1e3, 1e3
    params["b_heads"] = jnp.asarray(b)
    state = cell.init_state(params)
    step = jax.jit(cell.transition)
    for slot in (0, 2, 1):  # slot 1 took the millionth that slot 0 left
        state = step(params, state, jnp.zeros(2))
        np.testing.assert_allclose(state["w_write"][0], np.eye(3)[slot], atol=1e-5)
    np.testing.assert_allclose(state["usage"], [1, 0, 1], atol=1e-5)
    links = np.zeros((3, 3))
    links[2, 0] = links[1, 2] = 1
    np.testing.assert_allclose(state["link"][0], links, atol=1e-5)
    b[at["write"]] = -1e3
    params["b_heads"] = jnp.asarray(b)
    state = {**state, "w_read": jnp.eye(3)[None, 0]}
    for slot in (2, 1):
        state = step(params, state, jnp.zeros(2))
        np.testing.assert_allclose(state["w_read"][0], np.eye(3)[slot], atol=1e-5)


def test_allocation_is_a_walk_along_the_free_list(x64: None) -> None:
    rng = np.random.default_rng(0)
    allocate = jax.jit(allocation)
    for usage in (rng.uniform(size=6), np.zeros(6), np.ones(6), np.array([0.5, 0, 0.5, 1, 0, 0.5])):
        found = allocate(jnp.asarray(usage))
        np.testing.assert_allclose(found, free_by_sorting(usage), rtol=1e-9, atol=1e-15)
        assert found.sum() <= 1


def test_usage_stops_the_gradient_of_the_weights_that_wrote(x64: None) -> None:
    """By default dL/dparams is that of a machine whose usage gets the weights as constants."""
    sizes = {"slots": 3, "width": 2, "read_heads": 1}
    stopped, through = (dnc(I, 3, usage_gradient=g, **sizes) for g in (False, True))
    params, x = noisy(stopped), inputs()[:4, :1]
    constant = jnp.asarray(trajectory(stopped, params, x)["w_write"])
    before = jnp.concatenate([jnp.zeros_like(constant[:1]), constant[:-1]])

    def loss(cell: Cell, params: Params) -> Array:
        return jnp.sum(unroll(cell, params, x).outputs_TxBxH ** 2)

    def held(params: Params) -> Array:
        """The same numbers: usage alone reads the leaf w_write, which is set before each step."""

        def step(state: State, row: tuple[Array, Array]) -> tuple[State, Array]:
            x_BxI, w_write = row
            step = jax.vmap(through.step, (None, 0, 0))
            return step(params, {**state, "w_write": w_write}, x_BxI)

        outputs = jax.lax.scan(step, initial_state(through, params, 1), (x, before))[1]
        return jnp.sum(outputs**2)

    @jax.jit
    def three(params: Params) -> Any:
        losses = [lambda p: loss(stopped, p), held, lambda p: loss(through, p)]
        return [jax.grad(f)(params) for f in losses]

    found, expected, whole = three(params)
    for name, slope in found.items():
        np.testing.assert_allclose(slope, expected[name], rtol=1e-8, atol=1e-12, err_msg=name)
    assert np.abs(found["b_heads"] - whole["b_heads"]).max() > 1e-6


def test_gradients_at_the_zero_memory_of_the_start_are_finite() -> None:
    cell = dnc(I, H, slots=N, width=W)
    x = inputs().astype(jnp.float32)

    @jax.jit
    def slopes(key: Array) -> Any:
        params = cell.init(key)
        return jax.grad(lambda p: jnp.sum(unroll(cell, p, x).outputs_TxBxH ** 2))(params)

    for name, slope in slopes(jax.random.key(0)).items():
        assert np.isfinite(slope).all(), name


def test_defaults_are_those_of_the_authors_and_keep_the_contract() -> None:
    cell = check_cell("dnc", dnc(9, 64), 9)
    shapes = jax.eval_shape(lambda key: cell.init_state(cell.init(key)), jax.random.key(0))
    assert shapes["M"].shape == (16, 16)
    assert cell.output_size == 64 + 4 * 16
    # vectors, erasures and keys; strengths, gates and modes
    heads = 3 * 16 + 4 * 16 + (1 + 4) + (4 + 1 + 1) + 4 * 3
    assert cell.parameter_count == 4 * ((9 + 64) * 64 + 64 * 64 + 64) + 65 * heads


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"slots": 0}, "slots of dnc must be at least 1, not 0"),
        ({"width": 0}, "width of dnc must be at least 1"),
        ({"read_heads": 0}, "read_heads of dnc must be at least 1"),
        ({"write_heads": 0}, "write_heads of dnc must be at least 1"),
        ({"controller_clip": -1.0}, "controller_clip of dnc must be above 0"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        dnc(I, H, **options)
