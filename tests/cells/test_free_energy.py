"""Free energies and ln Z, from sums over all states written out, and their gradients."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.free_energy import (
    all_states,
    couplings,
    energy,
    free_energy,
    general_free_energy,
    general_log_partition,
    log_partition,
)
from rnnexp.core.errors import UsageError
from tests.helpers.bits import all_bits, sigmoid

RANDOM = np.random.default_rng(0)


def machine(visible: int, hidden: int) -> tuple[Any, Any, Any]:
    """W, b and c of size 1."""
    w, b, c = (RANDOM.normal(size=s) for s in ((visible, hidden), visible, hidden))
    return w, b, c


def weights_of_all(w: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """exp(-E(v, h)) of every pair, (2^N, 2^H), from the definition of the energy."""
    v, h = all_bits(len(b)), all_bits(len(c))
    return np.asarray(np.exp((v @ b)[:, None] + (h @ c)[None] + v @ w @ h.T))


def test_all_states_are_all_and_in_order(x64: None) -> None:
    np.testing.assert_array_equal(all_states(4), all_bits(4))
    assert all_states(0).shape == (1, 0)


@pytest.mark.parametrize(("visible", "hidden"), [(5, 3), (3, 5), (1, 1)])
def test_a_restricted_machine_by_enumeration_of_both_layers(
    visible: int, hidden: int, x64: None
) -> None:
    w, b, c = machine(visible, hidden)
    pairs = weights_of_all(w, b, c)
    got = jax.vmap(lambda v: free_energy(w, b, c, v))(jnp.asarray(all_bits(visible)))
    np.testing.assert_allclose(got, -np.log(pairs.sum(1)), rtol=1e-12)
    for bits in (1, 2, 12):  # in blocks, or all at once
        found = log_partition(jnp.asarray(w), jnp.asarray(b), jnp.asarray(c), bits)
        np.testing.assert_allclose(found, np.log(pairs.sum()), rtol=1e-12)


def test_the_gradient_of_ln_z_is_the_mean_of_the_statistics(x64: None) -> None:
    w, b, c = machine(5, 3)
    p = weights_of_all(w, b, c)
    p /= p.sum()
    v, h = all_bits(5), all_bits(3)
    expected = (v.T @ p @ h, p.sum(1) @ v, p.sum(0) @ h)
    for bits in (1, 12):
        slopes = jax.grad(log_partition, (0, 1, 2))(*map(jnp.asarray, (w, b, c)), bits)
        for slope, mean in zip(slopes, expected, strict=True):
            np.testing.assert_allclose(slope, mean, atol=1e-12)


def test_a_general_machine_by_enumeration(x64: None) -> None:
    units, visible = 6, 4
    w_P, b = RANDOM.normal(size=15), RANDOM.normal(size=units)
    matrix = np.zeros((units, units))
    matrix[np.triu_indices(units, 1)] = w_P
    l_MxM = couplings(jnp.asarray(w_P), units)
    np.testing.assert_array_equal(l_MxM, matrix + matrix.T)
    states = all_bits(units)
    energies = -states @ b - np.einsum("si,ij,sj->s", states, matrix, states)
    got = jax.vmap(lambda s: energy(l_MxM, jnp.asarray(b), s))(jnp.asarray(states))
    np.testing.assert_allclose(got, energies, rtol=1e-12, atol=1e-12)
    whole = np.log(np.exp(-energies).sum())
    np.testing.assert_allclose(general_log_partition(l_MxM, jnp.asarray(b)), whole, rtol=1e-12)
    by_visible = np.exp(-energies).reshape(2 ** (units - visible), 2**visible).sum(0)
    free = jax.vmap(lambda v: general_free_energy(l_MxM, jnp.asarray(b), v))
    found = free(jnp.asarray(all_bits(visible)))
    np.testing.assert_allclose(found, -np.log(by_visible), rtol=1e-12)


def test_a_restricted_machine_is_a_general_one_without_couplings_within_layers(x64: None) -> None:
    w, b, c = machine(4, 3)
    l_MxM = np.zeros((7, 7))
    l_MxM[:4, 4:], l_MxM[4:, :4] = w, w.T
    both = jnp.asarray(np.concatenate([b, c]))
    whole = general_log_partition(jnp.asarray(l_MxM), both)
    np.testing.assert_allclose(whole, log_partition(w, b, c), rtol=1e-12)
    v = jnp.asarray(all_bits(4)[11])
    one = general_free_energy(jnp.asarray(l_MxM), both, v)
    np.testing.assert_allclose(one, free_energy(w, b, c, v), rtol=1e-12)


def test_without_couplings_ln_z_is_a_sum_of_softplus_also_of_20_units(x64: None) -> None:
    b, c = RANDOM.normal(size=30), RANDOM.normal(size=14)
    expected = np.sum(-np.log(sigmoid(-b))) + np.sum(-np.log(sigmoid(-c)))
    found = log_partition(jnp.zeros((30, 14)), jnp.asarray(b), jnp.asarray(c))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_too_many_units_are_refused() -> None:
    with pytest.raises(UsageError, match="states of 21 units, 2\\^21; at most 20 units"):
        log_partition(jnp.zeros((21, 30)), jnp.zeros(21), jnp.zeros(30))
    with pytest.raises(UsageError, match=r"ln Z of a general machine enumerates .* 21 units"):
        general_log_partition(jnp.zeros((21, 21)), jnp.zeros(21))
