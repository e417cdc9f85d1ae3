"""Flax cells of the user's own as cells, and our layers inside the user's own modules."""

import dataclasses
import re
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.tree_util import tree_leaves_with_path

from rnnexp.cells.base import Cell
from rnnexp.cells.lstm import lstm
from rnnexp.core.errors import UsageError
from rnnexp.core.tree import tree_size
from rnnexp.core.types import Array, Params, State
from rnnexp.gradflow.adjoints import mean_norms, perturb, tap, zero_slot
from rnnexp.models.recurrent import Recurrent
from rnnexp.models.wrap import from_linen, from_nnx
from rnnexp.scan.unroll import Probe, unroll
from rnnexp.train.check_cell import check_cell
from tests.helpers.flax_cells import (
    Again,
    Gated,
    Learned,
    Linen,
    Projected,
    ProjectedTwo,
    Reordered,
    SameNames,
    Scaled,
    ThreeParts,
)
from tests.helpers.noisy_params import with_noise

T, B, I, H = 6, 2, 3, 4  # noqa: E741
KEY = jax.random.key(0)
WRAPPED: dict[str, Cell] = {
    "linen LSTM": from_linen(nn.OptimizedLSTMCell(H), I),
    "linen GRU": from_linen(nn.GRUCell(H), I),
    "nnx GRU": from_nnx(lambda rngs: nnx.GRUCell(I, H, rngs=rngs), I),
    "nnx LSTM": from_nnx(lambda rngs: nnx.LSTMCell(I, H, rngs=rngs), I),
}
each = pytest.mark.parametrize("name", WRAPPED)


def inputs() -> Array:
    """A batch."""
    return jax.random.normal(jax.random.key(1), (T, B, I))


@each
def test_outputs_are_those_of_flax(name: str) -> None:
    cell = WRAPPED[name]
    params = cell.init(jax.random.key(0))
    assert tree_size(params) == cell.parameter_count
    got = unroll(cell, params, inputs()).outputs_TxBxH
    if name.startswith("linen"):
        module = nn.OptimizedLSTMCell(H) if "LSTM" in name else nn.GRUCell(H)
        key_init, key_carry = jax.random.split(jax.random.key(0))
        carry = module.initialize_carry(key_carry, (I,))
        variables = module.init(key_init, carry, jnp.zeros(I))
        rnn = nn.RNN(module, time_major=True)
        expected: Any = rnn.apply({"params": {"cell": variables["params"]}}, inputs())
    else:
        kind: Any = nnx.LSTMCell if "LSTM" in name else nnx.GRUCell
        layer = kind(I, H, rngs=nnx.Rngs(jax.random.key(0)))
        carry = layer.initialize_carry((B, I), nnx.Rngs(0))
        rows = []
        for x in inputs():
            carry, y = layer(carry, x)
            rows.append(y)
        expected = jnp.stack(rows)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@each
def test_adjoints_of_a_wrapped_cell(name: str) -> None:
    cell = WRAPPED[name]
    params, x = cell.init(jax.random.key(0)), inputs()
    slot = zero_slot(cell, params, T, B)

    def adjoints(apply: object) -> State:
        def loss(slot: State) -> Array:
            got = unroll(cell, params, x, probe=Probe(apply, slot))  # type: ignore[arg-type]
            return jnp.sum(jnp.sin(got.final_BxH))

        found: State = jax.grad(loss)(slot)
        return found

    by_tap, by_definition = adjoints(tap), adjoints(perturb)
    for leaf in cell.probed:
        np.testing.assert_allclose(by_tap[leaf], by_definition[leaf], rtol=1e-5, atol=1e-7)
    norms = mean_norms(by_tap)["h"]
    assert bool(jnp.all(norms > 0))


class Mine(nnx.Module):
    """A user's own NNX module around one of our layers."""

    def __init__(self, rngs: nnx.Rngs):
        self.recurrent = Recurrent(lstm(I, H), rngs.params())
        self.head = nnx.Linear(H, 2, rngs=rngs)

    def __call__(self, x_TxBxI: Array, probe: Probe | None = None) -> Array:
        top = self.recurrent(x_TxBxI, probe=probe)
        return jnp.asarray(self.head(top.final_BxH))


def test_a_layer_inside_an_nnx_module() -> None:
    model = Mine(nnx.Rngs(0))
    layer = model.recurrent
    slot = zero_slot(layer.cell, layer.params(), T, B)
    graphdef, params = nnx.split(model, nnx.Param)

    def loss(params: nnx.State, slot: State) -> Array:
        return jnp.mean(jnp.square(nnx.merge(graphdef, params)(inputs(), Probe(tap, slot))))

    grads, adjoint = jax.jit(jax.grad(loss, argnums=(0, 1)))(params, slot)
    assert tree_size(grads) == layer.cell.parameter_count + (H + 1) * 2
    assert mean_norms(adjoint)["h"].shape == (T,)


class MineLinen(nn.Module):
    """A user's own Linen module around one of our cells."""

    @nn.compact
    def __call__(self, x_TxBxI: Array, probe: Probe | None = None) -> Array:
        cell = lstm(I, H)
        params: Params = self.param("lstm", cell.init)
        return jnp.asarray(nn.Dense(2)(unroll(cell, params, x_TxBxI, probe=probe).final_BxH))


def test_a_cell_inside_a_linen_module() -> None:
    model = MineLinen()
    variables = model.init(jax.random.key(0), inputs())
    cell = lstm(I, H)
    slot = zero_slot(cell, variables["params"]["lstm"], T, B)

    def loss(variables: dict, slot: State) -> Array:
        outputs: Any = model.apply(variables, inputs(), Probe(tap, slot))
        return jnp.mean(jnp.square(outputs))

    grads, adjoint = jax.jit(jax.grad(loss, argnums=(0, 1)))(variables, slot)
    assert tree_size(grads) == cell.parameter_count + (H + 1) * 2
    assert bool(jnp.all(mean_norms(adjoint)["h"] > 0))


LINEN: dict[str, tuple[Any, dict[str, Any]]] = {
    "LSTMCell": (nn.LSTMCell, {}),
    "OptimizedLSTMCell": (nn.OptimizedLSTMCell, {}),
    "GRUCell": (nn.GRUCell, {}),
    "MGUCell": (nn.MGUCell, {}),
    "SimpleCell": (nn.SimpleCell, {}),
    "ConvLSTMCell": (nn.ConvLSTMCell, {"input_shape": (I, 1)}),
    "Projected": (Projected, {}),
    "ProjectedTwo": (ProjectedTwo, {"hidden": "1"}),
    "Scaled": (Scaled, {"hidden": "1"}),
    "Reordered": (Reordered, {}),
    "Again": (Again, {}),
    "ThreeParts": (ThreeParts, {}),
    "Gated": (Gated, {}),
    "SameNames": (SameNames, {}),
}
NNX: dict[str, Any] = {
    "LSTMCell": nnx.LSTMCell,
    "OptimizedLSTMCell": nnx.OptimizedLSTMCell,
    "GRUCell": nnx.GRUCell,
    "SimpleCell": nnx.SimpleCell,
    "Learned": Learned,
}


def linen_module(name: str) -> Any:
    kind = LINEN[name][0]
    if issubclass(kind, Linen):
        return kind()
    if name == "ConvLSTMCell":
        return kind(2, (2,), param_dtype=float)
    return kind(H, param_dtype=float)


def by_name(cell: Cell, nested: Any) -> Params:
    """The leaves of Flax's parameters by the names that the cell gives them."""
    names = {path_name(path, "_"): leaf for path, leaf in tree_leaves_with_path(nested)}
    if len(names) < len(jax.tree.leaves(nested)):
        names = {path_name(path, "__"): leaf for path, leaf in tree_leaves_with_path(nested)}
    assert {*names} == {*jax.eval_shape(cell.init, KEY)}
    return names


def path_name(path: Any, separator: str) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=separator)


def assert_is_flax(cell: Cell, like: Any, run: Any) -> None:
    """Outputs, and gradients by parameters and inputs, are those of Flax's own loop.

    `run` is `(params, x) -> outputs` by Flax, of nested parameters like `like`.
    """
    random, (shapes, form) = np.random.default_rng(0), jax.tree.flatten(like)
    nested = jax.tree.unflatten(form, [0.5 * random.normal(size=s.shape) for s in shapes])
    params = by_name(cell, nested)
    x = inputs()
    weights = jax.random.normal(jax.random.key(2), (T, B, cell.output_size))

    def ours(params: Params, x: Array) -> tuple[Array, Array]:
        outputs = unroll(cell, params, x).outputs_TxBxH
        return jnp.sum(weights * outputs), outputs

    def theirs(params: Any, x: Array) -> tuple[Array, Array]:
        outputs = run(params, x).reshape(T, B, -1)
        return jnp.sum(weights * outputs), outputs

    def both(params: Params, nested: Any, x: Array) -> Any:
        gradient: dict[str, Any] = {"argnums": (0, 1), "has_aux": True}
        return jax.grad(ours, **gradient)(params, x), jax.grad(theirs, **gradient)(nested, x)

    ((grads, by_x), got), ((expected, by_x_there), outputs) = jax.jit(both)(params, nested, x)
    np.testing.assert_allclose(got, outputs, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(by_x, by_x_there, rtol=1e-9, atol=1e-12)
    for name, other in by_name(cell, expected).items():
        one = grads[name]
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
        assert np.any(np.asarray(one) != 0)


@pytest.mark.parametrize("name", LINEN)
def test_linen_cells_are_what_flax_runs(name: str, x64: None) -> None:
    module, options = linen_module(name), LINEN[name][1]
    cell = from_linen(module, I, **options)
    check_cell(name, cell, I)
    shape = options.get("input_shape", (I,))
    carry = module.initialize_carry(KEY, shape)
    like = jax.eval_shape(module.init, KEY, carry, jnp.zeros(shape))["params"]
    layer = nn.RNN(module, time_major=True)

    def run(params: Any, x: Array) -> Any:
        def one(x_TxI: Array) -> Any:  # a convolution has no axis of the batch of its own
            return layer.apply({"params": {"cell": params}}, x_TxI.reshape(T, *shape))

        return jax.vmap(one, in_axes=1, out_axes=1)(x)

    assert_is_flax(cell, like, run)


@pytest.mark.parametrize("name", NNX)
def test_nnx_cells_are_what_flax_runs(name: str, x64: None) -> None:
    kind = NNX[name]

    def make(rngs: nnx.Rngs) -> Any:
        if kind is Learned:
            return kind(rngs)
        same = {"dtype": float} if kind is nnx.SimpleCell else {}
        return kind(I, H, rngs=rngs, param_dtype=float, **same)

    cell = from_nnx(make, I)
    check_cell(name, cell, I)
    graphdef, like = nnx.split(make(nnx.Rngs(0)))

    def run(params: Any, x: Array) -> Any:
        return nnx.RNN(nnx.merge(graphdef, params), time_major=True)(x)

    assert_is_flax(cell, nnx.to_pure_dict(like), run)


def own(name: str) -> Cell:
    """A cell of the contract that computes what `Projected`, `Reordered` or `Gated` does."""

    def affine(params: Params, layer: str, x: Array) -> Array:
        y: Array = x @ params[f"{layer}_kernel"] + params[f"{layer}_bias"]
        return y

    def new(params: Params, h: Array, x: Array) -> Array:
        return jnp.tanh(affine(params, "in", x) + affine(params, "rec", h))

    def projected(params: Params, state: State, x: Array) -> State:
        return {"h": new(params, state["h"], x)}

    def reordered(params: Params, state: State, x: Array) -> State:
        c = 0.9 * state["c"] + new(params, state["h"], x)
        return {"c": c, "h": jnp.tanh(affine(params, "read", c))}

    def gated(params: Params, state: State, x: Array) -> State:
        o = jax.nn.sigmoid(affine(params, "gate", state["h"]) + affine(params, "drive", x))
        return {"h": 0.9 * state["h"] + new(params, state["h"], x), "o": o}

    def zeros(*leaves: str) -> Any:
        return lambda params: {leaf: jnp.zeros(H) for leaf in leaves}

    def read(params: Params, state: State, x: Array) -> Array:
        return affine(params, "out", state["h"])

    kinds: dict[str, dict[str, Any]] = {
        "Projected": {"init_state": zeros("h"), "transition": projected, "output": read},
        "Reordered": {"init_state": zeros("h", "c"), "transition": reordered},
        "Gated": {
            "init_state": zeros("h", "o"),
            "transition": gated,
            "output": lambda params, state, x: state["o"] * jnp.tanh(state["h"]),
        },
    }
    wrapped = from_linen(linen_module(name), I)
    return dataclasses.replace(wrapped, counters=None, **kinds[name])


@pytest.mark.parametrize("name", ["Projected", "Reordered", "Gated"])
def test_adjoints_count_the_way_through_the_output(name: str, x64: None) -> None:
    """Those of the same equations, divided by hand; and the projection's by hand at the end."""
    wrapped, by_hand = from_linen(linen_module(name), I), own(name)
    params = with_noise(wrapped.init(KEY), 0.3, KEY)
    weights = jax.random.normal(jax.random.key(2), (T, B, wrapped.output_size))

    def adjoint(cell: Cell, apply: Any) -> Array:
        def loss(slot: State) -> Array:
            got = unroll(cell, params, inputs(), probe=Probe(apply, slot))
            return jnp.sum(weights * jnp.sin(got.outputs_TxBxH))

        slot = {"h": jnp.zeros((T, B, H))}
        found: State = jax.grad(loss)(slot)
        return found["h"]

    results = jax.jit(
        lambda: (adjoint(wrapped, tap), adjoint(wrapped, perturb), adjoint(by_hand, tap))
    )()
    np.testing.assert_allclose(results[0], results[2], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(results[0], results[1], rtol=1e-10, atol=1e-13)
    if name == "Projected":
        y = unroll(wrapped, params, inputs()).outputs_TxBxH[-1]
        last = (weights[-1] * jnp.cos(y)) @ params["out_kernel"].T
        np.testing.assert_allclose(results[0][-1], last, rtol=1e-10, atol=1e-13)


class Copies(ProjectedTwo):
    """Both leaves of the carry are the output."""

    @nn.compact
    def __call__(self, carry: Any, x: Array) -> Any:
        h = self.tanh(x, carry[1])
        return (h, h), h


class Dropped(Linen):
    """Dropout in every call."""

    @nn.compact
    def __call__(self, h: Array, x: Array) -> Any:
        h = nn.Dropout(0.5, deterministic=False)(self.tanh(x, h))
        return h, h


class Normed(Linen):
    """Batch normalisation with running averages."""

    @nn.compact
    def __call__(self, h: Array, x: Array) -> Any:
        h = nn.BatchNorm(use_running_average=True)(self.tanh(x, h))
        return h, h


class Spectral(Linen):
    """A spectral norm, whose vectors are kept."""

    @nn.compact
    def __call__(self, h: Array, x: Array) -> Any:
        h = jnp.tanh(nn.SpectralNorm(self.dense("rec"))(h, update_stats=False))
        return h, h


class Grows(Linen):
    """The carry changes its shape."""

    @nn.compact
    def __call__(self, h: Array, x: Array) -> Any:
        return jnp.concatenate([h, h]), h


class Fails(Linen):
    """A product of sizes that do not fit."""

    @nn.compact
    def __call__(self, h: Array, x: Array) -> Any:
        return h, h @ x


class Pair(Linen):
    """Two outputs."""

    @nn.compact
    def __call__(self, h: Array, x: Array) -> Any:
        return h, (h, h)


class Nnx(nnx.Module):
    """A tanh cell of a user's, with one module more."""

    def __init__(self, rngs: nnx.Rngs, more: Any):
        self.linear, self.more = nnx.Linear(I + H, H, rngs=rngs), more

    def initialize_carry(self, input_shape: tuple[int, ...], rngs: nnx.Rngs) -> Array:
        return jnp.zeros((*input_shape[:-1], H))

    def __call__(self, h: Array, x: Array) -> tuple[Array, Array]:
        h = self.more(jnp.tanh(self.linear(jnp.concatenate([x, h], -1))))
        return h, h


class Mask(nnx.Module):
    """A random mask that is not trained."""

    def __init__(self, rngs: nnx.Rngs):
        self.mask = nnx.Variable(jax.random.normal(rngs.params(), (H,)))

    def __call__(self, h: Array) -> Array:
        return h * self.mask[...]


def norm(rngs: nnx.Rngs) -> nnx.Module:
    return nnx.BatchNorm(H, use_running_average=True, rngs=rngs)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (ProjectedTwo(), "its output is no leaf of its carry, so its hidden state is not clear; "
         "name it by hidden=..., one of '0' (4,), '1' (4,)"),
        (Scaled(), "its output is no leaf of its carry"),
        (Copies(), "its output is several leaves of its carry"),
        (Dropped(), "its call draws random numbers (Dropout_0 needs PRNG for \"dropout\""),
        (Normed(), "it keeps state besides its carry and parameters, in the Flax collection batch"),
        (Spectral(), "in the Flax collection batch_stats; a cell's functions are pure"),
        (Grows(), "its call turns a carry of float32 (4,) into one of float32 (8,); expected the"),
        (Fails(), "TypeError: dot_general requires contracting dimensions to have the same shape"),
        (Pair(), "its output is not one array"),
        (lambda rngs: Nnx(rngs, nnx.Dropout(0.5, rngs=rngs)),
         "its call changes state besides its carry, more.rngs.count (RngCount)"),
        (lambda rngs: Nnx(rngs, norm(rngs)), "more.mean (BatchStat) is statistics of batches"),
        (lambda rngs: Nnx(rngs, Mask(rngs)), "more.mask (Variable) is drawn at random, but no"),
        (lambda rngs: nnx.Linear(I, H, rngs=rngs), "AttributeError: 'Linear' object has no attri"),
    ],
)  # fmt: skip
def test_what_cannot_be_wrapped_is_refused_in_one_line(make: Any, text: str) -> None:
    wrap: Any = from_linen if isinstance(make, nn.Module) else from_nnx
    with pytest.raises(UsageError, match=re.escape(text)) as caught:
        wrap(make, I)
    line = str(caught.value)
    assert line.startswith("cannot wrap ")
    assert "\n" not in line


def test_what_is_switched_off_can_be_wrapped() -> None:
    quiet = nnx.Dropout(0.5, deterministic=True)
    cell = from_nnx(lambda rngs: Nnx(rngs, quiet), I)
    assert cell.parameter_count == (I + H + 1) * H


def test_the_options_of_a_wrapped_cell_are_checked() -> None:
    with pytest.raises(UsageError, match="no leaf '2' in its carry, which has '0'"):
        from_linen(ProjectedTwo(), I, hidden="2")
    with pytest.raises(UsageError, match=r"input_shape \(2, 2\) does not have input_size = 3"):
        from_linen(Projected(), I, input_shape=(2, 2))


def test_leaves_have_names() -> None:
    """Those of today for Flax's own cells, and clear ones for the others."""
    named = {
        name: from_linen(linen_module(name), I, **LINEN[name][1])
        for name in ("LSTMCell", "GRUCell", "Reordered", "ThreeParts", "Gated")
    }
    assert {name: cell.probed for name, cell in named.items()} == {
        "LSTMCell": ("h", "c"),
        "GRUCell": ("h",),
        "Reordered": ("h", "c"),
        "ThreeParts": ("h", "fast"),
        "Gated": ("h",),
    }
    assert named["ThreeParts"].counters == ("slow_1",)
    assert named["Gated"].counters == ("_kept_0",)
    assert from_linen(Copies(), I, hidden="0").probed == ("h", "c")


@pytest.mark.parametrize("learned", [False, True])
def test_a_layer_holds_parameters_of_any_name(learned: bool) -> None:
    """Also those that the layer's module uses itself."""
    cell = from_linen(SameNames(), I)
    assert {"start_h", "cell", "gate_bias", "gate__bias"} < {*cell.init(KEY)}
    layer = Recurrent(cell, KEY, learned_state=learned)
    params = layer.params()
    assert {*params} == {*cell.init(KEY)}
    np.testing.assert_array_equal(params["start_h"], cell.init(KEY)["start_h"])
    assert layer(inputs()).final_BxH.shape == (B, H)
    assert tree_size(nnx.state(layer, nnx.Param)) == cell.parameter_count + H * learned
