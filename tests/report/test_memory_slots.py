"""The table, the data and the picture of a memory by slot, from numbers set by hand."""

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray

from rnnexp.core.errors import UsageError
from rnnexp.report import memory_slots
from rnnexp.report.memory_slots import MOST_ROWS, draw_memory, slot_rows, slots_data, slots_title

T, N = 6, 20


def memory(*, heads: int = 2) -> xarray.Dataset:
    """Slot t + 3 is written at step t, all are read from slot 5; the last step is padding."""
    adjoint = np.exp(-np.arange(T))[:, None] * np.arange(1, N + 1)[None]
    content = np.broadcast_to(np.arange(N) / 10, (T, N)).copy()
    write, read = np.zeros((T, heads, N)), np.zeros((T, heads, N))
    for t in range(T):
        write[t, :1, t + 3] = 1
        read[t, :, 5] = 0.5 + 0.1 * (t == 2)
    for values in (adjoint, content, write, read):
        values[-1] = np.nan
    variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        "adjoint_norm": (("time", "slot"), adjoint),
        "content_norm": (("time", "slot"), content),
        "content_mean": (("time", "slot"), -content),
    }
    if heads:
        variables |= {
            "w_read": (("time", "w_read_head", "slot"), read),
            "w_write": (("time", "w_write_head", "slot"), write),
        }
    return xarray.Dataset(variables)


def test_rows_are_the_slots_most_used() -> None:
    rows = {row["slot"]: row for row in slot_rows(memory(), most=5)}
    assert list(rows) == [3, 4, 5, 6, 7]
    row = rows[5]
    assert row["w_read"] == pytest.approx(5 + 0.2)
    assert row["most at t (w_read)"] == 2
    assert row["w_write"] == 1
    assert row["most at t (w_write)"] == 2
    assert row["||M||, last t"] == pytest.approx(0.5)
    assert row["max ||dL/dM||"] == pytest.approx(6)
    assert row["at t"] == 0
    bars = row[f"||dL/dM||, t = 0 ... {T - 1}"]
    assert len(bars) == T
    assert bars.endswith("·")  # the padding
    assert len(slot_rows(memory())) == MOST_ROWS
    assert "the 12 most used of 20 slots" in slots_title("layer_0", memory(), 7)
    assert "after 7 updates" in slots_title("layer_0", memory(), 7)
    assert "all 3 slots" in slots_title("layer_0", memory().isel(slot=slice(3)), 7)


def test_without_heads_the_largest_adjoints_are_shown() -> None:
    rows = slot_rows(memory(heads=0), most=3)
    assert [row["slot"] for row in rows] == [17, 18, 19]
    assert not any(name.startswith("w_") for name in rows[0])


def test_data_have_dimensions_and_no_nan() -> None:
    told = json.loads(json.dumps(slots_data({"layer_0": memory()}), allow_nan=False))
    adjoint = told["layer_0"]["adjoint_norm"]
    assert adjoint["dimensions"] == ["time", "slot"]
    assert adjoint["values"][-1] == [None] * N
    assert adjoint["values"][0] == pytest.approx(list(range(1, N + 1)))


@pytest.mark.parametrize("heads", [0, 2])
def test_the_picture_has_a_panel_a_head_and_one_of_adjoints(
    heads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Any] = []
    monkeypatch.setattr(memory_slots, "save", lambda figure, *rest: kept.append(figure))
    units = {"layer_0": memory(heads=heads), "layer_1": memory(heads=heads)}
    draw_memory(units, tmp_path / "memory.svg", "copy/ntm $x$")
    (figure,) = kept
    panels = [axes for axes in figure.axes if axes.get_xlabel()]
    titles = [axes.get_title().partition("\n")[0] for axes in panels]
    drawn = {
        0: ["mean of M_t[i]"],
        2: ["w_write of head 0", "w_write of head 1", "w_read of head 0", "w_read of head 1"],
    }[heads]
    names = [*drawn, "||dL/dM_t[i]||"]
    assert titles == [f"{name}, {unit}" for unit in units for name in names]
    for axes in panels:
        assert axes.get_ylim() == (N - 0.5, -0.5)  # slot 0 above, as in the paper
        assert axes.get_xlim() == (-0.5, T - 0.5)
    adjoints = panels[len(names) - 1].collections[0].get_array().reshape(N, T)
    np.testing.assert_allclose(adjoints[:, :-1], units["layer_0"]["adjoint_norm"].values.T[:, :-1])
    assert adjoints.mask[:, -1].all()
    if heads:
        shown = panels[0].collections[0]
        assert (shown.norm.vmin, shown.norm.vmax) == (0, 1)
        np.testing.assert_array_equal(shown.get_array().reshape(N, T)[3:8, :5], np.eye(5))
    assert plt.get_fignums() == []


def test_slots_at_the_end_that_nothing_touches_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Any] = []
    monkeypatch.setattr(memory_slots, "save", lambda figure, *rest: kept.append(figure))
    data = memory(heads=1)
    data["adjoint_norm"][:, 6:] = 0
    for faint, slots in ((1e-4, 8), (0.1, 13)):
        data["w_write"][0, 0, 12] = faint
        draw_memory({"layer_0": data}, tmp_path / "memory.png", "few")
        assert {axes.get_ylim() for axes in kept[-1].axes if axes.get_xlabel()} == {
            (slots - 0.5, -0.5)
        }


def test_a_memory_without_any_gradient_is_hatched(tmp_path: Path) -> None:
    data = memory(heads=1)
    data["adjoint_norm"][:] = 0
    draw_memory({"layer_0": data}, tmp_path / "memory.png", "still")
    assert (tmp_path / "memory.png").stat().st_size > 0
    with pytest.raises(UsageError, match="its ending must be one of"):
        draw_memory({"layer_0": data}, tmp_path / "memory.foo", "still")
