"""The slopes of the fused cells are the derivatives of a step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.scan.kernels.gpu.cells import CELLS
from tests.helpers.kernel_cells import assert_same


@pytest.mark.parametrize("name", CELLS)
def test_slopes_are_the_derivatives_of_a_step(name: str, x64: None) -> None:
    cell = CELLS[name]
    random = np.random.default_rng(0)
    z, x, (h, c, b_hn, dh, dc) = (
        [jnp.asarray(random.standard_normal((2, 3))) for _ in range(count)]
        for count in (cell.gates, len(cell.apart), 5)
    )
    h_new, c_new, saved = cell.forward(z, x, h, c, b_hn)
    slopes = cell.backward(saved, c_new, c, h_new, h, dh, dc)
    vjp = jax.vjp(lambda *given: cell.forward(*given)[:2], z, x, h, c, b_hn)[1]
    of_z, of_x, of_h, of_c, of_b = vjp((dh, dc))
    wanted = [of_x[cell.apart.index(g)] if g in cell.apart else of_z[g] for g in range(cell.gates)]
    assert_same([slopes.z[k] for k in cell.of_x], wanted, 1e-12)
    assert_same([slopes.z[k] for k in cell.of_h], of_z, 1e-12)
    assert_same([slopes.h, slopes.c], [of_h, of_c], 1e-12)
    if name == "gru":
        assert_same(slopes.z[-1], of_b, 1e-12)
