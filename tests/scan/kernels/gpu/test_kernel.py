"""The fused kernels can be lowered into Triton's language."""

from functools import partial

import jax
import pytest

from rnnexp.scan.kernels.gpu import problem as tried
from rnnexp.scan.kernels.gpu.layout import PRECISIONS


@pytest.mark.parametrize("cell", ["lstm", "gru", "tanh"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_kernels_can_be_lowered_for_cuda(cell: str, precision: str) -> None:
    """As far as this goes without such a device: into Triton's language, both ways."""
    compute = jax.jit(partial(tried._everything, cell, precision))
    lowered = compute.trace(*tried.shapes(cell, 20, 33)).lower(lowering_platforms=("cuda",))
    assert lowered.as_text().count("xla.gpu.triton") == 2
