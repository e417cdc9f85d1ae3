"""Initial weights as a paper has them, in place of the cell's own.

Three kinds of parameters each have a start of their own: weights, recurrent matrices among them,
and biases. A recurrent matrix is what a cell names in `recurrent_matrices`, gate by gate. Of the
rest a weight has two axes or more, peepholes included; a bias has one. What a cell makes its first
state of, learned initial states and the scales of a layer norm stay as they are. Heads, embeddings
and attention have the start of weights and of biases.

| protocol | `config.model` |
| --- | --- |
| Chung et al. 2014 | start=uniform, start_recurrent=orthogonal, start_biases=zero |
| Pascanu et al. 2013, sigmoid | start=gaussian, start_scale=0.01, start_biases=zero |
| Pascanu et al. 2013, basic tanh | start=gaussian, start_biases=zero |
| Pascanu et al. 2013, smart tanh | start=gaussian, start_scale=0.01, start_recurrent=sparse, \
start_biases=zero |
| Hochreiter & Schmidhuber 1997 | start=uniform, start_biases=weights |

Sources: the code of Chung (`pylearn2`, `sandbox/rnn`) and of Pascanu (`trainingRNNs`).
"""

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax.extend.core import Literal

from rnnexp.cells.base import Cell
from rnnexp.cells.initializers import orthogonal, per_gate, sparse
from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.types import Array, Key, Params
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.transduction import Transducer

WEIGHTS = ("cell", "uniform", "gaussian")
RECURRENT = ("weights", "cell", "orthogonal", "sparse")
SQUARE = ("orthogonal", "sparse")
"""Starts of square matrices alone."""
BIASES = ("cell", "weights", "zero")
STREAM = 2**31 - 2
"""Makes the key of these draws of the key that the cell's own have."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """How parameters start, see the top of the file.

    Attributes:
      weights: cell (as it starts itself), uniform or gaussian.
      scale: of uniform draws the largest size, of Gaussian ones the standard deviation.
      recurrent: weights (as these), cell, orthogonal, or sparse: `entries` Gaussian numbers in a
        row, scaled to the spectral radius `radius`.
      biases: cell, weights (as these) or zero.
    """

    weights: str = "cell"
    scale: float = 0.1
    recurrent: str = "weights"
    biases: str = "cell"
    entries: int = 15
    radius: float = 0.95

    def __post_init__(self) -> None:
        require_choice("config.model.start", self.weights, WEIGHTS)
        require_choice("config.model.start_recurrent", self.recurrent, RECURRENT)
        require_choice("config.model.start_biases", self.biases, BIASES)

    @property
    def kinds(self) -> dict[str, str]:
        """How each kind of parameter starts."""
        weights = self.weights
        found = {"weights": weights, "recurrent": self.recurrent, "biases": self.biases}
        return {kind: weights if how == "weights" else how for kind, how in found.items()}

    @property
    def is_own(self) -> bool:
        """Whether everything starts as its maker has it."""
        return set(self.kinds.values()) == {"cell"}

    def draw(self, kind: str, key: Key, own: Array) -> Array:
        """The start of a parameter of a kind, in place of its own."""
        how, shape = self.kinds[kind], own.shape
        if how == "zero":
            return jnp.zeros_like(own)
        if how == "uniform":
            return jax.random.uniform(key, shape, own.dtype, -self.scale, self.scale)
        if how == "gaussian":
            return self.scale * jax.random.normal(key, shape, own.dtype)
        if how == "cell":
            return own
        blocks = partial(sparse, entries=self.entries, radius=self.radius)
        made = orthogonal if how == "orthogonal" else blocks
        return per_gate(made, key, shape[0], shape[0], shape[1] // shape[0])


def started(cell: Cell, start: Start) -> Cell:
    """The cell with other initial weights.

    Raises `UsageError` for a cell that cannot have this start.
    """
    if start.is_own:
        return cell
    kinds = _kinds(cell, start)

    def init(key: Key) -> Params:
        own, key = cell.init(key), jax.random.fold_in(key, STREAM)
        return {
            name: start.draw(kinds[name], jax.random.fold_in(key, number), leaf)
            if name in kinds
            else leaf
            for number, (name, leaf) in enumerate(sorted(own.items()))
        }

    return replace(cell, init=init)


def restart(model: SequenceModel | Transducer, start: Start, key: Key) -> None:
    """Draw anew, in place, the parameters of a model that no cell owns."""
    if start.is_own:
        return
    key = jax.random.fold_in(key, STREAM)
    of_cells = {id(node) for unit in model.units() for _, node in nnx.iter_graph(unit.layer)}
    for number, (path, node) in enumerate(nnx.iter_graph(model)):
        if not isinstance(node, nnx.Param) or id(node) in of_cells or path[-1] == "scale":
            continue
        own = node[...]
        kind = "weights" if own.ndim > 1 else "biases"
        node.set_value(start.draw(kind, jax.random.fold_in(key, number), own))


def _kinds(cell: Cell, start: Start) -> dict[str, str]:
    """The kind of each of a cell's parameters, by name, but of those that stay as they are."""
    if cell.axis != "time":
        raise _refused(cell, "makes steps of its own and has a start of its own")
    params = jax.eval_shape(cell.init, jax.random.key(0))
    kernels = _kernels(cell, start, params)
    kinds = {}
    for name in params.keys() - _of_first_state(cell, params):
        other = "weights" if params[name].ndim > 1 else "biases"
        kinds[name] = "recurrent" if name in kernels else other
    return kinds


def _kernels(cell: Cell, start: Start, params: Params) -> set[str]:
    """The parameters that hold recurrent matrices; `UsageError` if they cannot start so."""
    matrices = cell.recurrent_matrices
    if matrices is None:
        if start.recurrent != "weights":
            raise _refused(cell, "does not say which its recurrent_matrices are")
        return set()
    named = jax.eval_shape(lambda params: matrices(cell.prepare(params)), params)
    blocks = Counter(name.partition("/")[0] for name in named)
    if start.recurrent in SQUARE and not blocks:
        raise _refused(cell, f"has no recurrent matrix to start {start.recurrent}")
    for name, count in blocks.items():
        if name not in params or params[name].ndim < 2:
            raise _refused(cell, f"makes its recurrent matrix {name} of other parameters")
        rows, *columns = params[name].shape
        if start.recurrent in SQUARE and columns != [count * rows]:
            raise _refused(cell, f"has recurrent weights {name} that are no square matrices")
        if start.recurrent == "sparse" and start.entries > rows:
            raise UsageError(
                f"config.model.start_entries is {start.entries}, but a row of the recurrent "
                f"matrices of {cell.name} has {rows} entries"
            )
    return set(blocks)


def _of_first_state(cell: Cell, params: Params) -> set[str]:
    """The parameters of whose values the state before the first step is made."""
    traced = jax.make_jaxpr(cell.init_state)(params).jaxpr
    read = [value for equation in traced.eqns for value in equation.invars] + list(traced.outvars)
    used = {value for value in read if not isinstance(value, Literal)}
    return {
        name for name, value in zip(sorted(params), traced.invars, strict=True) if value in used
    }


def _refused(cell: Cell, why: str) -> UsageError:
    return UsageError(
        f"config.model.start: {cell.name} {why}; leave start, start_recurrent and start_biases "
        "at their defaults"
    )
