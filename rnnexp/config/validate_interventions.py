"""Checks of interventions on gradient flow: `config.regularizer`, `config.clip.adjoint_limit`."""

from functools import partial

import jax
from ml_collections import FrozenConfigDict

from rnnexp.cells.base import Cell
from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.types import Params
from rnnexp.gradflow.recurrent_params import find_recurrence, recurrent_blocks
from rnnexp.gradflow.regularizers import OMEGA_FORMS, Regularizers, tangent_size
from rnnexp.models.structure import Structure

FLOSSING_OPTIMIZERS = ("shared", "own")


def regularizers_of(config: FrozenConfigDict) -> Regularizers:
    """The penalties of a configuration.

    Raises `UsageError` for an unknown form of Omega, and for flossing that is never due, or takes
    more examples than there are.
    """
    section = config.regularizer
    require_choice("config.regularizer.omega_form", section.omega_form, OMEGA_FORMS)
    if section.flossing_before_steps and not section.flossing:
        raise UsageError(
            "config.regularizer.flossing_before_steps needs a weight, config.regularizer.flossing"
        )
    _require_phases(section.flossing_before_steps, tuple(section.flossing_again_steps))
    require_choice(
        "config.regularizer.flossing_optimizer", section.flossing_optimizer, FLOSSING_OPTIMIZERS
    )
    if section.flossing_optimizer == "own" and not section.flossing_before_steps:
        raise UsageError(
            "config.regularizer.flossing_optimizer=own is for updates of flossing alone; set "
            "config.regularizer.flossing_before_steps"
        )
    if section.flossing_examples > (most := config.train.batch_size // config.devices):
        raise UsageError(
            f"config.regularizer.flossing_examples must be at most {most}, the examples of a batch "
            f"on a device, not {section.flossing_examples}"
        )
    if section.flossing and not section.flossing_before_steps | section.flossing_every_steps:
        raise UsageError(
            "config.regularizer.flossing is never due: set config.regularizer."
            "flossing_before_steps or config.regularizer.flossing_every_steps"
        )
    return Regularizers(
        omega=section.omega > 0,
        omega_form=section.omega_form,
        orthogonality=section.orthogonality > 0,
        flossing=section.flossing > 0,
        flossing_exponents=section.flossing_exponents,
        flossing_before_steps=section.flossing_before_steps,
        flossing_again_steps=tuple(section.flossing_again_steps),
        flossing_every_steps=section.flossing_every_steps,
        flossing_window_steps=section.flossing_window_steps,
        flossing_examples=section.flossing_examples,
        flossing_apart=section.flossing_optimizer == "own",
    )


def require_interventions(config: FrozenConfigDict, structure: Structure, cell: Cell) -> None:
    """Raise `UsageError` for an intervention that this cell or model cannot have."""
    section = config.regularizer
    if config.clip.adjoint_limit and structure.time_loop.associative:
        raise UsageError(
            "config.clip.adjoint_limit: the associative path has no step at which to limit "
            "anything; set config.model.associative=False"
        )
    for name in ("omega", "flossing"):
        if section[name]:
            _require_plain_steps(f"config.regularizer.{name}", config, structure, cell)
    if section.omega and structure.time_loop.cut_steps:
        raise UsageError(
            "config.regularizer.omega needs the whole dL/ds_t; config.model.cut_steps cuts it"
        )
    if section.omega and structure.time_loop.associative and set(_state(cell)) != set(cell.probed):
        raise UsageError(
            f"config.regularizer.omega: the associative path of {cell.name} records "
            f"{', '.join(cell.probed)} alone; set config.model.associative=False"
        )
    if section.flossing and section.flossing_exponents > (
        most := tangent_size(cell, _params(cell))
    ):
        raise UsageError(
            f"config.regularizer.flossing_exponents is {section.flossing_exponents}, but the "
            f"state of {cell.name} has {most} dimensions"
        )
    blocks_of = partial(recurrent_blocks, cell)
    if section.orthogonality and not jax.eval_shape(blocks_of, _params(cell)):
        raise UsageError(
            f"config.regularizer.orthogonality: {cell.name} has no square recurrent matrix"
        )


def _require_phases(before: int, again: tuple[int, ...]) -> None:
    """Raise `UsageError` unless updates of flossing alone begin after the last ones have ended."""
    key = "config.regularizer.flossing_again_steps"
    if again and not before:
        raise UsageError(f"{key} needs a length, config.regularizer.flossing_before_steps")
    for step, last in zip(again, (0, *again), strict=False):
        if step <= last + before:
            raise UsageError(
                f"{key} has {step}, but updates of flossing alone that begin at {last} last until "
                f"{last + before}; later steps must come after that"
            )


def _require_plain_steps(
    key: str, config: FrozenConfigDict, structure: Structure, cell: Cell
) -> None:
    """Raise `UsageError` unless a step in training is the cell's transition alone."""
    if not find_recurrence(cell).names:
        raise UsageError(f"{key}: no parameter of {cell.name} multiplies its state")
    for option in ("recurrent_dropout", "zoneout"):
        if getattr(structure, option):
            raise UsageError(
                f"{key} is about the cell's own steps, which config.model.{option} changes"
            )
    if cell.feedback is not None and config.model.teacher_forcing:
        raise UsageError(
            f"{key}: a teacher cuts the recurrence of {cell.name}; set "
            "config.model.teacher_forcing=False"
        )


def _state(cell: Cell) -> dict[str, jax.ShapeDtypeStruct]:
    return dict(jax.eval_shape(cell.init_state, _params(cell)))


def _params(cell: Cell) -> Params:
    shapes: Params = jax.eval_shape(cell.init, jax.random.key(0))
    return shapes
