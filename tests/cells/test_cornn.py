"""coRNN keeps its energy without drive or damping, and damping contracts its phase space."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.cornn import cornn
from tests.helpers.noisy_cells import H, I, jacobian, noisy


def oscillate(epsilon: float, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions and velocities (steps, H) of a coRNN without drive, dt 0.1 and gamma 2."""
    cell = cornn(I, H, dt=0.1, gamma=2.0, epsilon=epsilon)
    params = jax.tree.map(jnp.zeros_like, noisy(cell))
    state: Any = {"h": jnp.linspace(-1.0, 2.0, H), "z": jnp.linspace(0.5, -1.0, H)}
    transition = jax.jit(cell.transition)
    path = []
    for _ in range(steps):
        state = transition(params, state, jnp.zeros(I))
        path.append(state)
    return np.array([s["h"] for s in path]), np.array([s["z"] for s in path])


def test_cornn_without_drive_or_damping_keeps_its_energy(x64: None) -> None:
    # Symplectic Euler conserves z^2 + gamma*y^2 - dt*gamma*y*z exactly.
    y, z = oscillate(epsilon=0.0, steps=300)
    energy = z**2 + 2.0 * y**2 - 0.1 * 2.0 * y * z
    np.testing.assert_allclose(energy, np.broadcast_to(energy[0], energy.shape), rtol=1e-11)
    # and its period is that of cos(theta) = 1 - dt^2*gamma/2
    theta = np.arccos(1 - 0.1**2 * 2.0 / 2)
    turns = np.sum(np.diff(np.sign(y[:, 0])) != 0)
    assert abs(turns - 300 * theta / np.pi) <= 1


def test_cornn_damping_contracts_phase_space_by_one_minus_dt_epsilon(x64: None) -> None:
    cell = cornn(I, H, dt=0.1, gamma=2.0, epsilon=3.0)
    params = jax.tree.map(jnp.zeros_like, noisy(cell))
    state = {"h": jnp.zeros(H), "z": jnp.zeros(H)}
    step = jacobian(cell, params, state, jnp.zeros(I))
    assert np.linalg.det(step) == pytest.approx((1 - 0.1 * 3.0) ** H, rel=1e-12)
    y, z = oscillate(epsilon=3.0, steps=300)
    assert np.abs(y[-1]).max() < 1e-6
    assert np.abs(z[-1]).max() < 1e-6
