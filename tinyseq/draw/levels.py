"""The levels of detail: for each what is shown of a run, and how it is laid out.

level = level_of("ops")
scene = level.unrolled(level.graph(run, times, initial, values))
scene = level.circuit(level.graph(fold(run)))
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from tinyseq.draw.circuit_layout import circuit_scene
from tinyseq.draw.contract import contract
from tinyseq.draw.graph import Graph
from tinyseq.draw.modules import modules
from tinyseq.draw.operations import operations
from tinyseq.draw.operations_layout import operations_circuit, operations_unrolled
from tinyseq.draw.scene import Scene
from tinyseq.draw.unrolled_layout import unrolled_scene
from tinyseq.errors import DrawError


class Level(NamedTuple):
    """A level of detail.

    Attributes:
        graph: from a run (with times, initial states, values) or a circuit to what is shown.
        circuit, unrolled: from that to a scene.
        most: how many vertices of an unrolled graph can be laid out and seen.
        shows_all: whether what carries no label is shown too.
    """

    graph: Callable[..., Graph]
    circuit: Callable[[Graph], Scene]
    unrolled: Callable[[Graph], Scene]
    most: int
    shows_all: bool = False


LEVELS = {
    "variables": Level(contract, circuit_scene, unrolled_scene, 20_000),
    "modules": Level(modules, operations_circuit, operations_unrolled, 6_000, True),
    "ops": Level(operations, operations_circuit, operations_unrolled, 3_000, True),
}


def level_of(detail: str, depth: int | None = None) -> Level:
    """The level of a name; of modules, opened to a depth.

    Raises:
        DrawError: there is no such level, or it has no depth.
    """
    if detail not in LEVELS:
        raise DrawError(f"the level of detail is one of {', '.join(LEVELS)}, not {detail!r}")
    level = LEVELS[detail]
    if depth is None:
        return level
    if detail != "modules" or depth < 0:
        raise DrawError(
            f"depth={depth!r} with detail={detail!r}: the depth, 0 or more, is that to which "
            "detail='modules' opens the boxes of modules"
        )
    return level._replace(graph=partial(modules, depth=depth))
