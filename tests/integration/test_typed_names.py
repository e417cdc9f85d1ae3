"""What mypy says of a user's script, which sees the installed package and its `py.typed`."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import rnnexp

reveal_type(rnnexp.load_runs("runs"))
reveal_type(rnnexp.load_gradients("adding/lstm"))
reveal_type(rnnexp.run("adding/lstm", {"seed": 1}, callbacks=rnnexp.Callbacks()))
reveal_type(rnnexp.sweep("adding/lstm", {"cell.hidden_size": [2, 4]}).path)
reveal_type(rnnexp.load_model("adding/lstm").step)
reveal_type(rnnexp.compare("runs"))
reveal_type(rnnexp.report("runs"))
rnnexp.lod_runs("runs")
rnnexp.Callbacks(on_eval=lambda split, step: None)
"""
STUBS = """
from typing import Any

class DataFrame:
    def __getattr__(self, name: str) -> Any: ...

def __getattr__(name: str) -> Any: ...
"""
"""In place of pandas-stubs: pandas itself tells type checkers nothing."""
WANTED = [
    (4, 'note: Revealed type is "pandas.DataFrame"'),
    (5, 'note: Revealed type is "xarray.core.dataset.Dataset"'),
    (6, 'note: Revealed type is "rnnexp.run.callbacks.RunResult"'),
    (7, 'note: Revealed type is "pathlib.Path"'),
    (8, 'note: Revealed type is "int"'),
    (9, 'note: Revealed type is "pandas.DataFrame"'),
    (10, 'note: Revealed type is "pathlib.Path"'),
    (11, 'error: Module has no attribute "lod_runs"'),
    (12, "error: Argument"),
    (12, "error: Cannot infer type of lambda"),
]


def test_a_mistyped_name_is_the_error_of_a_user_s_script(root: Path, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "pandas").mkdir()
    (tmp_path / "pandas" / "__init__.pyi").write_text(STUBS)
    # Libraries whose types the script does not show take most of the time.
    unseen = ("jax", "flax", "optax", "orbax", "matplotlib", "plotly", "sklearn", "scipy", "zarr")
    settings = ["[mypy]", f"cache_dir = {tmp_path / 'cache'}"]
    for name in unseen:
        settings += [f"[mypy-{name}.*]", "follow_imports = skip"]
    (tmp_path / "mypy.ini").write_text("\n".join(settings))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", "script.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    said = [line.partition(":")[2].partition(": ") for line in done.stdout.splitlines()]
    found = [(int(number), text) for number, _, text in said]
    assert len(found) == len(WANTED), done.stdout + done.stderr
    for (line, text), (wanted_line, words) in zip(sorted(found), sorted(WANTED), strict=True):
        assert line == wanted_line
        assert text.startswith(words), text
