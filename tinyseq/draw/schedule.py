"""schedule: when a compiled loop works out what a circuit shows, as colours.

    fast = ts.compile(cell); ts.unroll(fast, xs)
    ys, _ = ts.unroll(cell, xs)
    draw.circuit(ys, detail="ops", schedule=fast.schedule)

A schedule is a list of records with the name of an operation (``op``), the modules in which it is
(``scope``) and its ``place``, in the order of the step. The circuit of a run of the same step has
the same operations in the same order, and so each finds its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

from tinyseq.draw.annotate import Key, with_keys
from tinyseq.draw.fold import Circuit
from tinyseq.draw.scene import BLACK, Scene
from tinyseq.errors import DrawError


class Look(NamedTuple):
    """How a place is shown: the fill and the ink of a vertex, the colour of a wire, the words."""

    fill: str
    ink: str
    wire: str
    words: str


# Told apart by their lightness alone, too.
LOOKS = {
    "once": Look("#e4e4e4", BLACK, "#8c8c8c", "once: parameters alone"),
    "before": Look("#b5dbf7", BLACK, "#2f86c9", "before the loop: all steps at once"),
    "loop": Look("#f2a45c", BLACK, "#c8640a", "in the loop: step by step"),
    "after": Look("#17706e", "#ffffff", "#17706e", "after the loop: all steps at once"),
}
NO_LOOK = Look(
    "#ffffff", BLACK, BLACK, "not in the compiled step: inputs and what reads its outputs"
)
_WIDTH = 1.6  # of a wire that has a place


def places_of(circuit: Circuit, schedule: Iterable[Any]) -> dict[int, str]:
    """The place of every vertex that the schedule knows, by the vertex's id.

    Raises:
        DrawError: it knows none, so it is of another step.
    """
    known: dict[str, dict[tuple[str, ...], list[str]]] = defaultdict(lambda: defaultdict(list))
    for entry in schedule:
        known[entry.op][tuple(entry.scope)].append(entry.place)
    met: dict[Any, list[int]] = defaultdict(list)
    for v in circuit.vertices:
        if v.loop is not None and v.op != "leaf":
            met[v.op.partition(" ")[0], v.place, v.loop].append(v.id)
    found: dict[int, str] = {}
    for (op, where, _), ids in met.items():
        for scope, places in known.get(op, {}).items():
            if _ends_alike(where, scope) and len(places) == len(ids):
                found |= dict(zip(ids, places, strict=True))
    if not found:
        raise DrawError(
            "this schedule is of another step than the run: draw a run of the cell that was "
            "compiled, and the schedule of its compiled form, fast.schedule"
        )
    return found


def _ends_alike(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    """Whether one path is the end of the other: a step may run inside of more modules."""
    shorter = min(len(a), len(b))
    return a[len(a) - shorter :] == b[len(b) - shorter :]


def with_schedule(scene: Scene) -> Scene:
    """Colour what has a place, and say below what the colours mean."""
    discs = []
    for disc in scene.discs:
        look = LOOKS.get(disc.vertex.place or "", NO_LOOK)
        discs.append(replace(disc, fill=look.fill, ink=look.ink, line=BLACK))
    wires = []
    for wire in scene.wires:
        look = LOOKS.get(wire.edge.place or "", NO_LOOK)
        label = wire.label and replace(wire.label, ink=look.wire)
        width = max(wire.width, _WIDTH) if wire.edge.place else wire.width
        wires.append(replace(wire, colour=look.wire, width=width, label=label))
    nodes = {disc.vertex.place for disc in discs}
    arrows = {wire.edge.place for wire in wires}
    keys = [
        Key(look.words, look.fill if name in nodes else None, look.wire if name in arrows else None,
            _WIDTH)
        for name, look in LOOKS.items()
        if name in nodes | arrows
    ]  # fmt: skip
    if None in nodes:
        keys.append(Key(NO_LOOK.words, NO_LOOK.fill))
    return with_keys(replace(scene, discs=tuple(discs), wires=tuple(wires)), keys)
