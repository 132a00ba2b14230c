"""The loop of a compiled cell for one combination of shapes, as one node of the tape."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import structure
from tinyseq.autograd.node import Node, recording
from tinyseq.autograd.primitive import PICK, Primitive, no_grad, place
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import as_array, namespace
from tinyseq.compile.program import Program
from tinyseq.compile.run.assemble import Assembled
from tinyseq.compile.schedule import placed
from tinyseq.compile.step.shared import Fixed
from tinyseq.errors import GraphError, ShapeError
from tinyseq.nn.parameter import Parameter


class Loop:
    """The loop for one combination of shapes, with the memory it works in."""

    def __init__(
        self,
        program: Program,
        assembled: Assembled,
        step: Any,
        x: Any,
        state: Any,
        shared: dict[str, Any],
    ) -> None:
        self.shared, self.fixed = program.shared, program.fixed
        # arrays from outside that the step turned into others by itself, which are constants now
        self.baked = {
            path: Fixed(raw(value))
            for path, value in shared.items()
            if path in program.looked_at
            or (path not in self.shared and not isinstance(value, Parameter))
        }
        grads = [*program.input_grads, *program.state_grads, *program.parameter_grads]
        self.differentiable = [g is not None for g in grads]
        self.assembled = assembled
        self.placed = placed(program)
        with no_grad():
            given = structure.map(lambda a: None if a is None else Tensor(a), x)
            self.output = step(given, structure.map(Tensor, state))[0]
        self.state = state
        self.xp = namespace(*map(raw, structure.leaves(state)))
        self.free: list[Any] = []

    def holds(self, shared: dict[str, Any]) -> bool:
        """Whether the arrays that are part of the loop are still those that the step reads."""
        return all(fixed == raw(shared[path]) for path, fixed in self.baked.items())

    def workspace(self) -> Any:
        """forward and backward over memory that nobody else is using."""
        try:
            return self.free.pop()
        except IndexError:
            return self.assembled.emitted.build()

    def run(
        self, inputs: list[Any], states: list[Any], parameters: list[Any], shared: dict[str, Any]
    ) -> tuple[Any, Any]:
        """The outputs of all steps, stacked, and the final state."""
        kept = {k: states[k] for k in self.fixed}
        states = [state for k, state in enumerate(states) if k not in kept]
        same = [*parameters, *(shared[path] for path in self.shared), *kept.values()]
        tensors = [*inputs, *states, *same]
        arrays = [raw(value) for value in tensors]
        if self.xp is not np:  # a mask among the attributes, say, may be an array of the host
            arrays = [self.xp.asarray(array) for array in arrays]
        lease = Lease(self, len(inputs), len(states), arrays)
        try:
            outputs, finals = lease.forward()
        except IndexError as error:  # a token that is not in the table: NumPy looks at each
            raise ShapeError(f"compiled loop{place()}: {error}") from None
        results = [*outputs, *finals]
        nodes = [t.node if isinstance(t, Tensor) else None for t in tensors]
        # what no gradient reaches has none, as in unroll; a label is kept for the pictures
        parents = tuple(
            node if node is not None and (reached or not node.requires_grad) else None
            for node, reached in zip(nodes, self.differentiable, strict=True)
        )
        requires_grad = any(p is not None and p.requires_grad for p in parents)
        if requires_grad and recording.get():
            params = {"outputs": len(results), "shapes": tuple(r.shape for r in results)}
            whole = Node(LOOP, parents, lease, params, (), results[0].dtype, True)
            results = [
                Tensor(r, Node(PICK, (whole,), None, k, r.shape, r.dtype, True))
                for k, r in enumerate(results)
            ]
        else:
            results = [Tensor(r) for r in results]
        ends = results[len(outputs) :]
        for k, value in kept.items():
            ends.insert(k, value if isinstance(value, Tensor) else Tensor(raw(value)))
        given, last = iter(results), iter(ends)
        output = structure.map(lambda _: next(given), self.output)
        return output, structure.map(lambda _: next(last), self.state)


class Lease:
    """The memory of one forward pass, until its backward pass is over or it is forgotten.

    Then it goes back to the loop, for the next pass to write over: never while a graph needs it.
    """

    def __init__(self, loop: Loop, inputs: int, states: int, arrays: list[Any]) -> None:
        self.loop, self.inputs, self.states, self.arrays = loop, inputs, states, arrays
        self.workspace: Any = None
        self.workspace = loop.workspace()
        self.seeds: Any = None
        self.gradients: list[Any] = []

    def __del__(self) -> None:
        if self.workspace is not None:
            self.loop.free.append(self.workspace)

    def forward(self) -> tuple[tuple, tuple]:
        outputs, finals, self.kept = self.workspace[0](*self.arrays)
        self.shapes = [(a.shape, a.dtype) for a in (*outputs, *finals)]
        return outputs, finals

    def gradient(self, g: list[Any], i: int) -> Any:
        """The cotangent of argument i, from the cotangents of the outputs and final states."""
        if self.seeds is not g:
            xp = self.loop.xp
            seeds = [
                xp.zeros(shape, dtype) if part is None else xp.asarray(part, dtype)
                for part, (shape, dtype) in zip(g, self.shapes, strict=True)
            ]
            parameters = self.arrays[self.inputs + self.states :]
            found = self.workspace[1](*seeds, self.kept, *parameters)
            self.gradients = [array for group in found for array in group]
            self.seeds = g
        return self.gradients[i]


def _pull(g: Any, node: Any, i: int) -> Any:
    if not isinstance(node.saved, Lease) or any(isinstance(part, Tensor) for part in g):
        raise GraphError(
            "the second derivative of a compiled loop: run the original cell, with unroll, for that"
        )
    return node.saved.gradient(g, i)


def _push(tangents: Any, node: Any) -> Any:
    raise GraphError("forward mode through a compiled loop: run the original cell, with unroll")


LOOP = Primitive("compiled loop", "outputs", lambda xp, *arrays: arrays, _pull, _push, None)


def raw(value: Any) -> Any:
    return value.data if isinstance(value, Tensor) else as_array(value)
