"""Penalties on gradient flow against NumPy in float64, finite differences, and formulas."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from rnnexp.cells.base import Cell
from rnnexp.cells.lstm import lstm
from rnnexp.cells.rnn import rnn
from rnnexp.core.masking import states_before
from rnnexp.core.types import Array, Params, State
from rnnexp.gradflow.recurrent_params import find_recurrence
from rnnexp.gradflow.regularizers import (
    OMEGA_FORMS,
    directions,
    driven_exponents,
    first_part,
    flossing,
    omega,
    orthogonality,
)
from rnnexp.gradflow.tangent_scan import free_directions
from rnnexp.scan.unroll import Trajectory, initial_state
from tests.helpers.regularized_cells import LENGTHS, B, H, I, T, drawn, trajectory_of
from tests.helpers.variants import build, variant_id

SOME: list[tuple[str, dict[str, Any]]] = [
    ("rnn", {}),
    ("lstm", {"peepholes": True}),
    ("gru", {"reset": "before"}),
    ("clockwork", {}),
    ("lru", {}),
]
SLOW = [pytest.param(v, marks=pytest.mark.slow) for v in SOME if v[0] in ("gru", "lru")]
QUICK = [v for v in SOME if v[0] not in ("gru", "lru")]
each = pytest.mark.parametrize("variant", [*QUICK, *SLOW], ids=variant_id)
pytestmark = pytest.mark.usefixtures("x64")


def some_adjoints(trajectory: Trajectory) -> State:
    """Any vectors in the place of dL/ds_t; those of example 1 at step 2 are zero."""

    @jax.jit
    def drawn(key: Array) -> State:
        keys = jax.random.split(key, len(trajectory.states))
        return {
            name: jax.random.normal(k, state.shape).at[2, 1].set(0.0)
            for k, (name, state) in zip(keys, trajectory.states.items(), strict=True)
        }

    adjoints: State = drawn(jax.random.key(2))
    return adjoints


def jacobians(cell: Cell, params: Params, trajectory: Trajectory) -> np.ndarray:
    """J of every transition by central differences, (T, B, S, S)."""

    def one(state: State, x_I: Array) -> Array:
        flat, unravel = ravel_pytree(state)

        def moved(by_S: Array) -> Array:
            return ravel_pytree(cell.transition(params, unravel(flat + by_S), x_I))[0]

        moves = 1e-6 * jnp.eye(flat.size)
        return (jax.vmap(moved, 0, 1)(moves) - jax.vmap(moved, 0, 1)(-moves)) / 2e-6

    every = jax.jit(jax.vmap(jax.vmap(one)))
    return np.asarray(
        every(states_before(trajectory.start, trajectory.states), trajectory.inputs_TxBxI)
    )


def omega_by_hand(J: np.ndarray, adjoints: State, lengths: np.ndarray, form: str) -> float:
    """The formulas, transition by transition."""
    found = []
    for b in range(B):
        terms = []
        for t in range(lengths[b]):
            a = np.asarray(ravel_pytree({k: v[t, b] for k, v in adjoints.items()})[0])
            ratio = np.linalg.norm(a @ J[t, b]) / np.linalg.norm(a) if np.any(a != 0) else None
            if ratio is not None:
                terms.append((ratio - 1) ** 2 if form == "norms" else (ratio**2 - 1) ** 2)
        found.append(np.sum(terms) if form == "norms" else np.mean(terms))
    return float(np.mean(found))


@pytest.mark.parametrize("form", OMEGA_FORMS)
@pytest.mark.parametrize(
    ("variant", "lengths"),
    [
        (("rnn", {}), None),
        *((variant, LENGTHS) for variant in QUICK),
        *(pytest.param(v, LENGTHS, marks=pytest.mark.slow) for v in SOME if v not in QUICK),
    ],
)
def test_omega_equals_its_formula(variant: Any, lengths: Array | None, form: str) -> None:
    cell = build(variant, I, H)
    params = drawn(cell)
    trajectory = trajectory_of(cell, params, lengths)
    adjoints = some_adjoints(trajectory)
    expected = omega_by_hand(
        jacobians(cell, params, trajectory),
        adjoints,
        np.full(B, T) if lengths is None else np.asarray(lengths),
        form,
    )
    value = jax.jit(lambda adjoints: omega(cell, params, trajectory, adjoints, lengths, form=form))
    got = value(adjoints)
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    tiny = {k: 1e-200 * v for k, v in adjoints.items()}
    if form == "norms":  # only the directions count
        np.testing.assert_allclose(value(tiny), got, rtol=1e-9)
    else:  # nothing counts
        np.testing.assert_array_equal(value(tiny), 0)


def test_squares_are_the_authors_formula() -> None:
    """With D = 1 - h^2 and a = dE/dh: mean (|(a D) W^T|^2 / |a|^2 - 1)^2, without steps of which
    |a|^2 is below 1e-20."""
    cell = rnn(I, H)
    params = drawn(cell)
    trajectory = trajectory_of(cell, params)
    a = np.asarray(some_adjoints(trajectory)["h"]).copy()
    a[0] *= 0.9e-10 / np.linalg.norm(a[0], axis=-1, keepdims=True)  # does not count
    a[1] *= 1.1e-10 / np.linalg.norm(a[1], axis=-1, keepdims=True)
    h, w = np.asarray(trajectory.states["h"]), np.asarray(params["w_h"])
    before, after = np.sum((a * (1 - h**2) @ w.T) ** 2, -1), np.sum(a**2, -1)
    counts = after >= 1e-20
    assert counts[:2].tolist() == [[False] * B, [True] * B]
    terms = np.where(counts, (before / np.where(counts, after, 1) - 1) ** 2, 0)
    got = jax.jit(lambda a: omega(cell, params, trajectory, {"h": a}, None, form="squares"))(
        jnp.asarray(a)
    )
    np.testing.assert_allclose(got, np.mean(terms.sum(0) / counts.sum(0)), rtol=1e-10)


def test_omega_of_a_scaled_rotation_is_known() -> None:
    cell = rnn(I, H, activation="linear", recurrent_scale=0.8)
    params = cell.init(jax.random.key(0))
    trajectory = trajectory_of(cell, params)
    adjoints = jax.tree.map(jnp.ones_like, some_adjoints(trajectory))
    value = jax.jit(lambda adjoints: omega(cell, params, trajectory, adjoints, None))
    np.testing.assert_allclose(value(adjoints), T * 0.2**2, rtol=1e-9)


@pytest.mark.parametrize("form", OMEGA_FORMS)
@each
def test_the_gradient_of_omega_is_the_immediate_one(variant: Any, form: str) -> None:
    cell = build(variant, I, H)
    params = drawn(cell)
    trajectory = trajectory_of(cell, params, LENGTHS)
    adjoints = some_adjoints(trajectory)

    def value(params: Params) -> Array:
        # states and adjoints stay
        return omega(cell, params, trajectory, adjoints, LENGTHS, form=form)

    flat, unravel = ravel_pytree(params)
    grads, numeric = map(unravel, gradients(lambda p: value(unravel(p)), flat))
    recurrent = find_recurrence(cell).names
    for name in params:
        if name in recurrent:
            np.testing.assert_allclose(grads[name], numeric[name], rtol=1e-5, atol=1e-8)
            # a phase turns the gradient and keeps its norm
            assert name == "theta_log" or np.any(grads[name] != 0), name
        else:
            np.testing.assert_array_equal(grads[name], 0)


def gradients(value: Any, flat: Array) -> tuple[Array, Array]:
    """The gradient of a function of a vector: exactly, and by central differences."""

    @jax.jit
    def both(flat: Array) -> tuple[Array, Array]:
        moves = 1e-6 * jnp.eye(flat.size)
        change = jax.lax.map(lambda by: value(flat + by) - value(flat - by), moves)
        return jax.grad(value)(flat), change / 2e-6

    exact, numeric = both(flat)
    return exact, numeric


def test_omega_sends_nothing_into_states_or_adjoints() -> None:
    cell = rnn(I, H)
    params = drawn(cell)
    trajectory = trajectory_of(cell, params)
    by_rest = jax.grad(lambda w, a: omega(cell, params, w, a, None), argnums=(0, 1))
    grads = jax.jit(by_rest)(trajectory, some_adjoints(trajectory))
    assert all(np.all(np.asarray(leaf) == 0) for leaf in jax.tree.leaves(grads))


def free(cell: Cell, params: Params) -> np.ndarray:
    """The coordinates of the state that are no counters."""
    return free_directions(cell, params, cell.counters_of(params))


def exponents_by_hand(J: np.ndarray, basis: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """QR after every step; the first tenth, rounded up, is not counted."""
    found = []
    for b in range(B):
        Q, logs = basis, []
        for t in range(lengths[b]):
            Q, R = np.linalg.qr(J[t, b] @ Q)
            logs.append(np.log(np.abs(np.diag(R))))
        found.append(np.mean(logs[-(-lengths[b] // 10) :], axis=0))
    return np.stack(found)


@pytest.mark.parametrize(
    ("variant", "lengths"),
    [(("rnn", {}), None), (("lstm", {}), LENGTHS), (("clockwork", {}), LENGTHS)],
    ids=["rnn", "lstm", "clockwork"],
)
def test_flossing_equals_qr_in_numpy(variant: Any, lengths: Array | None) -> None:
    cell = build(variant, I, H)
    params = drawn(cell)
    trajectory = trajectory_of(cell, params, lengths)
    ends = np.full(B, T) if lengths is None else np.asarray(lengths)
    basis = np.asarray(directions(free(cell, params), 3, float))
    np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-12)
    expected = exponents_by_hand(jacobians(cell, params, trajectory), basis, ends)

    @jax.jit
    def both(w: Trajectory) -> tuple[Array, Array]:
        exponents = driven_exponents(cell, params, w, lengths, 3)
        return exponents, flossing(cell, params, w, lengths, exponents=3)

    got, penalty = both(trajectory)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(penalty, np.mean(expected**2), rtol=1e-5)


@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_flossing_of_a_part_is_that_of_shorter_sequences(lengths: Array | None) -> None:
    cell = rnn(I, H)
    params = drawn(cell)
    trajectory = trajectory_of(cell, params, lengths)
    ends = np.minimum(np.full(B, T) if lengths is None else np.asarray(lengths), 4)
    basis = np.asarray(directions(free(cell, params), 2, float))
    expected = exponents_by_hand(jacobians(cell, params, trajectory), basis, ends)[:2]

    @jax.jit
    def of_part(w: Trajectory) -> Array:
        part, lengths_B = first_part(w, lengths, steps=4, examples=2)
        return driven_exponents(cell, params, part, lengths_B, 2)

    np.testing.assert_allclose(of_part(trajectory), expected, rtol=1e-6)
    whole, same = first_part(trajectory, lengths, steps=0, examples=0)
    jax.tree.map(np.testing.assert_array_equal, (whole, same), (trajectory, lengths))


def test_exponents_of_a_scaled_rotation_are_its_logarithm() -> None:
    cell = rnn(I, H, activation="linear", recurrent_scale=0.8)
    params = cell.init(jax.random.key(0))
    exponents = jax.jit(lambda w: driven_exponents(cell, params, w, None, H))
    got = exponents(trajectory_of(cell, params))
    np.testing.assert_allclose(got, np.log(0.8), rtol=1e-12)


def test_a_counter_is_not_a_direction() -> None:
    """Its tangent never shrinks, so it would hide as an exponent of exactly 0."""
    cell = build(("clockwork", {}), I, H)
    params = drawn(cell)
    start = initial_state(cell, params, B)
    flat = ravel_pytree({k: jnp.full_like(v[0], k == "t") for k, v in start.items()})[0]
    np.testing.assert_array_equal(directions(free(cell, params), 2, float)[flat == 1], 0)


@pytest.mark.parametrize(
    "cell", [rnn(I, H), pytest.param(lstm(I, H), marks=pytest.mark.slow)], ids=["rnn", "lstm"]
)
def test_the_gradient_of_flossing_equals_differences(cell: Cell) -> None:
    def value(params: Params) -> Array:
        trajectory = trajectory_of(cell, params, LENGTHS)  # the states move with the parameters
        return flossing(cell, params, trajectory, LENGTHS, exponents=2)

    flat, unravel = ravel_pytree(drawn(cell))
    exact, numeric = gradients(lambda p: value(unravel(p)), flat)
    np.testing.assert_allclose(exact, numeric, rtol=1e-5, atol=1e-8)


def test_omega_is_zero_where_steps_keep_every_length() -> None:
    cell = build(("orthogonal", {}), I, H)
    params = {**drawn(cell), "b": jnp.zeros(H)}  # modReLU without a bias is the identity
    trajectory = trajectory_of(cell, params)
    value = jax.jit(lambda w: omega(cell, params, w, some_adjoints(w), None))(trajectory)
    np.testing.assert_allclose(value, 0, atol=1e-20)


def gates_of(w: np.ndarray) -> list[np.ndarray]:
    """The square blocks of a kernel, side by side."""
    return [w[:, n : n + w.shape[0]] for n in range(0, w.shape[1], w.shape[0])]


@pytest.mark.parametrize("variant", [("rnn", {}), ("lstm", {"peepholes": True}), ("lem", {})])
def test_orthogonality_and_its_gradient_equal_their_formulas(variant: Any) -> None:
    cell = build(variant, I, H)
    params = drawn(cell)
    value, grads = jax.value_and_grad(lambda p: orthogonality(cell, p))(params)
    expected = np.zeros(())
    for name in params:
        if name not in ("w_h", "w_z"):
            np.testing.assert_array_equal(grads[name], 0)
            continue
        blocks = gates_of(np.asarray(params[name]))
        expected += np.sum([np.linalg.norm(w.T @ w - np.eye(H)) ** 2 for w in blocks])
        by_hand = np.concatenate([4 * w @ (w.T @ w - np.eye(H)) for w in blocks], 1)
        np.testing.assert_allclose(grads[name], by_hand, atol=1e-12)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
