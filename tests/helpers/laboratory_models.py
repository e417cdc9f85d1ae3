"""Models, batches and settings with which the laboratory is tested."""

from typing import Any

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell
from rnnexp.core.types import Array, Batch, Params, State
from rnnexp.laboratory.settings import Laboratory
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.structure import Structure
from rnnexp.tasks.scores import cross_entropy, over_steps
from tests.helpers.variants import build

SETTINGS = Laboratory(
    examples=2, exponents=3, warmup_steps=3, interval_steps=2, longest_span=4, rank=2,
    product_examples=1, iterations=3, lag_examples=2, adjoint_matrix=True,
)  # fmt: skip
T, B, I, H, O = 12, 3, 2, 3, 3  # noqa: E741


def linear_cell() -> Cell:
    """h_t = exp(first input) W h_{t-1} + the inputs, written for a row."""

    def transition(params: Params, state: State, x_I: Array) -> State:
        return {"h": jnp.exp(x_I[0]) * (state["h"] @ params["w_h"]) + x_I}

    def start(params: Params) -> State:
        return {"h": jnp.zeros_like(params["w_h"][0])}

    return Cell(
        name="linear", input_size=4, output_size=4, init=lambda key: {"w_h": jnp.eye(4)},
        init_state=start, transition=transition, parameter_count=16,
    )  # fmt: skip


def model_of(cell: str, mode: str = "synchronous", **keys: Any) -> SequenceModel:
    """A small model."""
    return SequenceModel(
        lambda size, layer: build((cell, {}), size, H, layer=layer, output_size=O),
        structure=Structure(**keys), input_size=I, output_size=O, mode=mode,
        key=jax.random.key(0),
    )  # fmt: skip


def batch_of(lengths: tuple[int, ...] | None = None) -> Batch:
    """Inputs and a class at every step."""
    x_TxBxI = jax.random.normal(jax.random.key(1), (T, B, I))
    targets = jax.random.randint(jax.random.key(2), (T, B), 0, O)
    return Batch(x_TxBxI, targets, None if lengths is None else jnp.array(lengths, jnp.int32))


def scores(outputs: Array, batch: Batch) -> dict[str, Any]:
    """Cross-entropy over valid steps."""
    return {"loss": over_steps(cross_entropy(outputs, batch.targets), batch.lengths_B)}
