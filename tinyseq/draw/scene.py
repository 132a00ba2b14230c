"""Scene: everything in a picture, in its place. Points, from the lower left; plain records.

A layout makes a scene, an overlay changes colours and adds notes, and Graphviz draws it as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinyseq.draw.graph import Edge, Vertex
from tinyseq.draw.text import Name

Point = tuple[float, float]
BLACK, WHITE = "#000000", "#ffffff"


@dataclass(frozen=True)
class Disc:
    """A vertex: a circle, or a rounded box where its name is too long for one."""

    vertex: Vertex
    name: Name
    x: float
    y: float
    width: float
    height: float
    fill: str = "#ffffff"
    line: str = BLACK
    ink: str = BLACK

    @property
    def is_round(self) -> bool:
        """Whether it is a circle."""
        return self.width == self.height

    @property
    def is_dashed(self) -> bool:
        """Whether its outline is dashed: a state from before the first step, or a later one."""
        return self.vertex.kind in ("initial", "later")


@dataclass(frozen=True)
class Square:
    """A delay: the black square of a recurrent graph; in a legend, a sample of a colour."""

    x: float
    y: float
    side: float = 11.5
    colour: str = BLACK
    line: str | None = None  # the colour of its outline, if that is another one


@dataclass(frozen=True)
class Note:
    """A text with its middle at (x, y): the letter of an edge, a number, a character of data."""

    text: Name
    x: float
    y: float
    ink: str = BLACK
    font: str = "Times"
    fill: str | None = None


@dataclass(frozen=True)
class Wire:
    """An edge, or a part of one: a cubic Bezier curve from ``start`` to ``end``.

    Attributes:
        edge: of which it is (a part of) the picture.
        start, end: what it joins: the id of a vertex, a delay, or None where it ends in the open.
        curve: four points; with an arrow, the curve ends at the arrow's base.
        tip: of the arrow, if there is one.
        label: the letters of the edge's parameters.
    """

    edge: Edge
    start: str | Square | None
    end: str | Square | None
    curve: tuple[Point, ...]
    tip: Point | None = None
    label: Note | None = None
    colour: str = BLACK
    width: float = 1.0
    dashed: bool = False


@dataclass(frozen=True)
class Frame:
    """A rectangle around what belongs together: its left, lower, right and upper end, its title.

    It lies behind everything else.
    """

    left: float
    lower: float
    right: float
    upper: float
    title: Note
    line: str = "#9a9a9a"
    fill: str | None = None


@dataclass(frozen=True)
class Scene:
    """A picture before it is drawn; later entries of a kind lie above earlier ones."""

    discs: tuple[Disc, ...] = ()
    wires: tuple[Wire, ...] = ()
    squares: tuple[Square, ...] = ()
    notes: tuple[Note, ...] = ()
    frames: tuple[Frame, ...] = ()
