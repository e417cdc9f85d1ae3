"""Stack-augmented network: a recurrent layer that pushes to and pops from differentiable stacks.

    h_t = s(U x_t + R h_{t-1} + P [M_{t-1}[0], ..., M_{t-1}[reads - 1]])
    a_t = softmax(A h_t)                       of every stack: PUSH, POP and, if any, NO-OP
    M_t[0] = a[PUSH] s(D h_t) + a[POP] M_{t-1}[1] + a[NO-OP] M_{t-1}[0]
    M_t[i] = a[PUSH] M_{t-1}[i - 1] + a[POP] M_{t-1}[i + 1] + a[NO-OP] M_{t-1}[i]

s is the logistic function. M_t[i] are the elements i places below the top, one of every stack, so
a slot of the memory is a place in the stacks. They start empty, all -1; -1 comes up from below,
and what is pushed down from the last place is lost. Joulin & Mikolov 2015, "Inferring algorithmic
patterns with stack-augmented recurrent nets". As in the authors' code there are no biases, all
weights start as a sum of three uniform draws from -0.1 to 0.1, and R is left out unless it is asked
for. dL/dh_t holds what h_t does through the output and R; what it pushes at step t is in dL/dM_t.

Parameters: H*(I + S*K + S*A + S) for S stacks of which K elements are read, and A = 2 or 3
actions; H*H more with R.
"""

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell, no_matrices
from rnnexp.cells.gate_blocks import gate_blocks
from rnnexp.core.errors import UsageError, require_at_least
from rnnexp.core.types import Array, Key, Params, State

EMPTY = -1.0
"""The value of a place where nothing was pushed."""
ACTIONS = ("push", "pop", "no_op")


def stack_rnn(
    input_size: int,
    hidden_size: int,
    *,
    stacks: int = 10,
    depth: int = 200,
    reads: int = 2,
    no_op: bool = False,
    recurrent: bool = False,
) -> Cell:
    """A stack-augmented network.

    Args:
      stacks: number of stacks, S; each has actions of its own.
      depth: places of a stack; what is pushed below the last one is lost.
      reads: how many elements from the top the hidden layer reads, K.
      no_op: a third action, which leaves a stack as it is.
      recurrent: let the hidden layer read its own last state too; otherwise it remembers through
        its stacks alone.
    """
    require_at_least(1, of="stack_rnn", stacks=stacks, depth=depth, reads=reads)
    if reads > depth:
        raise UsageError(f"reads of stack_rnn is {reads}, more than the depth of a stack, {depth}")
    H, S, K, actions = hidden_size, stacks, reads, ACTIONS[: 2 + no_op]
    shapes = {"w_x": (input_size, H), "w_stack": (K * S, H), "w_action": (H, S * len(actions))}
    shapes |= {"w_push": (H, S)} | ({"w_h": (H, H)} if recurrent else {})

    def init(key: Key) -> Params:
        keys = jax.random.split(key, len(shapes))
        return {
            name: jnp.sum(jax.random.uniform(k, (3, *shape), minval=-0.1, maxval=0.1), axis=0)
            for k, (name, shape) in zip(keys, shapes.items(), strict=True)
        }

    def init_state(params: Params) -> State:
        dtype = params["w_x"].dtype
        return {"h": jnp.zeros(H, dtype), "M": jnp.full((depth, S), EMPTY, dtype)}

    def hidden(params: Params, state: State, x_I: Array) -> Array:
        z = x_I @ params["w_x"] + state["M"][:K].reshape(-1) @ params["w_stack"]
        if recurrent:
            z = z + state["h"] @ params["w_h"]
        return jax.nn.sigmoid(z)

    def taken(params: Params, h: Array) -> dict[str, Array]:
        """The share of every action, (S,) each."""
        a = jax.nn.softmax((h @ params["w_action"]).reshape(len(actions), S), axis=0)
        return dict(zip(actions, a, strict=True))

    def transition(params: Params, state: State, x_I: Array) -> State:
        h = hidden(params, state, x_I)
        top = jax.nn.sigmoid(h @ params["w_push"])
        return {"h": h, "M": moved(state["M"], top, taken(params, h))}

    def gates(params: Params, state: State, x_I: Array) -> dict[str, Array]:
        return taken(params, hidden(params, state, x_I))

    return Cell(
        name="stack_rnn",
        input_size=input_size,
        output_size=H,
        init=init,
        init_state=init_state,
        transition=transition,
        gates=gates,
        probed=("h", "M"),
        recurrent_matrices=gate_blocks(w_h=()) if recurrent else no_matrices,
        memory="M",
        parameter_count=H * (input_size + S * K + S * len(actions) + S + H * recurrent),
    )


def moved(stacks_DxS: Array, top_S: Array, by: dict[str, Array]) -> Array:
    """The stacks after shares of the actions: pushed by `top`, popped, or left alone."""
    empty = jnp.full_like(stacks_DxS[:1], EMPTY)
    pushed_DxS = jnp.concatenate([top_S[None], stacks_DxS[:-1]])
    popped_DxS = jnp.concatenate([stacks_DxS[1:], empty])
    after_DxS = by["push"][None] * pushed_DxS + by["pop"][None] * popped_DxS
    return after_DxS + by["no_op"][None] * stacks_DxS if "no_op" in by else after_DxS
