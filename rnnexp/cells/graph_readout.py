"""What a graph network answers, from its nodes' states and annotations f_v = [h_v, x_v].

| mode | output |
| --- | --- |
| `graph_to_node` | (V,) w tanh(W f_v + b): logits of the nodes, 0 in the padding, which a |
| | task's scores leave out (`rnnexp.tasks.graphs.choice_scores`) |
| `graph_to_nodes` | (V * O,) W f_v + b, node after node |
| `graph_to_one` | (O,) W f_v + b at the node asked for; if none is asked for, W g + b with the |
| | gated sum g = tanh(sum over v of s(W_i f_v + b_i) * tanh(W_j f_v + b_j)) |

s is the logistic function, * element by element. Li, Tarlow, Brockschmidt & Zemel 2016, "Gated
graph sequence neural networks", section 3.3 and equation 7.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from rnnexp.cells.initializers import glorot_uniform
from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.registry import GRAPH_MODES
from rnnexp.core.types import Array, Key, Params, Tree


@dataclass(frozen=True)
class Readout:
    """A readout of fixed sizes.

    Attributes:
      shapes: of its parameters, by name.
      outputs: `(params, f_VxF, nodes_V, asked_V) -> (outputs,)`; `asked_V` is one-hot, and only
        needed where a node is asked for.
    """

    shapes: dict[str, tuple[int, ...]]
    outputs: Callable[[Params, Array, Array, Array | None], Array]

    def init(self, key: Key) -> Params:
        """Glorot uniform matrices, biases 0."""
        keys = jax.random.split(key, len(self.shapes))
        return {
            name: jnp.zeros(shape) if len(shape) == 1 else glorot_uniform(k, shape)
            for k, (name, shape) in zip(keys, self.shapes.items(), strict=True)
        }


def readout_of(
    mode: str, features: int, hidden_size: int, output_size: int, graph: Tree
) -> Readout:
    """The readout of a mode.

    Args:
      features: F, the size of f_v.
      hidden_size: of what is between f_v and the answer, where there is something.
      output_size: the outputs of the task.
      graph: shapes of the graph of an example.

    Raises `UsageError` for another mode, and outputs that do not fit the nodes.
    """
    require_choice("mode", mode, GRAPH_MODES)
    nodes, asks = graph["nodes"].shape[0], "asked" in graph
    if mode == "graph_to_node" and output_size != nodes:
        raise UsageError(
            f"a graph_to_node task has as many outputs as nodes, {nodes}, not {output_size}"
        )
    if mode == "graph_to_nodes" and output_size % nodes:
        raise UsageError(
            f"a graph_to_nodes task has outputs for each of its {nodes} nodes, a multiple of "
            f"that, not {output_size}"
        )
    if mode == "graph_to_node":
        return _to_node(features, hidden_size)
    if mode == "graph_to_nodes":
        return _linear(features, output_size // nodes, to_one=False)
    if asks:
        return _linear(features, output_size, to_one=True)
    return _gated_sum(features, hidden_size, output_size)


def _to_node(features: int, hidden_size: int) -> Readout:
    shapes = {
        "w_score": (features, hidden_size), "b_score": (hidden_size,), "v_score": (hidden_size, 1),
    }  # fmt: skip

    def outputs(params: Params, f_VxF: Array, nodes_V: Array, asked_V: Array | None) -> Array:
        del asked_V
        hidden_VxH = jnp.tanh(f_VxF @ params["w_score"] + params["b_score"][None])
        scores_V = (hidden_VxH @ params["v_score"])[:, 0]
        return jnp.where(nodes_V > 0, scores_V, 0.0)

    return Readout(shapes, outputs)


def _linear(features: int, output_size: int, *, to_one: bool) -> Readout:
    shapes = {"w_out": (features, output_size), "b_out": (output_size,)}

    def outputs(params: Params, f_VxF: Array, nodes_V: Array, asked_V: Array | None) -> Array:
        del nodes_V
        rows = f_VxF if asked_V is None or not to_one else asked_V[None] @ f_VxF
        answers: Array = (rows @ params["w_out"] + params["b_out"][None]).reshape(-1)
        return answers

    return Readout(shapes, outputs)


def _gated_sum(features: int, hidden_size: int, output_size: int) -> Readout:
    F, H = features, hidden_size
    shapes = {
        "w_gate": (F, H), "b_gate": (H,), "w_value": (F, H), "b_value": (H,),
        "w_out": (H, output_size), "b_out": (output_size,),
    }  # fmt: skip

    def outputs(params: Params, f_VxF: Array, nodes_V: Array, asked_V: Array | None) -> Array:
        del asked_V
        gate_VxH = jax.nn.sigmoid(f_VxF @ params["w_gate"] + params["b_gate"][None])
        value_VxH = jnp.tanh(f_VxF @ params["w_value"] + params["b_value"][None])
        whole_H = jnp.tanh(nodes_V @ (gate_VxH * value_VxH))
        answer: Array = whole_H @ params["w_out"] + params["b_out"]
        return answer

    return Readout(shapes, outputs)
