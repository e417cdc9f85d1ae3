"""Neural Turing machine: an LSTM that reads and writes a memory by content and by location.

    c_t, h_t = LSTM([x_t, r_{t-1}], c_{t-1}, h_{t-1})
    z = clip(W h_t + b, -clip, clip)           the parameters of every head, of which
    k = tanh, beta = softplus, g = sigma, s = softmax, gamma = 1 + softplus    (address)
    e = sigma, a = tanh                        (a writing head: erase and add)
    w_t = sharpen(shift(g content(k, beta, M_{t-1}) + (1 - g) w_{t-1}, s), gamma)
    r_t = w_read M_{t-1}
    M_t = M_{t-1} * (1 - w_write e^T) + w_write a^T
    y_t = [h_t, r_t]

sigma is the logistic function; `rnnexp.cells.memory_addressing` has the equations of the address.
Graves, Wayne & Danihelka 2014, "Neural Turing machines". Activations, clipping, the order of
reading and writing, and the starts: Collier & Beel 2018, "Implementing neural Turing machines".

dL/dM_t counts all that the memory does after step t. What h_t does at step t itself, through the
heads, is in the adjoints of M_t, w_t and r_t.

Parameters: the LSTM's 4*((I + R*W)*H + H*H + H); (H + 1)*((R + V)*(W + 2*S + 4) + 2*V*W) of the
heads, for R reading and V writing heads, slots of W numbers and shifts up to S; R*W + (R + V)*N
of the first reading and the first weights; N*W more for a learned memory.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell
from rnnexp.cells.gate_blocks import gate_blocks
from rnnexp.cells.lstm import GATES, lstm
from rnnexp.cells.memory_addressing import (
    circular_shift,
    content_weights,
    interpolate,
    positive_limit,
    read,
    sharpen,
    split_last,
    write,
)
from rnnexp.core.errors import UsageError, require_at_least, require_choice
from rnnexp.core.types import Array, Key, Params, State

MEMORY_INITS = ("constant", "learned", "random")
CONSTANT = 1e-6
"""All of the constant first memory."""
DEVIATION = 0.5
"""Of the random first memory, before it is cut at two deviations."""
lecun_normal = jax.nn.initializers.lecun_normal()


class Heads(NamedTuple):
    """What the controller asks of the heads at a step; the R reading heads come first."""

    keys_RxW: Array
    strengths_R: Array
    gate_R: Array
    shift_RxK: Array
    exponent_R: Array
    erase_VxW: Array
    add_VxW: Array


def ntm(
    input_size: int,
    hidden_size: int,
    *,
    slots: int = 128,
    width: int = 20,
    read_heads: int = 1,
    write_heads: int = 1,
    shift: int = 1,
    memory_init: str = "constant",
    parameter_clip: float = 20.0,
) -> Cell:
    """A neural Turing machine; its output has hidden_size + read_heads * width features.

    The controller starts as an LSTM (see `rnnexp.cells.lstm`); the heads' kernel is normal,
    of deviation 1/sqrt(hidden_size) and cut at two deviations, their biases 0. The first reading
    and the first weights are learned; they start as a Glorot uniform row, through tanh and softmax.

    Args:
      slots: number of slots N of the memory.
      width: numbers in a slot, W.
      read_heads: heads that read.
      write_heads: heads that write.
      shift: how many slots up or down a head may move a step; all of them, 2*shift + 1, are at
        most `slots`.
      memory_init: the first memory: constant (1e-6 everywhere), learned (a parameter, through
        tanh) or random (one normal draw, the same for all seeds, not trained). The draw has
        deviation 0.5 and is cut at two deviations.
      parameter_clip: limit on the size of the heads' parameters, before their activations; inf:
        none.
    """
    require_at_least(
        1, of="ntm", slots=slots, width=width, read_heads=read_heads, write_heads=write_heads
    )
    require_at_least(0, of="ntm", shift=shift)
    if 2 * shift + 1 > slots:
        raise UsageError(
            f"shift of ntm is {shift}: its {2 * shift + 1} places do not fit into the memory; "
            f"slots must be at least as many, but is {slots}"
        )
    require_choice("memory_init of ntm", memory_init, MEMORY_INITS)
    positive_limit("ntm", "parameter_clip", parameter_clip)
    H, N, W, R, V = hidden_size, slots, width, read_heads, write_heads
    sizes = {"key": W, "strength": 1, "gate": 1, "shift": 2 * shift + 1, "exponent": 1}
    address_size = (R + V) * sum(sizes.values())
    controller = lstm(input_size + R * W, H)

    def init(key: Key) -> Params:
        key_lstm, key_heads, key_r, key_w, key_M = jax.random.split(key, 5)
        params = {
            **controller.init(key_lstm),
            "w_heads": lecun_normal(key_heads, (H, address_size + 2 * V * W)),
            "b_heads": jnp.zeros(address_size + 2 * V * W),
            "r_0": start_row(key_r, (R, W)),
            "w_0": start_row(key_w, (R + V, N)),
        }
        if memory_init == "learned":
            params["M_0"] = start_row(key_M, (N * W,)).reshape(N, W)
        return params

    def init_state(params: Params) -> State:
        dtype = params["b"].dtype
        w = jax.nn.softmax(params["w_0"], axis=-1)
        first = {
            "constant": lambda: jnp.full((N, W), CONSTANT, dtype),
            "learned": lambda: jnp.tanh(params["M_0"]),
            "random": lambda: random_memory(N, W).astype(dtype),
        }
        state = {
            "M": first[memory_init](),
            "w_read": w[:R],
            "w_write": w[R:],
            "r": jnp.tanh(params["r_0"]),
        }
        return {**controller.init_state(params), **state}

    def heads(params: Params, h: Array) -> Heads:
        z = h @ params["w_heads"] + params["b_heads"]
        z = jnp.clip(z, -parameter_clip, parameter_clip)
        z_of = split_last(z[:address_size].reshape(R + V, -1), **sizes)
        erase_add = z[address_size:].reshape(2, V, W)
        return Heads(
            jnp.tanh(z_of["key"]),
            jax.nn.softplus(z_of["strength"][:, 0]),
            jax.nn.sigmoid(z_of["gate"][:, 0]),
            jax.nn.softmax(z_of["shift"], axis=-1),
            1.0 + jax.nn.softplus(z_of["exponent"][:, 0]),
            jax.nn.sigmoid(erase_add[0]),
            jnp.tanh(erase_add[1]),
        )

    def controlled(params: Params, state: State, x_I: Array) -> tuple[Array, State]:
        """The controller's input, and its new state."""
        seen = jnp.concatenate([x_I, state["r"].reshape(-1)])
        return seen, controller.transition(params, state, seen)

    def transition(params: Params, state: State, x_I: Array) -> State:
        _, new = controlled(params, state, x_I)
        ask = heads(params, new["h"])
        w = address(ask, state["M"], jnp.concatenate([state["w_read"], state["w_write"]]))
        return {
            **new,
            "M": write(state["M"], w[R:], ask.erase_VxW, ask.add_VxW),
            "w_read": w[:R],
            "w_write": w[R:],
            "r": read(w[:R], state["M"]),
        }

    def gates(params: Params, state: State, x_I: Array) -> dict[str, Array]:
        seen, new = controlled(params, state, x_I)
        ask = heads(params, new["h"])
        of_controller = controller.gates(params, state, seen)
        return {**of_controller, "interpolation": ask.gate_R, "erase": ask.erase_VxW}

    learned = N * W if memory_init == "learned" else 0
    return Cell(
        name="ntm",
        input_size=input_size,
        output_size=H + R * W,
        init=init,
        init_state=init_state,
        transition=transition,
        output=hidden_and_read,
        gates=gates,
        kept_fraction=controller.kept_fraction,
        probed=("h", "c", "M"),
        recurrent_matrices=gate_blocks(w_h=GATES),
        memory="M",
        memory_weights=("w_read", "w_write"),
        parameter_count=controller.parameter_count
        + (H + 1) * (address_size + 2 * V * W)
        + R * W
        + (R + V) * N
        + learned,
    )


def address(ask: Heads, memory_NxW: Array, old_RxN: Array) -> Array:
    """The heads' new weights, (R, N), from the memory and the weights of the step before."""
    content = content_weights(ask.keys_RxW, ask.strengths_R, memory_NxW)
    moved = circular_shift(interpolate(ask.gate_R, content, old_RxN), ask.shift_RxK)
    return sharpen(moved, ask.exponent_R)


def hidden_and_read(params: Params, state: State, x_I: Array) -> Array:
    """The hidden state, and what all heads have read."""
    del params, x_I
    return jnp.concatenate([state["h"], state["r"].reshape(-1)])


def start_row(key: Key, shape: tuple[int, ...]) -> Array:
    """Rows of a Glorot uniform kernel of one input: what is learned without any input."""
    limit = (6.0 / (1 + shape[-1])) ** 0.5
    return jax.random.uniform(key, shape, minval=-limit, maxval=limit)


def random_memory(slots: int, width: int) -> Array:
    """The fixed random memory, (N, W), drawn in float32 whatever the type of the parameters."""
    key, shape = jax.random.key(0), (slots, width)
    drawn: Array = jax.random.truncated_normal(key, -2.0, 2.0, shape, jnp.float32)
    return DEVIATION * drawn
