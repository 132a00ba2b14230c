"""SequenceModel: a cell, a readout, and the loss of a step, described once.

    model = SequenceModel(cell, nn.Linear(hidden_size, classes), nn.cross_entropy)
    outputs, state = model(xs)                    # o(1) ... o(T)
    loss, state = model.loss(xs, ys)              # L = sum of L(t), book eq. 10.12

``loss`` runs literally by default: o(t), L(t) and y(t) are made inside step t, so that a picture
has a column for each step. With ``literal=False`` embedding, readout and loss are done for all
steps at once: the same number, faster. That is what a compiled model does by default.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinyseq import structure
from tinyseq.autograd.primitive import place
from tinyseq.autograd.tensor import Tensor, label
from tinyseq.backend import as_array, namespace, to_numpy
from tinyseq.errors import ConfigError, ShapeError
from tinyseq.nn.cell import Cell
from tinyseq.nn.cells.elman import Forced
from tinyseq.nn.loss import cross_entropy
from tinyseq.nn.module import Module
from tinyseq.ops import add, mul, stack, where
from tinyseq.ops import sum as total
from tinyseq.ops.elementwise import raw
from tinyseq.recurrence.feed import Feed
from tinyseq.recurrence.steps import no_pair
from tinyseq.recurrence.unroll import unroll


class Pair(NamedTuple):
    """The input and the target of a step, under the names they have in the pictures."""

    x: Any
    y: Any


class SequenceModel(Module):
    """A recurrence with a readout and a loss in every step (book, figure 10.3).

    Args:
        cell: ``cell(x, state) -> (y, state)``.
        readout: from y(t) to o(t), usually ``nn.Linear``; None if the cell's output is o(t).
        loss: ``loss(outputs, targets, reduction=) -> L``: cross_entropy, mse, gaussian_nll ...
        embed: applied to every input first, ``nn.Embedding`` for tokens.
    """

    compiled_step: Any = None  # of a compiled model: ``step`` as a loop, in ``.cell``

    def __init__(
        self,
        cell: Cell,
        readout: Module | None = None,
        loss: Callable[..., Any] = cross_entropy,
        embed: Module | None = None,
    ) -> None:
        self.embed = embed
        self.cell = cell
        self.readout = readout
        self.step_loss = loss

    def init_state(self, batch: int) -> Any:
        """The cell's."""
        return self.cell.init_state(batch)

    def step(self, x: Any, state: Any) -> tuple[Any, Any]:
        """One step: from x(t) and the state to o(t) and the next state."""
        result = self.cell(x if self.embed is None else self.embed(x), state)
        if not isinstance(result, tuple) or len(result) != 2:  # two rows would be unpacked, too
            raise no_pair(result, f"SequenceModel{place()}")
        y, state = result
        return (y if self.readout is None else self.readout(y)), state

    def __call__(
        self,
        inputs: Any,
        state: Any = None,
        *,
        length: int | None = None,
        lengths: Sequence[int] | None = None,
        feed: Feed | None = None,
        checkpoint_every: int | str | None = None,
    ) -> tuple[Any, Any]:
        """The outputs o(1) ... o(T), stacked, and the final state; arguments as for ``unroll``."""
        return unroll(
            self._steps(), inputs, state, length=length, lengths=lengths, feed=feed,
            checkpoint_every=checkpoint_every,
        )  # fmt: skip

    def _steps(self) -> Any:
        """``step`` as what ``unroll`` is given."""
        return _Steps(self) if self.compiled_step is None else self.compiled_step.cell

    def loss(
        self,
        inputs: Any,
        targets: Any,
        state: Any = None,
        *,
        mask: Any = None,
        literal: bool | None = None,
        feed: Feed | None = None,
        detach_every: int | None = None,
        checkpoint_every: int | str | None = None,
    ) -> tuple[Tensor, Any]:
        """The sum of the losses of all steps and sequences, and the final state.

        Args:
            inputs: (T, N, ...).
            targets: (T, N, ...), as the loss wants them.
            state: the initial state; ``init_state`` by default.
            mask: booleans (T, N), or of all axes of the targets: which losses count; all by
                default. What stands among the targets where they do not count does not matter. A
                step of which nothing counts has no L(t): none is in the pictures.
            literal: make o(t), L(t) and y(t) step by step, as the pictures need it; so it is by
                default, but for a compiled model and with ``checkpoint_every``.
            feed: free running or scheduled sampling in place of teacher forcing.
            detach_every: truncated back-propagation, as for ``unroll``.
            checkpoint_every: less memory for more time, as for ``unroll``; not if literal.

        Raises:
            ConfigError: checkpoint_every of a literal run, whose steps are all kept.
            ShapeError: the inputs have another T or N than the targets; a mask that does not fit.
        """
        if literal is None:
            literal = self.compiled_step is None and checkpoint_every is None
        if literal and checkpoint_every is not None:
            raise ConfigError(
                "loss: checkpoint_every keeps no steps, which a literal run is there to record: "
                "pass literal=False"
            )
        targets = targets if hasattr(targets, "shape") else as_array(targets)
        if len(targets.shape) < 2:
            raise ShapeError(
                f"loss: targets are (T, N, ...), these have shape {tuple(targets.shape)}"
            )
        _refuse_other_axes(inputs, targets)
        steps, batch = targets.shape[:2]
        if mask is not None:
            mask = to_numpy(as_array(mask.data if isinstance(mask, Tensor) else mask))
            targets = _counted(targets, mask)
        state = self.init_state(batch) if state is None else state
        if literal:
            left_out = mask is not None and bool(mask.any())  # else there is nothing to leave out
            if isinstance(inputs, Forced) and inputs.y is targets:
                inputs = Forced(inputs.x, None)  # one y(t), which is both read and compared with
            losses, state = unroll(
                _LossSteps(self, mask, left_out, feed),
                Pair(inputs, targets),
                state,
                detach_every=detach_every,
                names={"xx": "x", "yx": "y"},  # the x and the y of a Forced input
                as_list=left_out,
            )
            if left_out:
                losses = stack([loss for loss in losses if loss is not None])
            return total(losses), state
        length = steps if inputs is None else None
        every: Any = {"detach_every": detach_every, "checkpoint_every": checkpoint_every}
        if feed is not None:  # what is read depends on what was put out: step by step
            outputs, state = unroll(self._steps(), inputs, state, length=length, feed=feed, **every)
        else:
            xs = inputs if self.embed is None else self.embed(inputs)
            ys, state = unroll(self.cell, xs, state, length=length, **every)
            outputs = ys if self.readout is None else self.readout(ys)
        return _sum_of_losses(self.step_loss, outputs, targets, mask), state


def mixed_loss(
    model: SequenceModel,
    inputs: Any,
    targets: Any,
    feed: Feed,
    share: float = 0.5,
    mask: Any = None,
) -> Tensor:
    """(1 - share) times the teacher-forced loss plus share times the loss of the model that is fed.

    The way to train a model that is later to run freely (book, section 10.2.1): with
    ``FreeRunning(choose, after)`` the targets are predicted several steps ahead, through the path
    from output to input, along which the gradient flows unless ``choose`` stops it.

    Args:
        model: the model.
        inputs: (T, N, ...); of them ``feed`` may read but a few.
        targets: (T, N, ...).
        feed: FreeRunning, ScheduledSampling ...
        share: of the second loss, in [0, 1].
        mask: as for ``SequenceModel.loss``; for both.
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"mixed_loss: share lies in [0, 1], not {share}")
    forced, _ = model.loss(inputs, targets, mask=mask, literal=False)
    fed, _ = model.loss(inputs, targets, mask=mask, literal=False, feed=feed)
    return add(mul(forced, 1 - share), mul(fed, share))


class _Steps:
    """``model.step`` as a plain callable for ``unroll``; the model's own call is the whole run."""

    def __init__(self, model: SequenceModel) -> None:
        self.model = model

    def init_state(self, batch: int) -> Any:
        """The model's."""
        return self.model.init_state(batch)

    def __call__(self, x: Any, state: Any) -> tuple[Any, Any]:
        return self.model.step(x, state)


class ModelStep(_Steps, Cell):
    """``model.step`` as a cell, to be compiled; it opens no scope of its own."""

    def __init__(self, model: SequenceModel) -> None:
        # set directly: the model, its modules and parameters keep their names
        object.__setattr__(self, "model", model)


class _LossSteps:
    """One step with its loss: from Pair(x, y) to L(t); labels o and L on the way.

    Gives None for a step of which no loss counts, if such steps are to be left out.
    """

    def __init__(
        self, model: SequenceModel, mask: np.ndarray | None, left_out: bool, feed: Feed | None
    ) -> None:
        self.model = model
        self.mask = mask
        self.left_out = left_out
        self.feed = feed
        self.count = 0
        self.last: Any = None

    def __call__(self, pair: Pair, state: Any) -> tuple[Any, Any]:
        x = pair.x
        if isinstance(x, Forced) and x.y is None:
            x = Forced(x.x, pair.y)
        if self.feed is not None:
            x = self.feed(self.count, x, self.last)
            x = label(x, "x") if getattr(x, "label", None) is None else x
        o, state = self.model.step(x, state)
        self.last = o = label(o, "o") if getattr(o, "label", None) is None else o
        mask = None if self.mask is None else self.mask[self.count]
        self.count += 1
        if self.left_out and mask is not None and not mask.any():
            return None, state
        return label(_sum_of_losses(self.model.step_loss, o, pair.y, mask), "L"), state


def _refuse_other_axes(inputs: Any, targets: Any) -> None:
    """Raise ShapeError if the inputs have another T or N than the targets.

    A forgotten batch axis would be no error for every cell: x(t) of shape (I,) is broadcast.
    """
    stepwise = isinstance(inputs, list)  # one for each step
    of_a_step = inputs[0] if stepwise and inputs else inputs
    first = next((a for a in structure.leaves(of_a_step) if a is not None), None)
    if first is None:
        return
    shape = tuple(first.shape if hasattr(first, "shape") else as_array(first).shape)
    shape = (len(inputs), *shape) if stepwise else shape
    if shape[:2] != tuple(targets.shape[: len(shape[:2])]):
        raise ShapeError(
            "loss: inputs are (T, N, ...) and targets are (T, N, ...), of the same T and N; these "
            f"have shapes {shape} and {tuple(targets.shape)}"
        )


def _counted(targets: Any, mask: np.ndarray) -> Any:
    """The targets with 0 where the loss does not count: what stands there may be no target."""
    if mask.dtype.kind != "b" or mask.shape != tuple(targets.shape[: mask.ndim]):
        raise ShapeError(
            f"loss: a mask is booleans of the leading axes of the targets, of shape "
            f"{tuple(targets.shape)}; this one is {mask.dtype} of shape {mask.shape}"
        )
    return where(_like(mask, targets, namespace(raw(targets)).bool_), targets, 0)


def _sum_of_losses(loss: Callable[..., Any], outputs: Any, targets: Any, mask: Any) -> Any:
    """The sum of the losses that count; a mask over fewer axes holds for all of the others."""
    if mask is None:
        return loss(outputs, targets, reduction="sum")
    losses = loss(outputs, targets, reduction="none")
    return total(losses * _like(mask, losses, losses.dtype))


def _like(mask: np.ndarray, values: Any, dtype: Any) -> Any:
    """The mask in the array library of the values, with axes of length 1 added at its end."""
    mask = mask.reshape(mask.shape + (1,) * (len(values.shape) - mask.ndim))
    return namespace(raw(values)).asarray(mask, dtype)
