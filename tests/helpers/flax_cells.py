"""Flax cells of users' own, whose outputs and carries are not those of Flax's own cells."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx

from rnnexp.core.types import Array, Tree

H = 4


class Linen(nn.RNNCellBase):
    """What the cells below share: zeros of their `leaves` as the initial carry."""

    dtype: Any = float

    @nn.nowrap
    def leaves(self) -> Tree:
        return jnp.zeros(H)

    @nn.nowrap
    def initialize_carry(self, rng: Array, input_shape: tuple[int, ...]) -> Tree:
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, self.dtype), self.leaves())

    @property
    def num_feature_axes(self) -> int:
        return 1

    @nn.nowrap
    def dense(self, name: str, size: int = H) -> Any:
        return nn.Dense(size, param_dtype=self.dtype, name=name)

    @nn.nowrap
    def tanh(self, x: Array, h: Array) -> Array:
        return jnp.tanh(self.dense("in")(x) + self.dense("rec")(h))


class Projected(Linen):
    """y = P h, of another size than the state."""

    @nn.compact
    def __call__(self, h: Array, x: Array) -> tuple[Array, Array]:
        h = self.tanh(x, h)
        return h, self.dense("out", 3)(h)


class ProjectedTwo(Linen):
    """An LSTM without an input gate, whose output no leaf of the carry is: y = P h + Q c."""

    def leaves(self) -> Tree:
        return jnp.zeros(H), jnp.zeros(H)

    @nn.compact
    def __call__(self, carry: Tree, x: Array) -> tuple[Tree, Array]:
        c, h = carry
        c = jax.nn.sigmoid(self.dense("f")(h)) * c + self.dense("i")(x)
        h = self.tanh(x, h) * jnp.tanh(c)
        return (c, h), self.dense("out", 3)(h) + self.dense("skip", 3)(c)


class Scaled(ProjectedTwo):
    """y = s * h, with s = 1 at the start."""

    @nn.compact
    def __call__(self, carry: Tree, x: Array) -> tuple[Tree, Array]:
        c, h = carry
        h = self.tanh(x, h)
        scale = self.param("scale", nn.initializers.ones, (H,), self.dtype)
        return (c + h, h), scale * h


class Reordered(ProjectedTwo):
    """The carry is (h, c): the hidden state comes first."""

    @nn.compact
    def __call__(self, carry: Tree, x: Array) -> tuple[Tree, Array]:
        h, c = carry
        c = 0.9 * c + self.tanh(x, h)
        h = jnp.tanh(self.dense("read")(c))
        return (h, c), h


class Again(Reordered):
    """The output is computed a second time, and equals the first leaf."""

    @nn.compact
    def __call__(self, carry: Tree, x: Array) -> tuple[Tree, Array]:
        h, c = carry
        c = 0.9 * c + self.tanh(x, h)
        o = jax.nn.sigmoid(self.dense("read")(x))
        return (o * jnp.tanh(c), c), o * jnp.tanh(c)


class ThreeParts(Linen):
    """A nested carry of a vector, a matrix and a counter; the output is the vector."""

    def leaves(self) -> Tree:
        return {"fast": jnp.zeros((H, H)), "slow": (jnp.zeros(H), jnp.zeros(()))}

    @nn.compact
    def __call__(self, carry: Tree, x: Array) -> tuple[Tree, Array]:
        fast, (h, steps) = carry["fast"], carry["slow"]
        fast = 0.9 * fast + h[:, None] * h[None, :]
        h = self.tanh(x, fast @ h)
        return {"fast": fast, "slow": (h, steps + 1)}, h


class Gated(Linen):
    """The carry is c alone, and y = o * tanh(c) with a gate o of the old carry."""

    @nn.compact
    def __call__(self, c: Array, x: Array) -> tuple[Array, Array]:
        o = jax.nn.sigmoid(self.dense("gate")(c) + self.dense("drive")(x))
        c = 0.9 * c + self.tanh(x, c)
        return c, o * jnp.tanh(c)


class Jitted(Projected):
    """A projection inside a compiled function."""

    @nn.compact
    def __call__(self, h: Array, x: Array) -> tuple[Array, Array]:
        weights = (
            self.param("w", nn.initializers.normal(1.0), (H, H), self.dtype),
            self.param("v", nn.initializers.normal(1.0), (3, H), self.dtype),
            self.param("p", nn.initializers.normal(1.0), (H, 3), self.dtype),
        )

        @jax.jit
        def step(h: Array, x: Array, w: Array, v: Array, p: Array) -> tuple[Array, Array]:
            h = jnp.tanh(h @ w + x @ v)
            return h, h @ p

        stepped: tuple[Array, Array] = step(h, x, *weights)
        return stepped


class SameNames(Linen):
    """Parameters whose joined names are the same, or those of the layer's own."""

    @nn.compact
    def __call__(self, h: Array, x: Array) -> tuple[Array, Array]:
        bias = self.param("gate_bias", nn.initializers.normal(1.0), (H,), self.dtype)
        start = self.param("start_h", nn.initializers.normal(1.0), (H,), self.dtype)
        size = self.param("cell", nn.initializers.normal(1.0), (H,), self.dtype)
        h = jnp.tanh(self.dense("gate")(x) + bias + start * h) * size
        return h, h


class Learned(nnx.Module):
    """An NNX cell whose initial carry is a parameter, with a projected output."""

    def __init__(self, rngs: nnx.Rngs, dtype: Any = float):
        keys = {"param_dtype": dtype, "rngs": rngs}
        self.first = nnx.Param(jax.random.normal(rngs.params(), (H,), dtype))
        self.step = nnx.Linear(3 + H, H, **keys)
        self.out = nnx.Linear(H, 2, **keys)

    def initialize_carry(self, input_shape: tuple[int, ...], rngs: nnx.Rngs) -> Array:
        return jnp.broadcast_to(self.first[...], (*input_shape[:-1], H))

    def __call__(self, h: Array, x: Array) -> tuple[Array, Array]:
        h = jnp.tanh(self.step(jnp.concatenate([x, h], -1)))
        return h, self.out(h)

    @property
    def num_feature_axes(self) -> int:
        return 1
