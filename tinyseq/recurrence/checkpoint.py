"""Back-propagation through time in less memory: what was not kept is computed again.

    outputs, state = unroll(cell, xs, state, checkpoint_every=100)     # or "sqrt"

A recorded run keeps what every one of its T steps computed. A checkpointed one keeps the states
after every k steps, and the outputs. The backward pass takes the segments of k steps from the last
to the first, runs each a second time, recorded, and walks back through it. So the states of T / k
steps and the inside of k steps are in memory, not the inside of T steps, for the time of one more
forward pass; with k = sqrt(T) both are small (Chen et al. 2016, arXiv:1604.06174, section 4.1).

Each segment is one node of the tape. What its steps read besides their inputs and the state
(parameters, an encoder's states) is found in the graph that the first run records, and is a parent
of that node like the others.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from math import isqrt
from typing import Any

import numpy as np

from tinyseq import structure
from tinyseq.autograd.node import CHECKED, Leaf, Node, current_scope, next_order, recording
from tinyseq.autograd.primitive import PICK, Primitive
from tinyseq.autograd.tensor import Tensor, tensor
from tinyseq.autograd.walk import by_order, stale_error, walk_back
from tinyseq.backend import namespace, to_numpy
from tinyseq.errors import ConfigError, GraphError
from tinyseq.random import generator, get_state, set_state

Function = Callable[[Any], Any]  # from a structure of arrays to another one


def segment_length(every: int | str, steps: int) -> int:
    """k, from what ``checkpoint_every`` was set to; "sqrt" is the square root of T, rounded up.

    Raises:
        ConfigError: it is neither a number of steps from 1 on, nor "sqrt".
    """
    if every == "sqrt":
        return isqrt(max(steps - 1, 0)) + 1
    if isinstance(every, bool) or not isinstance(every, int | np.integer) or every < 1:
        raise ConfigError(
            f'checkpoint_every is a number of steps from 1 on, or "sqrt", not {every!r}'
        )
    return int(every)


def in_segments(
    run: Callable[[int, list[Any], Any, Any], tuple[list[Any], Any]],
    xs: list[Any],
    state: Any,
    every: int,
    sources: Iterable[Any],
) -> tuple[list[Any], Any]:
    """All steps of a recurrence, of which only every k-th state is kept.

    Args:
        run: ``run(first, xs, state, last)`` runs some of the steps, from number ``first`` on, which
            read these inputs; gives their outputs and the state. ``last`` is the output before.
        xs: the inputs of all steps, in the order in which these run.
        state: the initial state.
        every: k.
        sources: modules and feeds, whose random numbers are to be drawn again.
    """
    outputs: list[Any] = []
    since, generators, last = next_order(), generators_of(*sources), None
    for first in range(0, len(xs), every):

        def segment(given: Any, first: int = first) -> Any:
            return run(first, *given)

        given = (xs[first : first + every], state, last)
        found, state = checkpointed(segment, given, generators, since)
        outputs += found
        last = found[-1]
    return outputs, state


def checkpointed(
    function: Function, given: Any, generators: list[np.random.Generator], since: int
) -> Any:
    """``function(given)``, of which one node is recorded, and that runs again in the backward pass.

    Args:
        function: computes a structure of arrays from another one, the same whenever it is called.
        given: what it is called with.
        generators: of random numbers, which the second run is to draw again.
        since: a creation number: what was made since may reach the function through ``given`` only.

    Raises:
        GraphError: the function reads something made since; when it runs again, something else, or
            with another result.
    """
    if recording.get() not in (True, CHECKED):
        return function(given)
    again = _Again(function, given, generators)
    copies, results, behind = again.run()
    current_scope.set(again.scope)  # and not the last step's
    for node in behind.outside:
        if node.order >= since:
            raise GraphError(
                f"checkpoint_every: the step reads what an earlier step computed ({node.where()}), "
                "of which nothing is kept: what it needs of earlier steps belongs into the state"
            )
    again.remember(results, behind)
    ends = structure.leaves(results)
    parents = tuple(
        value.node if copy is not None and copy.node in behind.inside else None
        for value, copy in zip(structure.leaves(given), copies, strict=True)
    )
    whole = Node(
        CHECKPOINT, parents + behind.outside, again, {"outputs": len(ends)}, (), None, True
    )

    def picked(k: int, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if not value.requires_grad:
            return Tensor(value.data)
        return Tensor(value.data, Node(PICK, (whole,), None, k, value.shape, value.dtype, True))

    numbers = iter(range(len(ends)))
    return structure.map(lambda value: picked(next(numbers), value), results)


class _Behind:
    """The graph behind some values: what was made inside a run, and what the run read.

    ``inside`` are the nodes from the creation number ``start`` on, ``outside`` the earlier ones
    that they were made from, both in order.
    """

    def __init__(self, values: Iterable[Any], start: int) -> None:
        ends: set[Any] = {value.node for value in values if _requires_grad(value)}
        seen, stack = set(ends), [node for node in ends if node.order >= start]
        while stack:
            for parent in stack.pop().parents:
                if parent is not None and parent.requires_grad and parent not in seen:
                    seen.add(parent)
                    if parent.order >= start:
                        stack.append(parent)
        self.nodes = sorted(seen, key=by_order)
        self.inside = {node for node in self.nodes if node.order >= start}
        self.outside: tuple[Node, ...] = tuple(n for n in self.nodes if n.order < start)


class _Again:
    """A function with what it takes to run it again, and to see that nothing has changed."""

    def __init__(
        self, function: Function, given: Any, generators: list[np.random.Generator]
    ) -> None:
        self.function = function
        self.given = structure.map(_raw, given)
        self.wanted = [_requires_grad(value) for value in structure.leaves(given)]
        self.states = [(rng, get_state(rng)) for rng in generators]
        self.scope = current_scope.get()
        self.seeds: Any = None
        self.gradients: list[Any] = []

    def run(self) -> tuple[list[Tensor | None], Any, _Behind]:
        """Run it, recorded: leaves for what wants a gradient, the results, and what is behind."""
        start = next_order()
        wanted = iter(self.wanted)
        given = structure.map(
            lambda array: tensor(array, requires_grad=True) if next(wanted) else array, self.given
        )
        results = self.function(given)
        copies = [value if _requires_grad(value) else None for value in structure.leaves(given)]
        return copies, results, _Behind(structure.leaves(results), start)

    def remember(self, results: Any, behind: _Behind) -> None:
        """What the second run is to find: the same results, from the same tensors."""
        self.sums = [_checksum(value) for value in structure.leaves(results)]
        self.outside = behind.outside

    def gradient(self, g: list[Any], i: int) -> Any:
        """The cotangent of parent i, from those of the results."""
        if self.seeds is not g:
            self.gradients, self.seeds = self._walked_back(g), g
        return self.gradients[i]

    def _walked_back(self, g: list[Any]) -> list[Any]:
        for leaf in self.outside:
            if isinstance(leaf, Leaf) and leaf.stale:
                raise stale_error(leaf)
        with self._as_before():
            copies, results, behind = self.run()
        ends = structure.leaves(results)
        if [_checksum(value) for value in ends] != self.sums or behind.outside != self.outside:
            raise GraphError(
                "checkpoint_every: run again for the backward pass, the steps computed something "
                "else than before. They read something that has changed, or draw random numbers "
                "from a generator that is no attribute of a module or feed: keep what changes in "
                "the state, or run without checkpoint_every"
            )
        cotangents: dict[Node, Any] = {}
        for value, part in zip(ends, g, strict=True):
            if part is not None:
                old = cotangents.get(value.node)
                cotangents[value.node] = part if old is None else old + part
        leaves = [None if copy is None else copy.node for copy in copies]
        parents = [*leaves, *self.outside]
        found = walk_back(
            behind.nodes, cotangents, False,
            wanted={node for node in parents if node is not None}, stop_at_wanted=True,
        )  # fmt: skip
        like = namespace(next(part for part in g if part is not None))
        return [
            found[node] if node in found else node and like.zeros(node.shape, node.dtype)
            for node in parents
        ]

    @contextmanager
    def _as_before(self) -> Iterator[None]:
        """The scope and the random numbers of the first run; recording."""
        now = [get_state(rng) for rng, _ in self.states]
        scope, record = current_scope.set(self.scope), recording.set(True)
        try:
            for rng, state in self.states:
                set_state(rng, state)
            yield
        finally:
            for (rng, _), state in zip(self.states, now, strict=True):
                set_state(rng, state)
            recording.reset(record)
            current_scope.reset(scope)


def generators_of(*sources: Any) -> list[np.random.Generator]:
    """The random generators that the modules and feeds hold as attributes, and the default one."""
    found = {id(generator()): generator()}
    for source in sources:
        inside = [source, *getattr(source, "__dict__", {}).values()]
        modules = [m for value in inside if _has_modules(value) for _, m in value.named_modules()]
        for owner in [source, *modules]:
            for value in getattr(owner, "__dict__", {}).values():
                if isinstance(value, np.random.Generator):
                    found[id(value)] = value
    return list(found.values())


def _has_modules(value: Any) -> bool:
    return hasattr(value, "named_modules") and not isinstance(value, type)


def _raw(value: Any) -> Any:
    return value.data if isinstance(value, Tensor) else value


def _requires_grad(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad


def _checksum(value: Any) -> int | None:
    return None if value is None else zlib.crc32(to_numpy(_raw(value)).tobytes())


def _pull(g: Any, node: Any, i: int) -> Any:
    if not isinstance(node.saved, _Again) or any(isinstance(part, Tensor) for part in g):
        raise GraphError(
            "the second derivative of a checkpointed run: unroll without checkpoint_every for that"
        )
    return node.saved.gradient(g, i)


def _push(tangents: Any, node: Any) -> Any:
    raise GraphError(
        "forward mode through a checkpointed run: unroll without checkpoint_every for that"
    )


CHECKPOINT = Primitive("checkpointed steps", "outputs", lambda xp, a: a, _pull, _push, None)
