"""The table of a processor's kernels says what the native code says."""

import re

import pytest

from rnnexp.scan.kernels.build import SOURCES
from rnnexp.scan.kernels.cells import CELLS
from tests.helpers.kernel_cells import VARIANTS, made

NATIVE = "".join(path.read_text() for path in SOURCES.glob("*.h"))


@pytest.mark.parametrize("name", CELLS)
def test_a_kernel_is_there_in_native_code_and_a_cell_names_it(name: str) -> None:
    known = CELLS[name]
    assert re.search(rf"(struct|using) {known.native}\b", NATIVE)
    cell, params = made(name, 6)
    assert cell.kernel == name
    weights = cell.kernel_weights(params)
    assert tuple(sorted(weights)) == tuple(sorted(known.weights))
    assert weights["w_x"].shape[1] == 6 * known.gates
    assert not known.own or weights["p"].shape == (known.own, 6)
    assert set(known.leaves) == set(cell.init_state(params))


def test_every_kernel_has_a_variant_that_is_tested() -> None:
    assert set(VARIANTS) == set(CELLS)
