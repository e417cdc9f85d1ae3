"""The programs of a run for many runs side by side. No input or output.

Runs that differ only in traced values are *lanes* of one program. A layout is the number of
devices and of lanes side by side (vmapped) on each. A single lane on a device runs the solo
program; several give the same numbers within rounding, because other kernels multiply stacked
matrices. Lanes are independent: one that diverged or is idle does not affect the others.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rnnexp.core.types import Array, Tree
from rnnexp.tasks.batches import EpochOrder, Keys, current_orders
from rnnexp.train.chunk import Chunk, active, chunk_function, parts_of, take_until
from rnnexp.train.evaluate import Evaluate
from rnnexp.train.optim import Hyper
from rnnexp.train.program import Recipe, TrainState
from rnnexp.train.step import Lane
from rnnexp.train.step_metrics import RecordRows

AXIS = "lanes"


class LaneLayout(NamedTuple):
    """The number of devices, and of lanes side by side on each."""

    devices: int = 1
    width: int = 1

    @property
    def lanes(self) -> int:
        """The number of runs that train at a time."""
        return self.devices * self.width

    def __str__(self) -> str:
        plural = "s" * (self.devices > 1)
        return f"{self.devices} device{plural}, {self.width} side by side on each"


def over_lanes(layout: LaneLayout) -> NamedSharding | None:
    """The sharding of an array with a leading axis of lanes; None for one lane."""
    return None if layout.lanes == 1 else NamedSharding(_mesh(layout), PartitionSpec(AXIS))


def everywhere(layout: LaneLayout) -> NamedSharding | None:
    """The sharding of an array that all lanes read; None for one lane."""
    return None if layout.lanes == 1 else NamedSharding(_mesh(layout), PartitionSpec())


def spread_chunk(
    recipe: Recipe, layout: LaneLayout
) -> Callable[..., tuple[TrainState, EpochOrder, RecordRows]]:
    """The compiled chunk of all lanes; every argument but `arrays` has a leading axis of them.

    State and order are donated. With one lane there is no such axis.
    """
    chunk = chunk_function(recipe)
    if layout.lanes == 1:
        return jax.jit(chunk, donate_argnums=(0, 1))
    body = partial(_alone, chunk) if layout.width == 1 else wide_chunk(recipe)
    return jax.jit(_mapped(body, layout, 6), donate_argnums=(0, 1))


def spread_evaluate(evaluate: Evaluate, layout: LaneLayout) -> Callable[..., dict[str, Array]]:
    """The compiled evaluation `(params, key, due, arrays) -> {name: mean}` of all lanes.

    A device without a lane that is `due` returns zeros and computes nothing.
    """

    def solo(params: Tree, key: Array, due: Array, arrays: Tree) -> dict[str, Array]:
        return evaluate(params, key, arrays)

    def wide(params: Tree, key: Array, due: Array, arrays: Tree) -> Any:
        alone = layout.width == 1
        one = partial(_alone, evaluate) if alone else jax.vmap(evaluate, (0, 0, None))
        shapes = jax.eval_shape(one, params, key, arrays)
        return jax.lax.cond(jnp.any(due), lambda: one(params, key, arrays), lambda: _zeros(shapes))

    return jax.jit(solo if layout.lanes == 1 else _mapped(wide, layout, 3))


def run_on_lanes(function: Callable[..., Any], layout: LaneLayout, lane_arguments: int) -> Any:
    """A function of one lane, compiled for all lanes, which share its last argument.

    Every other argument, and the result, has a leading axis of lanes.
    """
    axes = (*(0,) * lane_arguments, None)
    body = partial(_alone, function) if layout.width == 1 else jax.vmap(function, axes)
    return jax.jit(_mapped(body, layout, lane_arguments))


def wide_chunk(recipe: Recipe) -> Chunk:
    """The chunk of `chunk_function` for lanes side by side, each at its own step.

    A vmapped branch would compute all branches for all lanes. So each step computes the plain
    branch if any lane takes it, and the recorded one likewise, and every lane picks its result:
    other lanes may cost time, but never change its numbers.
    """

    def chunk(
        state: TrainState,
        order: EpochOrder,
        stop: Array,
        every: Array,
        keys: Keys,
        hyper: Hyper,
        arrays: Tree,
    ) -> tuple[TrainState, EpochOrder, RecordRows]:
        source, size = recipe.task.train, recipe.batch_size
        order = current_orders(source, keys.data, state.step, size, order)
        first = Lane(state, order.indices, keys, hyper)
        one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), first)
        parts = parts_of(recipe, arrays, one)
        plain, recorded = (jax.vmap(f, (None, 0)) for f in (parts.plain, parts.recorded))
        update, finish = jax.vmap(parts.update), jax.vmap(parts.finish)
        shapes = jax.eval_shape(recorded, arrays, first)
        nothing = jnp.zeros((state.step.size, parts.contents.size))

        def take(state: TrainState) -> tuple[TrainState, Array, Array]:
            lane, at_work = first._replace(state=state), active(state, stop)
            logged = at_work & (state.step % every == 0)
            skip = lambda *_: _zeros(shapes)  # noqa: E731
            full = jax.lax.cond(jnp.any(logged), recorded, skip, arrays, lane)
            bare = jax.lax.cond(jnp.any(at_work & ~logged), plain, skip, arrays, lane)
            got, row = _pick(logged, full, bare)
            done = update(state, got, hyper)
            finish_all = partial(finish, row, state, got.grads, done)
            rows = jax.lax.cond(jnp.any(logged), finish_all, lambda: nothing)
            return _pick(at_work, done.state, state), logged, _pick(logged, rows, nothing)

        new, rows = take_until(stop, take, state, recipe.chunk_steps, parts.contents)
        return new, order, jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), rows)

    return chunk


def _alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """A function of one lane on arguments with an axis of one lane, except the last."""
    lane = jax.tree.map(lambda x: x[0], arguments[:-1])
    return jax.tree.map(lambda x: x[None], function(*lane, arguments[-1]))


def _mapped(function: Callable[..., Any], layout: LaneLayout, lane_arguments: int) -> Any:
    """The function on every device, each with its own lanes and all of the last argument."""
    lanes, whole = PartitionSpec(AXIS), PartitionSpec()
    specs = (*(lanes,) * lane_arguments, whole)
    return jax.shard_map(
        function, mesh=_mesh(layout), in_specs=specs, out_specs=lanes, check_vma=False
    )


def _mesh(layout: LaneLayout) -> Mesh:
    return Mesh(np.array(jax.devices()[: layout.devices]), (AXIS,))


def _pick(which_L: Array, yes: Tree, no: Tree) -> Tree:
    """Each lane's leaves from one tree or the other."""

    def pick(a: Array, b: Array) -> Array:
        return jnp.where(which_L.reshape(-1, *(1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(pick, yes, no)


def _zeros(shapes: Any) -> Any:
    return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
