"""Cycle or path: every node says on which of the two it lies.

A graph is a cycle or a path of n nodes, n uniform between two numbers, its nodes in random order,
all with the same annotation. A node sees the difference only in the ends of a path. It therefore
takes as many propagation steps as the nearer end is away, up to (n - 1) / 2 for the middle, and a
network of k steps cannot know at nodes farther than k from both ends. Cycles and paths are equally
likely: without their neighbours nodes answer by chance, ln 2. (An own task.)

Edges lead along the cycle or path, from each node to the next.
"""

import math

import jax
import jax.numpy as jnp

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch, Key
from rnnexp.tasks.base import Endless, Task
from rnnexp.tasks.graphs import graph_batch, node_scores

PATH, CYCLE = 0, 1


def cycle_or_path(*, shortest: int = 4, longest: int = 9) -> Task:
    """Whether a node lies on a cycle or on a path.

    Args:
      shortest: the fewest nodes, 3 or more.
      longest: the most nodes.
    """
    if not 3 <= shortest <= longest:
        raise UsageError(
            f"shortest must be at least 3 and at most longest, not {shortest} and {longest}"
        )
    source = Endless(lambda key, size: draw(key, size, shortest, longest))
    return Task(
        name="cycle_or_path",
        mode="graph_to_nodes",
        input_size=1,
        output_size=2 * longest,
        num_steps=longest,
        train=source,
        valid=source,
        test=source,
        scores=node_scores,
        baseline={"loss": math.log(2), "accuracy": 0.5},
        headline="accuracy",
        higher_is_better=True,
    )


def draw(key: Key, batch_size: int, shortest: int, longest: int) -> Batch:
    """A batch of cycles and paths."""

    def one(key: Key) -> tuple[Array, Array, Array]:
        key_size, key_kind, key_order = jax.random.split(key, 3)
        n = jax.random.randint(key_size, (), shortest, longest + 1, dtype=jnp.int32)
        kind = jax.random.bernoulli(key_kind).astype(jnp.int32)
        place_V = jnp.arange(longest, dtype=jnp.int32)
        drawn_V = jnp.where(place_V < n, jax.random.uniform(key_order, (longest,)), 2.0)
        order_V = jnp.argsort(drawn_V).astype(jnp.int32)  # the first n among themselves
        last_edge = n - 2 + kind  # a cycle has one edge more than a path
        next_V = order_V[(place_V + 1) % n]
        types_V = jnp.where(place_V <= last_edge, 0, -1)
        return jnp.stack([order_V, next_V, types_V], -1), n, kind

    edges_BxEx3, nodes_B, kind_B = jax.vmap(one)(jax.random.split(key, batch_size))
    there_BxV = jnp.arange(longest, dtype=jnp.int32)[None, :] < nodes_B[:, None]
    targets = jnp.broadcast_to(kind_B[:, None], there_BxV.shape)
    annotations = there_BxV[:, :, None].astype(float)
    return graph_batch(annotations, edges_BxEx3, targets, types=1, nodes_B=nodes_B)
