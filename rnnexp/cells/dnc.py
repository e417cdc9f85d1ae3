"""Differentiable neural computer: an LSTM with a memory that knows what is used, and in what order.

    c_t, h_t = clip(LSTM([x_t, r_{t-1}], c_{t-1}, h_{t-1}))
    z = W h_t + b                              asked of the heads, through softplus (beta),
                                               s (e, free, alloc, gate) or softmax (modes)
    u = (u + (1 - u)(1 - prod_v (1 - w_v))) * prod_r (1 - free_r w_r)            usage
    a_i = (1 - u_i) * prod of u_j over all slots j that are used less than i     allocation
    w_v = gate * (alloc * a + (1 - alloc) * content(k_v, beta_v, M_{t-1}))       where to write
    M_t = M_{t-1} * (1 - w_v e^T) + w_v v^T
    L_ij = (1 - w_i - w_j) L_ij + w_i p_j for i != j                             link: j, then i
    p = (1 - sum w) p + w                                                        precedence
    w_r = backward * L^T w_r + forward * L w_r + content * content(k_r, beta_r, M_t)
    r_t = w_r M_t
    y_t = [h_t, r_t]

s is the logistic function. Graves, Wayne, Reynolds et al. 2016, "Hybrid computing using a neural
network with dynamic external memory", Nature 538. As google-deepmind/dnc: several writing heads
have links of their own and allocate one after the other; beta = softplus; keys and what is written
are not squashed; usage and the weights that it is raised by have no gradient between them; 1e-6
keeps every usage above 0. The controller is clipped, and the output is not: the readout is the
model's.

Allocation orders the slots by usage, ties by their number, and jumps where the order changes; its
gradient is that of a fixed order. r_t is a function of M_t and w_read, so it is no leaf of the
state, and dL/dM_t counts it.

Parameters: the LSTM's 4*((I + R*W)*H + H*H + H), and (H + 1)*(3*V*W + 3*V + R*W + R*(3 + 2*V)) of
the heads, for R reading and V writing heads and slots of W numbers.
"""

import math

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell
from rnnexp.cells.gate_blocks import gate_blocks
from rnnexp.cells.lstm import GATES, lstm
from rnnexp.cells.memory_addressing import (
    EPSILON,
    content_weights,
    positive_limit,
    read,
    split_last,
    write,
)
from rnnexp.core.errors import require_at_least
from rnnexp.core.types import Array, Key, Params, State

NOTE = (
    "no gradient flows from the memory's usage to the weights that wrote, as in the authors' "
    "program: adjoints and Jacobians leave that path out. config.cell.usage_gradient=True has it"
)
lecun_normal = jax.nn.initializers.lecun_normal()


def dnc(
    input_size: int,
    hidden_size: int,
    *,
    slots: int = 16,
    width: int = 16,
    read_heads: int = 4,
    write_heads: int = 1,
    controller_clip: float = 20.0,
    usage_gradient: bool = False,
) -> Cell:
    """A differentiable neural computer; its output has hidden_size + read_heads * width features.

    The controller starts as an LSTM (see `rnnexp.cells.lstm`); the heads' kernel is normal,
    of deviation 1/sqrt(hidden_size) and cut at two deviations, their biases 0. All other leaves of
    the state start at 0: memory, usage, links, precedence, weights.

    Args:
      slots: number of slots N of the memory; links take N * N numbers.
      width: numbers in a slot, W.
      read_heads: heads that read.
      write_heads: heads that write.
      controller_clip: limit on the size of the controller's states; inf: none.
      usage_gradient: let the gradient of usage through to the weights that wrote. Without it, as
        in the authors' code, all Jacobians of a step, those of the laboratory too, leave it out.
    """
    require_at_least(
        1, of="dnc", slots=slots, width=width, read_heads=read_heads, write_heads=write_heads
    )
    positive_limit("dnc", "controller_clip", controller_clip)
    H, N, W, R, V = hidden_size, slots, width, read_heads, write_heads
    shapes = {
        "write_vector": (V, W), "erase": (V, W), "write_key": (V, W), "read_key": (R, W),
        "write_strength": (V,), "read_strength": (R,), "free": (R,), "allocation": (V,),
        "write": (V,), "modes": (R, 1 + 2 * V),
    }  # fmt: skip
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    controller = lstm(input_size + R * W, H)
    by_sigmoid = ("erase", "free", "allocation", "write")

    def init(key: Key) -> Params:
        key_lstm, key_heads = jax.random.split(key)
        size = sum(sizes.values())
        heads = {"w_heads": lecun_normal(key_heads, (H, size)), "b_heads": jnp.zeros(size)}
        return {**controller.init(key_lstm), **heads}

    def init_state(params: Params) -> State:
        zero = {
            "M": (N, W), "usage": (N,), "link": (V, N, N), "precedence": (V, N),
            "w_read": (R, N), "w_write": (V, N),
        }  # fmt: skip
        dtype = params["b"].dtype
        start = {leaf: jnp.zeros(shape, dtype) for leaf, shape in zero.items()}
        return {**controller.init_state(params), **start}

    def seen(state: State, x_I: Array) -> Array:
        """The controller's input."""
        return jnp.concatenate([x_I, read(state["w_read"], state["M"]).reshape(-1)])

    def controlled(params: Params, state: State, x_I: Array) -> tuple[State, dict[str, Array]]:
        """The controller's new state, and what it asks of the heads."""
        new = {
            leaf: jnp.clip(value, -controller_clip, controller_clip)
            for leaf, value in controller.transition(params, state, seen(state, x_I)).items()
        }
        z = split_last(new["h"] @ params["w_heads"] + params["b_heads"], **sizes)
        ask = {name: z[name].reshape(shape) for name, shape in shapes.items()}
        ask |= {name: jax.nn.sigmoid(ask[name]) for name in by_sigmoid}
        ask |= {name: jax.nn.softplus(ask[name]) for name in ("write_strength", "read_strength")}
        return new, ask | {"modes": jax.nn.softmax(ask["modes"], axis=-1)}

    def transition(params: Params, state: State, x_I: Array) -> State:
        new, ask = controlled(params, state, x_I)
        written = state["w_write"]
        if not usage_gradient:
            written = jax.lax.stop_gradient(written)
        u = usage(state["usage"], written, ask["free"], state["w_read"])
        w_write = write_weights(ask, state["M"], u)
        M = write(state["M"], w_write, ask["erase"], ask["write_vector"])
        links = link(state["link"], state["precedence"], w_write)
        return {
            **new,
            "M": M,
            "usage": u,
            "link": links,
            "precedence": precedence(state["precedence"], w_write),
            "w_read": read_weights(ask, M, links, state["w_read"]),
            "w_write": w_write,
        }

    def output(params: Params, state: State, x_I: Array) -> Array:
        del params, x_I
        return jnp.concatenate([state["h"], read(state["w_read"], state["M"]).reshape(-1)])

    def gates(params: Params, state: State, x_I: Array) -> dict[str, Array]:
        ask = controlled(params, state, x_I)[1]
        of_controller = controller.gates(params, state, seen(state, x_I))
        return {**of_controller, **{name: ask[name] for name in by_sigmoid}}

    return Cell(
        name="dnc",
        note="" if usage_gradient else NOTE,
        input_size=input_size,
        output_size=H + R * W,
        init=init,
        init_state=init_state,
        transition=transition,
        output=output,
        gates=gates,
        kept_fraction=controller.kept_fraction,
        probed=("h", "c", "M"),
        recurrent_matrices=gate_blocks(w_h=GATES),
        memory="M",
        memory_weights=("w_read", "w_write"),
        parameter_count=controller.parameter_count + (H + 1) * sum(sizes.values()),
    )


def usage(old_N: Array, written_VxN: Array, free_R: Array, read_RxN: Array) -> Array:
    """How much each slot is used, (N,) in [0, 1]: more by writing, less by reading and freeing."""
    raised_N = old_N + (1.0 - old_N) * (1.0 - jnp.prod(1.0 - written_VxN, axis=0))
    return raised_N * jnp.prod(1.0 - free_R[:, None] * read_RxN, axis=0)


def allocation(usage_N: Array) -> Array:
    """Weights of the free slots, (N,): of each what is left by all that are used less.

    Of slots used alike the first counts as used less.
    """
    usage_N = EPSILON + (1.0 - EPSILON) * usage_N
    number_N = jnp.arange(usage_N.shape[0], dtype=jnp.int32)
    other, own = usage_N[None, :], usage_N[:, None]
    first_NxN = (other < own) | ((other == own) & (number_N[None, :] < number_N[:, None]))
    logs_NxN = jnp.broadcast_to(jnp.log(other), first_NxN.shape)
    left_N = jnp.exp(jnp.sum(jnp.where(first_NxN, logs_NxN, jnp.zeros_like(logs_NxN)), axis=1))
    return (1.0 - usage_N) * left_N


def write_weights(ask: dict[str, Array], memory_NxW: Array, usage_N: Array) -> Array:
    """Where each head writes, (V, N), at most 1 in all. Every head allocates as if those before
    it had written what they allocated."""
    content_VxN = content_weights(ask["write_key"], ask["write_strength"], memory_NxW)
    rows = []
    for head, content_N in enumerate(content_VxN):
        share, gate = ask["allocation"][head], ask["write"][head]
        free_N = allocation(usage_N)
        rows.append(gate * (share * free_N + (1.0 - share) * content_N))
        usage_N = usage_N + (1.0 - usage_N) * share * gate * free_N
    return jnp.stack(rows)


def link(old_VxNxN: Array, precedence_VxN: Array, write_VxN: Array) -> Array:
    """L[v, i, j], (V, N, N): how far slot i was written right after slot j; 0 for i = j."""
    to, by = write_VxN[:, :, None], write_VxN[:, None, :]
    new_VxNxN = (1.0 - to - by) * old_VxNxN + to * precedence_VxN[:, None, :]
    others_NxN = 1.0 - jnp.eye(write_VxN.shape[-1], dtype=write_VxN.dtype)
    return new_VxNxN * others_NxN[None]


def precedence(old_VxN: Array, write_VxN: Array) -> Array:
    """How far each slot was the last that a head wrote to, (V, N)."""
    return (1.0 - jnp.sum(write_VxN, axis=-1, keepdims=True)) * old_VxN + write_VxN


def read_weights(
    ask: dict[str, Array], memory_NxW: Array, link_VxNxN: Array, old_RxN: Array
) -> Array:
    """Where each head reads, (R, N): before or after what it read, by each writing head's links,
    or by content. The modes of a head, (R, 2V + 1), are in that order."""
    V = link_VxNxN.shape[0]
    content_RxN = content_weights(ask["read_key"], ask["read_strength"], memory_NxW)
    modes = split_last(ask["modes"], backward=V, forward=V, content=1)
    backward = jnp.einsum("rj,vji->rvi", old_RxN, link_VxNxN)
    forward = jnp.einsum("rj,vij->rvi", old_RxN, link_VxNxN)
    along_RxN = jnp.einsum("rv,rvi->ri", modes["backward"], backward) + jnp.einsum(
        "rv,rvi->ri", modes["forward"], forward
    )
    return along_RxN + modes["content"] * content_RxN
