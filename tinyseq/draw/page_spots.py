"""page_spots: where the interactive page writes data and numbers beside the nodes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from tinyseq.draw.annotate import annotated
from tinyseq.draw.graph import Graph, Vertex
from tinyseq.draw.overlay import with_text
from tinyseq.draw.page_columns import OUTSIDE, Columns
from tinyseq.draw.page_records import flat, rounded
from tinyseq.draw.scene import Disc, Note, Scene
from tinyseq.draw.text import Name, time_text, visible

SEEN = 3  # columns at each place in which room for numbers is looked for


def row_of(v: Vertex) -> str:
    """What a vertex is called at all times, which is the id of its circuit's vertex."""
    return v.id if v.time is None else v.id.removesuffix(f"({time_text(v.time)})")


def words_of(
    graph: Graph, entries: Sequence[str] | None, discs: Sequence[Disc]
) -> list[str | None] | None:
    """The data beside the nodes of a variable."""
    if entries is None:
        return None
    word = {t: visible(str(entry), 8) for t, entry in zip(graph.times, entries, strict=False)}
    return [
        None if d.is_dashed or d.vertex.time is None else word.get(d.vertex.time) for d in discs
    ]


def text_spots(
    graph: Graph, scene: Scene, text: Mapping[str, Sequence[str]]
) -> tuple[dict[str, list[float]], Scene]:
    """Where the data of each variable stands, seen from its node; the scene with all of it."""
    spots = {}
    for label, entries in text.items():
        before = len(scene.notes)
        scene = with_text(scene, graph, {label: entries})
        disc = next(
            d for d in scene.discs if d.vertex.label == label and d.vertex.kind != "initial"
        )
        spots[row_of(disc.vertex)] = _away(disc, scene.notes[before])
    return spots, scene


def number_spots(
    scene: Scene, columns: Columns, numbered: Collection[str]
) -> dict[str, list[float]]:
    """Where a short number can stand beside the nodes that have a gradient or a number."""
    part = _excerpt(scene, columns)
    rows: dict[str, list[Disc]] = defaultdict(list)
    for disc in part.discs:
        if disc.vertex.grad is not None or disc.vertex.id in numbered:
            rows[disc.vertex.label].append(disc)
    if not rows:
        return {}
    ordered = [disc for discs in rows.values() for disc in discs]  # as their notes are
    spots = spots_of(part, ordered)
    return {row_of(disc.vertex): spots[disc.vertex.id] for disc in ordered}


def spots_of(scene: Scene, discs: Sequence[Disc]) -> dict[str, list[float]]:
    """Where a short number can stand beside each of some nodes, those of a variable alike."""
    if not discs:
        return {}
    number = Name("0.0000", bold=False, size=9.0, italic=False)
    words = {disc.vertex.id: number for disc in discs}
    noted = annotated(scene, words, "", "", ("above", "upper right", "lower right"))
    notes = noted.notes[len(scene.notes) :]
    return {disc.vertex.id: _away(disc, note) for disc, note in zip(discs, notes, strict=True)}


def _excerpt(scene: Scene, columns: Columns) -> Scene:
    """A few columns from the start, the middle and the end, and what belongs to no step."""
    there = sorted({columns.of(disc.vertex) for disc in scene.discs} - {OUTSIDE})
    middle = len(there) // 2
    seen = {OUTSIDE, *there[:SEEN], *there[middle : middle + SEEN], *there[-SEEN:]}
    discs = tuple(disc for disc in scene.discs if columns.of(disc.vertex) in seen)
    ids = {disc.vertex.id for disc in discs}
    wires = tuple(w for w in scene.wires if w.edge.source in ids and w.edge.target in ids)
    places = {rounded(disc.x) for disc in discs}
    notes = tuple(note for note in scene.notes if rounded(note.x) in places)
    return Scene(discs, wires, (), notes)


def _away(disc: Disc, note: Note) -> list[float]:
    return flat([(note.x, note.y)], (disc.x, disc.y))
