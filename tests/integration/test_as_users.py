"""Tests marked `as_users` run with the compilers that users have."""

import os

import jax
import pytest


@pytest.mark.as_users
def test_no_compiler_hurries() -> None:
    assert not jax.config.read("jax_disable_most_optimizations")
    assert "xla" not in os.environ.get("XLA_FLAGS", "")
