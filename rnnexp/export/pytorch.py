"""The trained weights of a run as a `state_dict` of `torch.nn` modules, in `DIR/TASK/CELL/ID`.

`state_dict.safetensors` holds the weights under the names and in the layout of `torch.nn.LSTM`,
`GRU` or `RNN` (`rnn.weight_ih_l0`, ...), of a `Linear` (`readout.weight`) and of an `Embedding`.
`network.py`, a copy of `rnnexp.export.torch_model`, makes these modules and loads them; torch is
not needed to write either.

torch's layers, from its documentation (rows are gates, s the logistic function):

    LSTM  i, f, o = s(W x + b + W' h + b'),  g = tanh(W x + b + W' h + b')     order i, f, g, o
    GRU   r, z = s(W x + b + W' h + b'),  n = tanh(W x + b + r * (W' h + b'))  order r, z, n
    RNN   h = tanh or relu(W x + b + W' h + b')

Here one bias holds the sum of both, and goes to b; b' is 0, but for b_hn of a GRU. Coupled gates
of an LSTM, i = 1 - s(z_f) = s(-z_f), are an input gate with the forget gate's weights negated:
the same function, until training unties them.
"""

import json
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import FrozenConfigDict

from rnnexp.config.schema import from_saved, options
from rnnexp.core.errors import UsageError
from rnnexp.core.files import made_beside
from rnnexp.export import Exported, run_name
from rnnexp.export.safetensors import about, weights_by_path, write_tensors
from rnnexp.models.sequence import SequenceModel
from rnnexp.results.load import Run
from rnnexp.run.sample import Trained, load_trained

MODULES = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}
"""By cell the module of `torch.nn` that computes the same."""
STARTS = ("h", "c")
"""The leaves of a state that torch's layers take as the initial one, in their order."""


class TorchLayer(NamedTuple):
    """The parameters of one direction of one layer: (G, I), (G, H), (G,), (G,)."""

    weight_ih: np.ndarray
    weight_hh: np.ndarray
    bias_ih: np.ndarray
    bias_hh: np.ndarray


def export(run: Run, directory: Path, checkpoint: str, data_dir: Path | None) -> Exported:
    """Write the weights of a checkpoint, and the file that loads them.

    Raises `UsageError` if there is no such checkpoint, or if the network has no counterpart in
    torch, with the reason.
    """
    require_counterpart(str(run.path), from_saved(run.config).to_dict())
    trained = load_trained(run.path, data_dir, checkpoint=checkpoint or "best")
    folder = directory / run_name(run)
    facts = about(run, trained) | {
        "format": "pt",
        "modules": json.dumps(modules(trained)),
    }
    replaced = write_tensors(folder / "state_dict.safetensors", state_dict(trained), facts)
    with made_beside(folder / "network.py") as part:
        shutil.copyfile(Path(__file__).with_name("torch_model.py"), part)
    shown = f'cd {shlex.quote(str(folder))} && python -c "from network import load; print(load())"'
    return Exported(folder, replaced, shown)


def require_counterpart(name: str, config: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise `UsageError`, with the reason, for a run that no module of `torch.nn` computes.

    Args:
      name: of the run, for the message.
      config: the run's sections `cell`, `model` and `head`.
    """
    cell, model = config["cell"], config["model"]
    kind, head = cell["name"], config["head"]["name"]
    reasons = {
        f"the cell {kind!r} has none": kind not in MODULES,
        "an LSTM there has no peepholes": kind == "lstm" and cell.get("peepholes", False),
        "a GRU there resets after the recurrent product, and cell.reset is 'before'": (
            kind == "gru" and cell.get("reset", "after") != "after"
        ),
        f"an RNN there has tanh or relu, and cell.activation is {cell.get('activation')!r}": (
            kind == "rnn" and cell.get("activation", "tanh") not in ("tanh", "relu")
        ),
        f"the head {head!r} has none": head != "linear",
        "its stacks have no residual connections": model["residual"],
        "its stacks have no layer normalisation": model["layer_norm"],
        "its layers have no zoneout, which acts in evaluation too": model["zoneout"] > 0,
    }
    if (reason := next((text for text, holds in reasons.items() if holds), None)) is not None:
        raise UsageError(
            f"{name} has no exact counterpart in torch.nn: {reason}. "
            "`--to safetensors` writes its weights under their own names."
        )


def modules(trained: Trained) -> dict[str, Any]:
    """The arguments of `rnnexp.export.torch_model.Model` for a run.

    Raises `UsageError` for an encoder-decoder, which is no module of `torch.nn`.
    """
    model, config = trained.model, trained.plan.config
    if not isinstance(model, SequenceModel):
        raise UsageError(
            f"{trained.plan.recipe.task.name} has an encoder and a decoder, which are no module of "
            "torch.nn. `--to safetensors` writes their weights under their own names."
        )
    structure, cell = model.stack.structure, model.stack.layers[-1].cell
    given = options(config, "cell")
    return {
        "kind": MODULES[config.cell.name],
        "input_size": model.input_size,
        "hidden_size": cell.output_size,
        "output_size": trained.plan.recipe.task.output_size,
        "num_layers": structure.num_layers,
        "bidirectional": structure.bidirectional,
        "nonlinearity": given.get("activation"),
        "embedding_size": structure.embedding_size,
        "pooling": model.pooling if model.to_one else None,
        "learned_state": [leaf for leaf in STARTS if leaf in model.stack.layers[0].learned],
    }


def state_dict(trained: Trained) -> dict[str, np.ndarray]:
    """The weights of a run under the names of `torch_model.Model`, in torch's layout."""
    model, weights = trained.model, weights_by_path(trained)
    assert isinstance(model, SequenceModel)
    found: dict[str, np.ndarray] = {}
    directions = 1 + model.stack.structure.bidirectional
    for number in range(len(model.stack.layers)):
        path = f"stack.layers.{number}."
        own = {k.removeprefix(path): v for k, v in weights.items() if k.startswith(path)}
        ending = f"l{number // directions}" + "_reverse" * (number % directions)
        for name, array in torch_layer(trained.plan.config, own)._asdict().items():
            found[f"rnn.{name}_{ending}"] = array
    for leaf in model.stack.layers[0].learned:
        starts = [weights[f"stack.layers.{n}.start_{leaf}"] for n in range(len(model.stack.layers))]
        found[f"{leaf}_0"] = np.stack(starts)[:, None]
    if "embedding.embedding" in weights:
        found["embedding.weight"] = weights["embedding.embedding"]
    kernel = weights.get("readout.kernel")
    found["readout.weight"] = found["embedding.weight"] if kernel is None else kernel.T
    found["readout.bias"] = weights["readout.bias"]
    return found


def torch_layer(config: FrozenConfigDict, params: Mapping[str, np.ndarray]) -> TorchLayer:
    """One unit's parameters in torch's layout; see the module's docstring.

    Args:
      params: `w_x` (I, G), `w_h` (H, G), `b` (G,), of a GRU also `b_hn` (H,).
    """
    w_x, w_h, b = params["w_x"], params["w_h"], params["b"]
    if options(config, "cell").get("coupled", False):
        size = w_h.shape[0]  # the first block is the forget gate's
        w_x, w_h, b = (np.concatenate([-p[..., :size], p], -1) for p in (w_x, w_h, b))
    other = np.zeros_like(b)
    if "b_hn" in params:
        other[-len(params["b_hn"]) :] = params["b_hn"]
    return TorchLayer(w_x.T, w_h.T, b, other)
