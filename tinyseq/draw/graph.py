"""Graph: what a picture shows, as plain records.

    picture.graph.vertices      # Vertex(id="h(2)", label="h", kind="state", time=2, ...)
    picture.graph.edges         # Edge(source="h(1)", target="h(2)", delay=1, parameters=("W",))
    print(picture.graph)        # h(1) -W-> h(2), one line an edge

Layout and overlays read them; so can a test that asks whether a model is wired as intended.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

# The index of a step: an integer, or a tuple where recurrences are nested or run over a grid.
Time = int | tuple[int, ...]
Step = tuple[int | None, Time]  # of a recurrence, by its number
OPERATIONS = frozenset({"map", "function", "arithmetic", "operation", "module"})  # kinds


def sortable(time: Time) -> tuple[int, ...]:
    """A time as it is sorted: steps inside a step follow it."""
    return (time,) if isinstance(time, int) else time


@dataclass(frozen=True)
class Vertex:
    """One variable, at one time or (in a circuit) at all times.

    Attributes:
        id: unique in the graph: the label, and the time in parentheses if there is one.
        label: the variable's name: the label in the run, numbered if several variables have it.
        kind: "input" (given, not computed), "state" (read by a later step), "initial" (a state from
            before the first step) or "variable"; and of what carries no label "map" (a product with
            parameters), "function", "arithmetic", "operation" or "module".
        time: the step, or None outside every recurrence, and in a circuit.
        scope: the modules in which it was computed, joined by dots.
        shape: of its value.
        loop: the number of the recurrence that it belongs to, or None.
        value: the raw array, where values were asked for.
        grad: the norm of the loss's gradient, where gradients were asked for.
        place: when a compiled loop works it out, where a schedule was given.
    """

    id: str
    label: str
    kind: str
    time: Time | None
    scope: str
    shape: tuple[int, ...]
    loop: int | None = None
    value: Any = None
    grad: float | None = None
    place: str | None = None


@dataclass(frozen=True)
class Edge:
    """The target is computed from the source, by operations on values that have no label.

    Attributes:
        source, target: ids of vertices.
        delay: the target's time minus the source's; None in a circuit if only one particular step
            of the source is read.
        parameters: the symbols of what the source is multiplied with on the way.
        detached: whether the value goes this way but no gradient comes back (truncation).
        place: when a compiled loop multiplies with the parameters, where a schedule was given.
        rate: in a circuit, how many steps of the source's recurrence there are to one of the
            target's: 4, or 1/4. The delay is then counted in steps of the slower one.
    """

    source: str
    target: str
    delay: Time | None = 0
    parameters: tuple[str, ...] = ()
    detached: bool = False
    place: str | None = None
    rate: Fraction | int = 1

    def __str__(self) -> str:
        arrow = f" -{','.join(self.parameters)}-> " if self.parameters else " -> "
        notes = [f"delay {self.delay}"] if self.delay not in (0, None) else []
        notes += [f"rate {self.rate}"] * (self.rate != 1)
        notes += ["one step"] * (self.delay is None) + ["detached"] * self.detached
        return self.source + arrow + self.target + (f" ({', '.join(notes)})" if notes else "")


@dataclass(frozen=True)
class Graph:
    """Vertices and edges, in the order in which the run computed them.

    Attributes:
        vertices, edges: what is shown.
        times: of all steps of the run, in rising order, also of those that are not shown.
        cut: edges of which one end is elided.
        columns: the steps of the run from left to right, also those that are not shown; several in
            a column if their recurrences go along with each other.
        titles: the names of modules that follow each other, such as encoder and decoder, by the
            numbers of their recurrences.
        grids: the numbers of the recurrences that run along two axes.
    """

    vertices: tuple[Vertex, ...]
    edges: tuple[Edge, ...]
    times: tuple[Time, ...] = ()
    cut: tuple[Edge, ...] = ()
    columns: tuple[tuple[Step, ...], ...] = ()
    titles: tuple[tuple[int, str], ...] = ()
    grids: frozenset[int] = frozenset()

    @property
    def shown(self) -> tuple[Time, ...]:
        """The times that vertices have, in rising order."""
        return tuple(sorted({v.time for v in self.vertices if v.time is not None}, key=sortable))

    def __str__(self) -> str:
        lines = [str(edge) for edge in self.edges]
        joined = {end for edge in self.edges for end in (edge.source, edge.target)}
        return "\n".join(lines + [v.id for v in self.vertices if v.id not in joined])
