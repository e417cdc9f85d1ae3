"""The structure of a model around its cells: plain values, no arrays."""

from dataclasses import dataclass, field

from rnnexp.core.errors import UsageError, require_choice
from rnnexp.scan.unroll import TimeLoop

POOLINGS = ("last", "mean", "max")
ATTENTIONS = ("none", "dot", "additive")
RATES = ("dropout", "recurrent_dropout", "zoneout")


@dataclass(frozen=True, kw_only=True)
class Structure:
    """The options of a model that are not its cell's.

    Attributes:
      num_layers: depth of the stack.
      bidirectional: every layer has a second cell that reads the sequence backwards
        within its valid part; outputs are concatenated, states are separate.
      residual: add a layer's input to its output, where both have the same size.
      layer_norm: normalise every layer's output over its features.
      dropout: fraction of a layer's outputs hidden from the layer above; states are intact.
      variational_dropout: one dropout mask for all steps instead of one a step.
      recurrent_dropout: fraction of the hidden state hidden from the next step, one mask
        for all steps (Gal & Ghahramani 2016).
      zoneout: fraction of every state that keeps its old value (Krueger et al. 2017).
      learned_state: the initial state is a parameter.
      pooling: input of a sequence_to_one readout: the last valid step, or the mean or the
        maximum over all valid steps.
      attention: of an asynchronous decoder to the encoder: none, dot, additive.
      embedding_size: features of an input symbol, a row of a trained matrix; 0: inputs as they
        are, symbols one-hot. Encoder and decoder have a matrix each.
      tied_output: the readout has the matrix of the embedding.
      time_loop: how the units go through time.
    """

    num_layers: int = 1
    bidirectional: bool = False
    residual: bool = False
    layer_norm: bool = False
    dropout: float = 0.0
    variational_dropout: bool = False
    recurrent_dropout: float = 0.0
    zoneout: float = 0.0
    learned_state: bool = False
    pooling: str = "last"
    attention: str = "none"
    embedding_size: int = 0
    tied_output: bool = False
    time_loop: TimeLoop = field(default_factory=TimeLoop)

    def __post_init__(self) -> None:
        require_choice("config.model.pooling", self.pooling, POOLINGS)
        require_choice("config.model.attention", self.attention, ATTENTIONS)
        for name in RATES:
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(
                    f"config.model.{name} must be at least 0 and below 1, not {getattr(self, name)}"
                )
        for name in ("cut_steps", "remat_steps"):
            if getattr(self.time_loop, name) < 0:
                raise UsageError(f"config.model.{name} must not be negative")
