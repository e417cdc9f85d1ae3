"""Dropout, recurrent dropout and zoneout hide the stated shares, and nothing in evaluation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.models.forward import ForwardOptions
from rnnexp.models.noise import recurrent_dropout, zoneout
from rnnexp.scan.unroll import unroll
from tests.helpers.structured_models import KEY, H, I, inputs, model_of
from tests.helpers.variants import build


@pytest.mark.parametrize("variational", [False, True])
def test_one_dropout_mask_a_step_or_for_all(variational: bool) -> None:
    model = model_of(dropout=0.5, variational_dropout=variational)
    outputs = model.stack(inputs(200), ForwardOptions(key=KEY)).outputs_TxBxH
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
