"""Gradient arrays on disk: labelled, the same after a resume, mended after a kill."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

from rnnexp.report.table import gradient_tables
from rnnexp.results.frames import load_gradients
from rnnexp.results.load import load_run
from rnnexp.run.gradient_store import by_unit
from rnnexp.run.run import run
from tests.helpers.gradient_stores import make_older, write
from tests.helpers.killed_write import killed_at
from tests.helpers.logged_runs import write_logged_run
from tests.helpers.small_run import assert_same_runs, small_config
from tests.helpers.stopped_run import StopAt


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
        assert (whole[name].dims, whole[name].dtype) == (("step", "unit", "time"), np.float32)
        for step in range(0, 1000, 10):
            draw = np.random.default_rng(step).random((2, 2, 5), np.float32)
            np.testing.assert_array_equal(whole[name].sel(step=step), draw[index])
    labels = {name: values.values.tolist() for name, values in whole.coords.items()}
    assert labels == {"step": [*range(0, 1000, 10)], "unit": ["a", "b"], "time": [0, 1, 2, 3, 4]}


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


def test_an_older_store_is_read_and_appended_to(tmp_path: Path, whole: Any) -> None:
    path = tmp_path / "g.zarr"
    write(path, range(0, 500, 10))
    make_older(path)
    write(path, range(300, 1000, 10), resume_at=300)
    data = read(path)
    assert data["dL_dh"].dims == ("step", "layer", "time")
    assert data["layer"].values.tolist() == [0, 1]
    xarray.testing.assert_identical(by_unit(data), whole)
    xarray.testing.assert_identical(by_unit(whole), whole)


def test_readers_see_no_difference_in_an_older_run(tmp_path: Path) -> None:
    slopes = {"layer_0_forward": [-0.1] * 4, "layer_0_backward": [-0.5] * 4}
    path = write_logged_run(tmp_path, slopes=slopes)
    newer, frame = load_run(path), load_gradients(path)
    make_older(path / "gradients.zarr")
    older = load_run(path)
    assert older.units == newer.units == list(slopes)
    np.testing.assert_array_equal(older.norms["h"], newer.norms["h"])
    assert gradient_tables(older) == gradient_tables(newer)
    xarray.testing.assert_identical(load_gradients(path), frame)


def test_an_interrupted_run_of_an_older_version_is_resumed(tmp_path: Path) -> None:
    config = small_config(train__duration_steps=60)
    undisturbed = run(config, runs_dir=tmp_path / "one").path
    stopped = run(config, runs_dir=tmp_path / "two", observer=StopAt(30))
    assert stopped.status == "interrupted"
    make_older(stopped.path / "gradients.zarr")
    assert run(config, runs_dir=tmp_path / "two").status == "completed"
    assert_same_runs(undisturbed, stopped.path, config)
    assert read(stopped.path / "gradients.zarr")["dL_dh"].dims == ("step", "layer", "time")
