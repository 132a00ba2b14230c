"""Small runs of each kind of recurrence, for ``tinyseq draw``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyseq import nn, ops
from tinyseq.autograd.node import scope
from tinyseq.autograd.tensor import Tensor, label
from tinyseq.cli.scheduled import schedule_of
from tinyseq.errors import ConfigError
from tinyseq.recurrence import unroll

INPUTS, HIDDEN, OUTPUTS = 3, 8, 4


@dataclass(frozen=True)
class Example:
    """A recurrence: what it is, and ``run(xs, ys, rng) -> loss`` over inputs and targets.

    ``model(rng)`` gives the SequenceModel, if it is one, and reads xs alone.
    """

    summary: str
    run: Callable[[np.ndarray, np.ndarray, np.random.Generator], Tensor]
    model: Callable[[np.random.Generator], nn.SequenceModel] | None = None


def example_loss(cell: str, steps: int, seed: int = 0) -> Tensor:
    """The loss of one run of an example over random inputs (T, 1, I) and targets (T, 1).

    Raises:
        ConfigError: an unknown example, or no steps.
    """
    example, xs, ys, rng = _drawn(cell, steps, seed)
    return example.run(xs, ys, rng)


def example_schedule(cell: str, steps: int, seed: int = 0) -> list[Any]:
    """The schedule of the compiled step of an example.

    Raises:
        ConfigError: as ``example_loss``; an example that is no plain sequence model.
    """
    example, xs, _, rng = _drawn(cell, steps, seed)
    if example.model is None:
        known = ", ".join(name for name, other in EXAMPLES.items() if other.model is not None)
        raise ConfigError(f"--schedule is for {known}, and for a model of your own, not {cell}")
    return schedule_of(example.model(rng), xs)


def _drawn(cell: str, steps: int, seed: int) -> tuple[Example, Any, Any, np.random.Generator]:
    if cell not in EXAMPLES:
        raise ConfigError(f"there is no cell {cell!r}; there are {', '.join(EXAMPLES)}")
    if not 1 <= steps <= 10_000:
        raise ConfigError(f"steps is a number from 1 to 10000, not {steps}")
    rng = np.random.default_rng(seed)
    xs = rng.standard_normal((steps, 1, INPUTS), np.float32)
    ys = rng.integers(OUTPUTS, size=(steps, 1))
    return EXAMPLES[cell], xs, ys, rng


def _of_model(summary: str, model: Callable[[np.random.Generator], nn.SequenceModel]) -> Example:
    return Example(summary, lambda xs, ys, rng: model(rng).loss(xs, ys)[0], model)


def _with_readout(summary: str, make: Callable[[np.random.Generator], nn.Cell]) -> Example:
    """A cell with a linear readout and a loss in every step (book, figure 10.3)."""
    return _of_model(
        summary,
        lambda rng: nn.SequenceModel(make(rng), nn.Linear(HIDDEN, OUTPUTS, seed=rng)),
    )


def _output_recurrence(summary: str, hidden_recurrence: bool) -> Example:
    return _of_model(
        summary,
        lambda rng: nn.SequenceModel(
            nn.OutputRecurrentCell(INPUTS, HIDDEN, OUTPUTS, hidden_recurrence, seed=rng)
        ),
    )


def _teacher_forcing(xs: Any, ys: Any, rng: np.random.Generator) -> Tensor:
    cell = nn.OutputRecurrentCell(INPUTS, HIDDEN, OUTPUTS, seed=rng)
    return nn.SequenceModel(cell).loss(nn.Forced(xs, ys), ys)[0]


def _one_output(xs: Any, ys: Any, rng: np.random.Generator) -> Tensor:
    hs, _ = unroll(nn.ElmanCell(INPUTS, HIDDEN, seed=rng), xs, as_list=True)
    return _loss(nn.Linear(HIDDEN, OUTPUTS, seed=rng)(hs[-1]), ys[-1])


def _bidirectional(xs: Any, ys: Any, rng: np.random.Generator) -> Tensor:
    states, _ = nn.RNN(INPUTS, HIDDEN, bidirectional=True, seed=rng)(xs)
    readout = nn.Linear(2 * HIDDEN, OUTPUTS, seed=rng)
    losses = []
    for t, both in enumerate(ops.unbind(states)):
        with scope("step", t + 1):
            losses.append(_loss(readout(both), ys[t]))
    return ops.sum(ops.stack(losses))


def _loss(o: Any, y: Any) -> Tensor:
    return label(nn.cross_entropy(label(o, "o"), label(y, "y")), "L")


def _stacked(rng: np.random.Generator) -> nn.Cell:
    lower = nn.ElmanCell(INPUTS, HIDDEN, seed=rng)
    return nn.Stacked([lower, nn.ElmanCell(HIDDEN, HIDDEN, seed=rng)])


EXAMPLES = {
    "elman": _with_readout(
        "hidden units with a recurrence (book, figure 10.3)",
        lambda rng: nn.ElmanCell(INPUTS, HIDDEN, seed=rng),
    ),
    "lstm": _with_readout(
        "long short-term memory (figure 10.16)",
        lambda rng: nn.LSTMCell(INPUTS, HIDDEN, seed=rng),
    ),
    "gru": _with_readout(
        "gated recurrent unit (equation 10.45)",
        lambda rng: nn.GRUCell(INPUTS, HIDDEN, seed=rng),
    ),
    "output": _output_recurrence("a recurrence from the output only (figure 10.4)", False),
    "output-hidden": _output_recurrence("recurrences from output and hidden units", True),
    "one-output": Example("reads all, one output at the end (figure 10.5)", _one_output),
    "teacher-forcing": Example("the target is fed back (figure 10.6)", _teacher_forcing),
    "bidirectional": Example("one recurrence each way (figure 10.11)", _bidirectional),
    "stacked": _with_readout("one recurrence above another (figure 10.13)", _stacked),
}
