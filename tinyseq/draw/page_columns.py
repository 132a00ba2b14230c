"""page_columns: the columns of an unrolled picture, which the interactive page shows or leaves out.

A column has the steps that stand above each other: of one recurrence, or of several that go along
with each other. A state from before the first step has a column of its own, which is no step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tinyseq.draw.columns import sortable
from tinyseq.draw.graph import Graph, Step, Time, Vertex
from tinyseq.draw.page_records import Record, rounded
from tinyseq.draw.scene import Disc, Scene
from tinyseq.draw.style import DIAMETER
from tinyseq.draw.text import time_text, width
from tinyseq.draw.unrolled_layout import STUB

OUTSIDE = -1  # the column of what belongs to no step
_WORDS = 13.0  # size of the words for what is left out


@dataclass(frozen=True)
class Columns:
    """The columns from left to right.

    Attributes:
        number: of the column in which each step stands.
        times: of the columns' steps, and how they are written beside a name.
        places: the middle of each.
        steps: the columns that are steps of the run.
    """

    number: dict[Step, int]
    times: list[tuple[Time, str]]
    places: list[float]
    steps: list[int]

    def of(self, v: Vertex) -> int:
        """The column of a vertex."""
        return OUTSIDE if v.time is None else self.number[v.loop, v.time]

    @property
    def record(self) -> Record:
        """As the page reads them, with what it needs to leave some out and to say how many.

        ``distance`` is from one to the next; ``width`` that of the words for left-out steps, but
        for the ``digit``s of their number, and with the ``plural`` s.
        """
        steps = [b - a for a, b in zip(self.places, self.places[1:], strict=False)]
        distance = median(steps) if steps else 0.0
        words = width("···  more steps ···", _WORDS)
        return {
            "times": [time_text(time) for time, _ in self.times],
            "above": [written for _, written in self.times],
            "steps": self.steps,
            "isAxis": all(isinstance(time, int) for time, _ in self.times),
            "columns": [rounded(x) for x in self.places],
            "gap": {
                "distance": rounded(distance),
                "width": rounded(words + 2 * STUB - distance + DIAMETER + 16),
                "plural": rounded(width("s", _WORDS)),
                "digit": rounded(width("0", _WORDS)),
            },
        }


def columns_of(graph: Graph, scene: Scene) -> Columns:
    """Read the columns off from where the nodes stand.

    Steps of the run of which the scene has nothing get a column without a node, before the first
    known one of a later time.
    """
    discs: dict[Step, list[Disc]] = defaultdict(list)
    for disc in scene.discs:
        if disc.vertex.time is not None:
            discs[disc.vertex.loop, disc.vertex.time].append(disc)
    middle = {step: _middle(found) for step, found in discs.items()}
    real = {step for step, found in discs.items() if any(not disc.is_dashed for disc in found)}
    standing: dict[float, list[Step]] = defaultdict(list)
    for step in sorted(middle, key=middle.__getitem__):
        standing[rounded(middle[step])].append(step)
    missing = sorted(set(graph.times) - {time for _, time in middle}, key=sortable, reverse=True)
    known: list[tuple[float, list[Step]]] = []
    for x, steps in standing.items():
        while missing and sortable(missing[-1]) < sortable(steps[0][1]):
            known.append((x, [(None, missing.pop())]))
        known.append((x, steps))
    known += [(known[-1][0], [(None, time)]) for time in reversed(missing)]
    number = {step: k for k, (_, steps) in enumerate(known) for step in steps}
    written = {
        disc.vertex.time: disc.name.superscript for disc in scene.discs if disc.name.superscript
    }
    is_step = [
        k for k, (_, steps) in enumerate(known) if steps[0] not in discs or real & set(steps)
    ]
    return Columns(
        number,
        [(steps[0][1], written.get(steps[0][1], "")) for _, steps in known],
        [x for x, _ in known],
        is_step,
    )


def _middle(discs: Sequence[Disc]) -> float:
    places = [disc.x for disc in discs]
    return (min(places) + max(places)) / 2
