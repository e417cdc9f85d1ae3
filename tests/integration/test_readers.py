"""Readers beside a run that trains: what they get is whole, and as far as the run says it is."""

import json
import threading
from pathlib import Path

import numpy as np
import xarray

from rnnexp.results.frames import load_gradients, load_laboratory, load_runs
from rnnexp.results.load import load_run
from rnnexp.run.callbacks import Observer
from rnnexp.run.gradient_store import GradientLog
from rnnexp.run.run import run
from tests.helpers.small_run import small_config


def test_a_store_that_grows_is_read_whole(tmp_path: Path) -> None:
    """Every row's profile holds its step, so a reader that mixes two moments sees it."""
    path, stop = tmp_path / "gradients.zarr", threading.Event()
    log, step = GradientLog(path, ["layer_0", "layer_1"]), 0

    def write(rows: int) -> None:
        nonlocal step
        for _ in range(rows):
            log.append(step, {leaf: np.full((2, 9), step, np.float32) for leaf in ("h", "c")})
            step += 1
        log.flush()

    def keep_writing() -> None:
        while not stop.is_set():
            write(3)

    write(1)
    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        lengths = []
        for _ in range(15):
            with xarray.open_zarr(path) as opened:
                data = opened.load()
            for name in ("dL_dh", "dL_dc"):
                assert (data[name].values == data["step"].values[:, None, None]).all()
            lengths.append(data.sizes["step"])
    finally:
        stop.set()
        writer.join()
    assert lengths == sorted(lengths)
    assert lengths[-1] > lengths[0]


class Reader(Observer):
    """Reads the run's directory at each of its events, as another process might."""

    def __init__(self) -> None:
        self.path = Path()
        self.seen: list[tuple[int, int]] = []
        """The updates made, and those that `status.json` says."""

    def started(self, path: Path, first_step: int, total_steps: int) -> None:
        del first_step, total_steps
        self.path = path

    def advanced(self, step: int, scalars: object) -> None:
        del scalars
        status = json.loads((self.path / "status.json").read_text())
        assert status["status"] == "running"
        self.seen.append((step, status["step"]))
        assert load_run(self.path).status["step"] == status["step"]
        assert load_runs(self.path.parents[2])["step"].tolist() == [status["step"]]
        if (self.path / "gradients.zarr").exists():
            data = load_gradients(self.path)
            assert data["dL_dh"].sizes["step"] == data["dL_dc"].sizes["step"]
        if (self.path / "laboratory.zarr").exists():
            load_laboratory(self.path)


def test_the_status_is_as_old_as_the_last_checkpoint(tmp_path: Path) -> None:
    reader = Reader()
    config = small_config(
        train__duration_steps=60, checkpoint__every_steps=10, model__num_layers=1,
        laboratory__every_steps=30, laboratory__longest_span=0, record__every_steps=1,
    )  # fmt: skip
    run(config, runs_dir=tmp_path, observer=reader)
    assert max(said for _, said in reader.seen) > 0
    assert all(0 <= step - said <= 10 for step, said in reader.seen)
