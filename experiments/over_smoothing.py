"""How fast the nodes of a graph network become the same, by the cell that updates them.

    python experiments/over_smoothing.py [--steps 400]

Nodes stand on a cycle of n and send to both neighbours and to themselves, with the symmetric
normalisation: Â has the eigenvalues (1 + 2 cos(2 pi k / n)) / 3. Of the linear network h <- Â h
whose states have mean 0, the Dirichlet energy falls to the second one squared a step, lambda_2^2:
slower, the larger the cycle (Oono & Suzuki 2020, "Graph neural networks exponentially lose
expressive power for node classification"). Other updates do it in their own way: their weights are
drawn, not trained, their start is a linear map of normal annotations.

Prints the factor by which the energy falls a step, the geometric mean over the last quarter of the
steps before it leaves float64 (1e-25 of the first), in float64. Seeds are fixed.
"""

import argparse
import math

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.cells.base import Cell
from rnnexp.cells.feedforward import feedforward
from rnnexp.cells.graph import graph_network, update_cell
from rnnexp.cells.graph_messages import dirichlet_energy, prepared_edges
from rnnexp.cells.graph_parameters import Options
from rnnexp.cells.graph_readout import readout_of
from rnnexp.core.types import Array, Params, Tree
from rnnexp.scan.unroll import unroll

SIZES = (8, 16, 32)
UPDATES = ("linear", "gru", "lstm", "rnn", "min_gru", "antisymmetric")
HIDDEN, FEATURES = 32, 4
GONE = 1e-25


def cycle(size: int) -> Tree:
    """A cycle whose nodes have normal annotations of mean 0, as a context of one example."""
    place = jnp.arange(size, dtype=jnp.int32)
    after = (place + 1) % size
    x_VxI = jax.random.normal(jax.random.key(size), (size, FEATURES))
    return {
        "annotations": x_VxI - jnp.mean(x_VxI, 0, keepdims=True),
        "nodes": jnp.ones(size),
        "senders": jnp.concatenate([place, after]),
        "receivers": jnp.concatenate([after, place]),
        "types": jnp.ones((2 * size, 1)),
    }


def network(name: str, graph: Tree, steps: int) -> tuple[Cell, Params]:
    """A network with that update and its initial weights; `linear`: h <- Â h."""
    linear = name == "linear"
    update = (
        feedforward(HIDDEN, HIDDEN, activation="linear") if linear else update_cell(name, HIDDEN)
    )
    options = Options(
        steps=steps, reverse=False, self_loops=True, normalisation="symmetric", start="linear"
    )
    readout = readout_of("graph_to_one", update.output_size + FEATURES, HIDDEN, 1, graph)
    cell = graph_network(update, FEATURES, readout, graph, options, output_size=1)
    params = dict(cell.init(jax.random.key(1)))
    if linear:
        params |= {"update_w_x": jnp.eye(HIDDEN), "w_message": jnp.eye(HIDDEN)[None]}
    return cell, params


def energies(name: str, size: int, steps: int) -> np.ndarray:
    """The Dirichlet energy before the first step and after each, (T + 1,)."""
    graph = cycle(size)
    cell, params = network(name, graph, steps)
    edges = prepared_edges(
        graph, jnp.dtype(float), reverse=False, self_loops=False, aggregation="sum",
        normalisation="none",
    )  # fmt: skip

    @jax.jit
    def run(params: Params) -> Array:
        batch = jax.tree.map(lambda leaf: leaf[None], graph)
        nothing = jnp.zeros((steps, 1, FEATURES))
        states = unroll(cell, params, nothing, context=batch, keep_states=True).states
        assert states is not None
        begin = graph["annotations"] @ params["w_start"] + params["b_start"][None]
        h_TxVxH = jnp.concatenate([begin[None], states[cell.hidden][:, 0]])
        return jax.vmap(lambda h: dirichlet_energy(h, edges, graph["nodes"]))(h_TxVxH)

    return np.asarray(run(params))


def factor(energy_T: np.ndarray) -> float:
    """The factor a step, over the last quarter of the steps before the energy is gone."""
    there = np.flatnonzero(energy_T > GONE * energy_T[0])
    last = int(there[-1])
    first = last - max(1, last // 4)
    return float((energy_T[last] / energy_T[first]) ** (1 / (last - first)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=400)
    known = parser.parse_args()
    print(f"| update | {' | '.join(f'n = {size}' for size in SIZES)} |")
    print("| --- |" + " --- |" * len(SIZES))
    second = [(1 + 2 * math.cos(2 * math.pi / size)) / 3 for size in SIZES]
    print(f"| λ₂ | {' | '.join(f'{value:.4f}' for value in second)} |")
    print(f"| λ₂² | {' | '.join(f'{value**2:.6f}' for value in second)} |")
    with jax.enable_x64(True):
        for name in UPDATES:
            found = [factor(energies(name, size, known.steps)) for size in SIZES]
            print(f"| {name} | {' | '.join(f'{value:.6f}' for value in found)} |", flush=True)


if __name__ == "__main__":
    main()
