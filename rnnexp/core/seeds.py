"""Seeds of random numbers that a user gives, and their keys.

In its default precision JAX makes a key of a seed's lowest 32 bits: 4294967296 would be the seed
0 again, and -1 be 4294967295. So a seed has 32 bits everywhere, and other numbers are refused.
"""

from typing import TYPE_CHECKING

from rnnexp.core.errors import UsageError

if TYPE_CHECKING:
    from rnnexp.core.types import Key

MOST_SEED = 2**32 - 1


def require_seed(name: str, seed: int) -> None:
    """Raise `UsageError`, which says what `name` is, unless the seed is 0 to `MOST_SEED`."""
    if not 0 <= seed <= MOST_SEED:
        raise UsageError(f"{name} must be a seed from 0 to {MOST_SEED}, not {seed}")


def seed_key(seed: int, name: str = "seed") -> "Key":
    """The key of a seed; seeds from 0 to `MOST_SEED` have different ones, others are refused."""
    import jax  # slow to import, and a command line with a bad seed does not need it

    require_seed(name, seed)
    return jax.random.key(seed)
