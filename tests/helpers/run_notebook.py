"""Runs a notebook with this Python: `python -m tests.helpers.run_notebook FILE FOLDER`.

It is a process of its own because the kernel's libraries warn, which the tests' processes refuse.
It prints the outputs of all cells, as JSON; an error in a cell ends it with the cell's traceback.
"""

import json
import sys

import nbformat
from nbclient import NotebookClient

LONGEST_S = 1200
"""For one cell."""


def main(file: str, folder: str) -> None:
    """Run the notebook from its first cell to its last."""
    notebook = nbformat.read(file, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    place = {"metadata": {"path": folder}}
    NotebookClient(notebook, timeout=LONGEST_S, kernel_name="python3", resources=place).execute()
    found = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
