"""Zachary's karate club: the side that each member took, from those of the two leaders.

The one graph of `rnnexp.data.karate`, as in Kipf & Welling 2017, "Semi-supervised classification
with graph convolutional networks", appendix A, with two labels in place of four: training knows the
sides of the instructor and of the administrator, and nothing of any other member. The annotation is
the member itself, one-hot. Of the other 32 members every second one is for validation, the rest for
the test. Edges are there in both directions.

Both sides have 17 members: without the edges chance is the best, ln 2.
"""

import math

import jax.numpy as jnp
import numpy as np

from rnnexp.core.types import Array, Batch, Tree
from rnnexp.data import karate
from rnnexp.tasks.base import Finite, Task
from rnnexp.tasks.graphs import graph_batch, node_scores

LEADERS = (0, karate.MEMBERS - 1)


def karate_club() -> Task:
    """Tell the sides of all members from those of two."""
    others = [member for member in range(karate.MEMBERS) if member not in LEADERS]
    return Task(
        name="karate_club",
        mode="graph_to_nodes",
        input_size=karate.MEMBERS,
        output_size=2 * karate.MEMBERS,
        num_steps=karate.MEMBERS,
        train=source(LEADERS),
        valid=source(others[0::2]),
        test=source(others[1::2]),
        scores=node_scores,
        baseline={"loss": math.log(2), "accuracy": 0.5},
        headline="accuracy",
        higher_is_better=True,
    )


def source(scored: object) -> Finite:
    """The one graph, of which so many members' sides are scored."""
    pairs = karate.pairs()
    both = np.concatenate([pairs, pairs[:, ::-1]])
    edges = np.concatenate([both, np.zeros((len(both), 1), np.int32)], 1)
    scored_V = np.zeros(karate.MEMBERS, np.float32)
    scored_V[np.array(scored)] = 1
    arrays = tuple(
        jnp.asarray(x[None]) for x in (np.eye(karate.MEMBERS, dtype=np.float32), edges,
                                       karate.sides(), scored_V)
    )  # fmt: skip

    def take(arrays: Tree, indices_B: Array) -> Batch:
        annotations, edges, sides, scored_BxV = (leaf[indices_B] for leaf in arrays)
        return graph_batch(annotations, edges, sides, types=1, scored_BxV=scored_BxV)

    return Finite(arrays, 1, take)
