"""The trained weights of a run as a safetensors file, `DIR/TASK/CELL/ID.safetensors`.

Every parameter has the dotted path that it has in the model: `stack.layers.0.w_h`,
`readout.kernel`. A matrix is written for rows: features @ matrix. The metadata are texts:

| key | holds |
| --- | --- |
| `run` | TASK/CELL/ID |
| `step` | updates made before this checkpoint |
| `config` | the run's configuration, JSON |
| `units` | by name of a unit (`layer_0`) the path of its parameters, JSON |
| `gates` | by path of a recurrent kernel the order of its gates, blocks of columns, JSON |
"""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np

from rnnexp.core.errors import UsageError
from rnnexp.core.files import made_beside, to_json
from rnnexp.core.tree import named_leaves
from rnnexp.export import Exported, run_name
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.transduction import Transducer
from rnnexp.results.load import Run
from rnnexp.run.sample import Trained, load_trained


def export(run: Run, directory: Path, checkpoint: str, data_dir: Path | None) -> Exported:
    """Write all parameters of a checkpoint.

    Raises `UsageError` if there is no such checkpoint, or if it cannot be read.
    """
    trained = load_trained(run.path, data_dir, checkpoint=checkpoint or "best")
    target = directory / f"{run_name(run)}.safetensors"
    units, gates = unit_paths(trained.model), gate_orders(trained.model)
    facts = about(run, trained) | {"units": json.dumps(units), "gates": json.dumps(gates)}
    replaced = write_tensors(target, weights_by_path(trained), facts)
    shown = f"{{name: array.shape for name, array in load_file({str(target)!r}).items()}}"
    code = f"from safetensors.numpy import load_file; print({shown})"
    return Exported(target, replaced, f"python -c {shlex.quote(code)}")


def about(run: Run, trained: Trained) -> dict[str, str]:
    """The metadata of any file of weights: which run, which step, which configuration."""
    config = to_json(run.config)
    return {"run": run_name(run), "step": str(int(trained.state.step)), "config": config}


def weights_by_path(trained: Trained) -> dict[str, np.ndarray]:
    """Every parameter, on the host, by its dotted path in the model."""
    leaves = named_leaves(jax.device_get(trained.state.params))
    return {name.replace("/", "."): np.asarray(leaf) for name, leaf in leaves.items()}


def unit_paths(model: SequenceModel | Transducer) -> dict[str, str]:
    """By name of a unit the path of its parameters: `{"layer_0": "stack.layers.0"}`."""
    parts = ["encoder", "decoder"] if isinstance(model, Transducer) else ["stack"]
    paths = [
        f"{part}.layers.{n}" for part in parts for n in range(len(getattr(model, part).layers))
    ]
    return {unit.name: path for unit, path in zip(model.units(), paths, strict=True)}


def gate_orders(model: SequenceModel | Transducer) -> dict[str, list[str]]:
    """By path of a recurrent kernel the names of its gates, in the order of its blocks.

    Only of kernels that the cell itself cuts into gates (`Cell.recurrent_matrices`).
    """
    orders: dict[str, list[str]] = {}
    for unit, path in zip(model.units(), unit_paths(model).values(), strict=True):
        cell, params = unit.layer.cell, unit.layer.params()
        if cell.recurrent_matrices is None:
            continue
        for name in cell.recurrent_matrices(cell.prepare(params)):
            kernel, divided, gate = name.partition("/")
            if divided and kernel in params:
                orders.setdefault(f"{path}.{kernel}", []).append(gate)
    return orders


def write_tensors(
    target: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> bool:
    """Write a safetensors file, whole or not at all; returns whether it replaced one.

    Raises `UsageError` if the file cannot be written.
    """
    from safetensors.numpy import save_file

    replaced = target.exists()
    # The format stores an array's memory as it lies, so a transposed view would be wrong.
    stored = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with made_beside(target) as part:
            save_file(stored, part, metadata=dict(metadata))
    except Exception as error:  # the package passes on failures of the system as its own
        raise UsageError(f"cannot write {target}: {error}") from error
    return replaced
