"""page_marks: what a user adds to a page: numbers as colours, widths of edges, a way to highlight.

record = marks_record(Marks(numbers={"h(3)": 0.7}, legend="attention"))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tinyseq.draw.page_records import Record, number_record, rounded
from tinyseq.draw.scale import scale_of, written
from tinyseq.draw.text import clean

_SAMPLES = 13  # colours of the bar that explains them
_LONGEST = 60  # characters of what the numbers are called


@dataclass(frozen=True)
class Marks:
    """What is shown on top of a graph.

    Attributes:
        numbers: by the id of a vertex.
        legend: what the numbers are.
        widths: of the drawn line, by the ids of the ends of an edge.
        widest: the number that the widest one stands for.
        highlight: the ids of two vertices: all ways between them are shown when the page opens.
    """

    numbers: Mapping[str, float] = field(default_factory=dict)
    legend: str = "number"
    widths: Mapping[tuple[str, str], float] = field(default_factory=dict)
    widest: float = 0.0
    highlight: tuple[str, str] | None = None


def marks_record(marks: Marks) -> Record:
    """The marks as the page reads them, with the colours that numbers have in other formats."""
    scale = scale_of(marks.numbers.values()) if marks.numbers else None
    return {
        "legend": clean(marks.legend, _LONGEST),
        "numbers": [
            [clean(id), number_record(number), scale.colour(number)]
            for id, number in marks.numbers.items()
            if scale is not None
        ],
        "bar": []
        if scale is None
        else [scale.colour(scale.value(k / (_SAMPLES - 1))) for k in range(_SAMPLES)],
        "ends": [] if scale is None else [written(scale.low), written(scale.high)],
        "widths": [
            [clean(source), clean(target), rounded(width)]
            for (source, target), width in marks.widths.items()
        ],
        "widest": written(marks.widest),
        "highlight": None if marks.highlight is None else [clean(id) for id in marks.highlight],
    }
