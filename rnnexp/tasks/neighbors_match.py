"""NeighborsMatch: the root of a tree needs the value of the one leaf that has its key.

Alon & Yahav 2021, "On the bottleneck of graph neural networks and its practical implications",
section 4. In a full binary tree of the depth r every leaf has a key, all different, and a value, a
permutation. The root has one of the keys; the answer, at the root, is that leaf's value. Edges
lead from children to parents. All 2^r leaves are r edges away, so the r steps that it takes carry
2^r pairs through two edges: what they squeeze out is lost. The annotation of a node is its key and
its value, one-hot each; inner nodes have neither, the root has no value.

Chance is 2^-r: the key alone says nothing. As in the authors' code leaf i has key i, so that the
keys below a node are the same in every tree; with shuffled keys they are not. Examples are drawn
without end, where the authors have a training set; at r = 2 there are only 96, shuffled 2,304.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch, Key
from rnnexp.tasks.base import Endless, Task
from rnnexp.tasks.classification import classification_scores
from rnnexp.tasks.graphs import graph_batch

MOST_RADIUS = 10


def neighbors_match(*, radius: int = 3, shuffled_keys: bool = False) -> Task:
    """Find the value of the leaf with the key of the root.

    Args:
      radius: r, the depth of the tree, 1 to 10.
      shuffled_keys: whether the keys lie in a new order in every tree; else leaf i has key i.
    """
    if not 1 <= radius <= MOST_RADIUS:
        raise UsageError(f"radius must be 1 to {MOST_RADIUS}, not {radius}")
    leaves = 2**radius
    source = Endless(lambda key, size: draw(key, size, radius, shuffled_keys))
    return Task(
        name="neighbors_match",
        mode="graph_to_one",
        input_size=2 * leaves,
        output_size=leaves,
        num_steps=2 * leaves - 1,
        train=source,
        valid=source,
        test=source,
        scores=classification_scores,
        baseline={"loss": math.log(leaves), "accuracy": 1 / leaves},
        headline="accuracy",
        higher_is_better=True,
    )


def tree_edges(radius: int) -> np.ndarray:
    """Edges (E, 3) from children to parents; node 0 is the root, 2 v + 1 and 2 v + 2 are the
    children of v, and the last 2^radius nodes are the leaves."""
    children = np.arange(1, 2 ** (radius + 1) - 1, dtype=np.int32)
    return np.stack([children, (children - 1) // 2, np.zeros_like(children)], -1)


def draw(key: Key, batch_size: int, radius: int, shuffled_keys: bool) -> Batch:
    """A batch of trees of that depth."""
    leaves = 2**radius

    def one(key: Key) -> tuple[Array, Array]:
        key_keys, key_values, key_asked = jax.random.split(key, 3)
        in_order = jnp.arange(leaves, dtype=jnp.int32)
        keys = jax.random.permutation(key_keys, in_order) if shuffled_keys else in_order
        values = jax.random.permutation(key_values, in_order)
        place = jax.random.randint(key_asked, (), 0, leaves, dtype=jnp.int32)
        leaf = jnp.concatenate([jax.nn.one_hot(x, leaves, dtype=float) for x in (keys, values)], -1)
        annotations = jnp.zeros((2 * leaves - 1, 2 * leaves)).at[leaves - 1 :].set(leaf)
        return annotations.at[0, keys[place]].set(1.0), values[place]

    annotations, answers_B = jax.vmap(one)(jax.random.split(key, batch_size))
    edges = jnp.asarray(tree_edges(radius))
    return graph_batch(
        annotations, jnp.broadcast_to(edges, (batch_size, *edges.shape)), answers_B, types=1,
        asked_B=jnp.zeros(batch_size, jnp.int32),
    )  # fmt: skip
