"""What the README says can be done, can be done."""

import math
import re
from pathlib import Path
from typing import Any

import pytest

from rnnexp.cells import CELLS
from rnnexp.cli.main import main
from rnnexp.config.overrides import from_command_line, load_file
from rnnexp.tasks import TASKS
from tests.helpers.laboratory_data import laboratory
from tests.helpers.logged_runs import write_logged_run
from tests.helpers.report_runs import write_laboratory

SMALL = [f"--config.{key}" for key in ("cell.hidden_size=4", "train.duration_steps=3")]


def python_blocks(root: Path) -> list[str]:
    """The README's Python: a cell in the laboratory, reading runs, one's own cell, Flax's."""
    blocks = re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 4
    return blocks


def test_its_flax_example_runs(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(CELLS, "_entries", dict(CELLS._entries))
    file = tmp_path / "flax_example.py"
    file.write_text(python_blocks(root)[3])
    command = ["run", "adding/linen_gru", "--import", str(file), "--runs-dir", str(tmp_path)]
    assert main([*command, *SMALL]) == 0
    printed = capsys.readouterr().out
    norms = [float(x) for x in printed.partition("[")[2].partition("]")[0].split()]
    assert len(norms) == 50
    assert norms[0] < norms[-1]
    assert "completed after 3 steps" in printed


def test_its_reading_of_runs_runs(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_logged_run(tmp_path / "runs", "copy_memory/lstm")
    write_laboratory(run, laboratory())
    monkeypatch.chdir(tmp_path)
    exec(python_blocks(root)[1], {})
    printed = capsys.readouterr().out
    assert re.search(r"^copy_memory +lstm +0.25$", printed, re.MULTILINE)
    assert f"\n{math.exp(-0.4 * 20):.6f}"[:8] in printed
    assert "[-0.18 -0.18]" in printed


def test_its_own_cell_trains(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(CELLS, "_entries", dict(CELLS._entries))
    block = python_blocks(root)[2]
    file = tmp_path / "mine.py"
    file.write_text(block)
    command = ["run", "adding/leaky", "--import", str(file), "--runs-dir", str(tmp_path)]
    assert main([*command, "--config.cell.leak=0.2", *SMALL]) == 0
    assert "completed after 3 steps" in capsys.readouterr().out


def test_its_tables_name_every_cell_and_task_with_their_options(root: Path) -> None:
    text = (root / "README.md").read_text().partition("## Commands")[2]
    for table in (CELLS, TASKS):
        for name in table.builtin:
            [row] = re.findall(rf"^\| [^|]*`{name}`[^|]* \|.*$", text, re.MULTILINE)
            for option in table.entry(name).options():
                assert f"`{option}`" in row, f"{name}: {option}"


def test_it_names_every_experiment_and_its_files_exist(root: Path) -> None:
    text = (root / "README.md").read_text()
    for script in (root / "experiments").glob("*.py"):
        assert f"experiments/{script.name}" in text
    for path in re.findall(r"(?:configs|experiments|rnnexp)/[\w/]+\.(?:py|png)", text):
        assert (root / path).is_file(), path


CONFIGS = sorted(path.stem for path in (Path(__file__).parent.parent / "configs").glob("*.py"))


def test_there_is_a_config_for_each_of_the_first_tasks() -> None:
    names = ("copy_memory", "adding", "mnist", "permuted_mnist", "digits")
    assert {f"{name}_lstm" for name in names} <= set(CONFIGS)


@pytest.mark.parametrize("name", CONFIGS)
def test_configs_load_and_say_what_they_show(root: Path, name: str) -> None:
    file = root / "configs" / f"{name}.py"
    load_file(str(file))
    frozen = from_command_line(None, [f"--config={file}", "--config.optimizer.learning_rate=3e-4"])
    assert frozen.optimizer.learning_rate == 3e-4
    docstring = file.read_text().split('"""')[1]
    assert f"rnnexp run --config=configs/{file.name}" in docstring
    assert "Expected" in docstring


def test_its_cell_in_the_laboratory(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found: dict[str, Any] = {}
    exec(python_blocks(root)[0], found)
    data = found["data"]
    assert dict(data.sizes) | {"exponent": 32, "rank": 16, "gate": 3, "matrix": 4} == data.sizes
    assert float(data.lyapunov[0]) < 0
    assert f"{float(data.lyapunov[0]):.6f}"[:6] in capsys.readouterr().out
