"""A device that cannot compile the fused kernels is quoted."""

import jax
import pytest

from rnnexp.scan.kernels.gpu import problem as tried
from rnnexp.train.choose_time_loop import obstacle
from tests.helpers.kernel_cells import config_with
from tests.helpers.variants import build as build_cell


def test_a_device_that_cannot_compile_it_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as this one: Pallas compiles for no processor."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    tried.problem.cache_clear()
    text = obstacle(config_with(), build_cell(("rnn", {}), 2, 16))
    tried.problem.cache_clear()
    assert text.startswith("its kernel cannot be compiled here: ValueError: Only interpret mode")
