"""An examination's data set: closed forms through the whole path, and a model as its cell."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells import CELLS
from rnnexp.core.errors import UsageError
from rnnexp.core.load_module import load_module
from rnnexp.laboratory.examine import examine_cell, examine_model
from rnnexp.laboratory.lyapunov import lyapunov_spectrum
from rnnexp.laboratory.recurrent_matrices import spectral_radius
from rnnexp.laboratory.settings import Laboratory, fit_unit
from tests.helpers.laboratory_models import SETTINGS, batch_of, linear_cell, model_of, scores
from tests.helpers.own_tables import own_tables  # noqa: F401  a fixture

OWN_FILE = '''
"""A cell of the user's own that says what it is made of, and one that leaves it to be found."""

import jax
import jax.numpy as jnp

from rnnexp import Cell, cell
from rnnexp.cells.gate_blocks import gate_blocks


def leaky(input_size, hidden_size, clock, **declared):
    """h_t = k h_{t-1} + (1 - k) n, both of the input and of h_{t-1}, and a clock."""

    def init(key):
        keys = jax.random.split(key)
        sizes = {"w_x": input_size, "w_h": hidden_size}
        return {
            name: 0.7 * jax.random.normal(k, (size, 2 * hidden_size))
            for k, (name, size) in zip(keys, sizes.items())
        }

    def init_state(params):
        return {"h": jnp.zeros(hidden_size, params["w_h"].dtype), "clock": jnp.zeros(clock)}

    def parts(params, state, x_I):
        keep, new = jnp.split(x_I @ params["w_x"] + state["h"] @ params["w_h"], 2)
        return jax.nn.sigmoid(keep), jnp.tanh(new)

    def transition(params, state, x_I):
        keep, new = parts(params, state, x_I)
        return {"h": keep * state["h"] + (1 - keep) * new, "clock": state["clock"] + 1}

    return Cell(
        name="leaky",
        input_size=input_size,
        output_size=hidden_size,
        init=init,
        init_state=init_state,
        transition=transition,
        gates=lambda params, state, x_I: {"keep": parts(params, state, x_I)[0]},
        parameter_count=2 * hidden_size * (input_size + hidden_size),
        **declared,
    )


@cell("declared")
def declared(input_size, hidden_size):
    """Its clock has an axis, so only the cell can say that it counts."""
    return leaky(
        input_size,
        hidden_size,
        (1,),
        kept_fraction=lambda gates: gates["keep"],
        recurrent_matrices=gate_blocks(w_h=("keep", "new")),
        counters=("clock",),
    )


@cell("discovered")
def discovered(input_size, hidden_size):
    """The same, with a clock that is a number, and not a word of what it is made of."""
    return leaky(input_size, hidden_size, ())
'''


def test_a_linear_cell_through_the_whole_path(x64: None) -> None:
    cell, x_TxBxI = linear_cell(), jax.random.normal(jax.random.key(1), (40, 2, 4))
    w_h = jnp.linalg.qr(jax.random.normal(jax.random.key(2), (4, 4)))[0]
    settings = Laboratory(exponents=0, rank=0, iterations=4, longest_span=16, warmup_steps=10)
    for scale, rates_TxB in ((1.0, 0.0 * x_TxBxI[..., 0]), (0.9, 0.3 * x_TxBxI[..., 0])):
        driven = x_TxBxI.at[..., 0].set(rates_TxB)
        data = examine_cell(cell, {"w_h": scale * w_h}, driven, settings=settings)
        # 10 steps of warm-up, and 2 more that fill no interval of 4
        growth = np.log(scale) + float(rates_TxB[12:].mean())
        np.testing.assert_allclose(data.lyapunov, np.full(4, growth), atol=1e-12)
        for span in (1, 2, 4, 8, 16):  # of the first example, from the end of the warm-up on
            size = span * np.log(scale) + float(rates_TxB[10 : 10 + span, 0].sum())
            np.testing.assert_allclose(data.singular.sel(span=span), np.full(4, size), atol=1e-11)
            assert float(data.singular_smallest.sel(span=span)) == pytest.approx(size, abs=1e-11)
        np.testing.assert_allclose(data.spectral_radius, scale, rtol=1e-12)
        np.testing.assert_allclose(data.spectral_norm, scale, rtol=1e-12)
        assert float(data.kaplan_yorke) == (4 if scale == 1 else 0)
    assert dict(data.sizes) == {"exponent": 4, "span": 5, "rank": 4, "matrix": 1}
    assert data.lyapunov.attrs["units"] == "nats per step"
    assert data.span.attrs["units"] == "steps"


def test_a_model_is_measured_as_its_cell_is() -> None:
    """One call, the longest examples, every unit with its own steps."""
    model, whole = model_of("rnn"), batch_of((12, 4, 10))
    settings = replace(SETTINGS, lag_examples=0, adjoint_matrix=False, longest_span=0)
    data = examine_model(model, whole, scores, settings=settings).sel(unit="layer_0")
    [unit] = model.units()
    fitted, _ = fit_unit(settings, unit.layer.cell, unit.layer.params(), 10, 2)
    assert (fitted.steps, fitted.exponents) == (10, 3)
    index = jnp.array([0, 2])
    spectrum = lyapunov_spectrum(
        unit.layer.cell, unit.layer.params(), whole.inputs_TxBxI[:10, index], count=3,
        warmup_steps=3, interval_steps=2,
        key=jax.random.split(jax.random.fold_in(jax.random.key(0), 0))[0],
    )  # fmt: skip
    np.testing.assert_allclose(data.lyapunov, spectrum.exponents_K, rtol=1e-4)
    np.testing.assert_allclose(data.lyapunov_error, spectrum.error_K, rtol=1e-3, atol=1e-6)


def test_inputs_of_another_width() -> None:
    with pytest.raises(
        UsageError, match=r"inputs must have the shape \(T, B, 4\), not \(3, 1, 5\)"
    ):
        examine_cell(linear_cell(), {"w_h": jnp.eye(4)}, jnp.zeros((3, 1, 5)))


@pytest.mark.usefixtures("own_tables")
def test_a_cell_from_a_users_file_is_examined_like_a_built_in_one(
    tmp_path: Path, x64: None
) -> None:
    (tmp_path / "mine.py").write_text(OWN_FILE)
    load_module(str(tmp_path / "mine.py"), "imported file")  # as `--import FILE` does
    settings = Laboratory(exponents=0, warmup_steps=2, interval_steps=1, longest_span=0)
    x_TxBxI = jax.random.normal(jax.random.key(1), (12, 1, 2))
    found = {}
    for name in ("declared", "discovered"):
        cell = CELLS.entry(name).factory()(2, 3)
        params = cell.init(jax.random.key(0))
        found[name] = examine_cell(cell, params, x_TxBxI, settings=settings)
    own, alone = found["declared"], found["discovered"]

    radii = [spectral_radius(params["w_h"][:, :3]), spectral_radius(params["w_h"][:, 3:])]
    assert list(own["matrix"].values) == ["w_h/keep", "w_h/new"]
    assert list(alone["matrix"].values) == ["w_h/0", "w_h/1"]
    for data in (own, alone):
        np.testing.assert_allclose(data.spectral_radius, radii, rtol=1e-12)
        assert data.sizes["exponent"] == 3  # the clock's would be a fourth, of exactly 0
        assert float(data.lyapunov.max()) < -1e-3
        assert list(data["gate"].values) == ["keep"]

    state, kept = cell.init_state(params), []
    for x_BxI in x_TxBxI:
        kept.append(cell.gates(params, state, x_BxI[0])["keep"].mean())
        state = cell.transition(params, state, x_BxI[0])
    np.testing.assert_allclose(own.time_constant, -1 / np.log(np.array(kept)), rtol=1e-9)
    assert "time_constant" not in alone


@pytest.mark.slow
def test_what_the_padding_holds_is_not_measured() -> None:
    lengths = (12, 4, 10)
    valid = np.arange(12)[:, None] < np.array(lengths)
    whole, model = batch_of(lengths), model_of("lstm", num_layers=2, bidirectional=True)
    missing = whole._replace(inputs_TxBxI=jnp.where(valid[:, :, None], whole.inputs_TxBxI, jnp.nan))
    data = [examine_model(model, batch, scores, settings=SETTINGS) for batch in (whole, missing)]
    assert data[0].identical(data[1])
    cell, params = model.units()[0].layer.cell, model.units()[0].layer.params()
    data = [
        examine_cell(cell, params, batch.inputs_TxBxI, lengths_B=batch.lengths_B, settings=SETTINGS)
        for batch in (whole, missing)
    ]
    assert data[0].identical(data[1])
