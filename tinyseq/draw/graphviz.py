"""graphviz: a scene as DOT text, and that drawn as SVG, PNG or PDF.

Two programs can draw: the system's Graphviz (``dot``), if there is one, and graphviz-pure, which
pip installs, which needs nothing else, and which draws no PDF. The environment variable
TINYSEQ_GRAPHVIZ chooses: "system", "pure", or the path of a program like dot.

The program is called directly, not through the graphviz package of PyPI, whose calls take no time
limit: a drawing that hangs is to be stopped.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from html import escape, unescape
from math import dist
from pathlib import Path

from tinyseq.draw.curves import ARROW, short_of
from tinyseq.draw.scene import Disc, Frame, Note, Point, Scene, Square, Wire
from tinyseq.draw.text import clean, rich
from tinyseq.errors import DrawError

FORMATS = ("svg", "png", "pdf", "dot")
TIME_LIMIT = 20.0  # seconds
_DPI = 192  # of a PNG
_STAND_INS = str.maketrans("␣⏎", "·¶")  # for what the fonts inside graphviz-pure do not have
_PLAIN = 1.0  # width of an edge whose width says nothing
_HEAD = 2.2  # how much longer the head gets with every point of width
_NOWHERE = 'shape=point, style=invis, width=0.01, height=0.01, label=""'


# -- from a scene to DOT --------------------------------------------------------------------------


def dot_source(scene: Scene) -> str:
    """The scene in the DOT language, every position given: what draws it has nothing to lay out."""
    lines = [
        "digraph {",
        '  graph [layout=nop2, splines=true, outputorder=edgesfirst, pad=0.15, bgcolor="white"];',
        '  node [fixedsize=true, fontname="Times", margin=0];',
        '  edge [arrowhead=none, arrowsize=0.75, fontname="Times"];',
    ]
    ids = _ids(scene)
    for k, frame in enumerate(scene.frames):
        lines += [_frame(f"f{k}", frame), _note(f"ft{k}", frame.title)]
    lines += [_disc(ids[disc.vertex.id], disc) for disc in scene.discs]
    lines += [_square(ids[square], square) for square in scene.squares]
    for k, wire in enumerate(scene.wires):
        start, end = ids.get(wire.start), ids.get(wire.end)
        if start is None:
            start = f"s{k}"
            lines.append(f"  {start} [{_NOWHERE}, {_position(wire.curve[0])}];")
        if end is None:
            end = f"e{k}"
            lines.append(f"  {end} [{_NOWHERE}, {_position(wire.tip or wire.curve[-1])}];")
        lines += _wire(k, start, end, wire)
    lines += [_note(f"t{k}", note) for k, note in enumerate(scene.notes)]
    return "\n".join([*lines, "}\n"])


def _ids(scene: Scene) -> dict[str | Square | None, str]:
    """Names for the DOT text, made here: nothing that a user wrote becomes one."""
    ids: dict[str | Square | None, str] = {d.vertex.id: f"n{k}" for k, d in enumerate(scene.discs)}
    ids.update((square, f"d{k}") for k, square in enumerate(scene.squares))
    return ids


def _disc(id: str, disc: Disc) -> str:
    shape = "circle" if disc.is_round else "box"
    style = "filled" + ",dashed" * disc.is_dashed + ",rounded" * (not disc.is_round)
    return (
        f'  {id} [id="{id}", shape={shape}, style="{style}", {_position((disc.x, disc.y))}, '
        f"{_size(disc.width, disc.height)}, "
        f'fillcolor="{disc.fill}", color="{disc.line}", label={rich(disc.name, disc.ink)}];'
    )


def _square(id: str, square: Square) -> str:
    return (
        f'  {id} [id="{id}", shape=square, style=filled, {_position((square.x, square.y))}, '
        f'{_size(square.side, square.side)}, fillcolor="{square.colour}", '
        f'color="{square.line or square.colour}", '
        'label=""];'
    )


def _note(id: str, note: Note) -> str:
    look = "shape=none" if note.fill is None else f'shape=box, style=filled, color="{note.fill}"'
    fill = "" if note.fill is None else f', fillcolor="{note.fill}"'
    return (
        f'  {id} [id="{id}", {look}{fill}, {_position((note.x, note.y))}, '
        f'{_size(note.text.width + 2, note.text.size)}, fontname="{note.font}", '
        f"label={rich(note.text, note.ink)}];"
    )


def _frame(id: str, frame: Frame) -> str:
    middle = ((frame.left + frame.right) / 2, (frame.lower + frame.upper) / 2)
    if frame.fill is not None:  # a cluster, since a node would cover the edges
        corners = f"{_point((frame.left, frame.lower))},{_point((frame.right, frame.upper))}"
        return (
            f'  subgraph cluster_{id} {{ id="{id}"; bb="{corners}"; style="rounded,filled"; '
            f'color="{frame.line}"; fillcolor="{frame.fill}"; }}'
        )
    return (
        f'  {id} [id="{id}", shape=box, style=rounded, {_position(middle)}, '
        f"{_size(frame.right - frame.left, frame.upper - frame.lower)}, "
        f'color="{frame.line}", label=""];'
    )


def _wire(k: int, start: str, end: str, wire: Wire) -> list[str]:
    """An edge, with an open head; if its pen is another than the plain one, with a filled head.

    A filled head is an edge of its own without an outline: the pen of the line would make a wide
    one's head blunt.
    """
    curve, tip = wire.curve, wire.tip
    head = []
    if tip is not None and wire.width != _PLAIN:
        a, b, c, d = curve[-4:]
        length = ARROW + _HEAD * max(wire.width - _PLAIN, 0.0)
        curve = (*curve[:-4], *short_of((a, b, c, d), tip, length))
        base = curve[-1]
        head = [
            f'  {start} -> {end} [id="w{k}h", pos="e,{_point(tip)}{f" {_point(base)}" * 4}", '
            f'arrowhead=normal, arrowsize={dist(base, tip) / 10:.3f}, color="{wire.colour}", '
            "penwidth=0];"
        ]
    lead = "" if tip is None or head else f"e,{_point(tip)} "
    parts = [f'id="w{k}"', f'pos="{lead}{" ".join(map(_point, curve))}"']
    parts += ["arrowhead=vee"] if lead else []
    parts += [f'color="{wire.colour}"', f"penwidth={wire.width:.2f}"]
    parts += ["style=dashed"] if wire.dashed else []
    if wire.label is not None:
        at = _point((wire.label.x, wire.label.y))
        parts += [f"label={rich(wire.label.text, wire.label.ink)}", f'lp="{at}"']
    return [f"  {start} -> {end} [{', '.join(parts)}];", *head]


def _point(point: Point) -> str:
    return f"{point[0]:.2f},{point[1]:.2f}"


def _position(point: Point) -> str:
    return f'pos="{_point(point)}"'


def _size(width: float, height: float) -> str:
    return f"width={width / 72:.4f}, height={height / 72:.4f}"


# -- from DOT to a picture ------------------------------------------------------------------------


def drawn(
    scene: Scene, format: str, engine: str | None = None, time_limit: float = TIME_LIMIT
) -> bytes:
    """The scene as a file of the given format.

    Args:
        scene: what to draw.
        format: "svg", "png", "pdf" or "dot".
        engine: "system", "pure" or the path of a program; by default what TINYSEQ_GRAPHVIZ says, or
            the system's Graphviz if there is one, else graphviz-pure.
        time_limit: seconds.

    Raises:
        DrawError: an unknown format, no engine, a PDF without the system's Graphviz, out of time.
    """
    if format not in FORMATS:
        raise DrawError(f"unknown format {format!r}: pictures are saved as {', '.join(FORMATS)}")
    source = dot_source(scene)
    if format == "dot":
        return source.encode()
    program = find_engine(engine)
    if format == "pdf" and is_pure(program):
        raise DrawError(
            "a PDF needs the system's Graphviz, which is not in use here (Debian: apt install "
            "graphviz; macOS: brew install graphviz). SVG and PNG need nothing more."
        )
    options = ["-Kneato", "-n2", f"-T{format}"]
    if format == "png":
        options.append(f"-Gdpi={_DPI}")
        source = source.translate(_STAND_INS) if is_pure(program) else source
    picture = _run([program, *options], source.encode(), time_limit)
    return _titled(picture.decode(), scene).encode() if format == "svg" else picture


def find_engine(choice: str | None = None) -> str:
    """The path of the program that draws.

    Raises:
        DrawError: the chosen one is not there; says how to get it.
    """
    setting = "the engine (--engine, engine=)" if choice else "TINYSEQ_GRAPHVIZ"
    choice = choice or os.environ.get("TINYSEQ_GRAPHVIZ") or "auto"
    system = shutil.which("dot")
    beside = Path(sysconfig.get_path("scripts")) / "graphviz-pure"
    pure = shutil.which("graphviz-pure", path=str(beside.parent)) or shutil.which("graphviz-pure")
    found = {"auto": system or pure, "system": system, "pure": pure}.get(
        choice, shutil.which(choice)
    )
    if found is None:
        raise DrawError(
            f"Graphviz ({choice}) was not found. `pip install graphviz-pure` is enough for SVG and "
            f"PNG; {setting} is one of 'system', 'pure', or the path of dot."
        )
    return found


def is_pure(program: str) -> bool:
    """Whether a program is graphviz-pure, by its name."""
    return Path(program).stem == "graphviz-pure"


def _run(command: Sequence[str], source: bytes, time_limit: float) -> bytes:
    try:
        done = subprocess.run(command, input=source, capture_output=True, timeout=time_limit)
    except subprocess.TimeoutExpired:
        raise DrawError(
            f"drawing took longer than {time_limit:g} s and was stopped: show fewer steps with "
            "window=(first, last), or pass a larger time_limit="
        ) from None
    except OSError as error:
        raise DrawError(f"{command[0]} could not be run: {error}") from None
    if done.returncode or not done.stdout:
        words = done.stderr.decode(errors="replace").strip()[:500]
        raise DrawError(
            f"{command[0]} failed ({done.returncode}): {words}. TINYSEQ_GRAPHVIZ=pure chooses the "
            "program that pip installed."
        )
    return done.stdout


def _titled(svg: str, scene: Scene) -> str:
    """An SVG with the names of variables for titles, which a browser shows on hovering."""
    ids = _ids(scene)
    titles = {}
    for disc in scene.discs:
        v = disc.vertex
        gradient = "" if v.grad is None else f", norm of the gradient {v.grad:.2e}"
        titles[ids[v.id]] = f"{disc.name.plain}, shape {v.shape}{gradient}"
    for wire in scene.wires:
        way = f"{ids.get(wire.start)}->{ids.get(wire.end)}"
        titles[way] = clean(str(wire.edge), 80)

    def title(match: re.Match[str]) -> str:
        return f"<title>{escape(titles.get(unescape(match[1]), ''))}</title>"

    return re.sub(r"<title>([^<]*)</title>", title, svg)
