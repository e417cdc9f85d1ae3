"""An evaluation equals one big batch, and reads a stream whole."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rnnexp.tasks.base import Finite, Stream
from rnnexp.tasks.batches import evaluation_batch, source_arrays
from rnnexp.train.evaluate import evaluate_function
from rnnexp.train.program import apply_model
from tests.helpers.small_programs import programs, stream_program


def test_an_evaluation_equals_one_big_batch() -> None:
    program = programs("digits/gru", eval__batch_size=100)
    state = program.initial()
    source = program.sources["test"]
    assert isinstance(source, Finite)
    arrays = source_arrays(source)
    batch, _ = evaluation_batch(source, arrays, jax.random.key(0), jnp.array(0), 360, 360)
    outputs = nnx.merge(program.plan.recipe.graphdef, state.params)(batch.inputs_TxBxI).outputs
    for name, score in program.plan.recipe.task.scores(outputs, batch).items():
        np.testing.assert_allclose(program.scores("test", state)[name], score.mean(), rtol=1e-5)


def test_an_evaluation_of_a_stream_reads_it_whole(tmp_path: Path) -> None:
    """With one stretch it is the mean over the whole text read in one go."""
    program = stream_program(tmp_path)
    source = program.sources["valid"]
    assert isinstance(source, Stream)
    state = program.initial()
    recipe = program.plan.recipe
    batch = source.take(source.arrays, jnp.arange(source.size)[:, None])
    outputs = apply_model(recipe, state.params, batch).outputs
    expected = recipe.task.scores(outputs, batch)["loss"].mean()
    evaluate = jax.jit(evaluate_function(recipe, "valid", 1, source.size))
    got = evaluate(state.params, jax.random.key(0), source.arrays)["loss"]
    np.testing.assert_allclose(got, expected, rtol=1e-5)
