"""html: the interactive page, one file that needs nothing else and asks the network for nothing.

    picture.save("x.html")      # writes picture.page.html
    picture.page                # shown by itself in a notebook

The parts of the page are in ``page/``: a template, a style sheet and scripts, put together here.
The page's own policy allows that style sheet and those scripts, by their hashes, and nothing else:
no request, no other script. Whatever users wrote reaches it as JSON and is shown as text.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from tinyseq.draw.columns import sortable
from tinyseq.draw.fold import fold
from tinyseq.draw.graph import Graph, Time
from tinyseq.draw.levels import LEVELS, Level, level_of
from tinyseq.draw.page_data import Drawn, level_data
from tinyseq.draw.page_marks import Marks, marks_record
from tinyseq.draw.page_records import Record
from tinyseq.draw.run import RunGraph
from tinyseq.draw.scene import Scene
from tinyseq.draw.text import clean, time_text
from tinyseq.errors import DrawError, FoldError

SCRIPTS = (
    "curves",
    "model",
    "draw",
    "camera",
    "paths",
    "inspect",
    "colours",
    "stage",
    "marks",
    "choose",
    "main",
)
LARGEST_INLINE = 4_000_000  # characters of a page that is put into a notebook
HEIGHT = 560  # of the page in a notebook
MOST_NODES = 20_000  # that a page knows; of longer runs it has the first and the last steps
MOST_OPERATIONS = 400  # the same, where all operations are shown


@dataclass(frozen=True)
class Story:
    """What a page tells: a run, and how its picture was asked for.

    Attributes:
        run: all that was computed.
        shown: the times that the page shows when it opens; None means all.
        initial: the ids of the initial states to show.
        unfolded: whether it opens unfolded.
        gradients: whether it opens with the gradients as colours.
        text: the data to write beside a variable, at every step.
        detail, depth: the level at which it opens, and how deep modules are opened there.
        marks: what a user adds.
    """

    run: RunGraph
    shown: Collection[Time] | None
    initial: Collection[int]
    unfolded: bool
    gradients: bool = False
    text: Mapping[str, Sequence[str]] | None = None
    detail: str = "variables"
    depth: int | None = None
    marks: Marks = Marks()


@dataclass(frozen=True)
class Single:
    """What a page tells that shows one graph alone.

    Attributes:
        graph, scene: the graph, laid out.
        shown: the times that the page shows when it opens.
        view: what this way to see a run is called.
        title: in words.
    """

    graph: Graph
    scene: Scene
    shown: Collection[Time]
    view: str
    title: str


@dataclass(frozen=True)
class Page:
    """An interactive page: circuit and unrolled graph of one run, the one folding into the other.

    Attributes:
        levels: for each level of detail what ``page_data.level_data`` gives, the columns that it
            opens with, and a note where it has no circuit or no unrolled graph.
        start: how the page opens: at which level, whether unfolded, whether with the gradient.
        title: in words.
        marks: what a user added, as ``page_marks.marks_record`` gives it.
    """

    levels: Mapping[str, Mapping[str, Any]]
    start: Mapping[str, Any]
    title: str
    marks: Mapping[str, Any] = field(default_factory=lambda: marks_record(Marks()))

    @property
    def html(self) -> str:
        """The page as the text of a file."""
        style, script = _style(), _script()
        policy = (
            f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
            "img-src data:; base-uri 'none'; form-action 'none'"
        )
        return Template(_short(_part("page.html"))).substitute(
            policy=policy,
            title=escape(self.title),
            style=style,
            script=script,
            data=json_for_script({"levels": self.levels, "start": self.start, "marks": self.marks}),
        )

    def _repr_html_(self) -> str:
        """The page in a frame of its own, which can reach nothing of the notebook around it."""
        html = self.html
        if len(html) > LARGEST_INLINE:
            return (
                f"<p>{escape(self.title)}: a page of {len(html) / 1e6:.1f} MB is too large for a "
                "notebook. Save it with <code>picture.save('picture.html')</code>, or draw fewer "
                "steps with <code>window=</code>.</p>"
            )
        return (
            f'<iframe title="{escape(self.title)}" sandbox="allow-scripts" width="100%" '
            f'height="{HEIGHT}" style="border: 1px solid #8888; border-radius: 6px" '
            f'srcdoc="{escape(html)}"></iframe>'
        )


def page_of(story: Story | Single) -> Page:
    """The page of a run, or of one graph.

    Raises:
        DrawError: nothing carries a label.
    """
    if isinstance(story, Single):
        data = level_data(None, (story.graph, story.scene))
        data |= {"note": "", "columns": _columns(story.shown, data["unrolled"])}
        start = {"level": story.view, "unfolded": True, "gradient": False}
        return Page({story.view: data}, start, story.title)
    levels = {story.detail: _level(story, level_of(story.detail, story.depth))}
    for name in LEVELS.keys() - levels.keys():
        try:
            levels[name] = _level(story, LEVELS[name])
        except DrawError:  # not all that can be drawn can be drawn at every level
            continue
    start = {
        "level": story.detail,
        "unfolded": story.unfolded,
        "gradient": story.gradients,
    }
    variables = {r.variable: None for r in story.run.roles if r.variable is not None}
    title = f"Recurrent graph of {', '.join(map(clean, variables))}"
    found = {name: levels[name] for name in LEVELS if name in levels}
    return Page(found, start, title, marks_record(story.marks))


def _level(story: Story, level: Level) -> Record:
    """Both views at one level, and a note that says why, if one of them cannot be drawn."""
    circuit: Drawn | None = None
    unrolled: Drawn | None = None
    note = ""
    try:
        graph = level.graph(fold(story.run))
        circuit = graph, level.circuit(graph)
    except (FoldError, DrawError) as error:
        note = f"It cannot be folded: {error}"
    graph = level.graph(story.run, _known_times(story.run, level), story.initial, True)
    try:
        unrolled = graph, level.unrolled(graph)
    except DrawError as error:
        if circuit is None:
            raise
        note = f"It cannot be unfolded: {error}"
    data = level_data(circuit, unrolled, story.text, story.marks.numbers)
    return data | {"note": note, "columns": _columns(story.shown, data["unrolled"])}


def _known_times(run: RunGraph, level: Level) -> set[Time] | None:
    """The times that fit into a page, half of them first and half of them last; None means all."""
    times = [
        time
        for role, members in zip(run.roles, run.members, strict=True)
        if role.variable is not None or (level.shows_all and role.op != "leaf")
        for k in members
        if (time := run.times[k]) is not None
    ]
    most = MOST_OPERATIONS if level.shows_all else MOST_NODES
    if len(times) <= most:
        return None
    ordered = sorted(set(times), key=sortable)
    half = max(1, most * len(ordered) // len(times) // 2)
    return {*ordered[:half], *ordered[-half:]}


def _columns(times: Collection[Time] | None, known: Record | None) -> list[int]:
    """The columns that the page shows when it opens."""
    if known is None:
        return []
    if times is None:
        return list(known["steps"])
    shown = {time_text(time) for time in times}
    return [k for k in known["steps"] if known["times"][k] in shown]


def json_for_script(data: Any) -> str:
    """Data as JSON that can stand in a script element, whatever texts are in it.

    All but ASCII is escaped, and so is what could end the element or open a comment in it.
    """
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")


@cache
def _script() -> str:
    """All scripts as one, whose names nothing else in the page can see."""
    parts = "\n".join(_short(_part(f"{name}.js")) for name in SCRIPTS)
    return '"use strict";{\n' + parts + "\n}"


@cache
def _style() -> str:
    """The style sheet without space around its signs."""
    return re.sub(r"\s*([{};]|:(?= ))\s*", r"\1", _part("page.css"))


def _short(source: str) -> str:
    """A source without comments on lines of their own or at their ends, and indentation."""
    lines = (re.sub(r" // .*", "", line).strip() for line in source.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(("//", "/**")))


@cache
def _part(name: str) -> str:
    return (files("tinyseq.draw") / "page" / name).read_text(encoding="utf-8").strip()


def _hash(source: str) -> str:
    return "'sha256-" + b64encode(sha256(source.encode()).digest()).decode() + "'"
