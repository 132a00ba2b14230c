"""Every cell of ``tinyseq.nn``: how it is made, what it reads. ``test_contract.py`` asks the rest.

An entry is a line: ``Entry("lstm", lambda seed: nn.LSTMCell(I, H, seed=seed))``. The sizes are all
different, so that a transposed matrix or an exchanged axis does not fit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyseq import nn, ops, structure
from tinyseq.errors import ShapeError, TinyseqError

I, H, O = 3, 4, 2  # noqa: E741

Inputs = Callable[[np.random.Generator, int, int], Any]


def reals(rng: np.random.Generator, steps: int, batch: int) -> np.ndarray:
    """x (T, N, I)."""
    return rng.normal(size=(steps, batch, I))


def units(rng: np.random.Generator, steps: int, batch: int) -> np.ndarray:
    """Values for all H units of a clamped cell, (T, N, H)."""
    return rng.normal(size=(steps, batch, H))


def nothing(rng: np.random.Generator, steps: int, batch: int) -> None:
    """No input."""


def forced(rng: np.random.Generator, steps: int, batch: int) -> nn.Forced:
    """x, and the right output as real numbers, which is fed back."""
    return nn.Forced(reals(rng, steps, batch), rng.normal(size=(steps, batch, O)))


def forced_classes(rng: np.random.Generator, steps: int, batch: int) -> nn.Forced:
    """x, and the right class, which is fed back."""
    return nn.Forced(reals(rng, steps, batch), rng.integers(O, size=(steps, batch)))


def forced_alone(rng: np.random.Generator, steps: int, batch: int) -> nn.Forced:
    """The right output alone."""
    return nn.Forced(None, rng.normal(size=(steps, batch, O)))


@dataclass(frozen=True)
class Entry:
    """A cell under test: ``make(seed)`` gives it in float32, ``inputs(rng, T, N)`` what it reads.

    ``smooth`` is False if the cell has kinks: it is then differentiated once, and not twice.
    ``refuses`` is the error for an input that is too wide; None for a cell that reads no input.
    """

    name: str
    make: Callable[[int], nn.Cell]
    inputs: Inputs = reals
    smooth: bool = True
    refuses: type[TinyseqError] | None = ShapeError


def gru(**variant: str) -> Entry:
    """One of the eight forms of the GRU."""
    name = "gru " + " ".join(variant.values())
    return Entry(name, lambda seed: nn.GRUCell(I, H, seed=seed, **variant))


def output_recurrent(name: str, inputs: Inputs = reals, **settings: Any) -> Entry:
    """One wiring of the output recurrence."""
    size = settings.pop("input_size", I)
    return Entry(
        f"output recurrence, {name}",
        lambda seed: nn.OutputRecurrentCell(size, H, O, seed=seed, **settings),
        inputs,
    )


def stacked(seed: int) -> nn.Cell:
    rng = np.random.default_rng(seed)
    return nn.Stacked([nn.LSTMCell(I, H, seed=rng), nn.GRUCell(H, O, seed=rng)])


def learned(cell: nn.Cell, seed: int, units: Any = None) -> nn.Cell:
    """With initial states that are not zero."""
    result = nn.LearnedInitialState(cell, units)
    rng = np.random.default_rng(seed)
    for parameter in result.initial.values():
        parameter.assign(rng.normal(size=parameter.shape))
    return result


SOME = np.array([True, False, True, False])

CELLS = [
    Entry("elman", lambda seed: nn.ElmanCell(I, H, seed=seed)),
    Entry("elman without bias", lambda seed: nn.ElmanCell(I, H, bias=False, seed=seed)),
    Entry("relu", lambda seed: nn.ElmanCell(I, H, nonlinearity="relu", seed=seed), smooth=False),
    Entry("elman without input", lambda seed: nn.ElmanCell(0, H, seed=seed), nothing, refuses=None),
    output_recurrent("o to h alone"),
    output_recurrent("o and h to h", hidden_recurrence=True),
    output_recurrent("softmax of o to h", feedback=ops.softmax),
    output_recurrent("without input", nothing, input_size=0),
    output_recurrent("y to h alone", forced),
    output_recurrent("y and h to h", forced, hidden_recurrence=True),
    output_recurrent("classes to h", forced_classes, hidden_recurrence=True),
    output_recurrent("y alone", forced_alone, input_size=0),
    Entry("lstm", lambda seed: nn.LSTMCell(I, H, seed=seed)),
    Entry("lstm without bias", lambda seed: nn.LSTMCell(I, H, bias=False, seed=seed)),
    Entry("lstm without input", lambda seed: nn.LSTMCell(0, H, seed=seed), nothing, refuses=None),
    Entry("lstm sigmoid", lambda seed: nn.LSTMCell(I, H, candidate="sigmoid", seed=seed)),
    *(
        gru(reset=reset, update=update, candidate=candidate)
        for reset in ("after", "before")
        for update in ("keep", "new")
        for candidate in ("tanh", "sigmoid")
    ),
    Entry("gru without bias", lambda seed: nn.GRUCell(I, H, bias=False, reset="before", seed=seed)),
    Entry("gru without input", lambda seed: nn.GRUCell(0, H, seed=seed), nothing, refuses=None),
    Entry("stacked", stacked),
    Entry("learned initial state", lambda seed: learned(nn.LSTMCell(I, H, seed=seed), seed)),
    Entry("learned in part", lambda seed: learned(nn.GRUCell(I, H, seed=seed), seed, SOME)),
    Entry("clamped", lambda seed: nn.Clamped(nn.ElmanCell(0, H, seed=seed), SOME), units),
]
from nn.registry_variants import VARIANTS  # noqa: E402  (which are made of what stands above)

CELLS += VARIANTS
NAMES = [entry.name for entry in CELLS]


@dataclass
class Case:
    """A cell with inputs for T steps of N sequences, and an initial state that is not zero."""

    cell: nn.Cell
    inputs: Any
    state: Any
    steps: int

    def at(self, time: int) -> Any:
        """The input of a step."""
        return None if self.inputs is None else each(lambda a: a[time], self.inputs)

    def length(self) -> int | None:
        """What ``unroll`` has to be told besides the inputs."""
        return self.steps if self.inputs is None else None


def each(function: Callable[..., Any], value: Any, *others: Any) -> Any:
    """``structure.map`` that leaves None alone."""
    return structure.map(lambda a, *b: None if a is None else function(a, *b), value, *others)


def case(
    entry: Entry, steps: int = 3, batch: int = 2, seed: int = 0, dtype: Any = np.float64
) -> Case:
    """The entry with everything that a test needs, reproducible by its seed."""
    rng = np.random.default_rng(seed)
    cell = entry.make(seed).to(dtype)
    inputs = entry.inputs(rng, steps, batch)

    def cast(a: np.ndarray) -> np.ndarray:
        return a.astype(dtype) if a.dtype.kind == "f" else a

    def random_like(a: Any) -> np.ndarray:
        return rng.normal(size=a.shape).astype(dtype)

    state = each(random_like, cell.init_state(batch))
    return Case(cell, None if inputs is None else each(cast, inputs), state, steps)
