"""torch itself gives our outputs, through the file that an export writes; where it is installed."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnexp.export import export
from rnnexp.export.pytorch import modules, state_dict
from rnnexp.results.load import load_run
from rnnexp.run.sample import load_trained
from tests.helpers.exported import needed
from tests.helpers.exported_models import (
    CASES,
    LENGTHS,
    Case,
    inputs_of,
    our_outputs,
    trained_case,
)


@pytest.fixture
def torch() -> Any:
    needed("torch")
    import torch

    return torch


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", CASES)
def test_torch_gives_our_outputs(torch: Any, name: str) -> None:
    from rnnexp.export.torch_model import Model

    trained = trained_case(CASES[name])
    x = inputs_of(CASES[name], trained)
    ours = our_outputs(trained, x)
    model = Model(**modules(trained))
    weights = {k: torch.tensor(np.array(v)) for k, v in state_dict(trained).items()}
    model.load_state_dict(weights)
    with torch.no_grad():
        theirs = model(torch.tensor(x), torch.tensor(LENGTHS))[0].numpy()
    if model.pooling is None:
        valid = np.arange(len(x))[:, None] < np.array(LENGTHS)
        theirs, ours = theirs[valid], ours[valid]
    np.testing.assert_allclose(theirs, ours, rtol=2e-5, atol=2e-6)


@pytest.mark.filterwarnings("default")
def test_a_state_goes_on(torch: Any) -> None:
    from rnnexp.export.torch_model import Model

    case = CASES["lstm, an output a step"]
    trained = trained_case(case)
    x = torch.tensor(inputs_of(case, trained))
    model = Model(**modules(trained))
    with torch.no_grad():
        whole = model(x)[0]
        first, state = model(x[:3])
        rest = model(x[3:], state=state)[0]
    np.testing.assert_allclose(torch.cat([first, rest]), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("default")
def test_the_written_file_loads_what_is_beside_it(
    torch: Any, trained_run: Path, tmp_path: Path
) -> None:
    result = export(load_run(trained_run), "pytorch", tmp_path)
    model = runpy.run_path(str(result.path / "network.py"))["load"]()
    trained = load_trained(trained_run)
    x = inputs_of(Case("adding/lstm", {}), trained)
    with torch.no_grad():
        theirs = model(torch.tensor(x))[0].numpy()
    ours = our_outputs(trained, x, [len(x)] * x.shape[1])
    np.testing.assert_allclose(theirs, ours, rtol=2e-5, atol=2e-6)
