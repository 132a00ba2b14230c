"""Which values of a run are the variables of its picture: of which step, and under which name.

* A leaf that is learned and that several steps share is a parameter, whatever its label.
* A slice of a sequence belongs to the step that reads it; and so does a value that has others of
  its label, each read by a step of its own.
* A number outside the steps with the label of a number in every step is their total: left out.
* Leaves of one time with one label and one array are one input, read by several recurrences.
* What a recurrence starts from, and a state that truncation has cut off, are initial states.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tinyseq.autograd.node import Leaf, Node, Scope
from tinyseq.backend import is_cupy
from tinyseq.draw.graph import Time
from tinyseq.draw.steps import Loop, Place

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
    parameters = {node for node in nodes if node.primitive is None and _is_parameter(node)}
    labelled = [node for node in nodes if node.label is not None and node not in parameters]
    step: dict[Node, Step] = {node: where[node.scope][:2] for node in labelled}
    before = {loop.number: _before(loop) for loop in loops}
    carrying = {n for n in labelled if n.primitive is None or n.primitive.name == "identity"}
    computed = {(step[n][0], n.label) for n in labelled if n not in carrying}
    outside = [node for node in labelled if step[node] == OUTSIDE]
    series: dict[Any, dict[Step, Node]] = defaultdict(dict)
    for node, readers in zip(outside, _readers(nodes, where, outside), strict=True):
        if node.primitive is None and node.requires_grad and len(readers) > 1:
            parameters.add(node)
        elif len(readers) == 1:
            ((loop, time),) = readers
            if node.name in _SLICERS:
                step[node] = (loop, time)
            elif (loop, node.label) in computed and time == loops[loop].times[0]:
                anew = any(step[n] == (loop, time) and n.label == node.label for n in carrying)
                step[node] = (loop, time if anew else before[loop][time])
            else:
                series[loop, node.label][loop, time] = node
    for (loop, _), row in series.items():
        if len(row) > 1 or loops[loop].is_tree:
            step.update((node, at) for at, node in row.items())
    left_out = parameters | _totals(step, outside)
    repeated = _repeated([node for node in labelled if node not in left_out], step)
    left_out.update(repeated)
    labelled = [node for node in labelled if node not in left_out]
    initial = _initial(labelled, carrying, step, before, loops)
    busy = {step[n] for n in labelled if n not in initial} if initial else ()
    for n in initial:
        if step[n] in busy:
            step[n] = (step[n][0], before[step[n][0]][step[n][1]])
    names = _names(labelled, step, initial, where)
    variables = {}
    for n in labelled:
        kind = "initial" if n in initial else "input" if n.primitive is None else "variable"
        loop, time = step[n]
        variables[n] = Variable(loop, time, kind, names[n])
    return Found(variables, repeated, parameters)


def _is_parameter(node: Node) -> bool:
    return isinstance(node, Leaf) and bool(
        node.symbol or node.parameter_name or (node.requires_grad and node.label is None)
    )


def _readers(nodes: Iterable[Node], where: Where, of: Collection[Node]) -> list[set[Step]]:
    """The steps in which each of some nodes is read."""
    found: dict[Node | None, set[Step]] = {node: set() for node in of}
    is_no_reader = set(of).isdisjoint
    for node in [node for node in nodes if not is_no_reader(node.parents)] if found else ():
        place = where[node.scope]
        if place.loop is not None:
            for parent in node.parents:
                if parent in found:
                    found[parent].add(place[:2])
    return list(found.values())


def _totals(step: Mapping[Node, Step], outside: Iterable[Node]) -> set[Node]:
    """The numbers outside the steps that are the totals of those inside: by their labels."""
    found = {node for node in outside if step[node] == OUTSIDE and node.shape == ()}
    timed = {node.label for node in step if step[node] != OUTSIDE} if found else ()
    return {node for node in found if node.label in timed}


def _repeated(labelled: Iterable[Node], step: Mapping[Node, Step]) -> dict[Node, Node]:
    """Values that are an earlier one of the same time and label over again.

    A leaf with the very array of an earlier one; and what is made of that one alone, as a one-hot
    vector is made of a target.
    """
    leaves: dict[Any, list[Node]] = defaultdict(list)
    for node in labelled:
        if node.primitive is None and not node.requires_grad and node.value is not None:
            leaves[node.label, step[node][1]].append(node)
    found: dict[Node, Node] = {}
    for alike in leaves.values():
        if len(alike) > 1:
            first: dict[Any, Node] = {}
            for node in alike:
                if first.setdefault(_memory(node.value), node) is not node:
                    found[node] = first[_memory(node.value)]
    for node in labelled:
        origin = _origin(node)
        if origin is not None and origin in step and origin.label == node.label:
            if step[origin][1] == step[node][1]:
                found[node] = found.get(origin, origin)
    return found


def _origin(node: Node) -> Node | None:
    """The labelled value of which a value is made by operations that read nothing else."""
    while True:
        sources: Sequence[Node | None] = node.parents
        if len(sources) > 1:
            sources = [parent for parent in sources if parent is not None]
        if len(sources) != 1 or sources[0] is None:
            return None
        node = sources[0]
        if node.label is not None:
            return node


def _memory(array: Any) -> tuple[Any, ...]:
    """Where an array lies and how it is laid out; the same for two views of the same elements."""
    address = array.data.ptr if is_cupy(array) else array.ctypes.data
    return address, array.shape, array.strides, array.dtype.str


def _initial(
    labelled: Collection[Node],
    carrying: Collection[Node],
    step: Mapping[Node, Step],
    before: Mapping[int, Mapping[Any, Any]],
    loops: Sequence[Loop],
) -> set[Node]:
    """The initial states, in two cases.

    A given value beside a computed one of its label is a state that truncation has cut off. And all
    that is labelled in the first step of a recurrence is an initial state, if nothing there is
    computed in the way in which later steps compute what has that label.
    """
    computed = [n for n in labelled if n not in carrying]
    labels = {n.label for n in computed}
    given = [n for n in labelled if n.label in labels and n in carrying]
    beside = {(step[n], n.label) for n in computed} if given else ()
    found = {n for n in given if (step[n], n.label) in beside}
    starts = {(loop.number, time) for loop in loops for time in loop.firsts}
    starts |= {(k.number, before[k.number][k.times[0]]) for k in loops}
    ways = {(step[n][0], n.name, n.label) for n in computed if step[n] not in starts}
    running = {loop for loop, _, _ in ways}
    there = [n for n in labelled if step[n] in starts]
    alike = [n for n in there if (step[n][0], n.name, n.label) in ways]
    regular = {step[n] for n in alike if n not in carrying}
    found.update(n for n in there if step[n] not in regular and step[n][0] in running)
    return found


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
    labelled: Sequence[Node],
    step: Mapping[Node, Step],
    initial: Collection[Node],
    where: Where,
) -> dict[Node, str]:
    """A name for every variable, the same at all times: the label, numbered if it is not unique.

    Of one recurrence, the k-th value of a label in a step is the same variable as in other steps;
    an initial state is the first. Where a step has fewer than another, it is known by its rank.
    """
    alike: dict[Any, list[Node]] = defaultdict(list)
    for node in labelled:
        alike[node.label].append(node)
    taken = set(alike)
    names: dict[Node, str] = {}
    for label, group in alike.items():
        steps = [(step[n], n in initial) for n in group]
        keys: list[Any] = [at[0] for at, _ in steps]
        if len(set(steps)) < len(steps):
            keys = _counted(group, steps, where)
        variables = dict.fromkeys(keys, label)
        number = 0
        for key in variables if len(variables) > 1 else ():
            while variables[key] in taken:
                number += 1
                variables[key] = f"{label}{'_' * label[-1:].isdigit()}{number}"
            taken.add(variables[key])
        names.update(zip(group, [variables[key] for key in keys], strict=True))
    return names


def _counted(group: Sequence[Node], steps: Sequence[Any], where: Where) -> list[Any]:
    """For each of some values with one label its recurrence, and which of its step it is."""
    of_step: dict[Any, list[int]] = defaultdict(list)
    for k, at in enumerate(steps):
        of_step[at].append(k)
    longest: dict[Any, list[int]] = {}
    for ((loop, _), _), members in of_step.items():
        if len(members) > len(longest.get(loop, ())):
            longest[loop] = members

    def rank(k: int) -> int:
        return group[k].order - where[group[k].scope].start

    found: list[Any] = [None] * len(group)
    for ((loop, _), is_initial), members in of_step.items():
        numbers = list(range(len(members)))
        if len(members) < len(longest[loop]) and not is_initial:
            known = {rank(k): number for number, k in enumerate(longest[loop])}
            by_rank = [known.get(rank(k)) for k in members]
            numbers = [number for number in by_rank if number is not None]
            numbers = numbers if len(numbers) == len(members) else list(range(len(members)))
        for k, number in zip(members, numbers, strict=True):
            found[k] = loop, number
    return found
