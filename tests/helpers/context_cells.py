"""A small cell that reads a context, by which its parameters act at every step and at the start."""

import jax
import jax.numpy as jnp

from rnnexp.cells.base import CONTEXT, Cell, no_matrices
from rnnexp.core.types import Array, Key, Params, State, Tree

M, V, D, HOPS = 4, 3, 5, 6


def attending(steps: int = HOPS) -> Cell:
    """u_0 = B q, u <- tanh(u H + softmax(u m^T) m) with m = A x: rows x and a query q."""

    def init(key: Key) -> Params:
        keys = jax.random.split(key, 3)
        shapes = {"a": (V, D), "b": (V, D), "w_h": (D, D)}
        drawn = zip(shapes.items(), keys, strict=True)
        return {name: jax.random.normal(k, shape) / 2 for (name, shape), k in drawn}

    def context(params: Params, of_example: Tree) -> dict[str, Array]:
        return {"m": of_example["rows"] @ params["a"], "q": of_example["query"]}

    def transition(params: Params, state: State, x_I: Array) -> State:
        del x_I
        u_D, m_MxD = state["u"], params[CONTEXT]["m"]
        read_D = jax.nn.softmax(m_MxD @ u_D) @ m_MxD
        return {"u": jnp.tanh(u_D @ params["w_h"] + read_D)}

    return Cell(
        name="attending", input_size=V, output_size=D, init=init,
        init_state=lambda params: {"u": jnp.zeros(D, params["a"].dtype)},
        transition=transition, output=lambda params, state, x_I: state["u"],
        recurrent_matrices=no_matrices, parameter_count=2 * V * D + D * D, hidden="u",
        probed=("u",), axis="hop", steps=steps, context=context,
        start=lambda params: {"u": params[CONTEXT]["q"] @ params["b"]},
    )  # fmt: skip


def contexts_for(key: Key, batch_size: int) -> Tree:
    """Contexts of a batch: rows (B, M, V) and a query (B, V)."""
    key_rows, key_query = jax.random.split(key)
    return {
        "rows": jax.random.normal(key_rows, (batch_size, M, V)),
        "query": jax.random.normal(key_query, (batch_size, V)),
    }
