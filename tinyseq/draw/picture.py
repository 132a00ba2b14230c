"""picture: draw.circuit and draw.unrolled, and the Picture that they give.

picture = draw.unrolled(loss, gradients=True)
picture.save("rnn.svg")         # or .png, .pdf, .dot, and .html: a page to fold and unfold
picture                         # shown by itself in a notebook
print(picture.graph)            # what it shows, as text
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinyseq.backend import namespace
from tinyseq.draw.circuit_layout import circuit_scene
from tinyseq.draw.contract import contract
from tinyseq.draw.extract import RunGraph, RunVertex, extract
from tinyseq.draw.fold import fold
from tinyseq.draw.graph import Graph, Time
from tinyseq.draw.graphviz import FORMATS, TIME_LIMIT, dot_source, drawn
from tinyseq.draw.html import Page, Story, page_of
from tinyseq.draw.overlay import with_gradients, with_text
from tinyseq.draw.scene import Scene
from tinyseq.draw.unrolled_layout import unrolled_scene
from tinyseq.errors import DrawError

ALL_SHOWN = 12  # steps; of longer runs the first FIRST and the last LAST are shown
FIRST, LAST = 3, 2
MOST_NODES = 20_000


@dataclass(frozen=True)
class Picture:
    """A drawn graph.

    Attributes:
        graph: its vertices and edges, as plain records.
        scene: the same in their places, with everything that is drawn.
        story: the run that it was drawn from, for the page.
    """

    graph: Graph
    scene: Scene
    story: Story | None = field(default=None, repr=False, compare=False)

    @property
    def dot(self) -> str:
        """The picture in Graphviz's language, with all positions."""
        return dot_source(self.scene)

    @property
    def page(self) -> Page:
        """An interactive page of the whole run, on which the circuit unfolds and folds again.

        Shown by itself in a notebook; ``save("x.html")`` writes it to a file.

        Raises:
            DrawError: the picture was put together by hand, without a run.
        """
        if self.story is None:
            raise DrawError("a page needs a run: draw it with draw.circuit or draw.unrolled")
        return page_of(self.story)

    def render(
        self, format: str = "svg", engine: str | None = None, time_limit: float = TIME_LIMIT
    ) -> bytes:
        """The picture as a file of the given format: "svg", "png", "pdf", "dot" or "html".

        Args:
            format: PDF needs the system's Graphviz; the others need nothing that pip does not give.
            engine: "system" or "pure" (graphviz-pure); by default the system's if there is one.
            time_limit: seconds after which drawing is given up.

        Raises:
            DrawError: an unknown format, no engine, or out of time.
        """
        if format == "html":
            return self.page.html.encode()
        return drawn(self.scene, format, engine, time_limit)

    def save(
        self, path: str | Path, engine: str | None = None, time_limit: float = TIME_LIMIT
    ) -> Path:
        """Write the picture to a file whose suffix gives the format; gives the path back.

        The arguments and errors are those of ``render``.
        """
        path = Path(path)
        format = path.suffix[1:].lower()
        formats = (*FORMATS, "html")
        if format not in formats:
            known = ", ".join(f".{known}" for known in formats)
            raise DrawError(f"{path.name}: the suffix says the format, one of {known}")
        path.write_bytes(self.render(format, engine, time_limit))
        return path

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"image/svg+xml": self.render("svg").decode(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        variables = len({v.label for v in self.graph.vertices})
        return (
            f"<Picture of {variables} variables: {len(self.graph.vertices)} nodes, "
            f"{len(self.graph.edges)} edges>"
        )


def circuit(outputs: Any, detail: str = "variables") -> Picture:
    """Draw the recurrent graph of a run: every variable once, with delays as black squares.

    Read off from what ran: the steps of the run are folded into one (book, section 10.1).

    Args:
        outputs: what the run computed: its loss or its outputs, with at least two steps behind it.
        detail: "variables": what carries a label, with the parameters on the edges.

    Raises:
        FoldError: the steps of the run differ; the message shows the first difference.
        GraphError: nothing was recorded.
        DrawError: nothing carries a label.
    """
    _check_detail(detail)
    run = extract(outputs)
    graph = contract(fold(run))
    story = Story(run, _window(run, None), _shown_initial(run, None), unfolded=False)
    return Picture(graph, circuit_scene(graph), story)


def unrolled(
    outputs: Any,
    detail: str = "variables",
    window: str | tuple[int, int] | Iterable[int] | None = None,
    initial: bool | None = None,
    gradients: bool = False,
    text: Mapping[str, Sequence[str]] | None = None,
    values: bool = False,
) -> Picture:
    """Draw the unrolled graph of a run: a column for every step, a row for every variable.

    Args:
        outputs: what the run computed: its loss or its outputs.
        detail: "variables": what carries a label, with the parameters on the edges.
        window: which steps to show: "all"; a pair of numbers, so many first and so many last ones;
            or the times themselves, as a range, list or set. By default all of up to 12 steps, of
            more the first 3 and the last 2.
        initial: whether to show the states from before the first step, with dashed outlines. By
            default those that carry something: learned ones, and all that are not zero.
        gradients: colour each variable by the norm of the loss's gradient, and show how it flows
            back through time. Takes a backward pass; the graph and every ``.grad`` stay as they
            are.
        text: the data to write beside a variable, at every step: ``{"x": "hell", "y": "ello"}``.
        values: give the vertices of ``picture.graph`` their values, the raw arrays.

    Raises:
        GraphError: nothing was recorded; for ``gradients``, the graph was freed.
        DrawError: nothing carries a label, an unknown window, too many nodes.
    """
    _check_detail(detail)
    run = extract(outputs, gradients)
    times = _window(run, window)
    nodes = [v for v in run.vertices if v.variable is not None]
    count = sum(times is None or v.time is None or v.time in times for v in nodes)
    if count > MOST_NODES:
        raise DrawError(
            f"{count} nodes are too many to see (the limit is {MOST_NODES}): show fewer steps with "
            "window=(first, last)"
        )
    states = _shown_initial(run, initial)
    graph = contract(run, times, states, values)
    scene = unrolled_scene(graph)
    scene = with_text(scene, graph, text) if text else scene
    story = Story(run, times, states, True, gradients, text)
    return Picture(graph, with_gradients(scene) if gradients else scene, story)


def _check_detail(detail: str) -> None:
    if detail != "variables":
        raise DrawError(f"the level of detail is 'variables', not {detail!r}")


def _window(run: RunGraph, window: Any) -> Collection[Time] | None:
    """The times to show; None means all."""
    times = sorted(
        {v.time for v in run.vertices if v.kind in ("variable", "input") and v.time is not None},
        key=lambda time: time if isinstance(time, tuple) else (time,),
    )
    if window == "all":
        return None
    if window is None:
        if len(times) <= ALL_SHOWN:
            return None
        window = (FIRST, LAST)
    if isinstance(window, tuple) and len(window) == 2:
        first, last = window
        if not (isinstance(first, int) and isinstance(last, int)) or min(first, last) < 0:
            raise DrawError(
                f"window={window!r}: a pair says how many first and how many last steps"
            )
        if first + last == 0:
            raise DrawError("window=(0, 0) shows nothing")
        shown = set(times[:first] + times[max(len(times) - last, 0) :])
    elif isinstance(window, Iterable) and not isinstance(window, str):
        shown = set(window) & set(times)
    else:
        raise DrawError(f"window is 'all', a pair (first, last), or times, not {window!r}")
    if times and not shown:
        raise DrawError(f"window={window!r}: the run has steps {times[0]} to {times[-1]}")
    before = {v.time for v in run.vertices if v.kind == "initial" and v.time not in times}
    if times and (times[0] in shown or times[-1] in shown):
        shown |= {time for time in before if time is not None}
    return shown


def _shown_initial(run: RunGraph, initial: bool | None) -> list[int]:
    """The initial states to show."""
    states = [v for v in run.vertices if v.kind == "initial"]
    if initial is not None:
        return [v.id for v in states if initial]
    return [v.id for v in states if _carries_something(v, run)]


def _carries_something(state: RunVertex, run: RunGraph) -> bool:
    """Whether an initial state is learned, or given and not zero.

    One that is computed from other variables (the last state of an encoder) needs no node: its
    edges lead on to where it is read.
    """
    behind, stack = [state], [state]
    while stack:
        parents = [run.vertices[p] for p in stack.pop().parents if p is not None]
        if any(parent.variable is not None for parent in parents):
            return False
        behind += parents
        stack += parents
    value = run.values[state.id]
    return any(v.kind == "parameter" for v in behind) or bool(namespace(value).any(value != 0))
