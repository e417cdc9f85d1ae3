"""The notebooks run from a fresh state, and hold pictures, and no paths of a machine."""

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.guides import ROOT

NOTEBOOKS = sorted((ROOT / "experiments").glob("*.ipynb"))
KEPT = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
"""The metadata of a notebook; anything more is of the machine or the program that saved it."""
named = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.name)


def code_cells(file: Path) -> list[dict[str, Any]]:
    """The cells with code, as they are stored."""
    return [c for c in json.loads(file.read_text())["cells"] if c["cell_type"] == "code"]


def pictures(outputs: list[list[dict[str, Any]]]) -> list[int]:
    """How many pictures each cell shows."""
    return [sum("image/png" in one.get("data", {}) for one in cell) for cell in outputs]


def kinds(outputs: list[dict[str, Any]]) -> list[str]:
    """The kinds of a cell's outputs; what is printed may come in any number of parts."""
    return [kind for kind, _ in itertools.groupby(outputs, lambda one: str(one["output_type"]))]


def test_there_is_a_notebook() -> None:
    assert [file.name for file in NOTEBOOKS] == ["first_hour.ipynb"]


@named
def test_it_runs_in_an_empty_folder(file: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.helpers.run_notebook", file, tmp_path],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout)
    said = [one for cell in found for one in cell if one.get("name") == "stderr"]
    assert not said, said
    stored = code_cells(file)
    assert pictures(found) == pictures([cell["outputs"] for cell in stored])
    assert [kinds(cell) for cell in found] == [kinds(cell["outputs"]) for cell in stored]


@named
def test_it_holds_its_outputs_and_no_path_of_a_machine(file: Path) -> None:
    content = json.loads(file.read_text())
    assert content["metadata"] == KEPT
    cells = code_cells(file)
    assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
    assert all(cell["metadata"] == {} for cell in content["cells"])
    assert sum(pictures([cell["outputs"] for cell in cells])) >= 2
    for cell in cells:
        for one in cell["outputs"]:
            assert one["output_type"] in ("stream", "display_data", "execute_result")
            data = one.get("data", {})
            texts = ["".join(text) for kind, text in data.items() if kind != "image/png"]
            text = "".join(one.get("text", [])) + "".join(texts)
            assert not re.search(
                r"(?<![\w.<])/[a-z]\w+/|[A-Z]:\\|site-packages|0x[0-9a-f]{6}", text
            )
