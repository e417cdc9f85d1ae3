"""What the README says can be done, can be done."""

import re
from pathlib import Path

import pytest

from rnnexp.cells import CELLS
from rnnexp.cli import main
from rnnexp.overrides import from_command_line, load_file
from rnnexp.tasks import TASKS

SMALL = [f"--config.{key}" for key in ("cell.hidden_size=4", "train.duration_steps=3")]


def test_its_own_cell_trains(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(CELLS, "_entries", dict(CELLS._entries))
    [block] = re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
    file = tmp_path / "mine.py"
    file.write_text(block)
    command = ["run", "adding/leaky", "--import", str(file), "--runs-dir", str(tmp_path)]
    assert main([*command, "--config.cell.leak=0.2", *SMALL]) == 0
    assert "completed after 3 steps" in capsys.readouterr().out


def test_its_tables_name_every_cell_and_task_with_their_options(root: Path) -> None:
    text = (root / "README.md").read_text()
    for table in (CELLS, TASKS):
        for name in table.builtin:
            [row] = re.findall(rf"^\| `{name}` \|.*$", text, re.MULTILINE)
            for option in table.entry(name).options():
                assert f"`{option}`" in row, f"{name}: {option}"


def test_it_names_every_experiment_and_its_files_exist(root: Path) -> None:
    text = (root / "README.md").read_text()
    for script in (root / "experiments").glob("*.py"):
        assert f"experiments/{script.name}" in text
    for path in re.findall(r"(?:configs|experiments|rnnexp)/[\w/]+\.(?:py|png)", text):
        assert (root / path).is_file(), path


@pytest.mark.parametrize(
    "name", ["copy_memory_lstm", "adding_lstm", "mnist_lstm", "permuted_mnist_lstm", "digits_lstm"]
)
def test_configs_load_and_say_what_they_show(root: Path, name: str) -> None:
    file = root / "configs" / f"{name}.py"
    load_file(str(file))
    frozen = from_command_line(None, [f"--config={file}", "--config.optimizer.learning_rate=3e-4"])
    assert frozen.optimizer.learning_rate == 3e-4
    docstring = file.read_text().split('"""')[1]
    assert f"rnnexp run --config=configs/{file.name}" in docstring
    assert "Expected" in docstring
