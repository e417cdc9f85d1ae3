"""Strict numerics for every test, and float64 where a test asks for it.

Programs that several tests compile, most of them in processes of their own, are compiled
once: all share a cache that lasts as long as the test run.

Most of the time goes into compiling programs that run for milliseconds, so compilers are told
to hurry. Users' compilers are not: the tests marked `as_users` run without those flags, by
`pytest -m as_users`.
"""

import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

# Set before JAX is imported, and inherited by workers and by the processes of tests.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    CACHE = tempfile.TemporaryDirectory(prefix="rnnexp-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = CACHE.name
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.03")
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")  # of every operation lowered
os.environ.setdefault("RNNEXP_TESTS_HURRY", str("as_users" not in sys.argv))
if os.environ["RNNEXP_TESTS_HURRY"] == "True":
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    if version("jaxlib").startswith("0.10."):  # XLA dies of a flag that it does not know
        QUICK = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
        os.environ.setdefault("XLA_FLAGS", QUICK)

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 2)  # so that lanes have something to stand on
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test that should run as users do, but has compilers that hurry."""
    if os.environ["RNNEXP_TESTS_HURRY"] == "True" and item.get_closest_marker("as_users"):
        pytest.fail("tests marked `as_users` run alone, by `-m as_users`", pytrace=False)


@pytest.fixture
def x64() -> Iterator[None]:
    """Run the test in float64."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def cut_short() -> Iterator[None]:
    """For tests that kill zarr's writes, and ignore that it has not awaited its coroutines: they
    are collected here, not in the middle of another test, which would fail."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's top folder."""
    return Path(__file__).parent.parent


@pytest.fixture(scope="session")
def diverged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that diverged, for tests that only read it."""
    from tests.helpers.diverging_runs import diverged_run

    return diverged_run(tmp_path_factory.mktemp("diverged"))
