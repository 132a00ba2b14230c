"""SequenceModel: a cell, a readout, and the loss of a step, described once.

    model = SequenceModel(cell, nn.Linear(hidden_size, classes), nn.cross_entropy)
    outputs, state = model(xs)                    # o(1) ... o(T)
    loss, state = model.loss(xs, ys)              # L = sum of L(t), book eq. 10.12

``loss`` runs literally by default: o(t), L(t) and y(t) are made inside step t, so that a picture
has a column for each step. With ``literal=False`` embedding, readout and loss are done for all
steps at once: the same number, faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tinyseq.autograd.node import current_scope
from tinyseq.autograd.tensor import Tensor, label
from tinyseq.backend import as_array, to_numpy
from tinyseq.errors import ShapeError
from tinyseq.nn.cell import Cell
from tinyseq.nn.loss import cross_entropy
from tinyseq.nn.module import Module
from tinyseq.ops import sum as total
from tinyseq.recurrence.feed import Feed
from tinyseq.recurrence.unroll import unroll


class Pair(NamedTuple):
    """The input and the target of a step, under the names they have in the pictures."""

    x: Any
    y: Any


class SequenceModel(Cell):
    """A recurrence with a readout and a loss in every step (book, figure 10.3).

    Args:
        cell: ``cell(x, state) -> (y, state)``.
        readout: from y(t) to o(t), usually ``nn.Linear``; None if the cell's output is o(t).
        loss: ``loss(outputs, targets, reduction=) -> L``: cross_entropy, mse, gaussian_nll ...
        embed: applied to every input first, ``nn.Embedding`` for tokens.
    """

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
        y, state = self.cell(x if self.embed is None else self.embed(x), state)
        return (y if self.readout is None else self.readout(y)), state

    def __call__(
        self,
        inputs: Any,
        state: Any = None,
        *,
        length: int | None = None,
        lengths: Sequence[int] | None = None,
        feed: Feed | None = None,
    ) -> tuple[Any, Any]:
        """The outputs o(1) ... o(T), stacked, and the final state; arguments as for ``unroll``."""
        return unroll(
            _Steps(self), inputs, state, length=length, lengths=lengths, feed=feed
        )

    def loss(
        self,
        inputs: Any,
        targets: Any,
        state: Any = None,
        *,
        mask: Any = None,
        literal: bool = True,
        feed: Feed | None = None,
        detach_every: int | None = None,
    ) -> tuple[Tensor, Any]:
        """The sum of the losses of all steps and sequences, and the final state.

        Args:
            inputs: (T, N, ...).
            targets: (T, N, ...), as the loss wants them.
            state: the initial state; ``init_state`` by default.
            mask: (T, N) of booleans: which losses count; all by default.
            literal: make o(t), L(t) and y(t) step by step, as the pictures need it.
            feed: free running or scheduled sampling in place of teacher forcing; literal only.
            detach_every: truncated back-propagation, as for ``unroll``.
        """
        steps = len(targets) if isinstance(targets, list | tuple) else targets.shape[0]
        if mask is not None and tuple(mask.shape[:1]) != (steps,):
            raise ShapeError(f"loss: a mask of shape {tuple(mask.shape)} for {steps} steps")
        if literal or feed is not None:
            return self._literal_loss(inputs, targets, state, mask, feed, detach_every)
        xs = inputs if self.embed is None else self.embed(inputs)
        ys, state = unroll(self.cell, xs, state, detach_every=detach_every)
        outputs = ys if self.readout is None else self.readout(ys)
        if mask is None:
            return self.step_loss(outputs, targets, reduction="sum"), state
        return _masked_sum(self.step_loss(outputs, targets, reduction="none"), mask), state

    def _literal_loss(
        self, inputs: Any, targets: Any, state: Any, mask: Any, feed: Feed | None, every: int | None
    ) -> tuple[Tensor, Any]:
        losses, state = unroll(
            _LossSteps(self, mask, feed),
            Pair(inputs, targets),
            self.init_state(_batch(targets)) if state is None else state,
            detach_every=every,
        )
        return total(losses), state


class _Steps:
    """``model.step`` as a plain callable for ``unroll``; the model's own call is the whole run."""

    def __init__(self, model: SequenceModel) -> None:
        self.model = model
        self.init_state = model.init_state

    def __call__(self, x: Any, state: Any) -> tuple[Any, Any]:
        return self.model.step(x, state)


class _LossSteps:
    """One step with its loss: from Pair(x, y) to L(t); labels o and L on the way."""

    def __init__(self, model: SequenceModel, mask: Any, feed: Feed | None) -> None:
        self.model = model
        self.mask = None if mask is None else to_numpy(mask)
        self.feed = feed
        self.count = 0
        self.last: Any = None

    def __call__(self, pair: Pair, state: Any) -> tuple[Any, Any]:
        x = pair.x
        if self.feed is not None:
            x = self.feed(self.count, x, self.last)
            x = label(x, "x") if getattr(x, "label", None) is None else x
        o, state = self.model.step(x, state)
        self.last = o = label(o, "o") if getattr(o, "label", None) is None else o
        if self.mask is None:
            loss = self.model.step_loss(o, pair.y, reduction="sum")
        else:
            losses = self.model.step_loss(o, pair.y, reduction="none")
            loss = _masked_sum(losses, self.mask[_time() - 1])
        self.count += 1
        return label(loss, "L"), state


def _time() -> int:
    here = current_scope.get()
    assert here is not None
    while here.index is None:
        assert here.parent is not None
        here = here.parent
    return here.index


def _masked_sum(losses: Any, mask: Any) -> Any:
    """The sum of the losses that count; a mask over fewer axes holds for all of the others."""
    mask = as_array(mask).astype(losses.dtype)
    return total(losses * mask.reshape(mask.shape + (1,) * (losses.ndim - mask.ndim)))


def _batch(targets: Any) -> int:
    array = targets if hasattr(targets, "shape") else as_array(targets)
    if len(array.shape) < 2:
        raise ShapeError(f"loss: targets are (T, N, ...), these have shape {tuple(array.shape)}")
    return array.shape[1]
