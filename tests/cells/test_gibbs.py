"""Gibbs kernels, expected CD-k and annealed importance sampling, against enumeration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.free_energy import couplings, energy, log_partition
from rnnexp.cells.gibbs import (
    Machine,
    annealed_log_partition,
    expected_contrast,
    gibbs_chain,
    gibbs_kernel,
    gibbs_step,
    gibbs_sweep,
    sweep_kernel,
)
from tests.helpers.bits import all_bits, sigmoid

RANDOM = np.random.default_rng(1)
N, H = 4, 3


def small(scale: float = 1.0) -> Machine:
    """A machine with numbers of that size."""
    w, b, c = (jnp.asarray(scale * RANDOM.normal(size=s)) for s in ((N, H), N, H))
    return Machine(w, b, c)


def probability(machine: Machine) -> np.ndarray:
    """p(v) of all vectors, by the energies of all pairs."""
    w, b, c = map(np.asarray, machine)
    v, h = all_bits(N), all_bits(H)
    p = np.exp((v @ b)[:, None] + (h @ c)[None] + v @ w @ h.T).sum(1)
    return np.asarray(p / p.sum())


def counted(numbers: np.ndarray, states: int) -> np.ndarray:
    """How often each number occurs, (states,)."""
    return np.bincount(numbers.astype(int), minlength=states)


def assert_frequencies(counts: np.ndarray, p: np.ndarray) -> None:
    """Counts are those of draws with probabilities p, within 4.5 standard deviations."""
    total = counts.sum()
    assert np.max(np.abs(counts - total * p) / (np.sqrt(total * p * (1 - p)) + 1)) < 4.5


def test_the_kernel_is_a_sum_over_hidden_states_and_keeps_the_distribution(x64: None) -> None:
    machine = small()
    w, b, c = map(np.asarray, machine)
    v, h = all_bits(N), all_bits(H)
    expected = np.zeros((2**N, 2**N))
    for i in range(2**N):
        for h_H in h:
            up = np.prod(np.where(h_H > 0, sigmoid(c + v[i] @ w), 1 - sigmoid(c + v[i] @ w)))
            on = sigmoid(b + w @ h_H)
            expected[i] += up * np.prod(np.where(v > 0, on, 1 - on), 1)
    kernel = np.asarray(gibbs_kernel(machine))
    np.testing.assert_allclose(kernel, expected, rtol=1e-11)
    p = probability(machine)
    np.testing.assert_allclose(p @ kernel, p, rtol=1e-12)
    balance = p[:, None] * kernel
    np.testing.assert_allclose(balance, balance.T, rtol=1e-11)  # a step is reversible


def test_steps_have_the_probabilities_of_the_kernel(x64: None) -> None:
    machine, count = small(), 60_000
    start = jnp.asarray(all_bits(N)[6])
    uniform = jax.random.uniform(jax.random.key(0), (count, H + N))
    after = np.asarray(jax.vmap(lambda u: gibbs_step(machine, start, u))(uniform))
    kernel = np.asarray(gibbs_kernel(machine))
    assert_frequencies(counted(after @ 2 ** np.arange(N), 2**N), kernel[6])
    keys = jax.random.split(jax.random.key(1), count)
    ends = np.asarray(jax.vmap(lambda key: gibbs_chain(machine, start, key, 3))(keys))
    three = np.linalg.matrix_power(kernel, 3)[6]
    assert_frequencies(counted(ends @ 2 ** np.arange(N), 2**N), three)


def test_a_sweep_and_its_kernel(x64: None) -> None:
    units, count = 4, 60_000
    l_MxM = couplings(jnp.asarray(RANDOM.normal(size=6)), units)
    b = jnp.asarray(RANDOM.normal(size=units))
    states = jnp.asarray(all_bits(units))
    weight = np.exp(-np.asarray(jax.vmap(lambda s: energy(l_MxM, b, s))(states)))
    p = weight / weight.sum()
    kernel = np.asarray(sweep_kernel(l_MxM, b))
    np.testing.assert_allclose(kernel.sum(1), 1, rtol=1e-12)
    np.testing.assert_allclose(p @ kernel, p, rtol=1e-12)
    uniform = jax.random.uniform(jax.random.key(0), (count, units))
    swept = jax.vmap(lambda u: gibbs_sweep(l_MxM, b, states[5], u))(uniform)
    numbers = np.asarray(swept) @ 2 ** np.arange(units)
    assert_frequencies(counted(numbers, 2**units), kernel[5])


def test_expected_cd_goes_to_the_gradient_of_the_likelihood_as_the_second_eigenvalue(
    x64: None,
) -> None:
    machine = small(2.0)
    data = jnp.asarray(RANDOM.dirichlet(np.ones(2**N)))
    visible = jnp.asarray(all_bits(N))

    def nats(machine: Machine) -> jax.Array:
        return data @ machine.free_energies(visible) + log_partition(*machine)

    true, exact = jax.grad(nats)(machine), expected_contrast(machine, data, None)
    for a, b in zip(true, exact, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    kernel = np.asarray(gibbs_kernel(machine))
    second = np.sort(np.abs(np.linalg.eigvals(kernel)))[-2]
    bias = []
    for k in (20, 21):
        found = expected_contrast(machine, data, k)
        bias.append(np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(found, exact, strict=True))))
    assert bias[1] / bias[0] == pytest.approx(second, rel=1e-4)
    assert bias[0] > 0


def test_expected_cd_is_the_mean_of_sampled_cd(x64: None) -> None:
    """With v_k drawn by the chain and held fixed, as in training."""
    machine, count = small(), 60_000
    data = np.zeros(2**N)
    data[[3, 9]] = 0.5
    starts = jnp.asarray(all_bits(N)[[3, 9]])[jnp.arange(count) % 2]
    keys = jax.random.split(jax.random.key(2), count)
    ends = jax.vmap(lambda v, key: gibbs_chain(machine, v, key, 2))(starts, keys)

    def slope(v: jax.Array) -> jax.Array:
        def free(w: jax.Array) -> jax.Array:
            return machine._replace(w_NxH=w).free_energies(v[None])[0]

        found: jax.Array = jax.grad(free)(machine.w_NxH)
        return found

    drawn = np.asarray(jax.vmap(slope)(starts) - jax.vmap(slope)(ends))
    expected = expected_contrast(machine, jnp.asarray(data), 2).w_NxH
    error = drawn.std(0) / np.sqrt(count)
    assert np.max(np.abs(drawn.mean(0) - np.asarray(expected)) / error) < 4.5


def test_annealed_importance_sampling_is_within_its_error(x64: None) -> None:
    far = []
    for seed in range(12):
        machine = small(1.5)
        key = jax.random.key(seed)
        found, error = annealed_log_partition(machine, key, chains=200, temperatures=50)
        far.append((float(found) - float(log_partition(*machine))) / float(error))
        assert 0 < error < 0.2
    assert np.max(np.abs(far)) < 4
    assert 0.4 < np.sqrt(np.mean(np.square(far))) < 1.6


def test_without_couplings_annealing_is_exact(x64: None) -> None:
    machine = small()._replace(w_NxH=jnp.zeros((N, H)), c_H=jnp.zeros(H))
    found, error = annealed_log_partition(machine, jax.random.key(0), chains=4, temperatures=5)
    np.testing.assert_allclose(found, log_partition(*machine), rtol=1e-12)
    assert error < 1e-12
