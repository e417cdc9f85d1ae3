"""The associative path gives what the scan gives, or is refused."""

import jax
import jax.numpy as jnp
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.gradflow.adjoints import perturb
from rnnexp.models.noise import zoneout
from rnnexp.scan.unroll import TimeLoop, unroll
from tests.helpers.structured_models import KEY, LENGTHS, H, I, inputs
from tests.helpers.time_paths import same_everywhere
from tests.helpers.variants import build


@pytest.mark.parametrize("name", ["lru", "min_gru", "min_lstm"])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_the_associative_path_gives_the_same(
    name: str, lengths: tuple[int, ...] | None, x64: None
) -> None:
    ends = None if lengths is None else jnp.array(lengths)
    same_everywhere(build((name, {}), I, H), TimeLoop(associative=True), ends, perturb)


@pytest.mark.parametrize(
    ("name", "hooks"), [("lru", True), ("gru", False)], ids=["with hooks", "not linear"]
)
def test_what_the_associative_path_cannot_do_is_refused(name: str, hooks: bool) -> None:
    cell = build((name, {}), I, H)
    params = cell.init(jax.random.key(0))
    noise = (zoneout(cell, 0.5, KEY),) if hooks else ()
    with pytest.raises(UsageError, match="associative path"):
        unroll(cell, params, inputs(), hooks=noise, time_loop=TimeLoop(associative=True))
