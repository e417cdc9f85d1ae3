"""Unitary evolution recurrent network (uRNN).

    h_t = m(W h_{t-1} + V x_t),  W = D_3 R_2 F^-1 D_2 P R_1 F D_1
    m(z) = (|z| + b) z / |z| where |z| + b >= 0, and 0 elsewhere (modReLU)

Complex: D_k = diag(exp(i d_k)), F the unitary discrete Fourier transform, P a fixed
permutation, R_k = 1 - 2 v_k v_k^* / ||v_k||^2. W is unitary whatever the parameters, at
O(H log H) a step. Arjovsky, Shah & Bengio 2016, "Unitary evolution recurrent neural
networks", equations 6 and 8.

The state is real: h of shape (2, H) holds the real and the imaginary parts; the output
is one after the other, (2*H,), as in section 4.3. The first state is a parameter.

Parameters: 2*I*H (V) + 3*H (d) + 4*H (v) + H (b) + 2*H (h_0).
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.cells.base import Cell
from rnnexp.cells.initializers import glorot_uniform
from rnnexp.core.types import Array, Key, Params, State


def permutation(size: int, seed: int) -> np.ndarray:
    """The order of P: (P z)_k = z[order[k]]."""
    return np.random.default_rng(seed).permutation(size)


def modrelu(z_2xH: Array, b_H: Array) -> Array:
    """(|z| + b) z / |z| where |z| + b >= 0, else 0; the identity, in its slope too, for b = 0."""
    squares_H = jnp.sum(z_2xH**2, axis=0)
    nonzero_H = squares_H > 0
    # the square root has no slope at 0, and 0 * inf there would be NaN
    modulus_H = jnp.sqrt(jnp.where(nonzero_H, squares_H, 1.0))
    alive_H = jnp.where(nonzero_H, modulus_H, 0.0) + b_H >= 0
    scale_H = jnp.where(alive_H, 1.0 + jnp.where(nonzero_H, b_H / modulus_H, 0.0), 0.0)
    return scale_H[None] * z_2xH


def reflect(v_H: Array, z_H: Array) -> Array:
    """R z of the reflection R along v; both are complex."""
    return z_H - 2.0 * v_H * (jnp.vdot(v_H, z_H) / jnp.vdot(v_H, v_H))


def evolve(params: Params, order: np.ndarray, z_H: Array) -> Array:
    """W z of a complex z."""
    d_1, d_2, d_3 = (jax.lax.complex(jnp.cos(d), jnp.sin(d)) for d in params["d"])
    v_1, v_2 = (jax.lax.complex(v[0], v[1]) for v in params["v"])
    z_H = reflect(v_1, jnp.fft.fft(d_1 * z_H, norm="ortho"))
    z_H = jnp.fft.ifft(d_2 * z_H[order], norm="ortho")
    return d_3 * reflect(v_2, z_H)


def unitary(input_size: int, hidden_size: int, *, permutation_seed: int = 0) -> Cell:
    """A uRNN cell of H complex units; its output has 2*H features.

    Weights, as in section 4.3: V Glorot uniform (2*H outputs), d ~ U(-pi, pi), v ~ U(-1, 1),
    b = 0, so that the initial network is linear; h_0 ~ U(-a, a) with a = sqrt(3/(2 H)),
    which has the expected squared norm 1.

    Args:
      permutation_seed: seed of the permutation P, which is not trained.
    """
    H = hidden_size
    order = permutation(H, permutation_seed)

    def init(key: Key) -> Params:
        key_x, key_d, key_v, key_h = jax.random.split(key, 4)
        largest = math.sqrt(3 / (2 * H))
        return {
            "w_x": glorot_uniform(key_x, (input_size, 2 * H)),
            "d": jax.random.uniform(key_d, (3, H), minval=-math.pi, maxval=math.pi),
            "v": jax.random.uniform(key_v, (2, 2, H), minval=-1.0),
            "b": jnp.zeros(H),
            "h_0": jax.random.uniform(key_h, (2, H), minval=-largest, maxval=largest),
        }

    def init_state(params: Params) -> State:
        return {"h": params["h_0"]}

    def transition(params: Params, state: State, x_I: Array) -> State:
        re_H, im_H = state["h"]
        z_H = evolve(params, order, jax.lax.complex(re_H, im_H))
        drive_2xH = (x_I @ params["w_x"]).reshape(2, H)
        return {"h": modrelu(jnp.stack([z_H.real, z_H.imag]) + drive_2xH, params["b"])}

    def output(params: Params, state: State, x_I: Array) -> Array:
        del params, x_I
        return state["h"].reshape(2 * H)

    def recurrent_matrices(params: Params) -> dict[str, Array]:
        linear = {**params, "b": jnp.zeros_like(params["b"])}  # modReLU is the identity
        x_I = jnp.zeros(input_size, linear["b"].dtype)

        def turned(h_S: Array) -> Array:
            return transition(linear, {"h": h_S.reshape(2, H)}, x_I)["h"].reshape(2 * H)

        return {"w": jax.jacfwd(turned)(jnp.zeros_like(x_I, shape=2 * H)).T}

    return Cell(
        name="unitary",
        input_size=input_size,
        output_size=2 * H,
        init=init,
        init_state=init_state,
        transition=transition,
        output=output,
        recurrent_matrices=recurrent_matrices,
        parameter_count=2 * input_size * H + 10 * H,
    )
