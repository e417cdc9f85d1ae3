"""The table, the data and the picture of a graph's nodes, from numbers set by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

from rnnexp.core.errors import UsageError
from rnnexp.report import node_adjoints
from rnnexp.report.node_adjoints import draw_nodes, node_rows, nodes_data, nodes_title

T, D = 4, 10


def nodes() -> xarray.Dataset:
    """Norms 10^-(step + distance), 0 beyond the steps that remain."""
    norms = 10.0 ** -(np.arange(T)[:, None] + np.arange(D)[None])
    norms[np.arange(T)[:, None] + np.arange(D)[None] >= D + 1] = 0
    return xarray.Dataset(
        {
            "by_distance": (("propagation", "edges_away"), norms),
            "energy": (("propagation",), 2.0 ** -np.arange(T)),
            "distance": (("example", "node"), np.array([[0, np.inf]])),
        }
    )


def test_a_row_a_step_and_a_column_a_distance() -> None:
    rows = node_rows(nodes(), most=3)
    assert list(rows[1]) == [
        "propagation step", "0 edges away", "1 edge away", "2 edges away", "Dirichlet energy",
    ]  # fmt: skip
    assert list(rows[1].values()) == pytest.approx([1, 0.1, 0.01, 0.001, 0.5])
    assert len(rows) == T
    assert "the first 8 of 10 distances" in nodes_title(nodes(), 7, 5)
    few = nodes().isel(edges_away=slice(3))
    assert nodes_title(few, 7, 5).endswith("after 7 updates, 5 validation examples")


def test_data_have_dimensions_and_no_infinity() -> None:
    told = json.loads(json.dumps(nodes_data(nodes()), allow_nan=False))
    assert told["by_distance"]["dimensions"] == ["propagation", "edges_away"]
    assert told["distance"]["values"] == [[0, None]]


def test_the_picture_has_adjoints_and_the_energy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Any] = []
    monkeypatch.setattr(node_adjoints, "save", lambda figure, *rest: kept.append(figure))
    draw_nodes(nodes(), tmp_path / "nodes.png", "task/cell $x$")
    left, right = (axes for axes in kept[0].axes if axes.get_xlabel())
    drawn = left.collections[0].get_array().reshape(D, T)
    np.testing.assert_allclose(drawn.filled(0).T, nodes()["by_distance"])
    assert left.get_ylim() == (D - 0.5, -0.5)
    assert right.lines[0].get_ydata().tolist() == [1, 0.5, 0.25, 0.125]
    assert right.get_yscale() == "log"


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="its ending must be one of"):
        draw_nodes(nodes(), tmp_path / "nodes.foo", "still")
