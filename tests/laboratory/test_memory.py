"""More memory than allowed is refused, and what to lower is named."""

import logging
from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.laboratory.examine import examine_cell, prepare
from rnnexp.laboratory.memory import Need, require_memory
from rnnexp.laboratory.settings import Laboratory
from tests.helpers.laboratory_models import SETTINGS, I, batch_of, model_of, scores
from tests.helpers.variants import build


def test_more_memory_than_allowed_names_what_to_lower(caplog: pytest.LogCaptureFixture) -> None:
    model, batch = model_of("lstm"), batch_of()
    caplog.set_level(logging.INFO, "rnnexp")
    prepare(SETTINGS, model, batch, scores, None, "it")
    assert "laboratory of it: measuring takes up to 0.0 MiB" in caplog.text
    small = replace(SETTINGS, memory_gib=1e-9)
    with pytest.raises(UsageError, match=r"measuring it takes up to .* GiB.*lower laboratory\."):
        prepare(small, model, batch, scores, None, "it")
    needs = [Need(3 * 2**30, "A", "lower a"), Need(2**30, "B", "lower b")]
    with pytest.raises(UsageError, match=r"takes up to 4 GiB.*\(3 GiB\) is for A: lower a, or"):
        require_memory(Laboratory(), needs, "it")
    wide = build(("lstm", {}), I, 512)
    with pytest.raises(UsageError, match=r"Lyapunov exponents: lower laboratory\.exponents"):
        examine_cell(
            wide, jax.eval_shape(wide.init, jax.random.key(0)), jnp.zeros((8, 4, I)),
            settings=Laboratory(exponents=0, examples=0, memory_gib=0.1),
        )  # fmt: skip
