"""The jitted chunk of training steps, and evaluation. No input or output.

A run is one compiled function of (state, chunk). A chunk is a scan over steps; each is
skipped, taken, or taken and recorded, by a branch on traced values, so one program
serves every chunk of a run, whatever its length. The host logs and decides between.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from rnnexp.gradflow.adjoints import norm_recorder, probes, value_grads_adjoints
from rnnexp.gradflow.profile import fit_decay
from rnnexp.models.sequence import SequenceModel
from rnnexp.optim import Hyper, clip, optimizer, update_params
from rnnexp.tasks.base import Task, epoch_order, evaluation_batch, training_batch
from rnnexp.trees import leaf_norms, tree_norm
from rnnexp.types import Array, Batch, Key, Tree
from rnnexp.unroll import Probe


class TrainState(NamedTuple):
    """Everything that changes from step to step.

    `step` counts the updates made. At a divergence it stays at the step that failed,
    with the parameters that the step started from.
    """

    params: Tree
    opt_state: Tree
    step: Array
    diverged: Array


class Records(NamedTuple):
    """What a chunk reports, with a leading axis over its steps.

    `recorded` says which rows hold figures; the others are zeros. `scalars` are by name
    and `norms` are profiles (L, T) by state leaf.
    """

    step: Array
    recorded: Array
    scalars: dict[str, Array]
    norms: dict[str, Array]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The static choices of a training program."""

    task: Task
    graphdef: Any
    optimizer: str
    clip: str
    rate_factor: Callable[[Array], Array]
    batch_size: int
    chunk_steps: int


class _Stepped(NamedTuple):
    """A step's new state and what it measured."""

    state: TrainState
    scalars: dict[str, Array]
    norms: dict[str, Array]


def init_state(recipe: Recipe, params: Tree, hyper: Hyper) -> TrainState:
    """The state before the first step."""
    transform = optimizer(recipe.optimizer, hyper, hyper["learning_rate"])
    return TrainState(params, transform.init(params), jnp.zeros((), jnp.int32), jnp.zeros((), bool))


def batch_loss(
    recipe: Recipe, params: Tree, batch: Batch, layer_probes: Sequence[Probe] | None
) -> tuple[Array, dict[str, Array]]:
    """Mean loss of a batch and all its mean scores; `layer_probes` sit on the states."""
    model: SequenceModel = nnx.merge(recipe.graphdef, params)
    outputs = model(batch.inputs_TxBxI, lengths_B=batch.lengths_B, probes=layer_probes)
    means = {name: score.mean() for name, score in recipe.task.scores(outputs, batch).items()}
    return means["loss"], means


def backward(
    recipe: Recipe, params: Tree, batch: Batch, *, record: bool
) -> tuple[dict[str, Array], Tree, dict[str, Array]]:
    """Mean scores, dL/dparams and, with `record`, the profiles of the same backward pass."""
    loss_fn = partial(batch_loss, recipe)
    if not record:
        (_, means), grads = jax.value_and_grad(loss_fn, has_aux=True)(params, batch, None)
        return means, grads, {}
    model: SequenceModel = nnx.merge(recipe.graphdef, params)
    layer_params = [layer.params() for layer in model.layers]
    steps, batch_size, _ = batch.inputs_TxBxI.shape
    recorder = norm_recorder(model.cells(), layer_params, steps, batch_size)
    _, means, grads, adjoints = value_grads_adjoints(
        lambda params, slots: loss_fn(params, batch, probes(recorder.apply, slots)),
        params,
        recorder.slots,
    )
    return means, grads, recorder.mean_norms(adjoints)


def train_step(
    recipe: Recipe, state: TrainState, batch: Batch, hyper: Hyper, *, record: bool
) -> _Stepped:
    """One update; with `record`, everything that is logged, from the same backward pass.

    A non-finite loss or gradient makes no update: the state comes back marked diverged.
    """
    means, grads, norms = backward(recipe, state.params, batch, record=record)
    rate = hyper["learning_rate"] * recipe.rate_factor(state.step)
    clipped = clip(recipe.clip, grads, hyper["clip_threshold"])
    params, opt_state, updates = update_params(
        recipe.optimizer, hyper, rate, clipped.grads, state.opt_state, state.params
    )
    finite = jnp.isfinite(means["loss"]) & jnp.isfinite(clipped.norm_before)
    kept_params, kept_opt_state = jax.tree.map(
        lambda new, old: jnp.where(finite, new, old),
        (params, opt_state),
        (state.params, state.opt_state),
    )
    step = state.step + finite.astype(jnp.int32)
    new_state = TrainState(kept_params, kept_opt_state, step, ~finite)
    if not record:
        return _Stepped(new_state, {}, {})
    scalars = means | {
        "learning_rate": rate,
        "grad_norm": clipped.norm_before,
        "grad_norm_clipped": clipped.norm_after,
        "clip_fired": clipped.fired,
        "update_ratio": tree_norm(updates) / tree_norm(state.params),
    }
    scalars |= {f"grad_norm/{name}": norm for name, norm in leaf_norms(grads).items()}
    return _Stepped(new_state, scalars | decay_scalars(norms), norms)


def decay_scalars(norms: dict[str, Array]) -> dict[str, Array]:
    """Slope, half-life and zero lags of every profile: `slope/layer_0/h` and so on."""
    scalars = {}
    for leaf, norms_LxT in norms.items():
        for layer in range(norms_LxT.shape[0]):
            for name, value in fit_decay(norms_LxT[layer])._asdict().items():
                scalars[f"{name}/layer_{layer}/{leaf}"] = value
    return scalars


def make_chunk(recipe: Recipe) -> Callable[..., tuple[TrainState, Records]]:
    """The compiled chunk: `(state, stop, every, key, hyper, arrays) -> (state, records)`.

    Takes steps until `stop`, `recipe.chunk_steps` or a divergence, whichever is first,
    and records those that `every` divides. The chunk must lie within one epoch. The
    state is donated.
    """
    task = recipe.task

    def chunk(
        state: TrainState, stop: Array, every: Array, key: Key, hyper: Hyper, arrays: Tree
    ) -> tuple[TrainState, Records]:
        order_N = epoch_order(task.train, key, state.step, recipe.batch_size)

        def take(state: TrainState, *, record: bool) -> _Stepped:
            batch = training_batch(task.train, arrays, order_N, key, state.step, recipe.batch_size)
            return train_step(recipe, state, batch, hyper, record=record)

        shapes = jax.eval_shape(partial(take, record=True), state)

        def blank() -> tuple[dict[str, Array], dict[str, Array]]:
            zeros: Any = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes[1:])
            return tuple(zeros)

        branches: list[Callable[[TrainState], _Stepped]] = [
            lambda s: _Stepped(s, *blank()),
            lambda s: _Stepped(take(s, record=False).state, *blank()),
            partial(take, record=True),
        ]

        def body(state: TrainState, _: None) -> tuple[TrainState, Records]:
            active = (state.step < stop) & ~state.diverged
            recorded = active & (state.step % every == 0)
            branch = active.astype(jnp.int32) + recorded.astype(jnp.int32)
            new, scalars, norms = jax.lax.switch(branch, branches, state)
            return new, Records(state.step, recorded, scalars, norms)

        return jax.lax.scan(body, state, length=recipe.chunk_steps)

    return jax.jit(chunk, donate_argnums=0)


def make_evaluate(
    recipe: Recipe, split: str, batch_size: int, examples: int
) -> Callable[[Tree, Key, Tree], dict[str, Array]]:
    """The compiled evaluation `(params, key, arrays) -> {name: mean}` over `examples`.

    Means pool all terms of all examples; an incomplete last batch counts only what it
    holds.
    """
    source = getattr(recipe.task, split)
    batches = -(-examples // batch_size)

    def evaluate(params: Tree, key: Key, arrays: Tree) -> dict[str, Array]:
        def one(index: Array) -> dict[str, tuple[Array, Array]]:
            batch, weight_B = evaluation_batch(source, arrays, key, index, batch_size, examples)
            model: SequenceModel = nnx.merge(recipe.graphdef, params)
            outputs = model(batch.inputs_TxBxI, lengths_B=batch.lengths_B)
            scored = recipe.task.scores(outputs, batch)
            return {
                name: (jnp.sum(s.total_B * weight_B), jnp.sum(s.count_B * weight_B))
                for name, s in scored.items()
            }

        sums = jax.lax.map(one, jnp.arange(batches, dtype=jnp.int32))
        return {name: jnp.sum(total) / jnp.sum(count) for name, (total, count) in sums.items()}

    return jax.jit(evaluate)
