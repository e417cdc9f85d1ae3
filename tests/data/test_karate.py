"""Known figures of Zachary's karate club."""

import numpy as np
from scipy.sparse.csgraph import shortest_path  # type: ignore[import-untyped]

from rnnexp.data.karate import MEMBERS, pairs, sides


def test_known_figures() -> None:
    """78 edges, 45 triangles, the diameter 5, and the degrees of the two leaders."""
    edges = pairs()
    assert edges.shape == (78, 2)
    assert len({tuple(edge) for edge in edges.tolist()}) == 78
    assert np.all(edges[:, 0] < edges[:, 1])
    near_VxV = np.zeros((MEMBERS, MEMBERS))
    near_VxV[edges[:, 0], edges[:, 1]] = near_VxV[edges[:, 1], edges[:, 0]] = 1
    degrees = near_VxV.sum(0)
    assert (degrees[0], degrees[33], degrees[32], degrees[2]) == (16, 17, 12, 10)
    assert degrees.min() == 1
    assert np.trace(near_VxV @ near_VxV @ near_VxV) / 6 == 45
    assert shortest_path(near_VxV, unweighted=True).max() == 5
    assert np.bincount(sides()).tolist() == [17, 17]
    assert (sides()[0], sides()[33]) == (0, 1)
