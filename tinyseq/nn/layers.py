"""RNN, LSTM and GRU: whole layers, with PyTorch's signatures, shapes, defaults and parameter names.

    layer = nn.LSTM(input_size, hidden_size, num_layers=2, bidirectional=True)
    output, (h, c) = layer(x)                          # x (T, N, I) -> output (T, N, 2H)
    layer.load_state_dict(torch_lstm.state_dict())     # after turning the values into arrays

They are compositions of the cells: a loop over layers and directions, and ``unroll``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tinyseq import structure
from tinyseq.autograd.node import scope
from tinyseq.autograd.primitive import place
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import as_array
from tinyseq.errors import ConfigError, DataError, ShapeError, StructureError
from tinyseq.nn.cell import Cell
from tinyseq.nn.cells.elman import ElmanCell
from tinyseq.nn.cells.gru import GRUCell
from tinyseq.nn.cells.lstm import LSTMCell
from tinyseq.nn.linear import Dropout
from tinyseq.nn.module import Module
from tinyseq.nn.parameter import Parameter
from tinyseq.ops import concatenate, expand_dims, squeeze, stack, swapaxes, unbind
from tinyseq.random import Seed, generator
from tinyseq.recurrence.unroll import unroll

REVERSED_NAMES = {"h": "g", "c": "d"}  # the book's g(t) runs from the end to the beginning


class Recurrent(Module):
    """Layers of one kind of cell; see RNN, LSTM and GRU.

    Args:
        make_cell: ``make_cell(input_size, seed)`` gives the cell of one layer and direction.
        input_size, hidden_size, num_layers, batch_first, dropout, bidirectional: as in PyTorch.
        seed: for the initial values and the dropout.
    """

    def __init__(
        self,
        make_cell: Callable[[int, Any], Cell],
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        seed: Seed = None,
    ) -> None:
        if num_layers < 1:
            raise ConfigError(f"{type(self).__name__}: num_layers is at least 1, not {num_layers}")
        rng = generator(seed)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.batch_first, self.bidirectional = batch_first, bidirectional
        self.directions = 2 if bidirectional else 1
        self.cells = [
            make_cell(input_size if k == 0 else hidden_size * self.directions, rng)
            for k in range(num_layers)
            for _ in range(self.directions)
        ]
        self.dropout = Dropout(dropout, rng)

    def _walk(self, prefix: str, above: tuple[int, ...]) -> Iterator[tuple[str, Parameter]]:
        """The parameters under PyTorch's names: weight_ih_l0, weight_ih_l0_reverse ..."""
        for k, cell in enumerate(self.cells):
            suffix = f"_l{k // self.directions}" + "_reverse" * (k % self.directions)
            for name, parameter in cell._walk("", above):
                yield prefix + name + suffix, parameter

    def __call__(
        self,
        inputs: Any,
        state: Any = None,
        lengths: Sequence[int] | None = None,
        checkpoint_every: int | str | None = None,
    ) -> tuple[Any, Any]:
        """Run over whole sequences.

        Args:
            inputs: (T, N, I); (N, T, I) with batch_first; (T, I) without a batch.
            state: the initial states, (layers * directions, N, H) each; zeros by default.
            lengths: of the sequences of a padded batch, in place of PyTorch's packing.
            checkpoint_every: less memory for more time, in every layer; as for ``unroll``.

        Returns:
            The outputs (T, N, directions * H), laid out as the inputs, and the final states.
        """
        xs = inputs if isinstance(inputs, Tensor) else as_array(inputs)
        alone = xs.ndim == 2
        xs = expand_dims(xs, 1) if alone else (swapaxes(xs, 0, 1) if self.batch_first else xs)
        if xs.ndim != 3 or xs.shape[2] != self.input_size:
            given = inputs if hasattr(inputs, "shape") else as_array(inputs)
            raise ShapeError(
                f"inputs{place()} of shape {tuple(given.shape)}; wanted "
                f"{'(N, T' if self.batch_first else '(T, N'}, {self.input_size}) or (T, "
                f"{self.input_size})"
            )
        if lengths is not None and alone:
            raise DataError(f"{type(self).__name__}: lengths go with a batch, the input has none")
        states = self._split_state(state, xs.shape[1], alone)
        layer: Any = xs
        finals = []
        for k in range(self.num_layers):
            with scope(f"layer{k}"):
                layer, final = self._run_layer(
                    k, layer, states, lengths, xs.shape[0], checkpoint_every
                )
            finals += final
        outputs = layer if isinstance(layer, Tensor) else stack(layer)
        if alone:
            outputs = squeeze(outputs, 1)
        elif self.batch_first:
            outputs = swapaxes(outputs, 0, 1)
        return outputs, self._join_state(finals, alone)

    def _run_layer(
        self,
        k: int,
        layer: Any,
        states: list[Any],
        lengths: Any,
        steps: int,
        checkpoint_every: int | str | None,
    ) -> tuple[Any, list[Any]]:
        """One layer in its one or two directions: the outputs of every step, and the states."""
        outputs, finals = [], []
        for direction in range(self.directions):
            number = k * self.directions + direction
            with scope("reverse" if direction else "forward"):
                ys, final = unroll(
                    self.cells[number],
                    layer,
                    states[number],
                    lengths=lengths,
                    reverse=bool(direction),
                    checkpoint_every=checkpoint_every,
                    names=self._names(k, bool(direction)),
                    as_list=steps > 0,
                )
            outputs.append(ys)
            finals.append(final)
        dropping = self.training and self.dropout.p and k + 1 < self.num_layers
        if not steps:
            return (concatenate(outputs, -1) if self.bidirectional else outputs[0]), finals
        if not self.bidirectional and not dropping:
            return outputs[0], finals
        joined = []
        for t, parts in enumerate(zip(*outputs, strict=True)):
            with scope("step", t + 1):
                y = concatenate(parts, -1) if self.bidirectional else parts[0]
                joined.append(self.dropout(y) if dropping else y)
        return joined, finals

    def _names(self, layer: int, backwards: bool) -> dict[str, str]:
        """How the states are called in the pictures: g for h backwards, h2 in the second layer."""
        number = str(layer + 1) if self.num_layers > 1 else ""
        return {n: (REVERSED_NAMES[n] if backwards else n) + number for n in ("h", "c")}

    def _split_state(self, state: Any, batch: int, alone: bool) -> list[Any]:
        """The initial state of every cell, from the stacked form that PyTorch uses."""
        count = len(self.cells)
        if state is None:
            return [None] * count
        like = self.cells[0].init_state(batch)
        wanted, given = structure.leaves(like), structure.leaves(state)
        if len(given) != len(wanted):
            raise StructureError(
                f"the initial state{place()} is {structure.skeleton(state)}; wanted "
                f"{structure.skeleton(like)}, with every array for all layers and directions"
            )
        rows = []
        for part, one in zip(given, wanted, strict=True):
            array = part if isinstance(part, Tensor) else as_array(part)
            array = expand_dims(array, 1) if alone and array.ndim == 2 else array
            if tuple(array.shape) != (count, *one.shape):
                raise ShapeError(
                    f"an initial state{place()} of shape {tuple(array.shape)}; wanted "
                    f"{(count, *one.shape)}"
                )
            rows.append(unbind(array))
        of_each = (iter(parts) for parts in zip(*rows, strict=True))
        return [structure.map(lambda _, parts=parts: next(parts), like) for parts in of_each]

    def _join_state(self, finals: list[Any], alone: bool) -> Any:
        def join(*arrays: Any) -> Any:
            joined = stack(arrays)
            return squeeze(joined, 1) if alone else joined

        return structure.map(join, *finals)


class RNN(Recurrent):
    """Layers of Elman cells, h(t) = tanh(U x(t) + b_ih + W h(t-1) + b_hh); like torch.nn.RNN."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        seed: Seed = None,
    ) -> None:
        super().__init__(
            lambda size, rng: ElmanCell(size, hidden_size, bias, nonlinearity, rng),
            input_size, hidden_size, num_layers, batch_first, dropout, bidirectional, seed,
        )  # fmt: skip


class LSTM(Recurrent):
    """Layers of LSTM cells; like torch.nn.LSTM, with the cell's ``forget_bias`` and ``longest``."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        forget_bias: float | str | None = None,
        longest: int | None = None,
        seed: Seed = None,
    ) -> None:
        super().__init__(
            lambda size, rng: LSTMCell(size, hidden_size, bias, forget_bias, longest, seed=rng),
            input_size, hidden_size, num_layers, batch_first, dropout, bidirectional, seed,
        )  # fmt: skip


class GRU(Recurrent):
    """Layers of GRU cells; like torch.nn.GRU, with ``reset`` and ``update`` of the cell."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        reset: str = "after",
        update: str = "keep",
        seed: Seed = None,
    ) -> None:
        super().__init__(
            lambda size, rng: GRUCell(size, hidden_size, bias, reset, update, seed=rng),
            input_size, hidden_size, num_layers, batch_first, dropout, bidirectional, seed,
        )  # fmt: skip
