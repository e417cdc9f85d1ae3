"""Memory that was freed is used again without asking the system for fresh pages."""

import ctypes
import subprocess
import sys

import pytest

from rnnexp.runtime.allocator import keep_memory

PROGRAM = """
import resource, statistics, sys
from rnnexp.runtime.allocator import keep_memory
assert sys.argv[1] != "kept" or keep_memory()
import jax, jax.numpy as jnp

f = jax.jit(lambda x: x * jnp.arange(1 << 24, dtype=x.dtype))  # 64 MiB, freed after each call
x = jnp.ones((), jnp.float32)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    f(x).block_until_ready()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

# On a busy machine a buffer may be asked for before the last one is free: kept memory grows, until
# it is enough.
print(statistics.median_low([faults() for _ in range(101)][50:]))
"""


def faults(mode: str) -> int:
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, mode]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc")
@pytest.mark.slow
def test_pages_of_freed_memory_are_not_asked_for_again() -> None:
    assert faults("kept") * 5 < faults("given back")


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_what_the_user_has_set_stands(name: str) -> None:
    assert not keep_memory({name: "2"})
