"""Steps written as t-1, t and t+1, as in the book's figures, instead of by their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tinyseq.draw.graph import Time
from tinyseq.draw.scene import Scene
from tinyseq.draw.text import MINUS
from tinyseq.errors import DrawError

DOTS = "···"
_BESIDE = 13.0  # from the end of a wire to the middle of the dots


def around(times: Sequence[Time]) -> list[int]:
    """The step in the middle of a run, with the ones before and after it.

    Raises:
        DrawError: fewer than three steps, or steps that are not numbers.
    """
    numbers = [time for time in times if isinstance(time, int)]
    if len(numbers) < 3 or len(numbers) < len(times):
        raise DrawError(
            f'window="t" shows three steps of one axis of time, t-1, t and t+1; this run has '
            f"{len(times)} steps"
        )
    middle = len(numbers) // 2
    return numbers[middle - 1 : middle + 2]


def with_relative_times(scene: Scene, times: Sequence[int]) -> Scene:
    """The scene with t-1, t and t+1 for three times, and dots for all steps that are left out."""
    written = dict(zip(times, (f"(t{MINUS}1)", "(t)", "(t+1)"), strict=True))
    discs = [
        replace(disc, name=replace(disc.name, superscript=written[disc.vertex.time]))
        if disc.vertex.time in written and disc.name.superscript
        else disc
        for disc in scene.discs
    ]
    # The dots stand where the dashed wires that lead out of the picture end.
    left = [w.curve[0][0] for w in scene.wires if w.dashed and w.start is None]
    right = [(w.tip or w.curve[-1])[0] for w in scene.wires if w.dashed and w.end is None]
    middle = sum(disc.x for disc in discs) / len(discs)
    notes = []
    for note in scene.notes:
        if DOTS in note.text.base:
            ends = left if note.x < middle else right
            at = min(ends, default=note.x) if note.x < middle else max(ends, default=note.x)
            away = _BESIDE if note.x > middle else -_BESIDE
            note = replace(note, text=replace(note.text, base=DOTS), x=at + away)
        notes.append(note)
    return replace(scene, discs=tuple(discs), notes=tuple(notes))
