"""The plain recurrent cell, and the one whose output is what recurs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinyseq import structure
from tinyseq.autograd.primitive import place
from tinyseq.autograd.tensor import Tensor, label
from tinyseq.backend import namespace
from tinyseq.errors import ConfigError, ShapeError, StructureError
from tinyseq.nn import init
from tinyseq.nn.cell import Cell
from tinyseq.nn.parameter import Parameter
from tinyseq.ops import expand_dims, linear, relu, take, tanh
from tinyseq.random import Seed, generator

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"tanh": tanh, "relu": relu}


class ElmanCell(Cell):
    """The simple recurrent cell (book, eqs. 10.8 and 10.9): h' = tanh(b + W h + U x).

    Shapes: x (N, I), h (N, H); returns (h', h').

    Args:
        input_size: I; 0 for a network that runs without input.
        hidden_size: H.
        bias: whether there are b_ih and b_hh; like PyTorch's, they are two that add up.
        nonlinearity: "tanh" or "relu".
        seed: for the initial values, uniform in +-1/sqrt(H) as in PyTorch.

    Parameters: weight_ih (H, I) is U, weight_hh (H, H) is W, bias_ih and bias_hh (H,) are b.
    """

    weight_ih: Parameter | None
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        seed: Seed = None,
    ) -> None:
        (self.hidden_size,) = positive("ElmanCell", hidden_size)
        if nonlinearity not in ACTIVATIONS:
            raise ConfigError(f"ElmanCell: nonlinearity is 'tanh' or 'relu', not {nonlinearity!r}")
        self.nonlinearity = nonlinearity
        add_gate_parameters(self, input_size, 1, bias, seed)

    def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
        a = from_input(self, x, h) + linear(h, self.weight_hh, self.bias_hh)
        h = ACTIVATIONS[self.nonlinearity](a)
        return h, h


class Forced(NamedTuple):
    """An input together with the right output of the same step, which the next step then reads.

    ``unroll(cell, Forced(xs, ys))`` is teacher forcing: y(t), not o(t), is fed back.
    """

    x: Any
    y: Any


class OutputState(NamedTuple):
    """The state of a cell with output recurrence: its hidden units, and what it put out."""

    h: Any
    o: Any


class OutputRecurrentCell(Cell):
    """A recurrence from the output (book, figure 10.4), with or without one between hidden units.

        a = b + R o(t-1) + U x [+ W h(t-1)],   h = tanh(a),   o = c + V h

    Only through o can such a network know its past, so without W it is less powerful than one with
    hidden recurrence; but with teacher forcing its steps are independent of each other. Given
    ``Forced(x, y)`` instead of x, the target y(t) is fed back in place of o(t) (figure 10.6);
    integer targets are fed back as one-hot vectors.

    Shapes: x (N, I) or None if I is 0, o (N, O), h (N, H); returns (o, OutputState(h, o)). Without
    hidden recurrence no step reads h.

    Args:
        input_size: I; 0 for a cell that has no input.
        hidden_size: H.
        output_size: O.
        hidden_recurrence: whether h(t-1) is read, too (W).
        feedback: what is applied to o(t) before it is fed back: softmax, say. Not to a target.
        seed: for the initial values, uniform in +-1/sqrt(H).

    Parameters: weight_oh (H, O) is R, weight_ih (H, I) is U, weight_hh (H, H) is W, bias (H,) is b,
    weight_ho (O, H) is V, bias_o (O,) is c.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        hidden_recurrence: bool = False,
        feedback: Callable[[Any], Any] | None = None,
        seed: Seed = None,
    ) -> None:
        what = "OutputRecurrentCell"
        self.hidden_size, self.output_size = positive(what, hidden_size, output_size)
        self.input_size = checked_input_size(what, input_size)
        self.hidden_recurrence = hidden_recurrence
        self.feedback = feedback
        rng, bound = generator(seed), hidden_size**-0.5

        def weight(rows: int, columns: int, symbol: str) -> Parameter:
            return Parameter(init.uniform((rows, columns), bound, rng), symbol)

        self.weight_oh = weight(hidden_size, output_size, "R")
        if input_size:
            self.weight_ih = weight(hidden_size, input_size, "U")
        if hidden_recurrence:
            self.weight_hh = weight(hidden_size, hidden_size, "W")
        self.bias = Parameter(init.zeros((hidden_size,)), "b")
        self.weight_ho = weight(output_size, hidden_size, "V")
        self.bias_o = Parameter(init.zeros((output_size,)), "c")

    def init_state(self, batch: int) -> OutputState:
        """Zeros: nothing has been put out yet."""
        return OutputState(self.zeros(batch), self.zeros(batch, self.output_size))

    def __call__(self, x: Any, state: OutputState) -> tuple[Any, OutputState]:
        x, y = x if isinstance(x, Forced) else (x, None)
        h, fed_back = fields(state, 2)
        check_input(x, self.input_size, h)
        a = linear(fed_back, self.weight_oh, self.bias)
        if self.input_size:
            a = a + linear(x, self.weight_ih)
        if self.hidden_recurrence:
            a = a + linear(h, self.weight_hh)
        h = tanh(a)
        o = linear(h, self.weight_ho, self.bias_o)
        if y is None:
            return o, OutputState(h, o if self.feedback is None else self.feedback(o))
        if y.dtype.kind in "iu":
            y = one_hot(y, self.output_size, o.dtype)
            y = label(y, "y") if getattr(y, "node", None) is not None else y
        if y.shape != o.shape:
            raise ShapeError(f"y(t){place()} to feed back has shape {y.shape}, o(t) has {o.shape}")
        return o, OutputState(h, y)


def one_hot(ids: Any, size: int, dtype: Any = np.float32) -> Any:
    """Integers (...) as unit vectors (..., size)."""
    xp = namespace(ids.data if isinstance(ids, Tensor) else ids)
    return take(xp.eye(size, dtype=dtype), ids)


def positive(what: str, *sizes: int) -> tuple[int, ...]:
    """The sizes, if all are positive integers; ConfigError otherwise."""
    if any(isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1 for n in sizes):
        raise ConfigError(f"{what}: sizes are positive integers, not {sizes}")
    return sizes


def checked_input_size(what: str, size: int) -> int:
    """The size, if it is 0 (for no input) or a positive integer; ConfigError otherwise."""
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 0:
        raise ConfigError(f"{what}: input_size is an integer, 0 or more, not {size!r}")
    return size


def check_input(x: Any, size: int, h: Any) -> None:
    """Raise ShapeError if x is not (N, size), or None for a size of 0, with N as in the state h."""
    if not hasattr(h, "shape"):
        raise StructureError(f"the state{place()} is {structure.skeleton(h)}, not one array")
    if x is None and not size:
        return
    if not size:
        raise ShapeError(f"x(t){place()} given to a cell of input_size 0, which reads no input")
    shape: tuple[int, ...] = getattr(x, "shape", ())
    if len(shape) != 2 or shape[1] != size:
        found = f"has shape {tuple(shape)}" if hasattr(x, "shape") else f"is {type(x).__name__}"
        raise ShapeError(f"x(t){place()} should have shape (batch, {size}), but it {found}")
    if shape[0] != h.shape[0]:
        raise ShapeError(
            f"x(t){place()} has a batch of {shape[0]}, but the state has shape {tuple(h.shape)}"
        )


def fields(state: Any, count: int) -> Any:
    """The state, if it is a tuple of that many arrays; StructureError otherwise."""
    if not isinstance(state, tuple) or len(state) != count:
        raise StructureError(
            f"the state{place()} is {structure.skeleton(state)}, not {count} arrays. The cell's "
            "init_state(batch) shows what it should look like"
        )
    return state


def add_gate_parameters(cell: Any, input_size: int, gates: int, bias: bool, seed: Seed) -> None:
    """Give a cell PyTorch's parameters: the rows of all gates under each other in one matrix."""
    cell.input_size = checked_input_size(type(cell).__name__, input_size)
    rng, bound = generator(seed), cell.hidden_size**-0.5
    rows = gates * cell.hidden_size
    cell.weight_ih = None
    if input_size:
        cell.weight_ih = Parameter(init.uniform((rows, input_size), bound, rng), "U")
    cell.weight_hh = Parameter(init.uniform((rows, cell.hidden_size), bound, rng), "W")
    cell.bias_ih = Parameter(init.uniform((rows,), bound, rng), "b") if bias else None
    cell.bias_hh = Parameter(init.uniform((rows,), bound, rng), "b") if bias else None


def from_input(cell: Any, x: Any, h: Any) -> Any:
    """What the input contributes to the gates, U x + b_ih; b_ih alone for a cell without input."""
    check_input(x, cell.input_size, h)
    if cell.input_size:
        return linear(x, cell.weight_ih, cell.bias_ih)
    return 0.0 if cell.bias_ih is None else expand_dims(cell.bias_ih, 0)
