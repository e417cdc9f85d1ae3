"""Penalties on gradient flow through time, for any cell.

They are computed along a unit's `Trajectory` on a batch, from the transition's derivatives. A
state is all its leaves as one vector.

* `omega`: Pascanu, Mikolov & Bengio 2013, "On the difficulty of training recurrent neural
  networks", equations 9 and 10.
* `flossing`: Engelken 2023, "Gradient flossing: improving gradient descent through dynamic
  control of Jacobians".
* `orthogonality`: ||W^T W - I||_F^2 of every square block of the recurrent kernels; Vorontsov,
  Trabelsi, Kadoury & Pal 2017, "On orthogonality and learning recurrent networks with long
  term dependencies", section 2.2.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.typing import DTypeLike

from rnnexp.cells.base import Cell
from rnnexp.core.linalg import Basis, qr
from rnnexp.core.masking import states_before, valid_steps
from rnnexp.core.tree import stable_norm
from rnnexp.core.types import Array, Params, State
from rnnexp.gradflow.recurrent_params import find_recurrence, recurrent_blocks
from rnnexp.gradflow.tangent_scan import Pushed, free_directions, scan_growth, tangent_push
from rnnexp.scan.step import flat_state
from rnnexp.scan.unroll import Trajectory

WARMUP = 10  # a tenth of a sequence aligns the tangent vectors, as in Engelken's code
OMEGA_FORMS = ("norms", "squares")
LEAST_SQUARE = 1e-20  # of ||dE/ds||, for a transition to count in Omega's form of squares
Row = tuple[State, Array, Array, Array]
"""The state before a step, its input, its number, and which examples it is valid in."""


@dataclass(frozen=True, kw_only=True)
class Regularizers:
    """Which penalties a training program has; their weights are traced.

    Attributes:
      omega_form: one of `OMEGA_FORMS`.
      flossing_exponents: how many leading Lyapunov exponents are driven to 0.
      flossing_before_steps: so many first updates use the flossing gradient alone.
      flossing_again_steps: at which as many such updates begin again.
      flossing_every_steps: other updates add it at steps that this divides; 0: never.
      flossing_window_steps: so many first time steps have exponents; 0: all.
      flossing_examples: so many first examples have them; 0: all.
      flossing_apart: updates by flossing alone have optimiser moments of their own and are not
        clipped, as in Engelken's code.
    """

    omega: bool = False
    omega_form: str = "norms"
    orthogonality: bool = False
    flossing: bool = False
    flossing_exponents: int = 4
    flossing_before_steps: int = 0
    flossing_again_steps: tuple[int, ...] = ()
    flossing_every_steps: int = 1
    flossing_window_steps: int = 0
    flossing_examples: int = 0
    flossing_apart: bool = False

    @property
    def any(self) -> bool:
        """Whether there are penalties at all."""
        return self.omega or self.orthogonality or self.flossing

    def alone(self, step: Array) -> Array:
        """Whether the update of that number is by flossing alone."""
        since = step - jnp.array((0, *self.flossing_again_steps), step.dtype)
        return jnp.any((since >= 0) & (since < self.flossing_before_steps))


def omega(
    cell: Cell,
    params: Params,
    trajectory: Trajectory,
    adjoints: State,
    lengths_B: Array | None,
    *,
    form: str = "norms",
) -> Array:
    """Pascanu's Omega, the mean over the batch of

        norms:   sum_k  (||dE/ds_{k+1} J_k||   / ||dE/ds_{k+1}||   - 1)^2
        squares: mean_k (||dE/ds_{k+1} J_k||^2 / ||dE/ds_{k+1}||^2 - 1)^2,    J_k = ds_{k+1}/ds_k

    over all T transitions, from the initial state on: 0 where a step keeps the norm of
    the gradient that arrives there. Norms are equation 9; squares are the authors' code, and
    equation 10 but for its sum. A transition after a sequence's end, or with a zero dE/ds_{k+1},
    adds nothing and does not count; of squares neither does one whose ||dE/ds_{k+1}||^2 is below
    1e-20, as in that code.

    As in the paper the derivative is the immediate one: states, inputs and dE/ds are held
    fixed, and only recurrent parameters (see `find_recurrence`) vary. The paper's state is
    the one before the nonlinearity; with this project's, the slopes inside J_k depend on
    the recurrent parameters too, through one step.

    Args:
      adjoints: dE/ds after every step, (T, B, ...), all leaves of the state; in any scale for
        norms, for squares that of the loss's mean over the batch.
    """
    recurrent = find_recurrence(cell).names
    live = {k: v if k in recurrent else jax.lax.stop_gradient(v) for k, v in params.items()}
    prepared = cell.prepare(live)
    before = states_before(trajectory.start, trajectory.states)
    held = jax.lax.stop_gradient((before, trajectory.inputs_TxBxI, adjoints))

    def term(state: State, x_I: Array, adjoint: State) -> tuple[Array, Array]:
        """A transition's term, and whether it counts."""
        flat, unravel = ravel_pytree(adjoint)
        norm = stable_norm(flat)
        least = LEAST_SQUARE**0.5 if form == "squares" else jnp.finfo(norm.dtype).tiny
        counts = norm >= least
        unit = unravel(flat / jnp.where(counts, norm, jnp.ones_like(norm)))
        back = jax.vjp(lambda s: cell.transition(prepared, s, x_I), state)[1](unit)[0]
        square = sum((jnp.sum(leaf * leaf) for leaf in back.values()), jnp.zeros_like(norm))
        ratio = square if form == "squares" else _root(square)
        return jnp.where(counts, jnp.square(ratio - 1.0), jnp.zeros_like(ratio)), counts

    terms_TxB, counts_TxB = jax.vmap(jax.vmap(term))(*held)
    counts_TxB &= valid_steps(terms_TxB.shape[0], lengths_B)
    total_B = jnp.sum(jnp.where(counts_TxB, terms_TxB, 0.0), 0)
    if form == "squares":
        total_B /= jnp.maximum(jnp.sum(counts_TxB, 0), 1).astype(total_B.dtype)
    return jnp.mean(total_B)


def _root(square: Array) -> Array:
    """The square root; 0 at 0, where it has no derivative, with the derivative 0."""
    positive = square > 0
    root = jnp.sqrt(jnp.where(positive, square, jnp.ones_like(square)))
    return jnp.where(positive, root, jnp.zeros_like(root))


def flossing(
    cell: Cell, params: Params, trajectory: Trajectory, lengths_B: Array | None, *, exponents: int
) -> Array:
    """The mean square of the leading Lyapunov exponents, (nats per step)^2, over the batch.

    Differentiable through the Jacobians, the orthonormalisations and the states, hence by all
    parameters that those depend on.
    """
    return jnp.mean(jnp.square(driven_exponents(cell, params, trajectory, lengths_B, exponents)))


def driven_exponents(
    cell: Cell, params: Params, trajectory: Trajectory, lengths_B: Array | None, count: int
) -> Array:
    """The `count` leading Lyapunov exponents of every example's trajectory, (B, count).

    Tangent vectors are multiplied by the Jacobian of every valid step and then
    orthonormalised: an exponent is the mean logarithm of its vector's norm before that. They
    start in fixed random directions; the first tenth of a sequence aligns them and is not
    counted. 0 where no step is left. Counters are not perturbed. A Jacobian of lower rank than
    `count` gives -inf.
    """
    prepared = cell.prepare(params)
    steps, batch_size, _ = trajectory.inputs_TxBxI.shape
    if lengths_B is None:
        lengths_B = jnp.full(batch_size, steps, jnp.int32)
    warm_B = (lengths_B + WARMUP - 1) // WARMUP
    push = jax.vmap(tangent_push(cell, prepared))

    def advance(pushed: Pushed, row: Row) -> Pushed:
        state, x_BxI, _, _ = row  # what comes after a sequence's end is not counted
        return None, push(jax.vmap(flat_state)(state), pushed[1], x_BxI)[1]

    def add(total_BxK: Array, basis: Basis, row: Row) -> Array:
        _, _, t, valid_B = row
        counts_Bx1 = ((t.astype(warm_B.dtype) >= warm_B) & valid_B)[:, None]
        return total_BxK + jnp.where(counts_Bx1, basis.growth_K, jnp.zeros_like(basis.growth_K))

    free_S = free_directions(cell, params, cell.counters_of(params))
    basis_KxS = directions(free_S, count, trajectory.start[cell.hidden].dtype).T
    tangents_BxKxS = jnp.broadcast_to(basis_KxS, (batch_size, *basis_KxS.shape))
    before = states_before(trajectory.start, trajectory.states)
    steps_T = jnp.arange(steps, dtype=jnp.int32)
    rows = (before, trajectory.inputs_TxBxI, steps_T, valid_steps(steps, lengths_B))
    zeros = jnp.zeros((batch_size, count), basis_KxS.dtype)
    total_BxK = scan_growth(advance, (None, tangents_BxKxS), rows, zeros, add)
    counted_B = jnp.maximum(lengths_B - warm_B, 1).astype(total_BxK.dtype)
    return total_BxK / counted_B[:, None]


def first_part(
    trajectory: Trajectory, lengths_B: Array | None, *, steps: int, examples: int
) -> tuple[Trajectory, Array | None]:
    """So many first steps and examples of a trajectory, with their lengths; 0: all of them."""
    most, size, _ = trajectory.inputs_TxBxI.shape
    steps, examples = steps or most, examples or size
    inputs, states = jax.tree.map(
        lambda x: x[:steps, :examples], (trajectory.inputs_TxBxI, trajectory.states)
    )
    start, context, lengths_B = jax.tree.map(
        lambda x: x[:examples], (trajectory.start, trajectory.context, lengths_B)
    )
    if lengths_B is not None:
        lengths_B = jnp.minimum(lengths_B, steps)
    return Trajectory(inputs, start, states, context), lengths_B


def orthogonality(cell: Cell, params: Params) -> Array:
    """The sum of ||W^T W - I||_F^2 over all square blocks of the recurrent kernels."""
    return sum(
        (_departure(blocks) for blocks in recurrent_blocks(cell, params).values()),
        start=jnp.zeros(()),
    )


def tangent_size(cell: Cell, params: Params) -> int:
    """The number of scalars of an example's state without counters."""
    return int(free_directions(cell, params, cell.counters_of(params)).sum())


def directions(free_S: np.ndarray, count: int, dtype: DTypeLike) -> Array:
    """Fixed random orthonormal tangent vectors (S, count) along free coordinates."""
    normal = jax.random.normal(jax.random.key(0), (free_S.size, count), dtype)
    return qr(normal * jnp.asarray(free_S, dtype)[:, None])[0]


def _departure(blocks_NxHxH: Array) -> Array:
    gram = jnp.einsum("nij,nik->njk", blocks_NxHxH, blocks_NxHxH)
    identity = jnp.eye(gram.shape[-1], dtype=gram.dtype)
    return jnp.sum(jnp.square(gram - identity[None]))
