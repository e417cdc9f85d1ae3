"""The embedding of a trained run: a vector for every symbol, and which symbols are alike."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnexp.core.errors import RunError, UsageError, unknown
from rnnexp.run.sample import load_trained
from rnnexp.tasks.base import Task

ENDINGS = (".csv", ".npz")


class Embeddings(NamedTuple):
    """A table of symbols (words, characters, or numbers), and their vectors (V, E)."""

    symbols: tuple[str, ...]
    vectors_VxE: np.ndarray


def embeddings_of(path: Path, data_dir: Path | None = None) -> Embeddings:
    """The embedding of a run's best checkpoint (of its last if there is no best).

    Of an encoder-decoder it is that of the encoder, of the symbols that are read.

    Raises `UsageError` if the run has no embedding or no checkpoint.
    """
    trained = load_trained(path, data_dir)
    model = trained.model
    if model.embedding is None:
        raise UsageError(
            f"{path} has no embedding: it was trained with config.model.embedding_size=0"
        )
    vectors = np.asarray(model.embedding.embedding[...])
    return Embeddings(_symbols(trained.plan.recipe.task), vectors)


def _symbols(task: Task) -> tuple[str, ...]:
    """The names of a task's input symbols."""
    if task.words is not None:
        return task.words
    letters = task.input_alphabet or task.alphabet
    if letters is not None and len(letters) == task.input_size:
        return tuple(letters)
    return tuple(str(number) for number in range(task.input_size))


def cosines(found: Embeddings, symbol: str) -> np.ndarray:
    """cos of the angle between a symbol's vector and that of each symbol, (V,); 0 for a vector 0.

    Raises `UsageError`, with the nearest spelling, for an unknown symbol.
    """
    if symbol not in found.symbols:
        raise unknown("symbol", symbol, found.symbols)
    vectors = found.vectors_VxE.astype(float)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit_VxE = vectors / np.where(norms > 0, norms, 1)
    products: np.ndarray = unit_VxE @ unit_VxE[found.symbols.index(symbol)]
    return products


def nearest(found: Embeddings, symbol: str, count: int) -> list[tuple[str, float]]:
    """The `count` other symbols of the largest cosines, and these, the largest first."""
    values = cosines(found, symbol)
    order = np.argsort(-values, kind="stable")
    others = [at for at in order.tolist() if found.symbols[at] != symbol]
    return [(found.symbols[at], float(values[at])) for at in others[:count]]


def require_table_name(file: Path) -> None:
    """Raise `UsageError` for a table whose ending is not known."""
    if file.suffix.lower() not in ENDINGS:
        raise UsageError(f"cannot write {file}: its ending must be one of {', '.join(ENDINGS)}")


def write_table(found: Embeddings, file: Path) -> None:
    """Write the table: .csv, a row a symbol; .npz, the arrays `symbols` (V,) and `vectors` (V, E).

    Raises `UsageError` for another ending.
    """
    require_table_name(file)
    try:
        if file.suffix.lower() == ".npz":
            with file.open("wb") as stream:
                np.savez(stream, symbols=np.array(found.symbols), vectors=found.vectors_VxE)
            return
        with file.open("w", newline="", encoding="utf-8") as text:
            rows = csv.writer(text)
            rows.writerow(["symbol", *range(found.vectors_VxE.shape[1])])
            for symbol, vector_E in zip(found.symbols, found.vectors_VxE, strict=True):
                rows.writerow([symbol, *map(str, vector_E)])
    except OSError as error:
        raise RunError(f"cannot write {file}: {error.strerror}") from error
