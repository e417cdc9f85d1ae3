"""Gradient arrays on disk: labelled, the same after a resume, mended after a kill."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

from tests.helpers.gradient_stores import write
from tests.helpers.killed_write import killed_at


def read(path: Path) -> Any:
    """A store's content, an `xarray.Dataset`."""
    with xarray.open_zarr(path) as data:
        return data.load()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What an uninterrupted process writes: 100 rows, more than one chunk of 64."""
    path = tmp_path_factory.mktemp("whole") / "g.zarr"
    write(path, range(0, 1000, 10))
    return read(path)


def test_profiles_are_labelled(whole: Any) -> None:
    for index, name in enumerate(("dL_dh", "dL_dc")):
        assert (whole[name].dims, whole[name].dtype) == (("step", "layer", "time"), np.float32)
        for step in range(0, 1000, 10):
            draw = np.random.default_rng(step).random((2, 2, 5), np.float32)
            np.testing.assert_array_equal(whole[name].sel(step=step), draw[index])
    assert whole["dL_dh"].attrs["unit_names"] == ["a", "b"]
    labels = {name: values.values.tolist() for name, values in whole.coords.items()}
    assert labels == {"step": [*range(0, 1000, 10)], "layer": [0, 1], "time": [0, 1, 2, 3, 4]}


@pytest.mark.parametrize("resume_at", [0, 5, 10, 300, 640, 641, 990])
def test_a_resumed_store_is_the_same(tmp_path: Path, whole: Any, resume_at: int) -> None:
    write(tmp_path / "g.zarr", range(0, 900, 10))
    write(tmp_path / "g.zarr", [], resume_at=resume_at)
    kept = [step for step in range(0, 900, 10) if step < resume_at]
    xarray.testing.assert_identical(read(tmp_path / "g.zarr"), whole.sel(step=kept))
    write(tmp_path / "g.zarr", range(len(kept) * 10, 1000, 10), resume_at=resume_at)
    xarray.testing.assert_identical(read(tmp_path / "g.zarr"), whole)


@pytest.mark.usefixtures("cut_short")
@pytest.mark.filterwarnings(
    "ignore:.*never awaited", "ignore::pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize(
    ("before", "cut", "stride"),
    [([], None, 9), (range(0, 300, 10), None, 3), (range(0, 300, 10), 200, 5)],
    ids=["first", "append", "resume"],
)
def test_a_kill_in_mid_write_is_mended(
    tmp_path: Path, whole: Any, before: Sequence[int], cut: int | None, stride: int
) -> None:
    write(tmp_path / "before" / "g.zarr", before)
    begin = 0 if not before else cut or 300
    for operation in range(1, 1000, stride):
        path = tmp_path / str(operation) / "g.zarr"
        shutil.copytree(tmp_path / "before", path.parent)
        with killed_at(operation, "g.zarr") as hit:
            write(path, range(begin, 800, 10), resume_at=cut)
        write(path, range(begin, 1000, 10), resume_at=begin)
        xarray.testing.assert_identical(read(path), whole)
        if not hit[0]:
            break
    assert operation > 5
