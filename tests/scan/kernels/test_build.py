"""The compiled kernels of the table can be built, and a compiler that fails is quoted."""

from typing import Any

import jax
import pytest

from rnnexp.cells.base import hidden_output
from rnnexp.scan.kernels import build
from rnnexp.train.choose_time_loop import obstacle
from tests.helpers.kernel_cells import VARIANTS, I, config_with, needs_compiler
from tests.helpers.variants import VARIANTS as TABLE
from tests.helpers.variants import build as build_cell
from tests.helpers.variants import variant_id

pytestmark = needs_compiler


@pytest.mark.parametrize("variant", TABLE, ids=variant_id)
def test_every_kernel_of_the_table_can_be_built(variant: Any) -> None:
    cell = build_cell(variant, I, 4)
    if cell.kernel is not None:
        assert cell.kernel in VARIANTS
        assert cell.output is hidden_output
        assert set(cell.init(jax.random.key(0))) <= {"w_x", "w_h", "b", "b_hn"}


def test_a_compiler_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(build.MARCH, "no-such-processor")
    for cached in (build.load, build.problem):
        cached.cache_clear()
    text = obstacle(config_with(), build_cell(("lstm", {}), 2, 4))
    build.problem.cache_clear()
    assert "no-such-processor" in text
    assert not list((tmp_path / "rnnexp" / "kernels").glob("*.so"))
