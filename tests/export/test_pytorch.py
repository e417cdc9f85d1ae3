"""A state_dict for torch: torch's documented equations give our outputs, without torch."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from rnnexp.config.schema import experiment, finish
from rnnexp.core.errors import UsageError
from rnnexp.export import export
from rnnexp.export.pytorch import modules, require_counterpart, state_dict
from rnnexp.results.load import load_run
from rnnexp.run.sample import load_trained
from tests.helpers.exported_models import (
    CASES,
    LENGTHS,
    Case,
    inputs_of,
    our_outputs,
    trained_case,
)
from tests.helpers.torch_by_numpy import outputs


@pytest.mark.parametrize("name", CASES)
def test_torch_s_equations_give_our_outputs(name: str) -> None:
    trained = trained_case(CASES[name])
    x = inputs_of(CASES[name], trained)
    ours, weights, about = our_outputs(trained, x), state_dict(trained), modules(trained)
    for example, length in enumerate(LENGTHS):
        theirs = outputs(weights, about, x[:length, example])
        own = ours[example] if about["pooling"] else ours[:length, example]
        np.testing.assert_allclose(theirs, own, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("adding/lstm", {"cell.peepholes": True}, "no peepholes"),
        ("adding/gru", {"cell.reset": "before"}, "cell.reset is 'before'"),
        ("adding/rnn", {"cell.activation": "sigmoid"}, "cell.activation is 'sigmoid'"),
        ("adding/lru", {}, "the cell 'lru' has none"),
        ("adding/lstm", {"model.residual": True}, "residual"),
        ("adding/lstm", {"model.layer_norm": True}, "layer normalisation"),
        ("adding/lstm", {"model.zoneout": 0.1}, "zoneout"),
    ],
)
def test_what_torch_does_not_have_is_refused_with_its_reason(
    name: str, changes: dict[str, object], reason: str
) -> None:
    config = experiment(name)
    config.update_from_flattened_dict(changes)
    with pytest.raises(UsageError, match=f"{reason}.*--to safetensors"):
        require_counterpart("a run", finish(config).to_dict())


def test_other_heads_are_refused() -> None:
    config = finish(experiment("adding/gru")).to_dict() | {"head": {"name": "nade"}}
    with pytest.raises(UsageError, match="the head 'nade' has none"):
        require_counterpart("a run", config)


def test_an_encoder_decoder_is_refused() -> None:
    trained = trained_case(Case("reverse/lstm", {}))
    with pytest.raises(UsageError, match=r"an encoder and a decoder.*--to safetensors"):
        modules(trained)


def test_a_run_becomes_two_files(trained_run: Path, tmp_path: Path) -> None:
    for replaced in (False, True):
        result = export(load_run(trained_run), "pytorch", tmp_path, checkpoint="last")
        assert result.replaced is replaced
    assert sorted(path.name for path in result.path.iterdir()) == [
        "network.py", "state_dict.safetensors",
    ]  # fmt: skip
    file = result.path / "state_dict.safetensors"
    trained = load_trained(trained_run, checkpoint="last")
    expected = state_dict(trained)
    found = load_file(file)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
    with safe_open(file, "np") as opened:
        about = opened.metadata()
    assert json.loads(about["modules"]) == modules(trained)
    assert (about["format"], about["step"]) == ("pt", "4")
    compile((result.path / "network.py").read_text(), "network.py", "exec")
