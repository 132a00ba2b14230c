"""html: the interactive page, one file that needs nothing else and asks the network for nothing.

    picture.save("x.html")      # writes picture.page.html
    picture.page                # shown by itself in a notebook

The parts of the page are in ``page/``: a template, a style sheet and scripts, put together here.
The page's own policy allows that style sheet and those scripts, by their hashes, and nothing else:
no request, no other script. Whatever users wrote reaches it as JSON and is shown as text.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from string import Template
from typing import Any, NamedTuple

from tinyseq.draw.circuit_layout import circuit_scene
from tinyseq.draw.contract import contract
from tinyseq.draw.extract import RunGraph
from tinyseq.draw.fold import fold
from tinyseq.draw.graph import Graph, Time
from tinyseq.draw.page_data import Drawn, level_data
from tinyseq.draw.page_records import Record
from tinyseq.draw.scene import Scene
from tinyseq.draw.unrolled_layout import unrolled_scene
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
    "choose",
    "main",
)
LARGEST_INLINE = 4_000_000  # characters of a page that is put into a notebook
HEIGHT = 560  # of the page in a notebook
MOST_NODES = 20_000  # that a page knows; of longer runs it has the first and the last steps


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
    """

    run: RunGraph
    shown: Collection[Time] | None
    initial: Collection[int]
    unfolded: bool
    gradients: bool = False
    text: Mapping[str, Sequence[str]] | None = None


@dataclass(frozen=True)
class Page:
    """An interactive page: circuit and unrolled graph of one run, the one folding into the other.

    Attributes:
        levels: for each level of detail what ``page_data.level_data`` gives, the columns that it
            opens with, and a note where it has no circuit or no unrolled graph.
        start: how the page opens: at which level, whether unfolded, whether with the gradient.
        title: in words.
    """

    levels: Mapping[str, Mapping[str, Any]]
    start: Mapping[str, Any]
    title: str

    @property
    def html(self) -> str:
        """The page as the text of a file."""
        style, script = _part("page.css"), _script()
        policy = (
            f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
            "img-src data:; base-uri 'none'; form-action 'none'"
        )
        return Template(_part("page.html")).substitute(
            policy=policy,
            title=escape(self.title),
            style=style,
            script=script,
            data=json_for_script({"levels": self.levels, "start": self.start}),
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


class Level(NamedTuple):
    """A level of detail: from a run or a circuit to a graph, and how the two are laid out."""

    graph: Callable[..., Graph]
    circuit: Callable[[Graph], Scene]
    unrolled: Callable[[Graph], Scene]


LEVELS = {"variables": Level(contract, circuit_scene, unrolled_scene)}


def page_of(story: Story) -> Page:
    """The page of a run.

    Raises:
        DrawError: nothing carries a label.
    """
    levels = {name: _level(story, level) for name, level in LEVELS.items()}
    first = levels["variables"]
    known = first["unrolled"]
    labels = [part["label"] for part in (known["rows"] if known else first["circuit"]["nodes"])]
    start = {
        "level": "variables",
        "unfolded": story.unfolded,
        "gradient": story.gradients,
    }
    return Page(levels, start, f"Recurrent graph of {', '.join(labels)}")


def _level(story: Story, level: Level) -> Record:
    """Both views at one level, and a note that says why, if one of them cannot be drawn."""
    circuit: Drawn | None = None
    unrolled: Drawn | None = None
    note = ""
    try:
        graph = level.graph(fold(story.run))
        circuit = graph, level.circuit(graph)
    except FoldError as error:
        note = f"It cannot be folded: {error}"
    graph = level.graph(story.run, _known_times(story.run), story.initial, True)
    try:
        unrolled = graph, level.unrolled(graph)
    except DrawError as error:
        if circuit is None:
            raise
        note = f"It cannot be unfolded: {error}"
    data = level_data(circuit, unrolled, story.text)
    return data | {"note": note, "columns": _columns(story, data["unrolled"])}


def _known_times(run: RunGraph) -> set[Time] | None:
    """The times that fit into a page, half of them first and half of them last; None means all."""
    times = [v.time for v in run.vertices if v.variable is not None and v.time is not None]
    if len(times) <= MOST_NODES:
        return None
    ordered = sorted(set(times), key=lambda time: time if isinstance(time, tuple) else (time,))
    half = max(1, MOST_NODES * len(ordered) // len(times) // 2)
    return {*ordered[:half], *ordered[-half:]}


def _columns(story: Story, known: Record | None) -> list[int]:
    """The columns that the page shows when it opens."""
    if known is None:
        return []
    if story.shown is None:
        return list(known["steps"])
    shown = {str(time) for time in story.shown}
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


def _short(source: str) -> str:
    """A script without the lines that are comments, and without indentation."""
    lines = (line.strip() for line in source.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(("//", "/**")))


@cache
def _part(name: str) -> str:
    return (files("tinyseq.draw") / "page" / name).read_text(encoding="utf-8").strip()


def _hash(source: str) -> str:
    return "'sha256-" + b64encode(sha256(source.encode()).digest()).decode() + "'"
