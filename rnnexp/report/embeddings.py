"""The picture of an embedding: symbols in a plane, those that are alike side by side.

t-SNE (van der Maaten & Hinton 2008, "Visualizing data using t-SNE") keeps neighbours together and
little else: distances between groups, and the sizes of groups, say nothing.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rnnexp.core.errors import UsageError
from rnnexp.report.figures import COLOURS, new_figure, save, verbatim

PERPLEXITY = 30.0
"""Neighbours that a symbol has, in effect: scikit-learn's default, less for few symbols."""
SIZE_IN = 11.0
LEAST = 4


def in_a_plane(vectors_NxE: np.ndarray, seed: int = 0) -> np.ndarray:
    """t-SNE of vectors by their cosines, (N, 2), from the two leading principal components.

    Raises `UsageError` for too few vectors.
    """
    if len(vectors_NxE) < LEAST:
        raise UsageError(f"a picture needs {LEAST} symbols or more, not {len(vectors_NxE)}")
    from sklearn.manifold import TSNE  # takes a second to import

    perplexity = min(PERPLEXITY, (len(vectors_NxE) - 1) / 3)
    placed: np.ndarray = TSNE(
        perplexity=perplexity, metric="cosine", init="pca", random_state=seed
    ).fit_transform(vectors_NxE.astype(float))
    return placed


def draw_embeddings(
    symbols: Sequence[str], vectors_NxE: np.ndarray, file: Path, title: str
) -> None:
    """Draw symbols at the places of their vectors; `UsageError` for an unknown ending."""
    places = in_a_plane(vectors_NxE)
    figure = new_figure((SIZE_IN, SIZE_IN))
    axes = figure.subplots()
    axes.scatter(places[:, 0], places[:, 1], s=6, color=COLOURS[0], linewidths=0)
    for symbol, (x, y) in zip(symbols, places, strict=True):
        axes.annotate(
            verbatim(symbol), (x, y), xytext=(2, 2), textcoords="offset points", fontsize=7
        )
    axes.set(xticks=[], yticks=[], title=verbatim(title))
    save(figure, file)
