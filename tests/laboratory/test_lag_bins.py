"""dL/dW by lags: every bin against copies of the parameters."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.types import Array, Batch
from rnnexp.gradflow.position_losses import Model
from rnnexp.laboratory.lag_gradients import LagGradients
from rnnexp.models.sequence import SequenceModel
from rnnexp.scan.unroll import TimeLoop
from tests.helpers.lag_models import (
    EVERY,
    LENGTHS,
    TO_ONE,
    WRITTEN,
    B,
    H,
    O,
    T,
    U,
    batch_for,
    by_lags,
    losses,
    sequence_model,
    transducer,
)


def copies_of(model: Model) -> dict[str, Any]:
    """Parameters of all units, a copy for every step, (T, ...); (U, ...) in a decoder."""
    steps = {unit.name: U if "decoder" in unit.name else T for unit in model.units()}
    return {
        unit.name: jax.tree.map(
            lambda p, n=steps[unit.name]: jnp.broadcast_to(p, (n, *p.shape)),
            dict(unit.layer.params()),
        )
        for unit in model.units()
    }


def read_with_copies(unit: Any, copies: Any, x_TxI: Array, state: Any) -> tuple[Any, Array]:
    """A unit over one example, the parameters of each step its own; in its reading order."""
    cell = unit.layer.cell

    def step(state: Any, row: Any) -> tuple[Any, Array]:
        stepped: tuple[Any, Array] = cell.step(cell.prepare(row[0]), state, row[1])
        return stepped

    own = jax.tree.map(lambda copy: copy[: len(x_TxI)], copies)
    read: tuple[Any, Array] = jax.lax.scan(step, state, (own, x_TxI))
    return read


def stack_with_copies(units: list[Any], copies: Any, x_TxI: Array) -> tuple[Array, Any]:
    """Outputs of a stack over one example, (T, H), and the final state of its last unit."""
    while units:
        both = len(units) > 1 and units[1].backward
        layer, units = units[: 1 + both], units[1 + both :]
        ways = []
        for unit in layer:
            start = unit.layer.cell.init_state(unit.layer.params())
            way = slice(None, None, -1 if unit.backward else 1)
            state, y_TxH = read_with_copies(unit, copies[unit.name], x_TxI[way], start)
            ways.append(y_TxH[way])
        x_TxI = jnp.concatenate(ways, -1)
    return x_TxI, state


def bins_by_copies(model: Model, batch: Batch, run: Any, lag: Any) -> dict[str, dict[str, Any]]:
    """Parts by single lags 0 ... T + U from dL_s/dW_t of copies, example by example.

    `run`: `(copies, x_TxI of the valid steps, targets) -> outputs`, one a row. `lag`: `(unit,
    s, t, b) -> lag` with t in the unit's order of reading, or None where the row or the step
    is padding.
    """
    copies = copies_of(model)
    parts = {
        name: {k: np.zeros((T + U + 1, *v.shape[1:])) for k, v in params.items()}
        for name, params in copies.items()
    }
    to_one = isinstance(model, SequenceModel) and model.mode == TO_ONE

    def rows(copies: Any, x_TxI: Array, targets: Array) -> Array:
        outputs = run(copies, x_TxI, targets)
        shown = outputs if to_one else outputs[:, None]
        example = Batch(x_TxI[:, None], targets[None] if to_one else targets[:, None])
        return losses(shown, example)[:, 0] / B

    jacobians = jax.jit(jax.jacrev(rows))
    for b in range(B):
        targets = batch.targets[b] if to_one else batch.targets[:, b]
        length = T if batch.lengths_B is None else LENGTHS[b]
        got = jacobians(copies, batch.inputs_TxBxI[:length, b], targets)
        for unit in model.units():
            for name, jacobian in got[unit.name].items():
                for s, t in np.ndindex(jacobian.shape[:2]):
                    at = lag(unit, s, t, b)
                    if at is not None:
                        parts[unit.name][name][at] += jacobian[s, t]
    return parts


def equals_copies(got: LagGradients, parts: dict[str, dict[str, Any]]) -> None:
    """Every bin is what the copies of its lags contribute."""
    lower = [-1, *got.edges[:-1]]
    for unit, by_name in parts.items():
        for name, exact in by_name.items():
            for d, (after, up_to) in enumerate(zip(lower, got.edges, strict=True)):
                np.testing.assert_allclose(
                    got.parts[unit][name][d], exact[after + 1 : up_to + 1].sum(0),
                    rtol=1e-9, atol=1e-12, err_msg=f"{unit} {name} {up_to}",
                )  # fmt: skip


@pytest.mark.parametrize(
    ("cell", "keys"),
    [
        ("lru", {"num_layers": 2, "time_loop": TimeLoop(associative=True)}),
        ("rnn", {"num_layers": 2, "bidirectional": True}),
    ],
)
def test_every_bin_of_a_synchronous_stack_is_its_copies_share(
    cell: str, keys: dict[str, Any], x64: None
) -> None:
    model = sequence_model(cell, **keys)
    batch = batch_for(model)

    def run(copies: Any, x_TxI: Array, targets: Array) -> Array:
        del targets
        return jnp.asarray(model.readout(stack_with_copies(model.units(), copies, x_TxI)[0]))

    def lag(unit: Any, s: int, t: int, b: int) -> int:
        del b
        return abs(s - (T - 1 - t if unit.backward else t))

    parts = bins_by_copies(model, batch, run, lag)
    equals_copies(by_lags(model, batch, edges=EVERY, block=3, examples=2), parts)


def test_every_bin_of_a_sequence_to_one_stack_counts_from_the_units_end(x64: None) -> None:
    model = sequence_model("rnn", TO_ONE, num_layers=2, bidirectional=True)
    batch = batch_for(model, padded=True)

    def run(copies: Any, x_TxI: Array, targets: Array) -> Array:
        del targets
        y, _ = stack_with_copies(model.units(), copies, x_TxI)
        return jnp.asarray(model.readout(jnp.concatenate([y[-1, :H], y[0, H:]]))[None])

    def lag(unit: Any, s: int, t: int, b: int) -> int | None:
        del unit, s
        return LENGTHS[b] - 1 - t if t < LENGTHS[b] else None

    equals_copies(by_lags(model, batch), bins_by_copies(model, batch, run, lag))


def test_every_bin_of_a_transducer_counts_through_the_decoder(x64: None) -> None:
    model = transducer("gru")
    batch = batch_for(model, padded=True)
    encoder, decoder = model.units()

    def run(copies: Any, x_TxI: Array, targets: Array) -> Array:
        _, state = stack_with_copies([encoder], copies, x_TxI)
        # one_hot of -1 is the zero vector that the first step sees
        before = jnp.concatenate([jnp.full(1, -1, targets.dtype), targets[:-1]])
        shown = jax.nn.one_hot(before, O, dtype=x_TxI.dtype)
        _, y_UxH = read_with_copies(decoder, copies[decoder.name], shown, state)
        return jnp.asarray(model.readout(y_UxH))

    def lag(unit: Any, s: int, t: int, b: int) -> int | None:
        if s >= WRITTEN[b]:
            return None
        if unit.name == decoder.name:
            return s - t if t <= s else None
        return LENGTHS[b] - 1 - t + 1 + s if t < LENGTHS[b] else None

    equals_copies(by_lags(model, batch), bins_by_copies(model, batch, run, lag))
