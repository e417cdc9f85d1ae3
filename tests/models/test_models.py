"""Structure around cells: directions, dropout, pooling, lengths."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnexp.core.errors import UsageError
from rnnexp.core.masking import reverse_valid
from rnnexp.core.tree import named_leaves
from rnnexp.core.types import Array, State, Tree
from rnnexp.gradflow.adjoints import norm_recorder, perturb, probes, zero_slot
from rnnexp.models.noise import recurrent_dropout, zoneout
from rnnexp.models.structure import Structure
from rnnexp.scan.unroll import Probe, unroll
from tests.helpers.structured_models import KEY, LENGTHS, B, H, I, T, inputs, model_of
from tests.helpers.variants import build


def test_reversal_stays_within_the_valid_part() -> None:
    x = jnp.arange(T * B).reshape(T, B)
    got = reverse_valid(x, jnp.array(LENGTHS))
    for b, n in enumerate(LENGTHS):
        expected = [*x[:n, b][::-1].tolist(), *x[n:, b].tolist()]
        assert got[:, b].tolist() == expected
    np.testing.assert_array_equal(reverse_valid(x, None), x[::-1])


def test_no_state_passes_between_the_directions(x64: None) -> None:
    model = model_of(bidirectional=True, num_layers=1)
    stack = model.stack
    slots = [zero_slot(u.layer.cell, u.layer.params(), T, B) for u in stack.units()]
    t = 3

    def half(x: Array, slots: list[State], which: int) -> Array:
        outputs = stack(x, probes=probes(perturb, slots)).outputs_TxBxH
        return jnp.sum(outputs[t, :, which * H : (which + 1) * H])

    for which, own in ((0, slice(0, t + 1)), (1, slice(t, T))):
        by_input, by_state = jax.grad(half, argnums=(0, 1))(inputs(), slots, which)
        reached = jnp.sum(jnp.abs(by_input), (1, 2)) > 0
        np.testing.assert_array_equal(reached, np.isin(np.arange(T), np.arange(T)[own]))
        assert bool(jnp.all(by_state[1 - which]["h"] == 0))
        assert bool(jnp.any(by_state[which]["h"] != 0))


ALL_KEYS = {"bidirectional": True, "residual": True, "layer_norm": True}


@pytest.mark.parametrize(
    ("pooling", "keys"),
    [
        ("last", {}),
        ("mean", {}),
        ("max", ALL_KEYS),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (("max", {}), ("last", ALL_KEYS), ("mean", ALL_KEYS))
        ),
    ],
)
def test_a_padded_batch_equals_its_sequences_one_by_one(
    pooling: str, keys: dict[str, Any], x64: None
) -> None:
    model = model_of("sequence_to_one", num_layers=2, pooling=pooling, **keys)
    graphdef, params = nnx.split(model, nnx.Param)

    def total(params: Tree, x: Array, lengths: Array | None) -> Array:
        return jnp.sum(jnp.sin(nnx.merge(graphdef, params)(x, lengths_B=lengths).outputs))

    run = jax.jit(jax.value_and_grad(total))
    padded = run(params, inputs(), jnp.array(LENGTHS))
    single = [run(params, inputs()[:n, b : b + 1], None) for b, n in enumerate(LENGTHS)]
    summed = jax.tree.map(lambda *parts: sum(parts), *single)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), padded, summed
    )


def test_the_profile_of_a_backward_unit_is_in_the_sequence_s_time(x64: None) -> None:
    """Reading the reversed input forward gives the same profile, reversed."""
    both = model_of("sequence_to_one", bidirectional=True)
    lengths = jnp.array(LENGTHS)
    units = both.units()
    recorder = norm_recorder(units, [T, T], B)

    def loss(slots: list[State]) -> Array:
        got = both(inputs(), lengths_B=lengths, probes=probes(recorder.apply, slots))
        return jnp.sum(got.outputs)

    profiles = recorder.norms(jax.grad(loss)(recorder.slots), [lengths, lengths])
    backward, params = units[1].layer, units[1].layer.params()
    kernel = both.readout.kernel[...][H:]

    def alone(slot: State) -> Array:
        x = reverse_valid(inputs(), lengths)
        probe = Probe(perturb, slot)
        got = unroll(backward.cell, params, x, lengths_B=lengths, probe=probe)
        return jnp.sum(got.final_BxH @ kernel)

    adjoint = jax.grad(alone)(zero_slot(backward.cell, params, T, B))["h"]
    norms_TxB = reverse_valid(jnp.linalg.norm(adjoint, axis=-1), lengths)
    np.testing.assert_allclose(profiles[1]["h"], jnp.sum(norms_TxB, 1), rtol=1e-9)
    assert float(profiles[1]["h"][-1]) < float(profiles[0]["h"][-1])


def test_dropout_never_touches_a_state() -> None:
    """The layer's own states are those without dropout; only what stands above is thinned."""
    model, key = model_of(num_layers=2, dropout=0.5), jax.random.key(5)
    plain, thinned = model(inputs()), model(inputs(), key=key)
    np.testing.assert_array_equal(plain.states[0]["h"], thinned.states[0]["h"])
    assert bool(jnp.any(plain.states[1]["h"] != thinned.states[1]["h"]))
    slots = [zero_slot(u.layer.cell, u.layer.params(), T, B) for u in model.units()]

    def below(slots: list[State], key: Any) -> Array:
        got = model.stack(inputs(), probes=probes(perturb, slots), key=key)
        return jnp.sum(jnp.sin(got.states[0]["h"]))

    # from t - 1 to t nothing is lost: the gradient of the last state is untouched
    for with_dropout, without in zip(
        jax.tree.leaves(jax.grad(below)(slots, key)),
        jax.tree.leaves(jax.grad(below)(slots, None)),
        strict=True,
    ):
        np.testing.assert_array_equal(with_dropout, without)


@pytest.mark.parametrize("variational", [False, True])
def test_one_dropout_mask_a_step_or_for_all(variational: bool) -> None:
    model = model_of(dropout=0.5, variational_dropout=variational)
    outputs = model.stack(inputs(200), key=KEY).outputs_TxBxH
    dropped = np.asarray(outputs == 0)
    assert 0.4 < dropped.mean() < 0.6 or variational
    same = (dropped == dropped[:1]).all()
    assert same == variational
    kept = ~dropped
    plain = np.asarray(model.stack(inputs(200)).outputs_TxBxH)
    np.testing.assert_allclose(np.asarray(outputs)[kept], 2 * plain[kept], rtol=1e-5)


def test_noise_on_states_is_off_by_default_and_does_what_it_says() -> None:
    cell = build(("lstm", {}), I, H)
    params, x = cell.init(jax.random.key(0)), inputs()
    old = {leaf: jnp.ones((1000, H)) for leaf in ("c", "h")}
    new = {leaf: jnp.full((1000, H), 3.0) for leaf in ("c", "h")}
    hook = zoneout(cell, 0.25, KEY)
    assert hook.after is not None
    mixed = hook.after(old, new, jnp.array(0))
    other = hook.after(old, new, jnp.array(1))
    for leaf in ("c", "h"):
        # 5,000 draws: the deviation of a share of 1/4 is 0.6 %, five of it 3.1 %
        assert abs(float(jnp.mean(mixed[leaf] == 1)) - 0.25) < 0.031
        assert bool(jnp.any(mixed[leaf] != other[leaf]))
    assert bool(jnp.any(mixed["c"] != mixed["h"]))
    calm = zoneout(cell, 0.25, None)
    assert calm.after is not None
    np.testing.assert_allclose(calm.after(old, new, jnp.array(0))["h"], 2.5)
    drop = recurrent_dropout(cell, 0.25, KEY)
    assert drop.before is not None
    masks = [drop.before(new, jnp.array(t)) for t in (0, 1)]
    np.testing.assert_array_equal(masks[0]["h"], masks[1]["h"])
    assert set(np.unique(masks[0]["h"])) == {0.0, 4.0}
    np.testing.assert_array_equal(masks[0]["c"], new["c"])
    assert recurrent_dropout(cell, 0.25, None).before is None
    plain = unroll(cell, params, x).outputs_TxBxH
    noisy = unroll(cell, params, x, hooks=(hook,)).outputs_TxBxH
    assert bool(jnp.any(plain != noisy))


def test_a_learned_initial_state_starts_as_the_cell_s_and_has_a_gradient() -> None:
    plain, learned = model_of(), model_of(learned_state=True)
    np.testing.assert_array_equal(plain(inputs()).outputs, learned(inputs()).outputs)
    graphdef, params = nnx.split(learned, nnx.Param)
    grads = jax.grad(lambda p: jnp.sum(nnx.merge(graphdef, p)(inputs()).outputs))(params)
    names = named_leaves(nnx.to_pure_dict(grads))
    [start] = [value for name, value in names.items() if "start_h" in name]
    assert start.shape == (H,)
    assert bool(jnp.all(start != 0))


def test_residual_and_layer_norm(x64: None) -> None:
    lower = model_of(num_layers=1).stack(inputs()).outputs_TxBxH
    two = model_of(num_layers=2).stack
    added = model_of(num_layers=2, residual=True).stack
    np.testing.assert_allclose(
        added(inputs()).outputs_TxBxH, two(inputs()).outputs_TxBxH + lower, rtol=1e-12
    )
    got = added(inputs())
    np.testing.assert_allclose(got.final_BxH, got.outputs_TxBxH[-1], rtol=1e-12)
    normed = model_of(layer_norm=True).stack(inputs()).outputs_TxBxH
    np.testing.assert_allclose(jnp.mean(normed, -1), 0, atol=1e-7)
    np.testing.assert_allclose(jnp.var(normed, -1), 1, rtol=1e-2)


@pytest.mark.parametrize(
    "keys", [{"dropout": 1.0}, {"zoneout": -0.1}, {"pooling": "first"}, {"attention": "hard"}]
)
def test_bad_options_are_named(keys: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"config.model.{next(iter(keys))}"):
        Structure(**keys)
