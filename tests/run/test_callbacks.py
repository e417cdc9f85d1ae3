"""Where a run is, and how it ended, by its files."""

from pathlib import Path

from rnnexp.config.schema import run_id
from rnnexp.run.callbacks import RunResult, read_result, run_path
from rnnexp.run.files import RunLog
from tests.helpers.small_run import small_config


def test_a_run_s_directory_is_named_by_task_cell_and_configuration(tmp_path: Path) -> None:
    config = small_config(seed=3)
    path = run_path(config, tmp_path)
    assert path == tmp_path / "adding" / "lstm" / run_id(config)
    assert path.name.endswith("-seed3")
    assert run_path(small_config(seed=3, cell__hidden_size=7), tmp_path) != path


def test_a_result_is_the_content_of_the_status_file(tmp_path: Path) -> None:
    assert read_result(tmp_path / "none") is None
    files = RunLog(tmp_path / "run")
    files.set_status("completed", 7, "", test={"loss": 0.5}, test_step=3)
    files.close()
    details = {"test": {"loss": 0.5}, "test_step": 3}
    assert read_result(files.path) == RunResult(files.path, "completed", 7, "", details)
