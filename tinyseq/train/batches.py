"""What the loop asks of batches, and batches that are drawn afresh."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from tinyseq.errors import ConfigError, DataError
from tinyseq.random import Seed, generator, get_state, set_state


class Batches(Protocol):
    """Batches that know where they are, as ``tinyseq.data.TextBatches`` do.

    Iterating gives the rest of the running epoch. ``epoch`` and ``position`` say which batch comes
    next, and have moved on when a batch is handed out; ``position`` 0 is the start of an epoch.
    """

    epoch: int
    position: int

    def __iter__(self) -> Iterator[Any]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def endless(batches: Batches) -> Iterator[Any]:
    """One epoch after the other; DataError for an epoch without a batch."""
    while True:
        empty = True
        for batch in batches:
            empty = False
            yield batch
        if empty:
            raise DataError("an epoch without a single batch")


class GeneratedBatches:
    """Batches that a function draws: no two are the same, and an epoch is so many of them.

        batches = GeneratedBatches(lambda rng: tasks.adding(32, 100, rng), 500, seed=1)

    Args:
        make: ``make(rng) -> batch``, which draws from the generator that it is given.
        epoch_length: how many batches an epoch has.
        seed: of the generator.
    """

    def __init__(
        self, make: Callable[[np.random.Generator], Any], epoch_length: int, seed: Seed = None
    ) -> None:
        if epoch_length < 1:
            raise ConfigError(f"GeneratedBatches: epoch_length is at least 1, not {epoch_length}")
        self.make = make
        self.epoch_length = epoch_length
        self.rng = generator(seed)
        self.epoch = 0
        self.position = 0

    def __len__(self) -> int:
        """The number of batches of an epoch."""
        return self.epoch_length

    def __iter__(self) -> Iterator[Any]:
        """The batches from ``position`` to the end of the epoch."""
        last = False
        while not last:
            batch = self.make(self.rng)
            last = self.position == self.epoch_length - 1
            self.epoch, self.position = (
                (self.epoch + 1, 0) if last else (self.epoch, self.position + 1)
            )
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Where we are, and the state of the generator."""
        return {
            "epoch": self.epoch,
            "position": self.position,
            "epoch_length": self.epoch_length,
            "random": get_state(self.rng),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state_dict()`` was called; DataError for another epoch length."""
        if state.get("epoch_length") != self.epoch_length:
            raise DataError(
                f"the saved position belongs to epochs of {state.get('epoch_length')} batches, "
                f"these have {self.epoch_length}"
            )
        set_state(self.rng, state["random"])
        self.epoch, self.position = state["epoch"], state["position"]
