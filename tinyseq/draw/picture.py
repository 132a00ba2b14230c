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

from tinyseq.autograd.engine import paused_gc
from tinyseq.backend import namespace
from tinyseq.draw.emphasis import Widths, drawn_widths, ways, with_ways, with_widths
from tinyseq.draw.extract import extract
from tinyseq.draw.flow import flow, mean_norms
from tinyseq.draw.fold import fold
from tinyseq.draw.graph import Graph, Time
from tinyseq.draw.graphviz import FORMATS, TIME_LIMIT, dot_source, drawn
from tinyseq.draw.html import Page, Single, Story, page_of
from tinyseq.draw.levels import Level, level_of
from tinyseq.draw.overlay import (
    given_numbers,
    magnitudes,
    with_gradients,
    with_numbers,
    with_text,
    with_values,
)
from tinyseq.draw.page_marks import Marks
from tinyseq.draw.relative import with_relative_times
from tinyseq.draw.run import RunGraph
from tinyseq.draw.scene import Scene
from tinyseq.draw.schedule import places_of, with_schedule
from tinyseq.draw.strip import with_strip
from tinyseq.draw.window import times_shown
from tinyseq.errors import DrawError


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
    story: Story | Single | None = field(default=None, repr=False, compare=False)

    @property
    def dot(self) -> str:
        """The picture in Graphviz's language, with all positions."""
        return dot_source(self.scene)

    @property
    def page(self) -> Page:
        """An interactive page of the whole run, on which the circuit unfolds and folds again.

        That of a graphical model shows its steps.

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

        The arguments and errors are those of ``render``; a folder has to be there.
        """
        path = Path(path)
        known = [f".{format}" for format in (*FORMATS, "html")]
        if path.suffix.lower() not in known:
            raise DrawError(f"{path.name}: the suffix says the format, one of {', '.join(known)}")
        if not path.parent.is_dir():
            raise DrawError(f"{path} cannot be written: there is no folder {path.parent}")
        path.write_bytes(self.render(path.suffix[1:].lower(), engine, time_limit))
        return path

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"image/svg+xml": self.render("svg").decode(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        variables = len({v.label for v in self.graph.vertices})
        return (
            f"<Picture of {variables} variables: {len(self.graph.vertices)} nodes, "
            f"{len(self.graph.edges)} edges>"
        )


@paused_gc()
def circuit(
    outputs: Any,
    detail: str = "variables",
    numbers: Mapping[str, float] | None = None,
    legend: str = "number",
    depth: int | None = None,
    schedule: Iterable[Any] | None = None,
    gradients: bool = False,
) -> Picture:
    """Draw the recurrent graph of a run: every variable once, with delays as black squares.

    Read off from what ran: the steps of the run are folded into one (book, section 10.1).

    Args:
        outputs: what the run computed: its loss or its outputs, with at least two steps behind it.
        detail: "variables": what carries a label, with the parameters on the edges; "modules": also
            a box for every module; "ops": every operation, as in the book's figure 10.16.
        depth: how deep the boxes of modules are opened; 0 shows the outermost ones closed, None
            opens all that have modules inside.
        numbers: numbers to show as colours, by the id of a vertex: ``{"h": 0.7}``.
        legend: what the numbers are.
        schedule: of a compiled loop (``fast.schedule``, see ``tinyseq.draw.schedule``): colours say
            what it does once, before, in and after its steps. With detail="ops".
        gradients: colour each variable by the norm of the loss's gradient, the mean over the steps.
            Takes a backward pass, as for ``unrolled``.

    Raises:
        FoldError: the steps of the run differ; the message shows the first difference.
        GraphError: nothing was recorded.
        DrawError: nothing carries a label; a number for a vertex that is not there; a schedule of
            another step, or at another level of detail, or beside numbers.
    """
    level = level_of(detail, depth)
    if schedule is not None and (detail != "ops" or numbers or gradients):
        raise DrawError("a schedule colours operations: with detail='ops', and without numbers")
    if gradients and numbers:
        raise DrawError("show one thing as colour: gradients or numbers")
    run = extract(outputs, gradients)
    folded = fold(run)
    if schedule is None:
        graph = level.graph(folded)
        scene = level.circuit(graph)
    else:
        graph = level.graph(folded, places=places_of(folded, schedule))
        scene = with_schedule(level.circuit(graph))
    marked = given_numbers(graph, numbers) if numbers else {}
    if gradients:
        marked, legend = mean_norms(run, folded), "mean norm of the gradient"
    scene = with_numbers(scene, marked, legend) if marked else scene
    times, states = times_shown(run, None), _shown_initial(run, None)
    marks = Marks(marked, legend)
    story = Story(run, times, states, False, detail=detail, depth=depth, marks=marks)
    return Picture(graph, scene, story)


@paused_gc()
def unrolled(
    outputs: Any,
    detail: str = "variables",
    window: str | tuple[int, int] | Iterable[int] | None = None,
    initial: bool | None = None,
    gradients: bool = False,
    text: Mapping[str, Sequence[str]] | None = None,
    values: bool | str = False,
    numbers: Mapping[str, float | Sequence[float]] | None = None,
    legend: str = "number",
    widths: Widths | None = None,
    highlight: tuple[str, str] | None = None,
    depth: int | None = None,
) -> Picture:
    """Draw the unrolled graph of a run: a column for every step, a row for every variable.

    Args:
        outputs: what the run computed: its loss or its outputs.
        detail, depth: as for a circuit.
        window: which steps to show: "all"; "t", three in the middle, written t-1, t, t+1; a
            pair of numbers, so many first and so many last ones; or the times themselves, as a
            range, list or set. By default all of up to 12 steps, of more the first 3 and last 2.
        initial: whether to show the states from before the first step, with dashed outlines. By
            default those that carry something: learned ones, and all that are not zero.
        gradients: colour each variable by the norm of the loss's gradient, and show how it flows
            back through time; where steps are left out, a strip below the picture shows the norms
            at all of them. Takes a backward pass; the graph and every ``.grad`` stay as they are.
        text: the data to write beside a variable, at every step: ``{"x": "hell", "y": "ello"}``.
        values: give the vertices of ``picture.graph`` their values, the raw arrays; "text" also
            writes them beside the vertices (of long ones the root mean square), "colour" colours
            by them.
        numbers: any numbers to show as colours: ``{"h": [...]}`` one for each step of the run, or
            ``{"h(3)": 0.7}`` for one vertex.
        legend: what the numbers are.
        widths: numbers to show as widths of edges, such as attention weights: by the ends of an
            edge, ``{("h(2)", "h(3)"): 0.7}``, or for all edges between two variables an array,
            ``{("h", "c"): weights}``, with a row for each step of c and a column for each of h.
        highlight: two vertices, ``("x(1)", "L(5)")``: all ways from one to the other are drawn
            strong; below stands how many there are, and how long.

    Raises:
        GraphError: nothing was recorded; for ``gradients``, the graph was freed.
        DrawError: nothing carries a label, an unknown window, too many nodes, names or numbers that
            do not fit the graph, more than one thing to show as colour.
    """
    if values not in (False, True, "text", "colour"):
        raise DrawError(f'values is a bool, "text" or "colour", not {values!r}')
    if gradients + bool(numbers) + (values == "colour") > 1:
        raise DrawError('show one thing as colour: gradients, numbers, or values="colour"')
    level = level_of(detail, depth)
    run = extract(outputs, gradients)
    times = times_shown(run, window)
    _check_size(run, times, detail, level)
    states = _shown_initial(run, initial)
    graph = level.graph(run, times, states, bool(values))
    scene = level.unrolled(graph)
    if isinstance(window, str) and window == "t":
        scene = with_relative_times(scene, [t for t in graph.shown if isinstance(t, int)])
    scene = with_text(scene, graph, text) if text else scene
    scene = with_values(scene) if values == "text" else scene
    marked: dict[str, float] = {}
    if gradients:
        scene = with_gradients(scene)
    elif numbers:
        marked = given_numbers(graph, numbers)
    elif values == "colour":
        marked, legend = magnitudes(graph.vertices), "value (of vectors: rms)"
    scene = with_numbers(scene, marked, legend) if numbers or values == "colour" else scene
    drawn, widest = drawn_widths(graph, widths) if widths else ({}, 0.0)
    scene = with_widths(scene, drawn, widest) if widths else scene
    if highlight is not None:
        scene = with_ways(scene, ways(level.graph(run, None, states), *highlight))
    if gradients and len(graph.shown) < len(graph.times):
        norms = flow(run)
        scene = with_strip(scene, norms, [t for t in graph.shown if isinstance(t, int)])
    marks = Marks(marked, legend, drawn, widest, highlight)
    story = Story(run, times, states, True, gradients, text, detail, depth, marks)
    return Picture(graph, scene, story)


def _check_size(run: RunGraph, times: Collection[Time] | None, detail: str, level: Level) -> None:
    """Refuse what is too much to see."""
    count = sum(
        times is None or run.times[k] is None or run.times[k] in times
        for role, members in zip(run.roles, run.members, strict=True)
        if role.variable is not None or (level.shows_all and role.op != "leaf")
        for k in members
    )
    if count > level.most:
        variables = " or the variables alone, with detail='variables'" * level.shows_all
        raise DrawError(
            f"{count} nodes are too many to see (the limit at the level {detail!r} is "
            f"{level.most}): show fewer steps with window=(first, last){variables}"
        )


def _shown_initial(run: RunGraph, initial: bool | None) -> list[int]:
    """The initial states to show."""
    states = [
        k for r, role in enumerate(run.roles) if role.kind == "initial" for k in run.members[r]
    ]
    if initial is not None:
        return [k for k in states if initial]
    return [k for k in states if _carries_something(k, run)]


def _carries_something(state: int, run: RunGraph) -> bool:
    """Whether an initial state is learned, or given and not zero.

    One that is computed from other variables (the last state of an encoder) needs no node: its
    edges lead on to where it is read.
    """
    behind, stack = [state], [state]
    while stack:
        parents = [p for p in run.parents[stack.pop()] if p is not None]
        if any(run.roles[run.role[p]].variable is not None for p in parents):
            return False
        behind += parents
        stack += parents
    learned = any(run.roles[run.role[k]].kind == "parameter" for k in behind)
    value = run.values[state]
    return learned or bool(namespace(value).any(value != 0))
