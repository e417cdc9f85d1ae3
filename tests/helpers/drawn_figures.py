"""Figures of several runs, caught before they are written."""

import pytest
from matplotlib.figure import Figure

from rnnexp.report import paper


def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures as they are about to be written, and kept from it."""
    found: list[Figure] = []
    monkeypatch.setattr(paper, "save", lambda figure, *_: found.append(figure))
    return found
