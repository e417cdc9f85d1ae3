"""Noise on the weights of the recurrent cells.

Every weight w of a cell becomes w + sigma e, with e standard normal, drawn once for all examples
and all steps of a pass. Biases have no noise, and neither have readouts, embeddings and initial
states. The gradient is taken at the noisy weights and changes the weights themselves (Graves
2011, "Practical variational inference for neural networks", with a fixed variance; Chung et al.
2014, "Empirical evaluation of gated recurrent neural networks on sequence modeling").

A cell's weights are its parameters with two axes or more, and those with one axis that multiply
its state, as the recurrent weights of an `indrnn`.
"""

import jax
from flax import nnx

from rnnexp.cells.base import Cell
from rnnexp.core.tree import named_leaves
from rnnexp.core.types import Key, Params, Tree
from rnnexp.gradflow.position_losses import Model
from rnnexp.gradflow.recurrent_params import find_recurrence
from rnnexp.train.program import Recipe

STREAM = 2**31 - 1
"""Distinguishes the key of this noise from those of dropout, which count a model's units."""


def noisy_weights(recipe: Recipe, params: Tree, key: Key) -> Tree:
    """The parameters with the recipe's noise, a function of the key of a step's noise."""
    if not recipe.weight_noise:
        return params
    key = jax.random.fold_in(key, STREAM)
    return add_weight_noise(recipe.model(params), recipe.weight_noise, key)


def add_weight_noise(model: Model, deviation: float, key: Key) -> Tree:
    """The parameters of a model, in which every weight of its cells has noise of its own."""
    for number, unit in enumerate(model.units()):
        unit_key = jax.random.fold_in(key, number)
        weights = weights_of(unit.layer.cell, unit.layer.params())
        for name, value in unit.layer.params().items():
            leaves = {}
            for path, leaf in named_leaves({name: value}).items():
                leaves[path] = leaf
                if path in weights:
                    leaf_key = jax.random.fold_in(unit_key, weights.index(path))
                    noise = jax.random.normal(leaf_key, leaf.shape, leaf.dtype)
                    leaves[path] = leaf + deviation * noise
            noisy = jax.tree.unflatten(jax.tree.structure(value), leaves.values())
            unit.layer.param(name).set_value(noisy)
    params: Tree = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    return params


def weights_of(cell: Cell, params: Params) -> list[str]:
    """The paths of a cell's weights among its parameters, in order."""
    recurrent = find_recurrence(cell).names if cell.context is None else frozenset()
    return [n for n, leaf in named_leaves(params).items() if leaf.ndim > 1 or n in recurrent]
