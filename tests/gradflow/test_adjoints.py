"""dL/ds_t: taps against perturbations and central differences, and closed forms."""

import copy
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnexp.cells.rnn import rnn
from rnnexp.core.types import Array, State, Tree
from rnnexp.gradflow.adjoints import (
    mean_norms,
    perturb,
    probes,
    tap,
    value_grads_adjoints,
    zero_slot,
)
from rnnexp.gradflow.decay import fit_decay
from rnnexp.models.forward import ForwardOptions
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.structure import Structure
from tests.helpers.noisy_params import with_noise
from tests.helpers.variants import Variant, all_but_slow, build

T, B, I, H, O = 8, 3, 4, 5, 2  # noqa: E741


def depth(variant: Variant) -> int:
    """Two layers, but for a cell that is a whole network."""
    return 1 if build(variant, I, H).is_network else 2


def two_layers(variant: Variant, mode: str) -> tuple[SequenceModel, Tree, Array, Array]:
    """A stack of two cells, its parameters, inputs and weights of a loss on its outputs."""
    model = SequenceModel(
        lambda size, layer: build(variant, size, H, layer=layer, output_size=O),
        structure=Structure(num_layers=depth(variant)),
        input_size=I,
        output_size=O,
        mode=mode,
        key=jax.random.key(0),
    )
    key_x, key_w = jax.random.split(jax.random.key(1))
    cell = model.units()[0].layer.cell
    outputs = cell.output_size if cell.is_network else O
    shape = (T, B, outputs) if mode == "synchronous" else (B, outputs)
    start = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    # off the kinks of relu, where IRNN's small weights start
    params = with_noise(start, 0.2, jax.random.key(2))
    return model, params, jax.random.normal(key_x, (T, B, I)), jax.random.normal(key_w, shape)


def zero_slots(model: SequenceModel, steps: int, batch_size: int) -> list[State]:
    """One slot a unit."""
    return [zero_slot(u.layer.cell, u.layer.params(), steps, batch_size) for u in model.units()]


def all_norms(adjoints: list[State]) -> np.ndarray:
    """||dL/dh_t|| of all units, (L, T)."""
    return np.stack([mean_norms(adjoint)["h"] for adjoint in adjoints])


def all_adjoints(
    model: SequenceModel, params: Tree, x: Array, weights: Array, probe: Any
) -> tuple[Tree, list[State]]:
    """Gradients and adjoints."""

    def loss(params: Tree, slots: Any) -> tuple[Array, None]:
        return probed_loss(model, params, x, weights, probe, slots), None

    slots = zero_slots(model, T, B)
    _, _, grads, adjoints = jax.jit(lambda p, s: value_grads_adjoints(loss, p, s))(params, slots)
    return grads, list(adjoints)


def probed_loss(
    model: SequenceModel, params: Tree, x: Array, weights: Array, probe: Any, slots: Any
) -> Array:
    """The loss with a probe on every unit's states."""
    options = ForwardOptions(probes=probes(probe, slots))
    outputs = nnx.merge(nnx.graphdef(model), params)(x, options).outputs
    return jnp.sum(weights * jnp.sin(outputs)) / B


def close(a: Tree, b: Tree) -> None:
    """Equal up to float64 rounding."""
    jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, rtol=1e-9, atol=1e-13), a, b)


@pytest.mark.parametrize(
    ("variant", "mode"),
    [
        *(
            pytest.param(*p.values, "synchronous", id=p.id, marks=p.marks)
            for p in all_but_slow("ntm", "dnc")
        ),
        pytest.param(("lstm", {}), "sequence_to_one", id="lstm-sequence_to_one"),
    ],
)
def test_taps_equal_perturbations_and_differences_and_leave_gradients_alone(
    variant: Variant, mode: str, x64: None
) -> None:
    model, params, x, weights = two_layers(variant, mode)

    def plain(params: Tree) -> Array:
        return jnp.sum(weights * jnp.sin(nnx.merge(nnx.graphdef(model), params)(x).outputs)) / B

    @jax.jit
    def all_three(params: Tree) -> Any:
        ways = [all_adjoints(model, params, x, weights, probe) for probe in (tap, perturb)]
        return *ways, jax.grad(plain)(params)

    (grads, adjoints), (grads_too, adjoints_too), grads_plain = all_three(params)
    close(adjoints, adjoints_too)
    close(grads, grads_too)
    close(grads, grads_plain)
    loss = jax.jit(partial(probed_loss, model, params, x, weights, perturb))
    slots = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), adjoints)
    step = 1e-6
    for layer, t, b in [(0, 0, 0), (0, 4, 1), (-1, 2, 2), (-1, T - 1, 0)]:
        for leaf in slots[layer]:
            for unit in np.ndindex(slots[layer][leaf].shape[2:]):

                def moved(by: float) -> Array:
                    shifted = copy.deepcopy(slots)
                    shifted[layer][leaf][(t, b, *unit)] += by  # noqa: B023
                    return jnp.asarray(loss(shifted))

                numeric = (moved(step) - moved(-step)) / (2 * step)
                exact = adjoints[layer][leaf][(t, b, *unit)]
                np.testing.assert_allclose(exact, numeric, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("c", [1.0, 0.9, 1.05])
def test_a_linear_orthogonal_rnn_decays_by_exactly_ln_c(c: float, x64: None) -> None:
    steps, hidden = 200, 16
    cell = rnn(I, hidden, activation="linear", recurrent_scale=c)
    model = SequenceModel(
        lambda size, layer: cell,
        structure=Structure(),
        input_size=I,
        output_size=O,
        mode="sequence_to_one",
        key=jax.random.key(0),
    )
    x = jax.random.normal(jax.random.key(1), (steps, B, I))
    graphdef, params = nnx.split(model, nnx.Param)
    slots = zero_slots(model, steps, B)

    def loss(params: Tree, slots: Any) -> tuple[Array, None]:
        outputs = nnx.merge(graphdef, params)(x, ForwardOptions(probes=probes(tap, slots))).outputs
        return jnp.mean(jnp.sum(jnp.square(outputs), -1)), None

    both = jax.jit(partial(value_grads_adjoints, loss))
    adjoints = both(nnx.to_pure_dict(params), slots)[3]
    norms = all_norms(list(adjoints))[0]
    decay = fit_decay(norms)
    np.testing.assert_allclose(decay.slope, np.log(c), atol=1e-5)
    np.testing.assert_allclose(norms, norms[-1] * c ** np.arange(steps)[::-1], rtol=1e-10)
    if c < 1:
        np.testing.assert_allclose(decay.half_life, np.log(0.5) / np.log(c), rtol=1e-5)


def test_feedforward_has_no_gradient_through_time(x64: None) -> None:
    model, params, x, weights = two_layers(("feedforward", {}), "sequence_to_one")
    _, adjoints = all_adjoints(model, params, x, weights, tap)
    norms = all_norms(adjoints)
    assert bool(jnp.all(norms[:, :-1] == 0))
    assert bool(jnp.all(norms[:, -1] > 0))


def test_norms_do_not_depend_on_the_batch_size(x64: None) -> None:
    model, params, x, weights = two_layers(("lstm", {}), "sequence_to_one")
    _, adjoints = all_adjoints(model, params, x, weights, tap)
    # L is the mean over the batch; each example's own loss has no 1/B
    own = [
        all_adjoints_of_one(model, params, x[:, b : b + 1], weights[b : b + 1]) for b in range(B)
    ]
    np.testing.assert_allclose(all_norms(adjoints), np.mean(own, axis=0), rtol=1e-10)


def all_adjoints_of_one(model: SequenceModel, params: Tree, x: Array, weights: Array) -> np.ndarray:
    """Norms (L, T) of one example's own gradient."""
    slots = zero_slots(model, T, 1)

    def loss(slots: Any) -> Array:
        outputs = nnx.merge(nnx.graphdef(model), params)(
            x, ForwardOptions(probes=probes(tap, slots))
        ).outputs
        return jnp.sum(weights * jnp.sin(outputs))

    return all_norms(jax.jit(jax.grad(loss))(slots))


def test_the_gradient_underflows_late() -> None:
    """float32 keeps norms down to 1e-38; squaring without care would stop at 1e-19."""
    norms = mean_norms({"h": jnp.full((3, 2, 4), 1e-30, jnp.float32)})["h"]
    np.testing.assert_allclose(norms, np.full(3, 2 * 2e-30), rtol=1e-6)
