"""NeighborsMatch: the root of a tree needs the value of the one leaf that has its key.

Alon & Yahav 2021, "On the bottleneck of graph neural networks and its practical implications",
section 4. In a full binary tree of the depth r every leaf has a key, all different, and a value, a
permutation. The root has one of the keys; the answer, at the root, is that leaf's value. Edges
lead from children to parents. All 2^r leaves are r edges away, so the r steps that it takes carry
2^r pairs through two edges: what they squeeze out is lost. The annotation of a node is its key and
its value, one-hot each; inner nodes have neither, the root has no value.

Chance is 2^-r: the key alone says nothing. As in the authors' code leaf i has key i, so that the
keys below a node are the same in every tree; with shuffled keys they are not. Examples are drawn
without end (at r = 2 there are only 96, shuffled 2,304). The authors train on a fixed set and
report the accuracy on it; `examples` makes such a set; validation and test have trees of their own.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.errors import UsageError, require_at_least
from rnnexp.core.types import Array, Batch, Key
from rnnexp.tasks.base import Endless, Finite, Task
from rnnexp.tasks.classification import classification_scores
from rnnexp.tasks.graphs import graph_batch

MOST_RADIUS = 10
SEED = 2021  # of a fixed training set


def neighbors_match(*, radius: int = 3, shuffled_keys: bool = False, examples: int = 0) -> Task:
    """Find the value of the leaf with the key of the root.

    Args:
      radius: r, the depth of the tree, 1 to 10.
      shuffled_keys: whether the keys lie in a new order in every tree; else leaf i has key i.
      examples: of a fixed training set; 0: they are drawn without end.
    """
    if not 1 <= radius <= MOST_RADIUS:
        raise UsageError(f"radius must be 1 to {MOST_RADIUS}, not {radius}")
    require_at_least(0, examples=examples)
    leaves = 2**radius
    drawn = Endless(lambda key, size: tree_batch(draw(key, size, leaves, shuffled_keys)))
    fixed = None
    if examples:
        arrays = draw(jax.random.key(SEED), examples, leaves, shuffled_keys)
        fixed = Finite(
            arrays,
            examples,
            lambda arrays, indices_B: tree_batch(Trees(*(array[indices_B] for array in arrays))),
        )
    return Task(
        name="neighbors_match",
        mode="graph_to_one",
        input_size=2 * leaves,
        output_size=leaves,
        num_steps=2 * leaves - 1,
        train=fixed or drawn,
        valid=drawn,
        test=drawn,
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


class Trees(NamedTuple):
    """Trees: of each leaf, from left to right, key and value, (B, 2^r), and the leaf asked for."""

    keys_BxL: Array
    values_BxL: Array
    place_B: Array


def draw(key: Key, batch_size: int, leaves: int, shuffled_keys: bool) -> Trees:
    """Random trees with so many leaves."""

    def one(key: Key) -> tuple[Array, Array, Array]:
        key_keys, key_values, key_asked = jax.random.split(key, 3)
        in_order = jnp.arange(leaves, dtype=jnp.int32)
        keys = jax.random.permutation(key_keys, in_order) if shuffled_keys else in_order
        values = jax.random.permutation(key_values, in_order)
        return keys, values, jax.random.randint(key_asked, (), 0, leaves, dtype=jnp.int32)

    return Trees(*jax.vmap(one)(jax.random.split(key, batch_size)))


def tree_batch(trees: Trees) -> Batch:
    """The trees as graphs whose root is asked for a leaf's value."""
    batch_size, leaves = trees.keys_BxL.shape

    def one(keys: Array, values: Array, place: Array) -> tuple[Array, Array]:
        leaf = jnp.concatenate([jax.nn.one_hot(x, leaves, dtype=float) for x in (keys, values)], -1)
        annotations = jnp.zeros((2 * leaves - 1, 2 * leaves)).at[leaves - 1 :].set(leaf)
        return annotations.at[0, keys[place]].set(1.0), values[place]

    annotations, answers_B = jax.vmap(one)(*trees)
    edges = jnp.asarray(tree_edges(leaves.bit_length() - 1))
    return graph_batch(
        annotations, jnp.broadcast_to(edges, (batch_size, *edges.shape)), answers_B, types=1,
        asked_B=jnp.zeros(batch_size, jnp.int32),
    )  # fmt: skip
