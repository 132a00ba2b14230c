"""The settings of a language model and its training."""

from __future__ import annotations

from dataclasses import dataclass

from tinyseq.errors import ConfigError

DEFAULT_EPOCHS, FEWEST_STEPS = 12, 1000


@dataclass(frozen=True)
class Settings:
    """How to build and train a model.

    Attributes:
        cell, hidden, layers, embedding, dropout: of the ``LanguageModel``.
        batch, chunk: so many streams of text, in pieces of so many steps.
        epochs, steps: how long; whichever ends first. Without both, 12 epochs, but at least 1000
            steps.
        lr: Adam's learning rate at the start; it falls to zero in a line.
        clip: the largest joint norm of the gradients.
        seed: for the initial values and for dropout.
        emitter: of ``tinyseq.compile``; None trains operation by operation: slower, and the same
            numbers but for rounding.
    """

    cell: str = "lstm"
    hidden: int = 128
    layers: int = 1
    embedding: int | None = None
    dropout: float = 0.0
    batch: int = 32
    chunk: int = 64
    epochs: int | None = None
    steps: int | None = None
    lr: float = 5e-3
    clip: float = 1.0
    seed: int = 0
    emitter: str | None = "numpy"

    def __post_init__(self) -> None:
        for name in ("hidden", "layers", "embedding", "batch", "chunk", "epochs", "steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is at least 1, not {value}")
        for name in ("lr", "clip"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is positive, not {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout lies in [0, 1), not {self.dropout}")
        if self.dropout and self.layers == 1:
            raise ConfigError("dropout is between layers: with layers=1 there is nothing to drop")
        if self.seed < 0:
            raise ConfigError(f"seed is at least 0, not {self.seed}")

    def total_steps(self, steps_of_an_epoch: int) -> int:
        """The number of updates from the first to the last."""
        if self.epochs is None and self.steps is None:
            return max(DEFAULT_EPOCHS * steps_of_an_epoch, FEWEST_STEPS)
        ends = [self.steps] if self.steps is not None else []
        ends += [self.epochs * steps_of_an_epoch] if self.epochs is not None else []
        return min(ends)
