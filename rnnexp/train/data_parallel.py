"""Division of a batch over several devices, and the sums over them.

Each device draws the batch of a step, which is a function of (key, step), and runs forward and
backward on its own examples. The counts of the scores are summed over the devices first, so
that each device's loss is its part of the mean over the whole batch. Gradients, mean scores and
profiles (norms are sums over the batch) are summed once, after the backward pass: two exchanges
a step, none inside the scan over time. Every device computes the rest (clipping, optimiser,
divergence, records).

With one device every function here returns its argument, or the mean itself.

JAX's check of replication (`check_vma`) is off: it rejects scans with constant initial values,
such as those of the cells.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.errors import UsageError
from rnnexp.core.registry import TO_ONE
from rnnexp.core.tree import flat
from rnnexp.core.types import Array, Batch, Tree
from rnnexp.runtime.mesh import BATCH_AXIS, WHOLE, make_mesh
from rnnexp.tasks.base import Score
from rnnexp.train.placement import STATE

F = TypeVar("F", bound=Callable[..., Any])


def divide_chunk(devices: int, chunk: F) -> F:
    """A chunk `(state, ...) -> (state, order, records)`, run by every device on its examples."""
    return _divided(devices, chunk, (STATE, *[WHOLE] * 6), (STATE, WHOLE, WHOLE))


def divide_evaluation(devices: int, evaluate: F) -> F:
    """An evaluation `(params, key, arrays) -> means`, run by every device on its batches."""
    return _divided(devices, evaluate, WHOLE, WHOLE)


def _divided(devices: int, function: F, in_specs: Any, out_specs: Any) -> F:
    if devices == 1:
        return function
    divided: F = jax.shard_map(
        function, mesh=make_mesh(devices), in_specs=in_specs, out_specs=out_specs, check_vma=False
    )
    return divided


def own_examples(devices: int, batch: Batch, mode: str) -> Batch:
    """This device's examples of a batch.

    `UsageError` unless the batch is the first axis of the targets in tasks with one output an
    example, and the second, after time, in others.
    """
    if devices == 1:
        return batch
    size = batch.inputs_TxBxI.shape[1]
    axis = 0 if mode in TO_ONE else 1
    if batch.targets.ndim <= axis or batch.targets.shape[axis] != size:
        raise UsageError(
            f"config.devices: targets of a {mode} task must have the batch ({size}) as axis "
            f"{axis}, but are of shape {batch.targets.shape}"
        )

    def own(tree: Tree, axis: int) -> Tree:
        part = size // devices
        start = jax.lax.axis_index(BATCH_AXIS) * part
        return jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, start, part, axis), tree)

    return Batch(*map(own, batch, (1, axis, 0, 0, 0)))


def own_batches(devices: int, count: int) -> Array:
    """The indices of the batches that this device evaluates; the last may exceed their number."""
    if devices == 1:
        return jnp.arange(count, dtype=jnp.int32)
    rounds = jnp.arange(-(-count // devices), dtype=jnp.int32)
    return rounds * devices + jax.lax.axis_index(BATCH_AXIS)


def mean_shares(devices: int, scored: Mapping[str, Score]) -> dict[str, Array]:
    """The parts of the means of the whole batch from this device's examples."""
    if devices == 1:
        return {name: score.mean() for name, score in scored.items()}
    counts = add_up(devices, {name: jnp.sum(score.count_B) for name, score in scored.items()})
    return {name: jnp.sum(score.total_B) / counts[name] for name, score in scored.items()}


def add_up(devices: int, tree: Tree) -> Tree:
    """The sums over all devices, leaf by leaf, in one exchange for each dtype."""
    if devices == 1:
        return tree
    leaves, structure = jax.tree.flatten(tree)
    # the same order in every process
    for dtype in sorted({leaf.dtype for leaf in leaves}, key=str):
        places = [n for n, leaf in enumerate(leaves) if leaf.dtype == dtype]
        cuts = np.cumsum([leaves[n].size for n in places])[:-1].tolist()
        parts = jnp.split(jax.lax.psum(flat([leaves[n] for n in places]), BATCH_AXIS), cuts)
        for n, part in zip(places, parts, strict=True):
            leaves[n] = part.reshape(leaves[n].shape)
    return jax.tree.unflatten(structure, leaves)
