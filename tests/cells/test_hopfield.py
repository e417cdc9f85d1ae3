"""Hopfield networks: explicit matrices, energies, Jacobians and exponents in closed form."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.base import CONTEXT, Cell
from rnnexp.cells.hopfield import energy, hopfield, synchronous_energy
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Params
from rnnexp.laboratory.lyapunov import lyapunov_spectrum
from rnnexp.scan.unroll import unroll
from tests.helpers.contexts import bound

N, M = 40, 5
RANDOM = np.random.default_rng(0)


def signs(*shape: int) -> np.ndarray:
    return np.where(RANDOM.random(shape) < 0.5, -1.0, 1.0)


def softmax(x_M: np.ndarray) -> np.ndarray:
    powers_M: np.ndarray = np.exp(x_M - x_M.max())
    powers_M /= powers_M.sum()
    return powers_M


def paths(
    cell: Cell, x_BxMxN: np.ndarray, cue_BxN: np.ndarray, params: Params | None = None
) -> np.ndarray:
    """The states of every example before and after every update, (updates + 1, B, N)."""
    params = cell.init(jax.random.key(0)) if params is None else params
    context = {"patterns": jnp.asarray(x_BxMxN), "cue": jnp.asarray(cue_BxN)}
    nothing = jnp.zeros((cell.steps, *cue_BxN.shape))
    states = unroll(cell, params, nothing, context=context, keep_states=True).states
    assert states is not None
    return np.concatenate([cue_BxN[None], states["s"]])


def path(
    cell: Cell, x_MxN: np.ndarray, cue_N: np.ndarray, params: Params | None = None
) -> np.ndarray:
    """The states of one example, (updates + 1, N)."""
    return paths(cell, x_MxN[None], cue_N[None], params)[:, 0]


def weights(x_MxN: np.ndarray) -> np.ndarray:
    """Hebb's matrix, without self-connections."""
    matrix: np.ndarray = x_MxN.T @ x_MxN / x_MxN.shape[1]
    np.fill_diagonal(matrix, 0)
    return matrix


def fields(kind: str, x_MxN: np.ndarray, s_N: np.ndarray, i: int, power: int) -> float:
    """What drives unit i, from energies with the unit at 1 and at -1: an independent way."""
    plus, minus = s_N.copy(), s_N.copy()
    plus[i], minus[i] = 1, -1
    if kind == "classical":
        return float(weights(x_MxN)[i] @ s_N)
    if kind == "exponential":
        return float(np.logaddexp.reduce(x_MxN @ plus) - np.logaddexp.reduce(x_MxN @ minus))
    size = s_N.size
    return float(np.sum((x_MxN @ plus / size) ** power - (x_MxN @ minus / size) ** power))


@pytest.mark.parametrize(("kind", "power"), [
    ("classical", 2), ("polynomial", 2), ("polynomial", 3), ("polynomial", 4), ("exponential", 2),
])  # fmt: skip
@pytest.mark.parametrize("order", ["synchronous", "asynchronous"])
def test_binary_updates_are_signs_of_energy_differences(
    kind: str, power: int, order: str, x64: None
) -> None:
    x_MxN, cue_N = signs(9, N), signs(N)
    states = path(hopfield(N, 0, kind=kind, order=order, power=power, updates=3), x_MxN, cue_N)
    expected = cue_N.copy()
    for after in states[1:]:
        old = expected.copy()
        for i in range(N):
            seen = old if order == "synchronous" else expected
            field = fields(kind, x_MxN, seen, i, power)
            if abs(field) > 1e-12:
                expected[i] = np.sign(field)
        np.testing.assert_array_equal(after, expected)
    assert np.any(states[1] != states[0])


@pytest.mark.parametrize(("kind", "power"), [
    ("classical", 2), ("polynomial", 4), ("exponential", 2), ("modern", 2),
])  # fmt: skip
def test_the_energy_never_rises(kind: str, power: int, x64: None) -> None:
    order = "synchronous" if kind == "modern" else "asynchronous"
    cell = hopfield(N, 0, kind=kind, order=order, power=power, updates=6, beta=0.4)
    x_BxMxN = signs(5, 11, N) if kind != "modern" else RANDOM.normal(size=(5, 11, N))
    states_UxBxN = jnp.asarray(paths(cell, x_BxMxN, signs(5, N)))

    def of_one(x_MxN: Array, states_UxN: Array) -> Array:
        return jax.vmap(lambda s: energy(kind, x_MxN, s, beta=0.4, power=power))(states_UxN)

    energies_BxU = jax.vmap(of_one, in_axes=(0, 1))(jnp.asarray(x_BxMxN), states_UxBxN)
    assert np.all(energies_BxU[:, 1] < energies_BxU[:, 0])
    assert np.all(np.diff(energies_BxU) <= 1e-12)


def test_energies_by_explicit_sums(x64: None) -> None:
    x_MxN, s_N = RANDOM.normal(size=(M, N)), np.tanh(RANDOM.normal(size=N))
    products_M, beta = x_MxN @ s_N, 0.7
    hebbian = -0.5 * s_N @ weights(x_MxN) @ s_N
    grid = np.linspace(0, 1, 20_001)[:, None] * s_N
    inside = np.sum(np.trapezoid(np.arctanh(grid), grid, axis=0)) / beta
    expected = {
        "classical": hebbian,
        "continuous": hebbian + inside,
        "polynomial": -np.sum((products_M / N) ** 3),
        "exponential": -np.log(np.sum(np.exp(products_M))),
        "modern": -np.log(np.sum(np.exp(beta * products_M))) / beta + s_N @ s_N / 2,
    }
    for kind, value in expected.items():
        got = energy(kind, jnp.asarray(x_MxN), jnp.asarray(s_N), beta=beta)
        np.testing.assert_allclose(got, value, rtol=1e-6)


def test_synchronous_updates_end_in_a_cycle_of_two_at_most(x64: None) -> None:
    x_BxMxN = signs(30, 6, 20)
    cell = hopfield(20, 0, kind="classical", updates=40)
    states_UxBxN = paths(cell, x_BxMxN, signs(30, 20))
    energies_UxB = jax.vmap(jax.vmap(synchronous_energy), in_axes=(None, 0, 0))(
        jnp.asarray(x_BxMxN), jnp.asarray(states_UxBxN[1:]), jnp.asarray(states_UxBxN[:-1])
    )
    assert np.all(np.diff(energies_UxB, axis=0) <= 1e-12)
    np.testing.assert_array_equal(states_UxBxN[-1], states_UxBxN[-3])
    cycles_B = np.any(states_UxBxN[-1] != states_UxBxN[-2], -1)
    assert 0 < np.sum(cycles_B) < 30


def test_continuous_and_modern_updates(x64: None) -> None:
    x_MxN, cue_N = RANDOM.normal(size=(M, N)), RANDOM.normal(size=N)
    cell = hopfield(N, 0, kind="continuous", updates=1, beta=1.3)
    params = {**cell.init(jax.random.key(0)), "b": jnp.asarray(RANDOM.normal(size=N))}
    expected = np.tanh(1.3 * (weights(x_MxN) @ cue_N + np.asarray(params["b"])))
    np.testing.assert_allclose(path(cell, x_MxN, cue_N, params)[1], expected, rtol=1e-12)
    cell = hopfield(N, 0, updates=1)
    expected = x_MxN.T @ softmax(x_MxN @ cue_N / math.sqrt(N))
    np.testing.assert_allclose(path(cell, x_MxN, cue_N)[1], expected, rtol=1e-12)
    cell = hopfield(N, 7, updates=1, beta=0.5, metric="learned")
    params = {**cell.init(jax.random.key(0)), "w_query": jnp.asarray(RANDOM.normal(size=(N, 7)))}
    keys, query = x_MxN @ np.asarray(params["w_key"]), cue_N @ np.asarray(params["w_query"])
    expected = x_MxN.T @ softmax(0.5 * keys @ query)
    np.testing.assert_allclose(path(cell, x_MxN, cue_N, params)[1], expected, rtol=1e-12)


def jacobian(cell: Cell, x_MxN: np.ndarray, s_N: np.ndarray) -> np.ndarray:
    params = {**cell.init(jax.random.key(0))}
    context = {"patterns": jnp.asarray(x_MxN), "cue": jnp.asarray(s_N)}
    assert cell.context is not None
    whole = {**params, CONTEXT: cell.context(params, context)}

    def update(s_N: Array) -> Array:
        return cell.transition(whole, {"s": s_N}, jnp.zeros(s_N.size))["s"]

    return np.asarray(jax.jacobian(update)(jnp.asarray(s_N)))


def test_the_modern_jacobian(x64: None) -> None:
    x_MxN, s_N, beta = RANDOM.normal(size=(M, N)), RANDOM.normal(size=N), 0.3
    found = jacobian(hopfield(N, 0, beta=beta), x_MxN, s_N)
    p_M = softmax(beta * x_MxN @ s_N)
    expected = beta * x_MxN.T @ (np.diag(p_M) - np.outer(p_M, p_M)) @ x_MxN
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(found, found.T, atol=1e-12)
    assert np.linalg.eigvalsh(found).min() > -1e-12


def largest_exponent(cell: Cell, x_MxN: np.ndarray) -> float:
    """The largest Lyapunov exponent at the state of zeros, nats per update."""
    size = x_MxN.shape[1]
    one = bound(cell, {"patterns": jnp.asarray(x_MxN), "cue": jnp.zeros(size)})
    spectrum = lyapunov_spectrum(
        one, one.init(jax.random.key(0)), jnp.zeros((200, 1, size)), count=1, warmup_steps=100,
        key=jax.random.key(1),
    )  # fmt: skip
    return float(spectrum.exponents_K[0])


def centred() -> np.ndarray:
    x_MxN: np.ndarray = RANDOM.normal(size=(M, 8))
    x_MxN -= x_MxN.mean(0)
    return x_MxN


def test_the_exponent_of_the_averaging_state(x64: None) -> None:
    """At 0, the mean of centred patterns: ln(beta sigma_max^2 / M), unstable from beta* on."""
    x_MxN = centred()
    critical = M / float(np.linalg.norm(x_MxN, 2)) ** 2
    near_N = 1e-3 * np.linalg.svd(x_MxN)[2][0]
    for factor, grows in ((0.9, False), (1.1, True)):
        cell = hopfield(8, 0, beta=factor * critical, updates=20)
        assert abs(largest_exponent(cell, x_MxN) - math.log(factor)) < 1e-5
        states = path(cell, x_MxN, near_N)
        assert (np.linalg.norm(states[-1]) > np.linalg.norm(near_N)) == grows


def test_the_exponent_of_the_continuous_network_at_0(x64: None) -> None:
    x_MxN = signs(4, 10)
    expected = math.log(1.4 * np.linalg.eigvalsh(weights(x_MxN)).max())
    assert (
        abs(largest_exponent(hopfield(10, 0, kind="continuous", beta=1.4), x_MxN) - expected) < 1e-5
    )


def test_the_largest_eigenvalue_of_many_patterns() -> None:
    alpha, size = 0.1, 2000
    x_MxN = signs(int(alpha * size), size)
    found = np.linalg.eigvalsh(x_MxN @ x_MxN.T / size).max() - alpha
    assert abs(found - ((1 + alpha**0.5) ** 2 - alpha)) < 0.06


def test_one_update_ends_near_a_separated_pattern(x64: None) -> None:
    """||f(s) - x_i|| <= 2 K (M - 1) exp(-beta Delta), K the largest norm of a pattern."""
    x_MxN, beta = RANDOM.normal(size=(M, N)), 0.5
    for pattern_N in x_MxN:
        s_N = pattern_N + 0.3 * RANDOM.normal(size=N)
        products_M = np.sort(x_MxN @ s_N)
        gap = products_M[-1] - products_M[-2]
        after = path(hopfield(N, 0, beta=beta, updates=1), x_MxN, s_N)[1]
        bound = 2 * np.linalg.norm(x_MxN, axis=1).max() * (M - 1) * math.exp(-beta * gap)
        assert np.linalg.norm(after - pattern_N) <= bound < 1


def test_a_unit_with_no_field_keeps_its_value() -> None:
    x_MxN = np.array([[1.0, 1, 1], [1, -1, 1]])
    for order in ("synchronous", "asynchronous"):
        states = path(hopfield(3, 0, kind="classical", order=order), x_MxN, np.array([1.0, -1, 1]))
        assert np.all(states == states[0])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"kind": "moder"}, "Did you mean 'modern'"),
        ({"updates": 0}, "updates must be at least 1, not 0"),
        ({"beta": -1.0}, "beta must be positive, or 0 .* not -1.0"),
        ({"power": 1}, "power must be at least 2"),
        ({"order": "asynchronous"}, "goes with binary units .*'modern' are real numbers"),
        ({"kind": "classical", "metric": "learned"}, "goes with kind='modern'"),
    ],
)
def test_bad_options(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        hopfield(4, 4, **options)
