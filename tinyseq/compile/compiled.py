"""compile: the same recurrence, fast.

    fast = ts.compile(cell)          # or a layer, or a SequenceModel: same call, same numbers
    ys, state = ts.unroll(fast, xs)
    print(fast.source)               # the loop that runs

A compiled cell is a cell: taking one step of it is taking one step of the original. ``unroll``
hands it whole sequences, for which it writes a loop, once for each combination of shapes. The loop
is one node of the tape, so it composes with everything around it; second derivatives are those of
the original cell.

Arrays that a step reads without being given them (an encoder's states in ``self.memory``) are read
anew at every run, and get their gradient (``shared``). Feeds that read the last output are compiled
with the cell (``recurrence.feed.OutputFeed``). Where steps are taken one by one after all, as for a
feed of another kind, ``fast.literal`` and ``fast.explain()`` say so.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tinyseq.compile.explain import explain
from tinyseq.compile.options import Options
from tinyseq.compile.run.kept import Kept
from tinyseq.compile.run.loop import Loop
from tinyseq.compile.schedule import Placed
from tinyseq.compile.step.steps import Fed, Ragged
from tinyseq.errors import CompileError
from tinyseq.nn.cell import Cell
from tinyseq.nn.cells.elman import fields
from tinyseq.nn.compose import Stacked
from tinyseq.nn.layers import Recurrent
from tinyseq.nn.parameter import Parameter
from tinyseq.nn.sequence import ModelStep, SequenceModel
from tinyseq.recurrence.checkpoint import segment_length


def compile(
    module: Any,
    emitter: str = "numpy",
    checkpoint_every: int | str | None = None,
    threads: int | None = None,
) -> Any:
    """A cell, layer or sequence model that computes the same as the given one, faster.

    It shares the parameters with the original. Shapes are found at the first call. Of a
    SequenceModel its own call and its loss are compiled, but for ``loss(literal=True)``. A layer or
    model is copied: what else is set on the original later, another readout, the copy does not see.

    Args:
        module: an ``nn.Cell``, a layer (``RNN``, ``LSTM``, ``GRU``), or a ``SequenceModel``.
        emitter: what writes the loop for arrays of the host: "numpy", or "numba", which compiles
            it to machine code (``pip install "tinyseq[fast]"``): that takes seconds the first time,
            and what comes out is kept on disk.
        checkpoint_every: less memory for more time: of every run only the state after every so many
            steps is kept for the backward pass, which runs the steps between a second time. "sqrt"
            takes the square root of T. ``unroll(..., checkpoint_every=)`` decides for one run.
        threads: how many threads may share a run, each with a part of the batch. They do only where
            a step has enough to do to gain by it, and treats every sequence of the batch apart;
            ``explain()`` tells. None: as many as NumPy's products use, that is all cores, or what
            OPENBLAS_NUM_THREADS says. 1: never more than one.

    Raises:
        ConfigError: an emitter that does not exist or is not installed; checkpoint_every or threads
            out of range.
        CompileError: something else; at the first call also for a step that cannot be compiled,
            with the reason.
    """
    return _compiled(module, Options(emitter, checkpoint_every, threads))


def _compiled(module: Any, options: Options) -> Any:
    if isinstance(module, Compiled):
        return module
    fast: Any
    if isinstance(module, SequenceModel):
        if module.compiled_step is not None:
            return module
        fast = copy.copy(module)
        fast.cell = _compiled(module.cell, options)
        fast.compiled_step = CompiledStep(Compiled(ModelStep(fast), options))
        return fast
    if isinstance(module, Recurrent):
        if all(isinstance(cell, Compiled) for cell in module.cells):
            return module
        fast = copy.copy(module)
        fast.cells = [_compiled(cell, options) for cell in module.cells]
        return fast
    if isinstance(module, Stacked) and module.dropout.p:
        return CompiledStack(module, options)
    if isinstance(module, Cell):
        return Compiled(module, options)
    raise CompileError(f"compile: a cell, a layer or a SequenceModel, not {type(module).__name__}")


class Compiled(Cell):
    """A cell whose sequences run as a written-out loop."""

    takes_feeds = True

    cell: Cell
    options: Options
    kept: Kept

    def __init__(self, cell: Cell, options: Options) -> None:
        # set directly: as an attribute like others it would get another name in the pictures
        object.__setattr__(self, "cell", cell)
        object.__setattr__(self, "options", options)
        object.__setattr__(self, "kept", Kept())

    def __reduce__(self) -> tuple:
        """A copy has the copied cell, and memory of its own."""
        return Compiled, (self.cell, self.options)

    def __getattr__(self, name: str) -> Any:
        """What else there is of the cell: its sizes, its parameters."""
        if name.startswith("__") or "cell" not in vars(self):
            raise AttributeError(name)
        return getattr(self.cell, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """An attribute is set on the cell, where its step reads it."""
        setattr(self.cell, name, value)

    @property
    def training(self) -> bool:  # type: ignore[override]
        """The cell's."""
        return self.cell.training

    @property
    def loops(self) -> OrderedDict[Any, Loop]:
        """The loops that are kept, by what they are for."""
        return self.kept.loops

    def _walk(self, prefix: str, above: tuple[int, ...]) -> Iterator[tuple[str, Parameter]]:
        """The cell's own parameters, under their own names."""
        return self.cell._walk(prefix, above)

    def init_state(self, batch: int) -> Any:
        """The cell's."""
        return self.cell.init_state(batch)

    def __call__(self, x: Any, state: Any) -> tuple[Any, Any]:
        return self.cell(x, state)

    @property
    def source(self) -> str:
        """The source of the loop that ran last."""
        return self._last().assembled.emitted.source

    def explain(self) -> str:
        """What the last loop does once, before, in and after its steps, and what that costs.

        If the steps of the last run were taken one by one, why that was.
        """
        if self.literal:
            return f"step by step, as the cell is written: {self.literal}"
        last = self._last().assembled
        return f"{explain(last.schedule)}\n{last.threads}"

    @property
    def schedule(self) -> list[Placed]:
        """The operations of the step that ran last, and when each is done; to be drawn:

        ``draw.circuit(loss, detail="ops", schedule=fast.schedule)``, of a run of the original cell.
        """
        return self._last().placed

    @property
    def literal(self) -> str | None:
        """Why the steps of the last run were taken one by one, in Python; None if they were not."""
        return self.kept.literal

    def takes_steps(self, why: str | None) -> None:
        """Called by ``unroll``, which knows; None says that all steps are one call."""
        self.kept.literal = why

    def _last(self) -> Loop:
        if self.kept.last is None:
            raise CompileError("nothing has run yet: shapes are known after the first call")
        return self.kept.last

    def run_steps(
        self,
        xs: Any,
        state: Any,
        steps: int,
        running: Any = None,
        checkpoint_every: int | str | None = None,
        feed: Any = None,
    ) -> tuple[Any, Any]:
        """All steps: the outputs, stacked, and the final state.

        Args:
            xs: structure of arrays or Tensors (T, N, ...), or None.
            state: structure of arrays or Tensors, the initial state.
            steps: T, at least 1.
            running: (T, N) of booleans, which sequences have not ended; None for all.
            checkpoint_every: for this run; by default as the cell was compiled.
            feed: an ``OutputFeed`` that makes every input; then xs is (given, drawn), and the state
                is (state, last output).
        """
        every = self.options.checkpoint_every if checkpoint_every is None else checkpoint_every
        every = None if every is None else segment_length(every, steps)
        step: Any = self.cell if feed is None else Fed(self.cell, feed)
        if running is not None:
            step, xs = Ragged(step), (xs, running)
        return self.kept.run(step, xs, state, steps, every, self.parameters(), self.options)


@dataclass
class CompiledStep:
    """The compiled step of a model; no module, since the model has its parameters already."""

    cell: Compiled


class CompiledStack(Compiled):
    """Stacked cells with dropout between them: a loop for each cell, the dropout outside of them.

    Random numbers are drawn for all steps of a sequence at once. With two cells these are the same
    numbers as step by step; with more they come in another order.
    """

    takes_feeds = False

    cell: Any
    made: list[tuple[Cell, Compiled]]  # of each cell; another one may have taken its place

    def __init__(self, cell: Stacked, options: Options) -> None:
        super().__init__(cell, options)
        object.__setattr__(self, "made", [])

    @property
    def layers(self) -> list[Compiled]:
        """The compiled cells, from the bottom up."""
        cells = self.cell.cells
        if [id(cell) for cell, _ in self.made] != [id(cell) for cell in cells]:
            self.made[:] = [(cell, _compiled(cell, self.options)) for cell in cells]
        return [layer for _, layer in self.made]

    def __reduce__(self) -> tuple:
        return CompiledStack, (self.cell, self.options)

    @property
    def loops(self) -> OrderedDict[Any, Loop]:
        """The loops of all cells."""
        every = enumerate(self.layers)
        return OrderedDict(
            ((k, key), loop) for k, layer in every for key, loop in layer.loops.items()
        )

    @property
    def source(self) -> str:
        """The sources of the loops that ran last, from the bottom up."""
        return "\n".join(layer.source for layer in self.layers)

    def explain(self) -> str:
        """The cells' loops, one after the other."""
        if self.literal:
            return super().explain()
        return "\n".join(layer.explain() for layer in self.layers)

    @property
    def schedule(self) -> list[Placed]:
        """There is one of each cell."""
        raise CompileError(
            "stacked cells with dropout between them run as a loop each: draw one cell, with "
            "fast.layers[k].schedule"
        )

    def run_steps(
        self,
        xs: Any,
        state: Any,
        steps: int,
        running: Any = None,
        checkpoint_every: int | str | None = None,
        feed: None = None,
    ) -> tuple[Any, Any]:
        """All steps of the first cell, then all of the second, and so on; see ``Compiled``."""
        after = []
        layers = self.layers
        for k, before in enumerate(fields(state, len(layers))):
            x = self.cell.dropout(xs) if k else xs
            xs, new = layers[k].run_steps(x, before, steps, running, checkpoint_every)
            after.append(new)
        return xs, tuple(after)
