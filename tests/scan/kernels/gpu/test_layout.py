"""The layout says which weights a fused kernel holds, and which cells are too wide."""

from rnnexp.scan.kernels.cells import CELLS as OF_PROCESSORS
from rnnexp.scan.kernels.gpu.cells import CELLS
from rnnexp.scan.kernels.gpu.layout import PRECISIONS, layout, too_wide


def test_what_is_held_is_what_the_layout_says() -> None:
    assert set(CELLS) < set(OF_PROCESSORS)
    held = {
        (cell, size, precision): layout(cell, size, precision).held
        for cell in ("lstm", "gru", "tanh")
        for size in (46, 128)
        for precision in PRECISIONS
    }
    assert [key for key, gates in held.items() if gates < CELLS[key[0]].gates] == [
        ("lstm", 128, "float32"),
        ("lstm", 128, "tf32"),
    ]
    assert not any(too_wide(cell, 128, "float32") for cell in CELLS)
    assert too_wide("lstm", 129, "float32")
    assert too_wide("lstm", 256, "bf16")
    assert not too_wide("tanh", 256, "bf16")
    for cell in CELLS:
        for precision in PRECISIONS:
            shape = layout(cell, 46, precision)
            assert shape.padded == 64
            assert shape.rows == (4 if precision == "float32" else 16)
