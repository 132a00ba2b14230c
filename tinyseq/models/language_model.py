"""LanguageModel: the probability of a text, one token at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinyseq.autograd.primitive import no_grad
from tinyseq.backend import namespace, to_numpy
from tinyseq.errors import ConfigError, DataError
from tinyseq.nn import (
    ElmanCell,
    Embedding,
    GRUCell,
    Linear,
    LSTMCell,
    SequenceModel,
    Stacked,
)
from tinyseq.nn.cell import Cell
from tinyseq.random import Seed, generator
from tinyseq.recurrence import argmax, sampler

CELLS: dict[str, Callable[..., Cell]] = {
    "elman": lambda size, hidden, rng: ElmanCell(size, hidden, seed=rng),
    "relu": lambda size, hidden, rng: ElmanCell(size, hidden, nonlinearity="relu", seed=rng),
    "lstm": lambda size, hidden, rng: LSTMCell(size, hidden, forget_bias=1.0, seed=rng),
    "gru": lambda size, hidden, rng: GRUCell(size, hidden, seed=rng),
}


class LanguageModel(SequenceModel):
    """P(x(1) ... x(T)) = prod P(x(t+1) | x(1) ... x(t)), with a recurrence to carry the past.

    The inputs are tokens (T, N), the outputs are the logits of the next token (T, N, K), and the
    targets are the inputs moved one step forward (book, section 10.2.1 and eq. 10.31).

    Args:
        vocabulary_size: K.
        hidden_size: of the cell.
        cell: "elman", "relu" (Elman with ReLU units), "lstm" (forget bias 1) or "gru".
        num_layers: cells on top of each other.
        embedding_size: of the vectors that stand for tokens; ``hidden_size`` by default.
        dropout: between layers, in training.
        seed: for initial values and dropout.
    """

    def __init__(
        self,
        vocabulary_size: int,
        hidden_size: int = 128,
        cell: str = "lstm",
        num_layers: int = 1,
        embedding_size: int | None = None,
        dropout: float = 0.0,
        seed: Seed = None,
    ) -> None:
        if cell not in CELLS:
            raise ConfigError(f"LanguageModel: cell is one of {', '.join(CELLS)}, not {cell!r}")
        if num_layers < 1:
            raise ConfigError(f"LanguageModel: num_layers is at least 1, not {num_layers}")
        rng = generator(seed)
        size = embedding_size or hidden_size
        embed = Embedding(vocabulary_size, size, seed=rng)
        sizes = [size] + [hidden_size] * (num_layers - 1)
        cells = [CELLS[cell](below, hidden_size, rng) for below in sizes]
        readout = Linear(hidden_size, vocabulary_size, seed=rng)
        whole = cells[0] if num_layers == 1 else Stacked(cells, dropout, rng)
        super().__init__(whole, readout, embed=embed)
        self.vocabulary_size = vocabulary_size

    def generate(
        self,
        prompt: Sequence[int],
        length: int,
        temperature: float = 1.0,
        seed: Seed = None,
    ) -> np.ndarray:
        """Tokens drawn from the model after a prompt: free running, step by step.

        Args:
            prompt: at least one token.
            length: how many tokens to draw.
            temperature: 1 draws from the model's distribution, less is bolder; 0 takes the most
                probable token every time.
            seed: for the draws.

        Returns:
            The drawn tokens (length,), without the prompt.

        Raises:
            DataError: an empty prompt, or a token outside the vocabulary.
        """
        tokens = to_numpy(prompt)
        whole = tokens.dtype.kind in "iu" and tokens.ndim == 1 and tokens.size
        if not whole or tokens.min() < 0 or tokens.max() >= self.vocabulary_size:
            raise DataError(
                f"generate: the prompt is at least one token in [0, {self.vocabulary_size})"
            )
        if length < 0:
            raise DataError(f"generate: length={length} is negative")
        draw = argmax if temperature == 0 else sampler(seed, temperature)
        drawn: list[int] = []

        def read(count: int, given: Any, output: Any) -> Any:
            if count < len(tokens):
                return given
            token = draw(output)
            drawn.append(int(token[0]))
            return token

        inputs = np.zeros((len(tokens) + length, 1), int)
        inputs[: len(tokens), 0] = tokens
        xp = namespace(self.parameters()[0].data)
        modes = [(module, module.training) for _, module in self.named_modules()]
        self.eval()
        try:
            with no_grad():
                self(xp.asarray(inputs), feed=read)
        finally:
            for module, training in modes:
                module.training = training
        return np.array(drawn, int)
