"""The laboratory in training and at checkpoints: the same numbers, whatever happened between."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray

from rnnexp.cli.main import main
from rnnexp.run.analyze import _rows, analyze_run, summary
from rnnexp.run.callbacks import Observer, run_path
from rnnexp.run.checkpoint import stored_steps
from rnnexp.run.files import RunLog
from rnnexp.run.laboratory_store import LaboratoryLog
from rnnexp.run.measure import RECORDED
from rnnexp.run.run import run
from rnnexp.sweep.lanes import train_lanes
from rnnexp.sweep.plan import planned
from tests.helpers.laboratory_data import laboratory
from tests.helpers.laboratory_runs import SMALL, config_of
from tests.helpers.stopped_run import StopAt


def stored(path: Path) -> xarray.Dataset:
    """The rows of a run's laboratory."""
    data = LaboratoryLog(path / "laboratory.zarr").load()
    assert data is not None
    return data


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was not disturbed."""
    return run(config_of(), runs_dir=tmp_path_factory.mktemp("trained")).path


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    """A copy of that run of one's own, under a runs directory."""
    return Path(shutil.copytree(trained, tmp_path.joinpath(*trained.parts[-3:])))


def test_training_measures_when_it_is_due(trained: Path) -> None:
    data = stored(trained)
    assert list(data["step"].values) == [0, 20, 40]
    assert list(data["unit"].values) == ["layer_0"]
    assert {"lyapunov", "spectral_radius", "dead", "lag_norm"} <= set(data.data_vars)
    assert "singular" not in data
    moved = data["lyapunov"].isel(unit=0, exponent=0)
    assert len(set(moved.values.tolist())) == 3
    values = dict(zip(data["setting"].values, data["measured_with"].values[0], strict=True))
    assert (values["exponents"], values["warmup_steps"]) == (2, 2)


def test_kept_checkpoints_stay_beside_the_last_and_the_best(trained: Path) -> None:
    folder = trained / "checkpoints"
    steps = {kind: [s for s, k in stored_steps(folder) if k == kind] for kind in ("last", "kept")}
    assert steps == {"last": [30, 40], "kept": [10, 20, 30, 40]}


def test_what_training_measured_is_what_its_checkpoints_give(trained: Path, copy: Path) -> None:
    found = analyze_run(copy, again=True)
    assert found.measured == [0, 10, 20, 30, 40]
    xarray.testing.assert_identical(found.data.sel(step=[0, 20, 40]), stored(trained))
    again = analyze_run(copy)
    assert (again.measured, again.skipped) == ([], [0, 10, 20, 30, 40])
    xarray.testing.assert_identical(again.data, found.data)


class Crash(Observer):
    """Ends the run at a step without a checkpoint there, as a kill does."""

    def advanced(self, step: int, scalars: object) -> None:
        if step >= 25:
            raise MemoryError("killed")


def test_a_run_that_stopped_and_crashed_has_measured_the_same(
    trained: Path, tmp_path: Path
) -> None:
    path = run_path(config_of(), tmp_path)
    assert run(config_of(), runs_dir=tmp_path, observer=StopAt(5)).status == "interrupted"
    assert list(stored(path)["step"].values) == [0]
    with pytest.raises(MemoryError):
        run(config_of(), runs_dir=tmp_path, observer=Crash())
    assert max(s for s, kind in stored_steps(path / "checkpoints") if kind == "last") == 15
    assert analyze_run(path).measured == [10, 15, 20]  # of a run that can still go on
    assert run(config_of(), runs_dir=tmp_path).status == "completed"
    data = stored(path)
    assert list(data["step"].values) == [0, 10, 15, 20, 40]
    xarray.testing.assert_identical(data.sel(step=[0, 20, 40]), stored(trained))
    kept = [[step for step, _ in stored_steps(p / "checkpoints")] for p in (path, trained)]
    assert kept[0] == kept[1]


def test_lanes_have_measured_what_they_would_alone(trained: Path, tmp_path: Path) -> None:
    configs = [config_of(), config_of(seed=1)]
    runs = [planned(config, 0, {}) for config in configs]
    train_lanes(runs, runs_dir=tmp_path, data_dir=None, width=1)
    lanes = [stored(run_path(config, tmp_path)) for config in configs]
    xarray.testing.assert_identical(lanes[0], stored(trained))
    assert list(lanes[1]["step"].values) == [0, 20, 40]
    again = analyze_run(run_path(configs[1], tmp_path), again=True).data
    xarray.testing.assert_identical(lanes[1], again.sel(step=[0, 20, 40]))


def test_settings_of_ones_own_replace_rows_that_have_a_checkpoint(
    copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(copy / "checkpoints" / "kept")
    before = stored(copy)
    with caplog.at_level("INFO", "rnnexp"):
        found = analyze_run(copy, overrides={"laboratory.lag_examples": "0"})
    assert "rows with other settings, measured anew where there is a checkpoint" in caplog.text
    assert found.measured == [0, 30, 40]
    data = found.data
    assert data["measured_with"].sel(setting="lag_examples").values.tolist() == [0, 2, 0, 0]
    assert np.isnan(data["lag_norm"].sel(step=40)).all()
    np.testing.assert_array_equal(data["lag_norm"].sel(step=20), before["lag_norm"].sel(step=20))


def test_rows_from_before_a_setting_came_are_rows_without_it() -> None:
    wanted = [float(number) for number in range(len(RECORDED) - 1)] + [0.0]
    values = np.array([wanted[:-1], wanted[:-1]])
    values[1, 0] += 1
    older = xarray.Dataset(
        {"measured_with": (("step", "setting"), values)},
        {"step": [0, 10], "setting": list(RECORDED[:-1])},
    )
    assert RECORDED[-1] == "each_lag"
    assert _rows(older, wanted) == ([0], [10])
    assert _rows(older, [*wanted[:-1], 1.0]) == ([], [0, 10])


def test_damaged_and_vanished_checkpoints_are_passed_over(
    copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for file in (copy / "checkpoints" / "kept" / "10").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:-4])
    before = stored_steps(copy / "checkpoints")
    found = analyze_run(copy)
    assert found.measured == [30]
    assert "checkpoint kept/10 is damaged" in caplog.text
    assert stored_steps(copy / "checkpoints") == before


def test_a_run_of_an_older_version_that_another_process_holds(copy: Path) -> None:
    saved = json.loads((copy / "config.json").read_text())
    del saved["laboratory"]
    for unit in ("steps", "epochs", "examples"):
        del saved["checkpoint"][f"keep_every_{unit}"]
    (copy / "config.json").write_text(json.dumps(saved))
    held = RunLog(copy)
    overrides = {key: str(value) for key, value in SMALL.items() if key.startswith("laboratory")}
    del overrides["laboratory.every_steps"]
    assert analyze_run(copy, overrides=overrides).measured == [10, 30]
    held.close()


def test_the_command(copy: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = tmp_path / "laboratory.png"
    command = ["analyze", "adding/rnn", "--runs-dir", str(tmp_path)]
    assert main([*command, "--plot", str(picture)]) == 0
    printed = capsys.readouterr().out
    assert "measured: steps 10, 30; had been measured: steps 0, 20, 40" in printed
    for text in ("layer_0", "exponent", "Kaplan-Yorke", "radius", "long lags"):
        assert text in printed
    assert picture.stat().st_size > 10_000
    assert main([*command, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["skipped"] == [0, 10, 20, 30, 40]
    row, data = content["units"]["layer_0"][-1], stored(copy).sel(step=40, unit="layer_0")
    assert row["exponent"] == float(data["lyapunov"][0])
    assert row["radius"] == float(data["spectral_radius"].max())
    parts = np.sqrt((data["lag_norm"] ** 2).sum("parameter"))
    assert row["long_lags"] == pytest.approx(float(parts[-1] / parts.sum()), rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--config.seed=1"], r"config\.seed cannot be changed"),
        (["--config.laboratory.every_steps=1"], r"every_steps cannot be changed"),
        (["--config.laboratory.exponent=1"], r"Did you mean 'config\.laboratory\.exponents'"),
        (["--config.laboratory.rank=-1"], r"config\.laboratory\.rank must not be negative"),
        (["--config=file.py"], "analyze takes no --config=FILE"),
        (["--again", "--config.laboratory.memory_gib=1e-6"], r"lower laboratory\.\w+, or raise"),
    ],
)
def test_what_cannot_be_asked(
    trained: Path, arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = stored(trained)
    assert main(["analyze", str(trained), *arguments]) == 2
    assert re.search(text, capsys.readouterr().err)
    xarray.testing.assert_identical(stored(trained), before)


def test_the_summary_takes_the_longest_span_and_leaves_out_what_was_not_measured() -> None:
    data = laboratory(2, 6)
    data["singular"][:, :, -1] = np.nan  # below rounding at the longest span
    first = summary(data)["layer_0"][0]
    assert (first["span"], first["singular"]) == (16, pytest.approx(-0.8))
    assert first["exponent"] == pytest.approx(-0.1)
    second = summary(data[["gate_low", "gate_high"]].isel(step=[0]))["layer_1"][0]
    assert second.keys() == {"step", "gates"}
    assert np.isnan(second["gates"])
