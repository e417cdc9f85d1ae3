"""Gibbs sampling of Boltzmann machines: a step, its kernel as a matrix, and what is made of them.

| function | is |
| --- | --- |
| `gibbs_step`, `gibbs_sweep` | all hidden, then all visible bits; or all bits in turn |
| `gibbs_kernel`, `sweep_kernel` | the probabilities of all such steps, for small machines |
| `expected_contrast` | the gradient of CD-k in expectation, without sampling |
| `annealed_log_partition` | ln Z by annealed importance sampling, and its standard error |

Hinton 2002, "Training products of experts by minimizing contrastive divergence"; Salakhutdinov &
Murray 2008, "On the quantitative analysis of deep belief networks". The letters are those of
`rnnexp.cells.free_energy`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnexp.cells.free_energy import all_states, free_energy
from rnnexp.core.types import Array, Key


class Machine(NamedTuple):
    """A restricted machine: W and the biases of its visible and its hidden units."""

    w_NxH: Array
    b_N: Array
    c_H: Array

    def free_energies(self, v_BxN: Array) -> Array:
        """F(v) of several vectors, (B,)."""
        return jax.vmap(lambda v_N: free_energy(*self, v_N))(v_BxN)

    def hidden_means(self, v_N: Array) -> Array:
        """p(h_j = 1 | v), (H,)."""
        return jax.nn.sigmoid(self.c_H + v_N @ self.w_NxH)

    def visible_means(self, h_H: Array) -> Array:
        """p(v_i = 1 | h), (N,)."""
        return jax.nn.sigmoid(self.b_N + self.w_NxH @ h_H)

    def heated(self, beta: Array | float) -> "Machine":
        """Its couplings and hidden biases times beta: at 0 the visible bits are independent."""
        return Machine(beta * self.w_NxH, self.b_N, beta * self.c_H)


def bits_below(uniform: Array, mean: Array) -> Array:
    """1 where a uniform number is below the mean, else 0, in the type of the mean."""
    return (uniform < mean).astype(mean.dtype)


def gibbs_step(machine: Machine, v_N: Array, uniform: Array) -> Array:
    """v' (N,) by way of hidden bits; `uniform` are H + N numbers from 0 to 1."""
    hidden = len(machine.c_H)
    h_H = bits_below(uniform[:hidden], machine.hidden_means(v_N))
    return bits_below(uniform[hidden:], machine.visible_means(h_H))


def gibbs_chain(machine: Machine, v_N: Array, key: Key, steps: int) -> Array:
    """The vector after so many Gibbs steps."""
    size = len(machine.c_H) + len(machine.b_N)

    def step(v_N: Array, key: Key) -> tuple[Array, None]:
        return gibbs_step(machine, v_N, jax.random.uniform(key, (size,), v_N.dtype)), None

    last_N: Array = jax.lax.scan(step, v_N, jax.random.split(key, steps))[0]
    return last_N


def gibbs_sweep(l_MxM: Array, b_M: Array, s_M: Array, uniform_M: Array) -> Array:
    """The bits of a general machine drawn one after the other, each given all others."""

    def unit(s_M: Array, row: tuple[Array, Array, Array, Array]) -> tuple[Array, None]:
        number, l_M, b, uniform = row
        return s_M.at[number].set(bits_below(uniform, jax.nn.sigmoid(b + l_M @ s_M))), None

    numbers = jnp.arange(len(b_M), dtype=jnp.int32)
    drawn_M: Array = jax.lax.scan(unit, s_M, (numbers, l_MxM, b_M, uniform_M))[0]
    return drawn_M


def _probabilities(mean: Array, states: Array) -> Array:
    """p(state) of independent bits with these means (A, n), for every state (S, n): (A, S)."""
    return jnp.exp(jnp.log(mean) @ states.T + jnp.log1p(-mean) @ (1 - states.T))


def gibbs_kernel(machine: Machine) -> Array:
    """p(v' | v) of a Gibbs step for all vectors, (2^N, 2^N), in the order of `all_states`."""
    visible = all_states(len(machine.b_N), machine.b_N.dtype)
    hidden = all_states(len(machine.c_H), machine.c_H.dtype)
    up = _probabilities(jax.vmap(machine.hidden_means)(visible), hidden)
    down = _probabilities(jax.vmap(machine.visible_means)(hidden), visible)
    return up @ down


def sweep_kernel(l_MxM: Array, b_M: Array) -> Array:
    """p(s' | s) of a sweep of a general machine, (2^M, 2^M): a product of one kernel a unit."""
    states = all_states(len(b_M), b_M.dtype)
    numbers = jnp.arange(len(states), dtype=jnp.int32)
    kernel = jnp.eye(len(states), dtype=b_M.dtype)
    for unit in range(len(b_M)):
        on_S = jax.nn.sigmoid(b_M[unit] + states @ l_MxM[unit])
        with_S, without_S = numbers | (1 << unit), numbers & ~(1 << unit)
        one = jnp.zeros_like(kernel).at[numbers, with_S].set(on_S)
        kernel = kernel @ one.at[numbers, without_S].set(1 - on_S)
    return kernel


def expected_contrast(machine: Machine, data_S: Array, steps: int | None) -> Machine:
    """The expected gradient of CD-k: of sum_v (p_0(v) - p_k(v)) F(v), p_k = p_0 K^k held fixed.

    Args:
      data_S: p_0 of all vectors, in the order of `all_states`.
      steps: k; None: infinity, where it is the gradient of the mean negative log-likelihood.
    """
    visible = all_states(len(machine.b_N), machine.b_N.dtype)
    if steps is None:
        model_S = jax.nn.softmax(-machine.free_energies(visible))
    else:
        kernel_SxS = gibbs_kernel(machine)
        model_S = jax.lax.fori_loop(0, steps, lambda _, p_S: p_S @ kernel_SxS, data_S)
        model_S = model_S / jnp.sum(model_S)  # 1 but for rounding, which grows with the steps
    weights_S = data_S - jax.lax.stop_gradient(model_S)
    slope: Machine = jax.grad(lambda machine: weights_S @ machine.free_energies(visible))(machine)
    return slope


def annealed_log_partition(
    machine: Machine, key: Key, *, chains: int = 100, temperatures: int = 1000
) -> tuple[Array, Array]:
    """ln Z of a restricted machine by annealed importance sampling, and its standard error.

    Every chain begins with independent bits of the visible biases, whose ln Z is known, and goes
    through machines whose couplings grow to those of `machine`, one Gibbs step each. The estimate
    of Z has the right mean, so that of ln Z leans low.

    Args:
      chains: independent chains, from which the error is found.
      temperatures: steps from no coupling to the machine's.
    """
    key_start, key_steps = jax.random.split(key)
    start = jax.random.uniform(key_start, (chains, len(machine.b_N)), machine.b_N.dtype)
    v_CxN = bits_below(start, jnp.broadcast_to(jax.nn.sigmoid(machine.b_N), start.shape))
    betas = jnp.linspace(0.0, 1.0, temperatures + 1, dtype=machine.b_N.dtype)

    def anneal(
        carry: tuple[Array, Array], row: tuple[Array, Array, Key]
    ) -> tuple[tuple[Array, Array], None]:
        v_CxN, log_weight_C = carry
        before, after, key = row
        colder = machine.heated(after)
        gained_C = machine.heated(before).free_energies(v_CxN) - colder.free_energies(v_CxN)
        size = len(machine.c_H) + len(machine.b_N)
        uniform = jax.random.uniform(key, (chains, size), v_CxN.dtype)
        moved_CxN = jax.vmap(lambda v, u: gibbs_step(colder, v, u))(v_CxN, uniform)
        return (moved_CxN, log_weight_C + gained_C), None

    rows = (betas[:-1], betas[1:], jax.random.split(key_steps, temperatures))
    first = (v_CxN, jnp.zeros(chains, machine.b_N.dtype))
    log_weight_C = jax.lax.scan(anneal, first, rows)[0][1]
    known = jnp.sum(jax.nn.softplus(machine.b_N)) + len(machine.c_H) * jnp.log(2.0)
    largest = jnp.max(log_weight_C)
    weight_C = jnp.exp(log_weight_C - largest)
    mean = jnp.mean(weight_C)
    error = jnp.std(weight_C, ddof=1) / mean / chains**0.5
    return known.astype(mean.dtype) + largest + jnp.log(mean), error
