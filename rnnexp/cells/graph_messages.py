"""Messages along the edges of a graph: what the neighbours of every node send to it.

    a_v = sum over edges e = (u, v) of  c_e W_k(e) h_u

k(e) is the kind of an edge, its type and, if messages also go against edges, the direction. Li,
Tarlow, Brockschmidt & Zemel 2016, "Gated graph sequence neural networks", equation 2, has the sum;
`mean` divides it by the number of incoming edges; `max` is the largest message, number by number.
With normalisation `symmetric`, c = 1 / sqrt(d_u d_v), d_u the edges that leave u and d_v those that
reach v: Kipf & Welling 2017, "Semi-supervised classification with graph convolutional networks".

A graph is the context of an example, padded to V nodes and E edges:

| leaf | is |
| --- | --- |
| `annotations` | (V, I) what is known of each node, 0 in the padding |
| `nodes` | (V,) 1, or 0 for the padding |
| `senders`, `receivers` | (E,) whole numbers: the nodes from which, to which an edge leads |
| `types` | (E, R) the type of each edge, one-hot; an edge of the padding has only zeros |
| `asked` | () the node that is asked for; only in tasks that ask for one |

Prepared edges are real floats, as everything that a cell prepares of a context.
"""

import jax
import jax.numpy as jnp

from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.types import Array, Tree

AGGREGATIONS = ("sum", "mean", "max")
NORMALISATIONS = ("none", "symmetric")
Edges = dict[str, Array]
"""`senders`, `receivers`, `kinds` and `weights` c, (E,) each; an edge of the padding has weight
0."""


def check_aggregation(aggregation: str, normalisation: str) -> None:
    """Raise `UsageError` for an unknown aggregation or normalisation, or a pair that is none."""
    require_choice("aggregation", aggregation, AGGREGATIONS)
    require_choice("normalisation", normalisation, NORMALISATIONS)
    if normalisation == "symmetric" and aggregation != "sum":
        raise UsageError(
            f"normalisation='symmetric' goes with aggregation='sum', not {aggregation!r}; set "
            "cell.normalisation='none'"
        )


def prepared_edges(
    graph: Tree, dtype: jnp.dtype, *, reverse: bool, self_loops: bool, aggregation: str,
    normalisation: str,
) -> Edges:  # fmt: skip
    """The edges along which one graph sends messages.

    Args:
      reverse: every edge of R types is there against its direction too, with a kind of its own:
        R plus its type.
      self_loops: every node has an edge of kind 0 to itself.
    """
    senders_E, receivers_E = graph["senders"], graph["receivers"]
    present_E = jnp.sum(graph["types"], -1).astype(dtype)
    kinds_E = jnp.argmax(graph["types"], -1).astype(jnp.int32)
    edges = [(senders_E, receivers_E, kinds_E, present_E)]
    if reverse:
        edges.append((receivers_E, senders_E, kinds_E + graph["types"].shape[-1], present_E))
    if self_loops:
        own_V = jnp.arange(len(graph["nodes"]), dtype=jnp.int32)
        edges.append((own_V, own_V, jnp.zeros_like(own_V), graph["nodes"].astype(dtype)))
    senders_E, receivers_E, kinds_E, present_E = (
        jnp.concatenate(parts) for parts in zip(*edges, strict=True)
    )
    weights_E, nodes = present_E, len(graph["nodes"])
    into_E = jax.ops.segment_sum(present_E, receivers_E, nodes)[receivers_E]
    if aggregation == "mean":
        weights_E = present_E / jnp.maximum(into_E, 1)
    if normalisation == "symmetric":
        out_E = jax.ops.segment_sum(present_E, senders_E, nodes)[senders_E]
        weights_E = present_E / jnp.sqrt(jnp.maximum(into_E * out_E, 1))
    numbers = {"senders": senders_E, "receivers": receivers_E, "kinds": kinds_E}
    return {**{name: x.astype(dtype) for name, x in numbers.items()}, "weights": weights_E}


def messages(h_VxS: Array, w_KxSxM: Array, edges: Edges, aggregation: str) -> Array:
    """What every node receives, (V, M): 0 without an incoming edge."""
    senders_E, receivers_E, kinds_E = (
        edges[name].astype(jnp.int32) for name in ("senders", "receivers", "kinds")
    )
    sent_VxKxM = jnp.einsum("vs,ksm->vkm", h_VxS, w_KxSxM)
    rows_ExM = sent_VxKxM[senders_E, kinds_E] * edges["weights"][:, None]
    if aggregation != "max":
        return jax.ops.segment_sum(rows_ExM, receivers_E, len(h_VxS))
    rows_ExM = jnp.where(edges["weights"][:, None] > 0, rows_ExM, -jnp.inf)
    # the gradient compares the rows with their maximum again: both must be the same numbers
    rows_ExM = jax.lax.optimization_barrier(rows_ExM)
    largest_VxM = jax.ops.segment_max(rows_ExM, receivers_E, len(h_VxS))
    return jnp.where(jnp.isfinite(largest_VxM), largest_VxM, 0.0)


def dirichlet_energy(h_VxS: Array, edges: Edges, nodes_V: Array) -> Array:
    """How much the nodes differ from their neighbours, (): the mean over the nodes v of the sum of
    ||h_u - h_v||^2 over the edges (u, v). 0 if all nodes of a connected graph are the same.

    Rusch, Bronstein & Mishra 2023, "A survey on oversmoothing in graph neural networks",
    equation 3.
    """
    senders_E, receivers_E = (edges[name].astype(jnp.int32) for name in ("senders", "receivers"))
    present_E = (edges["weights"] > 0).astype(h_VxS.dtype)
    square_E = jnp.sum(jnp.square(h_VxS[senders_E] - h_VxS[receivers_E]), -1)
    return jnp.sum(present_E * square_E) / jnp.sum(nodes_V)
