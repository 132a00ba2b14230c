"""Which values of a run are the variables of its picture: of which step, and under which name.

* A leaf that is learned and that several steps share is a parameter, whatever its label.
* A slice of a sequence belongs to the step that reads it.
* A number outside the steps with the label of a number in every step is their total: left out.
* Leaves of one time with one label and one array are one input, read by several recurrences.
* What a recurrence starts from, and a state that truncation has cut off, are initial states.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tinyseq.autograd.node import Leaf, Node, Scope
from tinyseq.backend import is_cupy
from tinyseq.draw.graph import Time
from tinyseq.draw.steps import Loop, Place

_CARRIERS = frozenset({"leaf", "identity"})  # how a state comes into a step that is given it
_SLICERS = frozenset({"pick", "getitem"})  # how a sequence is cut into the inputs of the steps

Step = tuple[Any, Any]  # the number of the recurrence, and the time
OUTSIDE: Step = (None, None)
Where = Mapping[Scope | None, Place]


class Variable(NamedTuple):
    """A labelled value: its recurrence and time, its kind (see RunVertex), and its name."""

    loop: int | None
    time: Time | None
    kind: str
    name: str


class Found(NamedTuple):
    """The variables in order of creation; leaves that repeat one of them; the parameters."""

    variables: dict[Node, Variable]
    repeated: dict[Node, Node]
    parameters: set[Node]


def find_variables(nodes: Sequence[Node], where: Where, loops: Sequence[Loop]) -> Found:
    """Sort the labelled nodes and the leaves of a run, given in order of creation."""
    parameters = {node for node in nodes if _is_parameter(node)}
    step: dict[Node, Step] = {}
    for node in nodes:
        if node.label is not None and node not in parameters:
            place = where[node.scope]
            step[node] = (place.loop, place.time)
    before = {loop.number: _before(loop) for loop in loops}
    computed = {(step[n][0], n.label) for n in step if n.name not in _CARRIERS}
    carriers: dict[str | None, list[Node]] = defaultdict(list)
    for node in step:
        if node.name in _CARRIERS:
            carriers[node.label].append(node)
    outside = [node for node in step if step[node] == OUTSIDE]
    for node, readers in _readers(nodes, where, outside).items():
        if node.primitive is None and node.requires_grad and len(readers) > 1:
            parameters.add(node)
        elif len(readers) == 1:
            ((loop, time),) = readers
            if node.name in _SLICERS:
                step[node] = (loop, time)
            elif (loop, node.label) in computed and time == loops[loop].times[0]:
                under_a_new_node = any(step[n] == (loop, time) for n in carriers[node.label])
                step[node] = (loop, time if under_a_new_node else before[loop][time])
    timed = {node.label for node in step if step[node] != OUTSIDE}
    labelled = [
        n
        for n in step
        if n not in parameters and not (step[n] == OUTSIDE and n.label in timed and n.shape == ())
    ]
    repeated = _repeated(labelled, step)
    labelled = [node for node in labelled if node not in repeated]
    kinds = _kinds(labelled, step, before, loops)
    busy = {step[n] for n in labelled if kinds[n] != "initial"}
    for n in labelled:
        if kinds[n] == "initial" and step[n] in busy:
            step[n] = (step[n][0], before[step[n][0]][step[n][1]])
    names = _names(labelled, step, kinds)
    variables = {n: Variable(*step[n], kinds[n], names[n]) for n in labelled}
    return Found(variables, repeated, parameters)


def _is_parameter(node: Node) -> bool:
    return isinstance(node, Leaf) and bool(
        node.symbol or node.parameter_name or (node.requires_grad and node.label is None)
    )


def _readers(nodes: Iterable[Node], where: Where, of: Collection[Node]) -> dict[Node, set[Step]]:
    """The steps in which each of some nodes is read."""
    found: dict[Node | None, set[Step]] = {node: set() for node in of}
    if found:
        for node in nodes:
            for parent in node.parents:
                if parent in found:
                    place = where[node.scope]
                    if place.loop is not None:
                        found[parent].add((place.loop, place.time))
    return {node: found[node] for node in of}


def _repeated(labelled: Iterable[Node], step: Mapping[Node, Step]) -> dict[Node, Node]:
    """Values that are an earlier one of the same time and label over again.

    A leaf with the very array of an earlier one; and what is made of that one alone, as a one-hot
    vector is made of a target.
    """
    first: dict[Any, Node] = {}
    found: dict[Node, Node] = {}
    for node in labelled:
        origin = _origin(node)
        if origin is not None and origin in step and origin.label == node.label:
            if step[origin][1] == step[node][1]:
                found[node] = found.get(origin, origin)
        elif node.primitive is None and not node.requires_grad and node.value is not None:
            key = (node.label, step[node][1], _memory(node.value))
            if first.setdefault(key, node) is not node:
                found[node] = first[key]
    return found


def _origin(node: Node) -> Node | None:
    """The labelled value of which a value is made by operations that read nothing else."""
    while True:
        sources = [parent for parent in node.parents if parent is not None]
        if len(sources) != 1:
            return None
        node = sources[0]
        if node.label is not None:
            return node


def _memory(array: Any) -> tuple[Any, ...]:
    """Where an array lies and how it is laid out; the same for two views of the same elements."""
    address = array.data.ptr if is_cupy(array) else array.ctypes.data
    return address, array.shape, array.strides, array.dtype.str


def _kinds(
    labelled: Collection[Node],
    step: Mapping[Node, Step],
    before: Mapping[int, Mapping[Any, Any]],
    loops: Sequence[Loop],
) -> dict[Node, str]:
    """The kind of every node: "variable", "input", or "initial" in two cases.

    A given value beside a computed one of its label is a state that truncation has cut off. And all
    that is labelled in the first step of a recurrence is an initial state, if nothing there is
    computed in the way in which later steps compute what has that label.
    """
    computed = [n for n in labelled if n.name not in _CARRIERS]
    beside = {(step[n], n.label) for n in computed}
    cut_off = {n for n in labelled if n.name in _CARRIERS and (step[n], n.label) in beside}
    firsts = {loop.number: loop.times[0] for loop in loops}
    starts = {(k, time) for k, first in firsts.items() for time in (first, before[k][first])}
    ways = {(step[n][0], n.name, n.label) for n in computed if step[n] not in starts}
    regular = {step[n] for n in computed if (step[n][0], n.name, n.label) in ways}
    running = {loop for loop, _, _ in ways}
    kinds = {}
    for n in labelled:
        at = step[n]
        if n in cut_off or (at in starts and at not in regular and at[0] in running):
            kinds[n] = "initial"
        else:
            kinds[n] = "input" if n.primitive is None else "variable"
    return kinds


def _before(loop: Loop) -> dict[Any, Any]:
    """For every time of a recurrence the one before it; before the first one, one is made up."""
    times = loop.times
    found: dict[Any, Any] = dict(zip(times[1:], times, strict=False))
    first = times[0]
    if isinstance(first, int):
        found[first] = first + 1 if len(times) > 1 and times[1] == first - 1 else first - 1
    else:
        found[first] = first
    return found


def _names(
    labelled: Iterable[Node], step: Mapping[Node, Step], kinds: Mapping[Node, str]
) -> dict[Node, str]:
    """A name for every variable, the same at all times: the label, numbered if it is not unique.

    Of one recurrence, the k-th value of a label in a step is the same variable as in other steps;
    an initial state is the first.
    """
    count: Counter[Any] = Counter()
    key: dict[Node, tuple[Any, ...]] = {}
    for node in labelled:
        loop, time = step[node]
        here = (loop, node.label, time, kinds[node] == "initial")
        key[node] = (loop, node.label, count[here])
        count[here] += 1
    variables: dict[Any, dict[Any, None]] = defaultdict(dict)
    for node in key:
        variables[node.label][key[node]] = None
    taken = set(variables)
    names: dict[tuple[Any, ...], str] = {}
    for label, keys in variables.items():
        number = 0
        for variable in keys:
            names[variable] = label
            while len(keys) > 1 and names[variable] in taken:
                number += 1
                names[variable] = f"{label}{'_' * label[-1:].isdigit()}{number}"
            taken.add(names[variable])
    return {node: names[key[node]] for node in key}
