"""dL_s/dh_t: memory, errors and names."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Batch
from rnnexp.laboratory.adjoint_matrix import (
    adjoint_matrix,
    adjoint_tensor,
    class_adjoints,
    matrix_bytes,
    matrix_dataset,
)
from tests.helpers.adjoint_models import I, T, U, losses, one_example, sequence_model


@pytest.mark.parametrize(
    ("function", "block", "full"),
    [
        (adjoint_matrix, 50, False),
        (adjoint_tensor, 4, True),
        pytest.param(adjoint_matrix, 1, False, marks=pytest.mark.slow),
    ],
)
def test_memory_is_what_the_compiled_program_takes(function: Any, block: int, full: bool) -> None:
    model = sequence_model("lstm", num_layers=2)
    batch = Batch(jnp.zeros((200, 1, I)), jnp.zeros((U, 1)))
    graphdef, params = nnx.split(model, nnx.Param)
    program = jax.jit(
        lambda params: function(nnx.merge(graphdef, params), batch, losses, block=block)
    )
    used: Any = program.lower(params).compile().memory_analysis()
    taken = used.temp_size_in_bytes + used.output_size_in_bytes
    stated = matrix_bytes(model, batch, losses, full=full, block=block)
    assert 0.7 < stated / taken < 1.3


def test_bad_requests_name_what_is_wrong() -> None:
    model, batch = sequence_model("gru"), one_example()
    with pytest.raises(UsageError, match=r"unknown leaf 'c'.*Known: h"):
        adjoint_matrix(model, batch, losses, leaf="c")
    with pytest.raises(UsageError, match=r"rows must lie in 0 \.\.\. 6, not 7"):
        adjoint_matrix(model, batch, losses, rows=[7])
    with pytest.raises(UsageError, match="of one example, not of 2"):
        adjoint_matrix(model, Batch(jnp.zeros((T, 2, I)), jnp.zeros(2)), losses)
    with pytest.raises(UsageError, match=r"\(S, 1\), not \(7,\)"):
        adjoint_matrix(model, batch, lambda y, b: y[:, 0, 0])
    with pytest.raises(UsageError, match="position"):
        class_adjoints(model, batch)


def test_the_dataset_fills_shorter_units_with_nan() -> None:
    matrices = {"encoder_layer_0": jnp.ones((2, 5)), "decoder_layer_0": jnp.ones((2, 3))}
    data = matrix_dataset(matrices, rows=[0, 4])
    assert data["adjoint_matrix"].dims == ("unit", "output_time", "time")
    np.testing.assert_array_equal(data["output_time"], [0, 4])
    decoder = data["adjoint_matrix"].sel(unit="decoder_layer_0")
    np.testing.assert_array_equal(np.isnan(decoder), np.arange(5)[None] >= np.full((2, 1), 3))
