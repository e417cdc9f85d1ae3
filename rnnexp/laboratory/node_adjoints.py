"""dL/dh_v of every node of a graph, at every propagation step, by its distance from the answer.

Training records the norm over all nodes. Here the nodes stand apart, and are put together by how
many edges away from the answer they are: what a loss at one node says to nodes far from it. Beside
it stands the Dirichlet energy of the hidden states, which falls to 0 where all nodes become the
same (see `rnnexp.cells.graph_messages.dirichlet_energy`).

Step 0 is the state before the first propagation step, and distances are those along which messages
go: the fewest edges from a node to the nearest node that answers. That is the node asked for; in
`graph_to_node` the right one; in `graph_to_nodes` those that are scored; if a graph answers as a
whole, all of its nodes. L is the loss of one example, as training takes it, without noise.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.cells.base import CONTEXT
from rnnexp.cells.graph_messages import dirichlet_energy
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch, State, Tree
from rnnexp.gradflow.adjoints import probes, tap, zero_slot
from rnnexp.gradflow.position_losses import apply
from rnnexp.laboratory.measure import step_by_step
from rnnexp.models.forward import ForwardOptions
from rnnexp.models.sequence import SequenceModel
from rnnexp.scan.step import prepare_batch

if TYPE_CHECKING:
    import xarray

Losses: TypeAlias = Callable[[Array, Batch], Array]
"""`(outputs, batch) -> (B,)`: the loss of every example."""
EDGES = ("senders", "receivers", "nodes", "weights")
"""Leaves of a prepared context without which a cell is no graph network."""


class NodeAdjoints(NamedTuple):
    """The nodes of B graphs along T propagation steps; the first row is before the first step.

    Attributes:
      norm_BxTxV: ||dL/dh_v||, of each example's own loss.
      energy_BxT: the Dirichlet energy.
      edges: of each example its prepared edges, (B, E) by name, and `nodes`, (B, V).
    """

    norm_BxTxV: Array
    energy_BxT: Array
    edges: Tree


def node_adjoints(model: SequenceModel, batch: Batch, losses: Losses) -> NodeAdjoints:
    """dL/dh_v by node, and the Dirichlet energy, of every example, in one backward pass.

    Raises `UsageError` if the cell is no graph network.
    """
    scanned = step_by_step(model)
    (unit,) = scanned.units()
    cell, params = unit.layer.cell, unit.layer.params()
    prepared = {} if cell.context is None else prepare_batch(cell, params, batch.context)[CONTEXT]
    if any(name not in prepared for name in EDGES):
        raise UsageError(
            f"cell {cell.name!r} is no graph network, so there are no nodes to look at"
        )
    leaf, size = cell.hidden, batch.inputs_TxBxI.shape[1]
    start = unit.layer.start(size, batch.context)
    slot = {leaf: zero_slot(cell, params, cell.steps, size)[leaf]}

    def run(slot: State, change: Array) -> tuple[Array, Array]:
        begin = {**start, leaf: start[leaf] + change}
        options = ForwardOptions(states=[begin], probes=probes(tap, [slot]), keep_states=True)
        got = apply(scanned, batch, options)
        return jnp.sum(losses(got.outputs, batch)), got.trajectories[0].states[leaf]

    slopes, states = jax.grad(run, argnums=(0, 1), has_aux=True)(slot, jnp.zeros_like(start[leaf]))
    adjoint = jnp.concatenate([slopes[1][None], slopes[0][leaf]])
    hidden = jnp.concatenate([start[leaf][None], states])
    adjoint, hidden = (x.reshape(*x.shape[:3], -1) for x in (adjoint, hidden))
    of_nodes = jax.vmap(jax.vmap(dirichlet_energy), in_axes=(0, None, None))
    edges = {name: prepared[name] for name in EDGES}
    energy_TxB = of_nodes(hidden, {k: edges[k] for k in EDGES if k != "nodes"}, edges["nodes"])
    norm_TxBxV = jnp.sqrt(jnp.sum(adjoint * adjoint, axis=-1))
    return NodeAdjoints(jnp.moveaxis(norm_TxBxV, 0, 1), energy_TxB.T, edges)


def answering_nodes(batch: Batch, mode: str) -> np.ndarray:
    """The nodes at which a graph answers, (B, V) of bool."""
    context = batch.context
    there_BxV = np.asarray(context["nodes"]) > 0
    place_V = np.arange(there_BxV.shape[1])
    if "asked" in context:
        chosen: np.ndarray = place_V[None] == np.asarray(context["asked"])[:, None]
    elif mode == "graph_to_node":
        chosen = place_V[None] == np.asarray(batch.targets)[:, None]
    else:
        chosen = np.asarray(context.get("scored", context["nodes"])) > 0
    return chosen & there_BxV


def distances(edges: Tree, answering_BxV: np.ndarray) -> np.ndarray:
    """The fewest edges from each node to one that answers, (B, V), along the messages; inf where
    there is no way, and in the padding."""
    senders, receivers = (np.asarray(edges[name]).astype(int) for name in ("senders", "receivers"))
    there_BxE = np.asarray(edges["weights"]) > 0
    found = np.where(answering_BxV, 0.0, np.inf)
    for row, u, v, there in zip(found, senders, receivers, there_BxE, strict=True):
        for _ in range(len(row)):
            before = row.copy()
            np.minimum.at(row, u[there], before[v[there]] + 1)
            if np.array_equal(row, before):
                break
    return np.where(np.asarray(edges["nodes"]) > 0, found, np.inf)


def nodes_dataset(found: NodeAdjoints, answering_BxV: np.ndarray) -> "xarray.Dataset":
    """Node adjoints as a labelled Dataset, on the host.

    Returns:
      (example, propagation, node): `adjoint_norm`, NaN in the padding. (example, node): `distance`,
      inf without a way. (propagation, distance): `by_distance`, the mean norm of all nodes at that
      distance. (distance): `nodes_at`, how many there are. (propagation): `energy`, the mean
      Dirichlet energy of the examples.
    """
    import xarray

    distance_BxV = distances(found.edges, answering_BxV)
    there_BxV = np.asarray(found.edges["nodes"]) > 0
    norm_BxTxV = np.where(there_BxV[:, None], np.asarray(found.norm_BxTxV, np.float64), np.nan)
    far = int(distance_BxV[np.isfinite(distance_BxV)].max(initial=0))
    at = [distance_BxV == d for d in range(far + 1)]
    rows_TxBxV = np.moveaxis(norm_BxTxV, 1, 0)
    by_distance = np.stack([rows_TxBxV[:, of].mean(axis=1) for of in at], axis=1)
    variables = {
        "adjoint_norm": (("example", "propagation", "node"), norm_BxTxV),
        "distance": (("example", "node"), distance_BxV),
        "by_distance": (("propagation", "edges_away"), by_distance),
        "nodes_at": (("edges_away",), np.array([of.sum() for of in at])),
        "energy": (("propagation",), np.asarray(found.energy_BxT, np.float64).mean(axis=0)),
    }
    return xarray.Dataset(variables)
