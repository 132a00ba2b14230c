"""graphical: the random variables of a run, and which of them depend on which.

    draw.graphical_model(loss)                        # book, figure 10.7: the complete graph
    draw.graphical_model(loss, hidden=True)           # figure 10.8: through the hidden states
    draw.graphical_model(loss, feedback={"x": "y"})   # where x(t) is y(t-1)

A loss is -log P(target | what else it depends on) (book, eq. 10.31). So there is an arrow into a
target from each given value from which the run leads to its loss; everything between is a
deterministic function, and is left out or shown.

A target that is fed back is the same variable where it is read: it is the same node of the run
(``nn.Forced``), or the same elements of one array (``model.loss(ids[:-1], ids[1:])``), or the user
says so with ``feedback``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from tinyseq.backend import is_cupy, to_numpy
from tinyseq.draw.contract import contract
from tinyseq.draw.extract import extract
from tinyseq.draw.fold import minus
from tinyseq.draw.graph import Edge, Graph, Time, Vertex
from tinyseq.draw.graphical_layout import graphical_scene
from tinyseq.draw.html import Single
from tinyseq.draw.picture import Picture
from tinyseq.draw.text import clean
from tinyseq.errors import DrawError

ALL_SHOWN, FIRST = 8, 5  # all steps of a run are shown, or of longer ones so many
ON_PAGE = 12  # steps that the page of a graphical model has
MOST_VERTICES = 100_000


def graphical_model(
    outputs: Any,
    hidden: bool = False,
    feedback: Mapping[str, str] | None = None,
    observed: Iterable[str] | None = None,
    window: int | None = None,
) -> Picture:
    """Draw a run as a directed graphical model: an arrow says which variables depend on which.

    Args:
        outputs: the loss of a run, with L(t) and the targets in it labelled, as
            ``SequenceModel.loss`` does it.
        hidden: show the states as well, which are functions of what points at them (grey outline);
            otherwise an arrow stands for all ways through them.
        feedback: {"x": "y"} says that the input x(t) is the target y(t-1) of the step before.
        observed: which variables to shade, by label or id; by default those that are given and
            not themselves predicted, such as x.
        window: how many steps to show; one dashed column stands for all later ones. By default all
            of up to 8 steps, of more the first 5.

    Raises:
        GraphError: nothing was recorded.
        DrawError: no loss compares with a labelled target; ``feedback`` is not what the run shows;
            variables that depend on each other in a circle.
    """
    whole = dependences(outputs, hidden, feedback)
    graph = _first_steps(whole, window)
    shaded = _shaded(whole, observed)
    more = _first_steps(whole, ON_PAGE)
    labels = ", ".join(dict.fromkeys(clean(v.label) for v in more.vertices))
    scene, title = graphical_scene(more, shaded), f"Graphical model of {labels}"
    page = Single(more, scene, graph.shown, "graphical model", title)
    return Picture(graph, graphical_scene(graph, shaded), page)


class Dependences(NamedTuple):
    """All dependences of a run.

    Attributes:
        vertices: the variables that are shown, in the order of the run.
        parents: for each of them those that it depends on: bit k stands for vertex k.
    """

    vertices: Sequence[Vertex]
    parents: Sequence[int]


def dependences(
    outputs: Any, hidden: bool = False, feedback: Mapping[str, str] | None = None
) -> Dependences:
    """The variables of a run and what each depends on; arguments as for ``graphical_model``."""
    run = contract(extract(outputs), values=True)
    if len(run.vertices) > MOST_VERTICES:
        raise DrawError(
            f"a run of {len(run.vertices)} variables is too long for a graphical model (the limit "
            f"is {MOST_VERTICES}): run fewer steps, the dependences are the same in all of them"
        )
    sources: dict[str, list[str]] = defaultdict(list)
    for edge in run.edges:
        sources[edge.target].append(edge.source)
    targets = _targets(run, sources)
    predicted = {y for ys in targets.values() for y in ys}
    same = _fed_back(run, predicted, feedback or {})
    shown = [
        v
        for v in run.vertices
        if v.id not in same and (v.kind == "input" or (hidden and v.kind == "state"))
    ]
    number = {v.id: k for k, v in enumerate(shown)}
    number.update((k, number[first]) for k, first in same.items())
    behind: dict[str, int] = {}  # for every value of the run, the shown variables that lead to it
    parents = [0] * len(shown)
    for v in run.vertices:
        compared = targets.get(v.id, ())
        reached = 0
        for source in sources[v.id]:
            if source not in compared:
                reached |= 1 << number[source] if source in number else behind[source]
        if v.id in number and v.id not in same:
            parents[number[v.id]] |= reached
        behind[v.id] = reached
        for y in compared:
            parents[number[y]] |= reached
    _refuse_circles(shown, parents)
    kinds = ["variable" if v.id in predicted else v.kind for v in shown]
    found = [replace(v, kind=kind, value=None) for v, kind in zip(shown, kinds, strict=True)]
    return Dependences(found, parents)


def _targets(run: Graph, sources: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """For every loss, the given values that it compares with: those that it reads directly.

    A loss is a number that nothing else is computed from.
    """
    read = {edge.source for edge in run.edges}
    given = {v.id for v in run.vertices if v.kind == "input"}
    found = {}
    for v in run.vertices:
        compared = [s for s in sources[v.id] if s in given]
        ends = v.kind != "input" and v.id not in read and v.shape == ()
        if ends and 0 < len(compared) < len(sources[v.id]):
            found[v.id] = compared
    if not found:
        raise DrawError(
            "no graphical model without a loss: the distribution of a variable is read off from a "
            "labelled number L(t) = -log P(y(t) | ...) that compares with a given y(t). Pass the "
            "loss of nn.SequenceModel.loss(xs, ys), or label both with ts.label."
        )
    return found


def _fed_back(
    run: Graph, predicted: Collection[str], feedback: Mapping[str, str]
) -> dict[str, str]:
    """For every input that is a target of another step, the id of that target."""
    places = {_elements(v.value): v.id for v in run.vertices if v.id in predicted}
    given = [v for v in run.vertices if v.kind == "input" and v.id not in predicted]
    same = {v.id: places[_elements(v.value)] for v in given if _elements(v.value) in places}
    labels = {v.label for v in given}
    by_time = {(v.label, v.time): v for v in run.vertices if v.id in predicted}
    for label, target in feedback.items():
        known = {name for name, _ in by_time}
        if label not in labels or target not in known:
            raise DrawError(
                f"feedback={{{label!r}: {target!r}}}: the inputs are {', '.join(sorted(labels))}, "
                f"the targets {', '.join(sorted(known))}"
            )
        for x in given:
            y = by_time.get((target, x.time - 1)) if isinstance(x.time, int) else None
            if x.label == label and y is not None:
                if x.shape == y.shape and not np.array_equal(to_numpy(x.value), to_numpy(y.value)):
                    raise DrawError(
                        f"feedback says that {x.id} is {y.id}, but the run read another value there"
                    )
                same[x.id] = y.id
    return same


def _elements(array: Any) -> tuple[Any, ...]:
    """Which elements of which memory an array is."""
    address = array.data.ptr if is_cupy(array) else array.ctypes.data
    return address, array.shape, array.strides, array.dtype.str


def _refuse_circles(vertices: Sequence[Vertex], parents: Sequence[int]) -> None:
    """Raise DrawError if some variable depends on itself, directly or through others."""
    visited = 0
    for first in range(len(vertices)):
        if visited >> first & 1:
            continue
        way, on_way = [first], 1 << first
        visited |= 1 << first
        while way:
            k = way[-1]
            if parents[k] & on_way:
                other = vertices[_lowest(parents[k] & on_way)].id
                words = "itself" if other == vertices[k].id else f"{other}, and that on it"
                raise DrawError(
                    f"{vertices[k].id} depends on {words}: the losses of this run are no "
                    "conditional probabilities whose product is one of all variables"
                )
            ahead = parents[k] & ~visited
            if ahead:
                step = _lowest(ahead)
                way.append(step)
                on_way |= 1 << step
                visited |= 1 << step
            else:
                on_way &= ~(1 << way.pop())


def _lowest(bits: int) -> int:
    return (bits & -bits).bit_length() - 1


def _first_steps(whole: Dependences, window: int | None) -> Graph:
    """The graph of the first steps; edges that lead on are in ``cut``."""
    times = _times(whole.vertices)
    if window is None:
        window = len(times) if len(times) <= ALL_SHOWN else FIRST
    if not isinstance(window, int) or window < 1:
        raise DrawError(f"window is how many steps of a graphical model to show, not {window!r}")
    shown, after = set(times[:window]), times[window : window + 1]
    inside = [k for k, v in enumerate(whole.vertices) if v.time is None or v.time in shown]
    following = [k for k, v in enumerate(whole.vertices) if v.time in after]
    edges: list[Edge] = []
    cut: list[Edge] = []
    for k, v in enumerate(whole.vertices):
        here = v.time is None or v.time in shown
        for s in inside if here or v.time not in after else inside + following:
            if whole.parents[k] >> s & 1:
                source = whole.vertices[s]
                both = source.time is not None and v.time is not None
                delay = minus(v.time, source.time) if both else 0  # type: ignore[arg-type]
                (edges if here else cut).append(Edge(source.id, v.id, delay))
    joined = {end for edge in (*edges, *cut) for end in (edge.source, edge.target)}
    vertices = [whole.vertices[k] for k in inside]
    kept = [v for v in vertices if v.id in joined or v.kind == "variable"]
    return Graph(tuple(kept), tuple(edges), times, tuple(cut))


def _times(vertices: Iterable[Vertex]) -> tuple[Time, ...]:
    times = {v.time for v in vertices if v.time is not None}
    if not all(isinstance(time, int) for time in times):
        raise DrawError("a graphical model is drawn of steps that are numbered 1, 2, 3, ...")
    return tuple(sorted(times))


def _shaded(whole: Dependences, observed: Iterable[str] | None) -> set[str]:
    """The ids of the observed variables."""
    if observed is None:
        return {v.id for v in whole.vertices if v.kind == "input"}
    wanted = {observed} if isinstance(observed, str) else set(observed)
    known = {name for v in whole.vertices for name in (v.id, v.label)}
    if wanted - known:
        labels = ", ".join(sorted({v.label for v in whole.vertices}))
        raise DrawError(
            f"observed: no variable {', '.join(sorted(wanted - known))}; there are {labels}"
        )
    return {v.id for v in whole.vertices if v.id in wanted or v.label in wanted}
