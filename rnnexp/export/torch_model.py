"""A run of rnnexp as torch modules: `model = load()`; needs torch and safetensors.

`rnnexp export RUN --to pytorch` writes a copy of this file beside the weights. The copy needs
nothing else of rnnexp.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Model(nn.Module):
    """An embedding (if any), a stack of `torch.nn.LSTM`, `GRU` or `RNN`, and a linear readout.

    Args:
      kind: "LSTM", "GRU" or "RNN", the last with `nonlinearity`.
      embedding_size: features of a symbol; 0: symbols are one-hot.
      pooling: of one output a sequence: "last", "mean" or "max" over the valid steps; None: there
        is an output at every step.
      learned_state: which initial states are parameters, `["h"]` or `["h", "c"]`.
    """

    def __init__(
        self,
        *,
        kind: str,
        input_size: int,
        hidden_size: int,
        output_size: int,
        num_layers: int,
        bidirectional: bool,
        nonlinearity: str | None,
        embedding_size: int,
        pooling: str | None,
        learned_state: list[str],
    ):
        super().__init__()
        self.input_size, self.pooling, self.learned = input_size, pooling, learned_state
        self.directions = 2 if bidirectional else 1
        self.embedding = nn.Embedding(input_size, embedding_size) if embedding_size else None
        more: dict[str, Any] = {"nonlinearity": nonlinearity} if kind == "RNN" else {}
        self.rnn = getattr(nn, kind)(
            embedding_size or input_size, hidden_size, num_layers, bidirectional=bidirectional,
            **more,
        )  # fmt: skip
        self.readout = nn.Linear(self.directions * hidden_size, output_size)
        for leaf in learned_state:
            start = torch.zeros(num_layers * self.directions, 1, hidden_size)
            self.register_parameter(f"{leaf}_0", nn.Parameter(start))

    def forward(
        self, x: torch.Tensor, lengths: torch.Tensor | None = None, state: Any = None
    ) -> tuple[torch.Tensor, Any]:
        """Outputs, (T, B, O) or one a sequence (B, O), and the layers' state after them.

        Args:
          x: inputs (T, B, I), or numbers of symbols (T, B).
          lengths: valid steps of each sequence, (B,), 1 or more; None: all.
          state: that of an earlier call, to go on from; None: the initial one.
        """
        x = self._features(x)
        steps, batch_size = x.shape[:2]
        if state is None:
            state = self._start(batch_size)
        if lengths is None:
            lengths = torch.full((batch_size,), steps)
        packed = pack_padded_sequence(x, lengths.cpu(), enforce_sorted=False)
        read, after = self.rnn(packed, state)
        outputs = pad_packed_sequence(read, total_length=steps)[0]
        if self.pooling is not None:
            outputs = self._pooled(outputs, lengths, after)
        return self.readout(outputs), after

    def _features(self, x: torch.Tensor) -> torch.Tensor:
        """What the stack reads."""
        weight, numbered = self.readout.weight, not x.is_floating_point()
        if self.embedding is not None:
            return self.embedding(x) if numbered else x @ self.embedding.weight
        return nn.functional.one_hot(x.long(), self.input_size).to(weight) if numbered else x

    def _start(self, batch_size: int) -> Any:
        """The initial state, None for zeros."""
        starts = [
            getattr(self, f"{leaf}_0").expand(-1, batch_size, -1).contiguous()
            for leaf in self.learned
        ]
        return None if not starts else starts[0] if len(starts) == 1 else tuple(starts)

    def _pooled(self, outputs: torch.Tensor, lengths: torch.Tensor, after: Any) -> torch.Tensor:
        """One vector a sequence."""
        if self.pooling == "last":
            h = after[0] if isinstance(after, tuple) else after
            return torch.cat([*h[-self.directions :]], -1)
        steps = torch.arange(len(outputs), device=outputs.device)[:, None]
        padding = (steps >= lengths.to(outputs.device))[:, :, None]
        if self.pooling == "max":
            return outputs.masked_fill(padding, -torch.inf).amax(0)
        return outputs.masked_fill(padding, 0).sum(0) / lengths.to(outputs)[:, None]


def load(file: str | Path | None = None) -> Model:
    """The model of a file that `rnnexp export --to pytorch` wrote, for evaluation.

    Args:
      file: `state_dict.safetensors`; None: that beside this file.
    """
    file = file or Path(__file__).with_name("state_dict.safetensors")
    with safe_open(file, "pt") as opened:
        arguments = json.loads(opened.metadata()["modules"])
    weights = load_file(file)
    model = Model(**arguments)
    model.to(weights["readout.bias"].dtype)
    model.load_state_dict(weights)
    model.eval()
    return model
