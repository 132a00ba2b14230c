"""extract: from a loss or outputs to plain data, one record for every value of the run.

    run = extract(loss)
    run.vertices[5]     # RunVertex(op="tanh", label="h", loop=0, time=1, parents=(3, 4), ...)

From here on there are no tensors and no scopes: times, places, names and numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tinyseq import structure
from tinyseq.autograd.engine import paused_gc, reachable
from tinyseq.autograd.node import Node
from tinyseq.autograd.tensor import Tensor
from tinyseq.draw.gradients import gradient_norms
from tinyseq.draw.graph import Time
from tinyseq.draw.letters import letters_of
from tinyseq.draw.steps import Loop, places
from tinyseq.draw.variables import find_variables
from tinyseq.errors import DrawError, GraphError


class RunVertex(NamedTuple):
    """One value of the run.

    Attributes:
        id: its number; parents have smaller ones.
        op: the operation that made it, or "leaf".
        family: the kind of operation: "elementwise", "linear", "bilinear", ...
        kind: "operation"; if it is labelled "variable", "input" (given, not computed) or "initial"
            (a state that is carried into the recurrence); "parameter".
        label: as given by the user or by the recurrence.
        variable: the label, numbered where the run has several variables of that label.
        loop: the number of the recurrence, or None.
        time: the step, or None.
        place: the modules in which it was computed, from the outside.
        rank: where in the step, in creation numbers: the same in all steps of a regular recurrence.
        shape: of the value.
        parents: ids of what it was computed from; None for a constant.
        symbol: the letter of a parameter.
    """

    id: int
    op: str
    family: str
    kind: str
    label: str | None
    variable: str | None
    loop: int | None
    time: Time | None
    place: tuple[str, ...]
    rank: tuple[int, ...]
    shape: tuple[int, ...]
    parents: tuple[int | None, ...]
    symbol: str | None


@dataclass(frozen=True)
class RunGraph:
    """Everything that one run computed.

    Attributes:
        vertices: in the order of creation; a vertex's id is its index.
        loops: the recurrences.
        values: by id, the raw arrays of labelled vertices.
        gradients: by id, the norms of the gradient, if they were asked for.
    """

    vertices: tuple[RunVertex, ...]
    loops: tuple[Loop, ...]
    values: Mapping[int, Any]
    gradients: Mapping[int, float]


# Operations that stand for many time steps, by name.
HIDDEN_STEPS = {
    "compiled loop": "this run was compiled: its time steps ran as one loop, which leaves no steps "
    "to draw. Run the original cell with ts.unroll (or a model's loss with literal=True).",
    "checkpointed steps": "of this run only every so many states were kept (checkpoint_every), "
    "which leaves no steps to draw. Run it without checkpoint_every.",
}


def extract(outputs: Any, gradients: bool = False) -> RunGraph:
    """Gather all that was computed on the way to the outputs.

    Args:
        outputs: a Tensor (a loss), or a list, tuple or dict of Tensors.
        gradients: also take the gradient of the output, which must then be one number, by every
            labelled value. The graph stays as it is, and so does every ``.grad``.

    Raises:
        DrawError: the outputs are no Tensors.
        GraphError: nothing was recorded; with ``gradients``, the graph was freed or is out of date.
    """
    tensors = tensors_of(outputs)
    with paused_gc():
        nodes = reachable([t.node for t in tensors if t.node is not None], for_pictures=True)
        _refuse_hidden_steps(nodes)
        where, loops = places({node.scope for node in nodes})
        found = find_variables(nodes, where, loops)
        number: dict[Any, int] = {node: k for k, node in enumerate(nodes)}
        number.update((node, number[first]) for node, first in found.repeated.items())
        names = {node: variable.name for node, variable in found.variables.items()}
        letters = letters_of(nodes, found.parameters, names)
        vertices: list[RunVertex] = []
        counted: Counter[Any] = Counter()
        for k, node in enumerate(nodes):
            primitive = node.primitive
            op = "leaf" if primitive is None else primitive.name
            op = f"pick {node.params}" if op == "pick" else op
            place = where[node.scope]
            rank = (*place.offset, node.order - place.start)
            parents = tuple(map(number.get, _sources(node)))
            loop, time, kind, name, symbol = place.loop, place.time, "operation", None, None
            if node in found.variables:
                loop, time, kind, name = found.variables[node]
            elif node in found.parameters:
                loop, time, kind, symbol = None, None, "parameter", letters[node]
            elif place.loop is None and parents:
                loop, time = _step_of_sources(parents, vertices)
            if loop is not None and place.loop is None and kind != "initial":
                # What was computed outside the steps is known by the order within its step.
                op = "slice" if op.startswith("pick") else op
                counted[loop, time, op, name] += 1
                rank = (1, counted[loop, time, op, name])
            vertices.append(
                RunVertex(
                    k,
                    op,
                    "leaf" if primitive is None else primitive.kind,
                    kind,
                    node.label if name else None,
                    name,
                    loop,
                    time,
                    place.path,
                    rank,
                    node.shape,
                    parents,
                    symbol,
                )
            )
        norms = gradient_norms(tensors, nodes, found.variables) if gradients else {}
    return RunGraph(
        tuple(vertices),
        loops,
        {number[node]: node.value for node in found.variables},
        {number[node]: norm for node, norm in norms.items()},
    )


def _refuse_hidden_steps(nodes: Sequence[Node]) -> None:
    for name, what_to_do in HIDDEN_STEPS.items():
        if any(node.name == name for node in nodes):
            raise DrawError(what_to_do)


def tensors_of(outputs: Any) -> list[Tensor]:
    """The Tensors in a nested structure; refuses what cannot be drawn, and says why."""
    found = structure.leaves(outputs)
    for value in found:
        if not isinstance(value, Tensor):
            raise DrawError(
                f"a picture is drawn of what a run computed: a Tensor, or a list, tuple or dict of "
                f"Tensors, not {type(value).__name__}. Run the model first and pass its loss or "
                "outputs, as they come: not .data, not a number."
            )
    if not found:
        raise DrawError("there is nothing to draw: no outputs were given")
    if all(tensor.node is None for tensor in found):
        raise GraphError(
            "nothing was recorded behind these outputs: they were computed under no_grad(), or "
            "from constants alone, or detached. Run the forward pass again outside no_grad()."
        )
    return found


def _sources(node: Node) -> Sequence[Node | None]:
    """What a value is made from: an element of a stack is made from that element alone."""
    whole = node.parents[0] if node.parents else None
    if node.name == "getitem" and whole is not None and whole.name == "stack":
        index = node.params["index"]
        first = index[0] if isinstance(index, tuple) and index else index
        if whole.params["axis"] == 0 and isinstance(first, int | slice):
            return whole.parents[first] if isinstance(first, slice) else [whole.parents[first]]
    return node.parents


def _step_of_sources(
    parents: Sequence[int | None], vertices: Sequence[RunVertex]
) -> tuple[int | None, Time | None]:
    """The step of a value that is computed outside the steps, but from values of one step alone."""
    sources = [vertices[p] for p in parents if p is not None]
    steps = {v.time: v.loop for v in sources if v.kind != "parameter"}
    if len(steps) != 1 or None in steps:
        return None, None
    ((time, loop),) = steps.items()
    return loop, time
