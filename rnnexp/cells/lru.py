"""Linear recurrent unit: a complex diagonal recurrence without a nonlinearity.

    h_t = lambda * h_{t-1} + gamma * (B x_t)
    y_t = Re(C h_t) + D x_t
    lambda = exp(-exp(nu_log) + i exp(theta_log)),  gamma = exp(gamma_log)

lambda, gamma: (N,) with N = H; B: (N, I) and C: (H, N) complex; D: (H, I) real; * is
element by element. |lambda| < 1 whatever the parameters. Orvieto, Smith, Gu, Fernando,
Gulcehre, Pascanu & De 2023, "Resurrecting recurrent neural networks for long
sequences", section 3 and appendix A. This is the recurrent layer alone, without the
paper's blocks (normalisation, GLU, skip connection) around it.

The state is real: h of shape (2, N) holds the real and the imaginary parts.

Parameters: 3*N + 2*N*I + 2*H*N + H*I with N = H.
"""

import math

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell
from rnnexp.cells.linear_scan import linear_scan
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Key, Params, State


def to_complex(pairs: Array) -> Array:
    """Complex numbers from real and imaginary parts along the axis before the last."""
    return jax.lax.complex(pairs[..., 0, :], pairs[..., 1, :])


def to_pairs(z: Array) -> Array:
    """The inverse of `to_complex`."""
    return jnp.stack([z.real, z.imag], axis=-2)


def eigenvalues(params: Params) -> Array:
    """lambda, (N,), complex."""
    modulus, phase = jnp.exp(-jnp.exp(params["nu_log"])), jnp.exp(params["theta_log"])
    return jax.lax.complex(modulus * jnp.cos(phase), modulus * jnp.sin(phase))


def ring(key: Key, size: int, r_min: float, r_max: float, max_phase: float) -> Params:
    """nu_log, theta_log and gamma_log, (N,) each, of eigenvalues uniform on a ring's area.

    |lambda|^2 ~ U(r_min^2, r_max^2), phase ~ U(0, max_phase), and gamma = sqrt(1 -
    |lambda|^2), which gives h the variance of its input term: Orvieto et al. 2023, lemma
    3.2 and equation 7.
    """
    key_r, key_phase = jax.random.split(key)
    floor = 1e-6  # draws may be 0 or round to 1, where the logarithms are infinite
    squares = jax.random.uniform(key_r, (size,), minval=r_min**2, maxval=r_max**2)
    nu = -0.5 * jnp.log(jnp.clip(squares, floor, 1.0 - floor))
    phases = max_phase * jax.random.uniform(key_phase, (size,), minval=floor)
    return {
        "nu_log": jnp.log(nu),
        "theta_log": jnp.log(phases),
        "gamma_log": 0.5 * jnp.log(-jnp.expm1(-2.0 * nu)),
    }


def lru(
    input_size: int,
    hidden_size: int,
    *,
    r_min: float = 0.0,
    r_max: float = 1.0,
    max_phase: float = 6.28,
) -> Cell:
    """An LRU cell.

    Weights: lambda and gamma from `ring`; B Gaussian of variance 1/(2 I) and C of variance
    1/N in the real and in the imaginary part; D Gaussian of variance 1/I (the paper has
    I = H and a diagonal D of variance 1).

    Args:
      r_min: smallest initial |lambda|, 0 or more.
      r_max: largest initial |lambda|, above r_min, at most 1.
      max_phase: largest initial phase of lambda in radians, at most 2 pi.
    """
    if not 0 <= r_min < r_max <= 1:
        raise UsageError(f"need 0 <= r_min < r_max <= 1, not r_min={r_min}, r_max={r_max}")
    if not 0 < max_phase <= 2 * math.pi:
        raise UsageError(f"max_phase must lie in (0, 2 pi], not {max_phase}")
    I, N = input_size, hidden_size  # noqa: E741

    def init(key: Key) -> Params:
        key_ring, key_b, key_c, key_d = jax.random.split(key, 4)
        return {
            **ring(key_ring, N, r_min, r_max, max_phase),
            "b": jax.random.normal(key_b, (2, I, N)) / math.sqrt(2 * I),
            "c": jax.random.normal(key_c, (2, N, N)) / math.sqrt(N),
            "d": jax.random.normal(key_d, (I, N)) / math.sqrt(I),
        }

    def init_state(params: Params) -> State:
        return {"h": jnp.zeros((2, N), params["nu_log"].dtype)}

    def drive(params: Params, x_I: Array) -> Array:
        """gamma * (B x) as pairs, (2, N)."""
        drive_2xN: Array = jnp.einsum("i,pin->pn", x_I, params["b"])
        return jnp.exp(params["gamma_log"])[None] * drive_2xN

    def transition(params: Params, state: State, x_I: Array) -> State:
        turned = to_pairs(eigenvalues(params) * to_complex(state["h"]))
        return {"h": turned + drive(params, x_I)}

    def states(params: Params, state: State, x_TxI: Array, slots: State) -> State:
        drive_Tx2xN = jax.vmap(drive, (None, 0))(params, x_TxI)
        if "h" in slots:
            drive_Tx2xN = drive_Tx2xN + slots["h"]
        drive_TxN = to_complex(drive_Tx2xN)
        a_TxN = jnp.broadcast_to(eigenvalues(params), drive_TxN.shape)
        return {"h": to_pairs(linear_scan(a_TxN, drive_TxN, to_complex(state["h"])))}

    def output(params: Params, state: State, x_I: Array) -> Array:
        (re, im), (c_re, c_im) = state["h"], params["c"]
        y_H: Array = re @ c_re - im @ c_im + x_I @ params["d"]
        return y_H

    def recurrent_matrices(params: Params) -> dict[str, Array]:
        units = jnp.eye(2 * N, dtype=params["nu_log"].dtype).reshape(2 * N, 2, N)
        turned = to_pairs(eigenvalues(params)[None] * to_complex(units))
        return {"lambda": turned.reshape(2 * N, 2 * N)}

    return Cell(
        name="lru",
        input_size=I,
        output_size=N,
        init=init,
        init_state=init_state,
        transition=transition,
        output=output,
        states=states,
        recurrent_matrices=recurrent_matrices,
        parameter_count=(3 + 2 * I + 2 * N + I) * N,
    )
