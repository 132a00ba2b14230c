"""MLP: layers from one vector to another, for deep inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinyseq.errors import ConfigError
from tinyseq.nn.cells.elman import ACTIVATIONS
from tinyseq.nn.linear import Linear
from tinyseq.nn.module import Module
from tinyseq.random import Seed, generator


class MLP(Module):
    """Linear layers with a nonlinearity between them, none after the last.

        y = V_n tanh(... V_2 tanh(V_1 x + c_1) + c_2 ...) + c_n [+ S x]

    As the readout of a SequenceModel it is a deep output, as its ``embed`` a deep input (Pascanu et
    al. 2014; book, figure 10.13b).

    Shapes: x (..., sizes[0]), returns (..., sizes[-1]).

    Args:
        sizes: of the input, of every layer between, of the output: at least two.
        skip: whether there is S, from the input straight to the output.
        nonlinearity: "tanh" or "relu".
        seed: for the initial values, uniform in +-1/sqrt(inputs of the layer).

    Parameters: layers.K.weight and layers.K.bias are V and c, skip.weight is S.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        skip: bool = False,
        nonlinearity: str = "tanh",
        seed: Seed = None,
    ) -> None:
        if len(sizes) < 2:
            raise ConfigError(f"MLP: sizes are those of the input and the output at least: {sizes}")
        if nonlinearity not in ACTIVATIONS:
            raise ConfigError(f"MLP: nonlinearity is 'tanh' or 'relu', not {nonlinearity!r}")
        self.nonlinearity = nonlinearity
        rng = generator(seed)
        self.layers = [
            Linear(sizes[k], sizes[k + 1], symbol=f"V{k + 1}", seed=rng)
            for k in range(len(sizes) - 1)
        ]
        self.skip = None
        if skip:
            self.skip = Linear(sizes[0], sizes[-1], bias=False, symbol="S", seed=rng)

    def __call__(self, x: Any) -> Any:
        y = self.layers[0](x)
        for layer in self.layers[1:]:
            y = layer(ACTIVATIONS[self.nonlinearity](y))
        return y if self.skip is None else y + self.skip(x)
