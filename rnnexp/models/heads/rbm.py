"""RBM: the distribution of a frame's bits as a restricted Boltzmann machine, given the features.

    p(v) = exp(-F(v)) / Z,    F(v) = -b . v - sum_j softplus(c_j + (v W)_j)

The biases are affine in the features, b = b_0 + f U_b and c = c_0 + f U_c: over a recurrent cell
this is the RNN-RBM of Boulanger-Lewandowski et al. 2012, whose machines share W. A machine of step
t has the biases of step t in both phases of its training.

| smaller layer | trained on | evaluated by |
| --- | --- | --- |
| up to 12 units | the likelihood, ln Z by enumeration | the same |
| more | CD-k: F(v) - F(v*), v* held fixed after k Gibbs steps from v | AIS |

AIS is annealed importance sampling. In the second case `loss` is that difference in training, and
an estimate of the likelihood in evaluations, which is repeated as `loss_ais`; `loss_ais_error` is
the mean standard error of a frame's ln Z. Estimates of ln Z lean low, so `loss_ais` does.

With `tied` over the cell `rnn` it is the RTRBM of Sutskever, Hinton & Taylor 2008, "The recurrent
temporal restricted Boltzmann machine": W, U_c and c_0 are the cell's own input kernel, recurrent
kernel and bias. With the cell's sigmoid its state is the mean of the hidden bits given the frame
that it reads, f = sigmoid(v W + f' U_c + c_0), and the machine of the next frame has the hidden
biases c = c_0 + f U_c. U_b is then W'' in the notation of Boulanger-Lewandowski et al.

Sizes: D bits, H hidden units, F features. Start: W, U_b and U_c Glorot uniform, biases 0.
Parameters: D H + (F + 1) (D + H), tied D (F + 1) besides the cell's.
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

from rnnexp.cells.free_energy import all_states, log_partition
from rnnexp.cells.gibbs import Machine, annealed_log_partition, bits_below, gibbs_chain
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch, Key
from rnnexp.models.heads.frames import (
    Biases,
    frame_accuracy,
    frame_nats,
    matrix,
    require_frames,
)
from rnnexp.models.recurrent import Recurrent
from rnnexp.tasks.base import Score

EXACT_UNITS = 12
"""Units of the smaller layer up to which ln Z is enumerated."""
BLOCK_BITS = 5
"""States of so many units are held at once, for every frame of a batch."""
AT_ONCE = 64
"""Frames whose draws or chains are held at once."""
NOTE = (
    "the rbm head has {} units in its smaller layer, more than {}: `loss` is the difference of "
    "free energies of CD-{} in training, and an estimate by annealed importance sampling in "
    "evaluations (loss_ais, with loss_ais_error)"
)


class Rbm(nnx.Module):
    """The head; see the top of the file."""

    same_units = True
    binary = True

    def __init__(
        self,
        feature_size: int,
        output_size: int,
        hidden_size: int,
        key: Key,
        *,
        gibbs_steps: int,
        ais_chains: int,
        ais_temperatures: int,
        tied_to: Recurrent | None = None,
    ):
        self.size, self.hidden_size, self.gibbs_steps = output_size, hidden_size, gibbs_steps
        self.ais_chains, self.ais_temperatures = ais_chains, ais_temperatures
        smaller = min(output_size, hidden_size)
        self.exact = smaller <= EXACT_UNITS
        self.note = "" if self.exact else NOTE.format(smaller, EXACT_UNITS, gibbs_steps)
        key_w, key_biases = jax.random.split(key)
        self.w = matrix(key_w, output_size, hidden_size)
        self.biases = Biases(feature_size, output_size, hidden_size, key_biases)
        if tied_to is not None:  # the very variables, which nnx keeps once
            self.w = tied_to.param("w_x")
            self.biases.u_c, self.biases.c = tied_to.param("w_h"), tied_to.param("b")

    def free_energies(self, features: Array, frames: Array) -> Array:
        """F(v) of frames (..., D) given features (..., F): (...,)."""
        b_NxD, c_NxH = self.biases(features)
        v_NxD = frames.reshape(-1, self.size)
        hidden_NxH = jax.nn.softplus(c_NxH + v_NxD @ self.w[...])
        return -(jnp.sum(b_NxD * v_NxD, -1) + jnp.sum(hidden_NxH, -1)).reshape(frames.shape[:-1])

    def nats(self, features: Array, frames: Array) -> Array:
        """-ln p of frames (..., D) given features (..., F), (...,), ln Z by enumeration."""
        find = partial(log_partition, block_bits=BLOCK_BITS)
        log_z_N = jax.vmap(find, in_axes=(None, 0, 0))(self.w[...], *self.biases(features))
        return self.free_energies(features, frames) + log_z_N.reshape(frames.shape[:-1])

    def after_gibbs_steps(self, features: Array, frames: Array, key: Key) -> Array:
        """Frames (..., D) after the Gibbs steps of CD-k, with the biases of their own features."""
        b_NxD, c_NxH = self.biases(features)
        keys = jax.random.split(key, len(b_NxD))

        def chain(b_D: Array, c_H: Array, v_D: Array, key: Key) -> Array:
            return gibbs_chain(Machine(self.w[...], b_D, c_H), v_D, key, self.gibbs_steps)

        moved_NxD = jax.vmap(chain)(b_NxD, c_NxH, frames.reshape(-1, self.size), keys)
        return jax.lax.stop_gradient(moved_NxD.reshape(frames.shape))

    def draw(self, features: Array, key: Key, temperature: float = 1.0) -> Array:
        """Frames (..., D) drawn given features (..., F).

        The hidden bits are drawn from their marginal distribution if they can be enumerated;
        else 25 Gibbs steps lead from independent bits of the visible biases to the frame. The
        temperature divides the energy; at 0 every choice is the likeliest.
        """
        b_NxD, c_NxH = self.biases(features)
        cold = temperature or 1e-6
        keys = jax.random.split(key, len(b_NxD))
        one = drawn_exactly if self.hidden_size <= EXACT_UNITS else drawn_by_chain

        def draw(row: tuple[Array, Array, Key]) -> Array:
            b_D, c_H, key = row
            return one(Machine(self.w[...] / cold, b_D / cold, c_H / cold), key)

        drawn_NxD: Array = jax.lax.map(draw, (b_NxD, c_NxH, keys), batch_size=AT_ONCE)
        return drawn_NxD.reshape(*features.shape[:-1], self.size)

    def scores(self, features: Array, batch: Batch, key: Key) -> dict[str, Score]:
        """What is trained: nats a frame, or the difference of free energies of CD-k."""
        require_frames(batch.targets, features, self.size)
        if self.exact:
            return self.evaluation_scores(features, batch, key)
        moved = self.after_gibbs_steps(features, batch.targets, key)
        data, model = (self.free_energies(features, frames) for frames in (batch.targets, moved))
        return frame_nats(data - model, batch.lengths_B)

    def evaluation_scores(self, features: Array, batch: Batch, key: Key) -> dict[str, Score]:
        """Nats a frame, exact or estimated, and `accuracy` of one drawn frame a step."""
        key_draw, key_ais = jax.random.split(key)
        drawn = self.draw(features, key_draw)
        right = {"accuracy": frame_accuracy(drawn, batch.targets, batch.lengths_B)}
        if self.exact:
            return frame_nats(self.nats(features, batch.targets), batch.lengths_B) | right
        log_z, error = self.estimated_log_partition(features, key_ais)
        nats = self.free_energies(features, batch.targets) + log_z
        found = frame_nats(nats, batch.lengths_B)
        own = {"loss_ais": found["loss"]}
        own["loss_ais_error"] = frame_nats(error, batch.lengths_B)["loss"]
        return found | own | right

    def estimated_log_partition(self, features: Array, key: Key) -> tuple[Array, Array]:
        """ln Z of every feature vector's machine, (...,), and its standard error."""
        b_NxD, c_NxH = self.biases(features)

        def one(row: tuple[Array, Array, Key]) -> tuple[Array, Array]:
            b_D, c_H, key = row
            return annealed_log_partition(
                Machine(self.w[...], b_D, c_H), key, chains=self.ais_chains,
                temperatures=self.ais_temperatures,
            )  # fmt: skip

        rows = (b_NxD, c_NxH, jax.random.split(key, len(b_NxD)))
        log_z_N, error_N = jax.lax.map(one, rows, batch_size=AT_ONCE)
        shape = features.shape[:-1]
        return log_z_N.reshape(shape), error_N.reshape(shape)


def drawn_exactly(machine: Machine, key: Key) -> Array:
    """A vector drawn from a machine by the marginal distribution of its hidden bits."""
    key_hidden, key_visible = jax.random.split(key)
    hidden = all_states(len(machine.c_H), machine.c_H.dtype)
    turned = Machine(machine.w_NxH.T, machine.c_H, machine.b_N)
    h_H = hidden[jax.random.categorical(key_hidden, -turned.free_energies(hidden))]
    uniform_N = jax.random.uniform(key_visible, machine.b_N.shape, machine.b_N.dtype)
    return bits_below(uniform_N, machine.visible_means(h_H))


def drawn_by_chain(machine: Machine, key: Key, steps: int = 25) -> Array:
    """A vector after Gibbs steps from independent bits of the visible biases."""
    key_start, key_chain = jax.random.split(key)
    uniform_N = jax.random.uniform(key_start, machine.b_N.shape, machine.b_N.dtype)
    start_N = bits_below(uniform_N, jax.nn.sigmoid(machine.b_N))
    return gibbs_chain(machine, start_N, key_chain, steps)


def rbm(
    feature_size: int,
    output_size: int,
    key: Key,
    *,
    hidden_size: int = 8,
    gibbs_steps: int = 5,
    ais_chains: int = 10,
    ais_temperatures: int = 100,
    tied: bool = False,
    top: Recurrent | None = None,
) -> Rbm:
    """The RBM head.

    Args:
      hidden_size: hidden units; up to 12 the likelihood is exact, and trained on.
      gibbs_steps: k of CD-k, of machines with more.
      ais_chains: chains of a frame's estimate of ln Z in evaluations, of machines with more.
      ais_temperatures: steps of such a chain.
      tied: W, U_c and c_0 are the parameters of the layer `top`, of cell `rnn` with a sigmoid.

    Raises `UsageError` for a bad option.
    """
    numbers = {
        "hidden_size": hidden_size, "gibbs_steps": gibbs_steps, "ais_temperatures": ais_temperatures
    }  # fmt: skip
    for name, number in numbers.items():
        if number < 1:
            raise UsageError(f"config.head.{name} must be at least 1, not {number}")
    if ais_chains < 2:
        raise UsageError(f"config.head.ais_chains must be at least 2, not {ais_chains}")
    if tied:
        _require_tied(top, output_size, hidden_size)
    return Rbm(
        feature_size, output_size, hidden_size, key, gibbs_steps=gibbs_steps,
        ais_chains=ais_chains, ais_temperatures=ais_temperatures, tied_to=top if tied else None,
    )  # fmt: skip


def _require_tied(top: Recurrent | None, output_size: int, hidden_size: int) -> None:
    """Raise `UsageError` unless a layer's parameters are those of such an RTRBM."""
    cell = None if top is None else top.cell
    if cell is None or cell.name != "rnn" or cell.input_size != output_size:
        found = "none" if cell is None else f"{cell.name} with {cell.input_size} inputs"
        raise UsageError(
            f"config.head.tied takes the parameters of a cell 'rnn' that reads {output_size} bits, "
            f"those of a frame, and the layer under the head is {found}; set config.head.tied=false"
        )
    if cell.output_size != hidden_size:
        raise UsageError(
            f"config.head.hidden_size must be that of the cell with config.head.tied, "
            f"{cell.output_size}, not {hidden_size}"
        )
