"""Initial weights by a paper's protocol: which parameters are drawn, how, and who refuses."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells import CELLS
from rnnexp.cells.base import Cell
from rnnexp.core.errors import UsageError
from rnnexp.core.tree import named_leaves
from rnnexp.models.start import RECURRENT, Start, started
from rnnexp.train.plan import make_plan
from tests.helpers.small_programs import configured
from tests.helpers.variants import build, each_cell, variant_id

CHUNG: dict[str, Any] = {
    "model__start": "uniform", "model__start_recurrent": "orthogonal", "model__start_biases": "zero"
}  # fmt: skip
SMART_TANH: dict[str, Any] = {
    "model__start": "gaussian", "model__start_scale": 0.01, "model__start_recurrent": "sparse",
    "model__start_biases": "zero",
}  # fmt: skip
REFUSED = {
    "antisymmetric": "w_h of other parameters",
    "clockwork": "w_h of other parameters",
    "indrnn": "u of other parameters",
    "lru": "lambda of other parameters",
    "orthogonal": "w_h of other parameters",
    "unitary": "w of other parameters",
}
"""Cells whose recurrent matrix is no parameter; beside them those with steps of their own."""


def leaves(name: str, **changes: Any) -> dict[str, np.ndarray]:
    """Initial parameters of an experiment, by path."""
    plan = make_plan(configured(name, **changes), data_dir=None, chunk_steps=1)
    return {path: np.asarray(leaf) for path, leaf in named_leaves(plan.params).items()}


def by_name(params: dict[str, np.ndarray], name: str) -> np.ndarray:
    """The one parameter of that name."""
    (found,) = [leaf for path, leaf in params.items() if path.rpartition("/")[2] == name]
    return found


def assert_moments(drawn: np.ndarray, deviation: float, kurtosis: float) -> None:
    """Mean 0, and the deviation, within four standard errors."""
    assert abs(drawn.mean()) < 4 * deviation / drawn.size**0.5
    error = deviation * ((kurtosis - 1) / (4 * drawn.size)) ** 0.5
    assert abs(drawn.std() - deviation) < 4 * error


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "lem"])
def test_chung(cell: str) -> None:
    params = leaves(f"adding/{cell}", cell__hidden_size=48, **CHUNG)
    w_h = by_name(params, "w_h")
    for block in np.split(w_h, w_h.shape[1] // 48, axis=1):
        np.testing.assert_allclose(block @ block.T, np.eye(48), atol=1e-5)
    for path, leaf in params.items():
        if leaf.ndim == 1:
            assert not leaf.any(), path
        elif path.rpartition("/")[2] not in ("w_h", "w_z"):
            assert np.abs(leaf).max() <= 0.1
            assert_moments(leaf, 0.1 / 3**0.5, 1.8)


@pytest.mark.parametrize("scale", [0.01, 0.1])
def test_gaussian(scale: float) -> None:
    params = leaves(
        "adding/rnn", cell__hidden_size=100, model__start="gaussian", model__start_scale=scale
    )
    w_h = by_name(params, "w_h")
    assert_moments(w_h, scale, 3.0)
    assert abs(np.mean(w_h**4) / np.mean(w_h**2) ** 2 - 3) < 4 * (24 / w_h.size) ** 0.5
    assert_moments(by_name(params, "w_x"), scale, 3.0)
    assert_moments(by_name(params, "kernel"), scale, 3.0)


@pytest.mark.parametrize(("cell", "size"), [("rnn", 50), ("gru", 20)])
def test_smart_tanh(cell: str, size: int) -> None:
    params = leaves(f"adding/{cell}", cell__hidden_size=size, **SMART_TANH)
    w_h = by_name(params, "w_h")
    for block in np.split(w_h, w_h.shape[1] // size, axis=1):
        assert (np.count_nonzero(block, axis=1) == 15).all()
        np.testing.assert_allclose(np.abs(np.linalg.eigvals(block)).max(), 0.95, rtol=1e-4)
        values = block[block != 0]
        assert_moments(values / values.std(), 1.0, 3.0)
    places = np.count_nonzero(w_h[:, :size], axis=0)
    assert len(set(places)) > 3, "the same columns in every row"
    assert_moments(by_name(params, "w_x"), 0.01, 3.0)


def test_hochreiter_and_schmidhuber_draw_biases_too() -> None:
    params = leaves(
        "adding/lstm", cell__hidden_size=500, model__start="uniform", model__start_biases="weights"
    )
    assert np.abs(by_name(params, "w_h")).max() <= 0.1
    assert_moments(by_name(params, "w_h"), 0.1 / 3**0.5, 1.8)
    assert_moments(by_name(params, "b"), 0.1 / 3**0.5, 1.8)


def test_recurrent_matrices_may_stay_as_the_cell_starts_them() -> None:
    size: dict[str, Any] = {"cell__hidden_size": 20}
    plain = leaves("adding/gru", **size)
    found = leaves("adding/gru", model__start="uniform", model__start_recurrent="cell", **size)
    np.testing.assert_array_equal(by_name(found, "w_h"), by_name(plain, "w_h"))
    assert not np.any(by_name(found, "w_x") == by_name(plain, "w_x"))


def test_peepholes_are_weights_and_layers_have_draws_of_their_own() -> None:
    params = leaves(
        "adding/lstm", cell__hidden_size=60, cell__peepholes=True, model__num_layers=2,
        model__layer_norm=True, **CHUNG,
    )  # fmt: skip
    both = [leaf for path, leaf in params.items() if path.endswith("/p")]
    assert_moments(np.concatenate(both), 0.1 / 3**0.5, 1.8)
    assert not np.any(both[0] == both[1])
    scales = [leaf for path, leaf in params.items() if path.endswith("/scale")]
    assert len(scales) == 2
    assert all((scale == 1).all() for scale in scales)


def test_a_transduction_starts_so_in_all_its_parts() -> None:
    params = leaves("reverse/gru", model__embedding_size=7, model__attention="additive", **CHUNG)
    for path, leaf in params.items():
        if leaf.ndim == 1:
            assert not leaf.any(), path
        elif not path.endswith("w_h"):
            assert np.abs(leaf).max() <= 0.1, path


def test_first_states_stay() -> None:
    options: dict[str, Any] = {"slots": 5, "width": 3, "memory_init": "learned"}
    cell = CELLS.entry("ntm").factory()(3, 20, **options)
    key = jax.random.key(4)
    own, new = cell.init(key), started(cell, Start(weights="uniform", recurrent="sparse")).init(key)
    same = {name for name in own if np.array_equal(own[name], new[name])}
    assert same == {"r_0", "w_0", "M_0", "b", "b_heads"}
    learned = leaves("adding/rnn", model__learned_state=True, **CHUNG)
    assert not by_name(learned, "start_h").any()


@each_cell
@pytest.mark.parametrize("recurrent", RECURRENT)
def test_every_cell_starts_so_or_refuses(variant: Any, recurrent: str) -> None:
    cell = build(variant, 3, 16)
    start = Start(weights="uniform", recurrent=recurrent, biases="zero")
    refused = REFUSED.get(cell.name) or ("" if cell.axis == "time" else "steps of its own")
    if not refused and recurrent in ("orthogonal", "sparse"):
        assert cell.recurrent_matrices is not None
        named = cell.recurrent_matrices(cell.prepare(cell.init(jax.random.key(0))))
        refused = "" if named else "has no recurrent matrix"
        refused = "no square matrices" if cell.name == "lstm_1997" else refused
    if refused:
        with pytest.raises(UsageError, match=refused) as error:
            started(cell, start)
        assert "\n" not in str(error.value), variant_id(variant)
        return
    key = jax.random.key(1)
    own, new = cell.init(key), started(cell, start).init(key)
    assert {k: (v.shape, v.dtype) for k, v in own.items()} == {
        k: (v.shape, v.dtype) for k, v in new.items()
    }
    assert any(np.any(own[name] != new[name]) for name in own)


def test_a_cell_that_does_not_name_its_matrices_has_only_weights(x64: None) -> None:
    cell: Cell = replace(build(("rnn", {}), 3, 9), recurrent_matrices=None)
    params = started(cell, Start(weights="gaussian")).init(jax.random.key(0))
    assert params["w_h"].dtype == jnp.float64
    with pytest.raises(UsageError, match="does not say which its recurrent_matrices are"):
        started(cell, Start(weights="gaussian", recurrent="orthogonal"))


def test_by_default_cells_stay_as_they_are() -> None:
    cell = build(("lstm", {}), 3, 9)
    assert started(cell, Start()) is cell
    plain, same = leaves("adding/lstm"), leaves("adding/lstm", model__start_scale=0.3)
    assert all(np.array_equal(leaf, same[path]) for path, leaf in plain.items())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model__start": "normal"}, "config.model.start"),
        ({"model__start_recurrent": "identity"}, "config.model.start_recurrent"),
        ({"model__start_biases": "one"}, "config.model.start_biases"),
        (SMART_TANH, "start_entries is 15, but a row of the recurrent matrices of gru has 6"),
    ],
)
def test_bad_values(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        leaves("adding/gru", **changes)
