"""All weights of a checkpoint, read back from a safetensors file."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from rnnexp.core.errors import UsageError
from rnnexp.core.tree import named_leaves
from rnnexp.export import export
from rnnexp.export.safetensors import gate_orders, unit_paths, write_tensors
from rnnexp.results.load import load_run
from rnnexp.run.files import saved_config
from rnnexp.run.sample import load_trained
from tests.helpers.exported_models import Case, trained_case


@pytest.mark.parametrize(("checkpoint", "step"), [("", 2), ("best", 2), ("last", 4), ("4", 4)])
def test_a_file_holds_every_parameter_of_the_checkpoint(
    trained_run: Path, tmp_path: Path, checkpoint: str, step: int
) -> None:
    result = export(load_run(trained_run), "safetensors", tmp_path, checkpoint=checkpoint)
    name = f"adding/lstm/{trained_run.name}"
    assert result.path == tmp_path / f"{name}.safetensors"
    found = load_file(result.path)
    trained = load_trained(trained_run, checkpoint=checkpoint or "best")
    assert int(trained.state.step) == step
    expected = named_leaves(trained.state.params)
    assert found.keys() == {name.replace("/", ".") for name in expected}
    for path, array in expected.items():
        np.testing.assert_array_equal(found[path.replace("/", ".")], array)
    with safe_open(result.path, "np") as opened:
        about = opened.metadata()
    assert (about["run"], about["step"]) == (name, str(step))
    assert json.loads(about["config"]) == saved_config(trained_run)
    assert json.loads(about["units"]) == {
        "layer_0": "stack.layers.0", "layer_1": "stack.layers.1",
    }  # fmt: skip
    gates = json.loads(about["gates"])
    assert gates == {f"stack.layers.{n}.w_h": ["i", "f", "g", "o"] for n in (0, 1)}


def test_the_checkpoints_differ(trained_run: Path) -> None:
    """What the test above compares would also agree if any checkpoint were read."""
    best, last = (load_trained(trained_run, checkpoint=which) for which in ("best", "last"))
    left, right = (named_leaves(trained.state.params) for trained in (best, last))
    assert all(not np.array_equal(left[name], right[name]) for name in left)


def test_the_command_that_it_names_shows_it(trained_run: Path, tmp_path: Path) -> None:
    result = export(load_run(trained_run), "safetensors", tmp_path)
    command = result.shown_by.replace("python", sys.executable, 1)
    shown = subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout
    assert "'stack.layers.1.w_x': (3, 12)" in shown


def test_a_checkpoint_that_is_not_there_is_refused(trained_run: Path, tmp_path: Path) -> None:
    run = load_run(trained_run)
    with pytest.raises(UsageError, match=r"unknown checkpoint 'bset'\. Did you mean 'best'"):
        export(run, "safetensors", tmp_path, checkpoint="bset")
    with pytest.raises(UsageError, match=r"unknown checkpoint '3'.* Known: 2, 4, best, last\."):
        export(run, "safetensors", tmp_path, checkpoint="3")
    with pytest.raises(UsageError, match="--checkpoint is only for safetensors, pytorch"):
        export(run, "tensorboard", tmp_path, checkpoint="best")
    with pytest.raises(UsageError, match="--data-dir is only for safetensors, pytorch"):
        export(run, "tensorboard", tmp_path, data_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_units_of_an_encoder_decoder_have_their_paths() -> None:
    model = trained_case(Case("reverse/gru", {})).model
    assert unit_paths(model) == {
        unit.name: f"{part}.layers.0"
        for unit, part in zip(model.units(), ("encoder", "decoder"), strict=True)
    }
    gates = gate_orders(model)
    assert gates == {f"{part}.layers.0.w_h": ["r", "z", "n"] for part in ("encoder", "decoder")}


def test_a_view_is_written_as_it_reads(tmp_path: Path) -> None:
    array = np.arange(6.0).reshape(2, 3)
    write_tensors(tmp_path / "a" / "x.safetensors", {"x": array.T}, {})
    np.testing.assert_array_equal(load_file(tmp_path / "a" / "x.safetensors")["x"], array.T)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write"):
        write_tensors(tmp_path / "file" / "x.safetensors", {"x": array}, {})
