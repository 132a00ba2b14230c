"""unroll: apply one step again and again, with every operation of every step recorded.

    outputs, state = unroll(cell, xs, state)

The definition of what a recurrence computes. Works for any callable that Python can run,
``step(x, state) -> (y, state)``, and knows nothing of modules.

Each step runs in a scope of its own, numbered by its time 1, 2, ... T, and x(t), the states and
the outputs are labelled there: that is what the pictures are made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from tinyseq import structure
from tinyseq.autograd.engine import paused_gc
from tinyseq.autograd.node import TRACED, Scope, current_scope, scope
from tinyseq.autograd.primitive import recording
from tinyseq.errors import ConfigError
from tinyseq.recurrence.at_once import at_once, because
from tinyseq.recurrence.checkpoint import in_segments, segment_length
from tinyseq.recurrence.feed import Feed, TeacherForcing
from tinyseq.recurrence.labels import labelled, own_node
from tinyseq.recurrence.ragged import cleared, held
from tinyseq.recurrence.steps import (
    Step,
    batch_size,
    checked_lengths,
    checked_step,
    detached,
    initial_state,
    no_outputs,
    refuse_other_numbers,
    stacked,
    steps_of,
    telling_of_the_state,
)


def unroll(
    cell: Step,
    inputs: Any = None,
    state: Any = None,
    *,
    length: int | None = None,
    lengths: Sequence[int] | None = None,
    reverse: bool = False,
    feed: Feed | None = None,
    detach_every: int | None = None,
    checkpoint_every: int | str | None = None,
    names: dict[str, str] | None = None,
    as_list: bool = False,
) -> tuple[Any, Any]:
    """Run a recurrence: y(t), s(t) = cell(x(t), s(t-1)) for t = 1 ... T (book, section 10.1).

    Args:
        cell: one step, ``cell(x, state) -> (y, state)``.
        inputs: (T, N, ...), or a structure of such arrays (a step gets the structure of their
            slices), or a list of T inputs of a step. None if the cell needs no input.
        state: the initial state. None asks ``cell.init_state(batch)``.
        length: T, where there are no inputs to tell it; otherwise how many of them to use.
        lengths: of the N sequences of a padded batch. Beyond its length a sequence's state stays as
            it is and its outputs are zero. No bit of the outputs depends on what the padding holds
            or how long it is; in a batch of another size BLAS may round the last bit otherwise.
        reverse: run from the last step to the first. With ``lengths``, each sequence starts at its
            own end.
        feed: decides every step's input from the given one and the last output: free running,
            scheduled sampling ... (``tinyseq.recurrence.feed``). By default the given input it is.
            A compiled cell takes its steps literally for a feed that is no ``OutputFeed``.
        detach_every: truncated back-propagation: after every so many steps the state is carried on,
            but no gradient flows back across.
        checkpoint_every: less memory for more time: of a recorded run only the state after every so
            many steps is kept ("sqrt": the square root of T), and the backward pass runs the steps
            between a second time (``tinyseq.recurrence.checkpoint``). Pictures show no steps then.
        names: what to call x, the states and o in the pictures, where it is not that: {"h": "g"}.
            Of no account for a compiled cell, of whose steps there are no pictures.
        as_list: give the outputs as a list of T, not stacked.

    Returns:
        The outputs, stacked along a first axis of length T (each array of the output's structure),
        and the state after the last step. T = 0 gives empty outputs and the initial state.

    Raises:
        ShapeError: inputs of different lengths; names the step in which shapes do not fit.
        StructureError: a step that does not return (y, state), or changes the state's structure.
        DTypeError: inputs or a state of complex numbers.
        DataError: lengths that are negative, too long, or not one for each sequence.
        ConfigError: length, detach_every or checkpoint_every is no number of steps.
        GraphError: with checkpoint_every, a step that reads what earlier ones computed, but not
            from its state; in the backward pass, one that is not what it was the first time.
    """
    for name, number in ("length", length), ("detach_every", detach_every):
        if number is not None and not isinstance(number, Integral):
            raise ConfigError(f"unroll: {name} is an integer, not {number!r}")
    if detach_every is not None and detach_every < 1:
        raise ConfigError(f"unroll: detach_every is at least 1, not {detach_every}")
    if checkpoint_every is not None:
        segment_length(checkpoint_every, 1)
    refuse_other_numbers(inputs, state)
    feed = None if isinstance(feed, TeacherForcing) else feed
    if hasattr(cell, "run_steps") and recording.get() is not TRACED:
        compiled: Any = cell
        why = because(compiled, feed)
        compiled.takes_steps(why)
        if why is None:
            with telling_of_the_state(cell, inputs, state):
                return at_once(
                    compiled, inputs, state, length, lengths, reverse, detach_every,
                    checkpoint_every, as_list, feed,
                )  # fmt: skip
    given = state
    xs, steps = steps_of(inputs, length)
    batch = batch_size(inputs, state)
    ends = checked_lengths(lengths, batch, steps)
    with scope("step", steps + 1 if reverse else 0):
        state = initial_state(cell, batch) if state is None else structure.map(own_node, state)
        renamed = names or {}

        def call(name: str) -> str:
            return renamed.get(name, name)

        state_names = [call(name) for name in structure.names(state, "h")]
        state = labelled(state, state_names)
    if steps == 0:
        return no_outputs(cell, inputs, state, as_list), state
    order = range(steps - 1, -1, -1) if reverse else range(steps)
    input_names = [call(name) for name in structure.names(xs[0] if xs else None, "x")]
    output_names: list[str] = []
    outer = current_scope.get()

    def run(first: int, xs: list[Any], state: Any, last: Any) -> tuple[list[Any], Any]:
        """Some steps of the run, from number ``first`` on, which read these inputs."""
        outputs = []
        for count, x in enumerate(xs, first):
            t = order[count]
            current_scope.set(Scope(outer, "step", t + 1))
            if feed is not None:
                x = feed(count, x, last)
            if ends is not None and x is not None:
                x = cleared(ends > t, x)
            if x is not None:
                x = labelled(x, input_names)
            if detach_every and count and count % detach_every == 0:
                state = labelled(structure.map(detached, state), state_names)
            last, new = checked_step(cell, x, state, t + 1)
            if ends is not None:
                last, new = held(ends > t, last, new, state)
            state = labelled(new, state_names)
            if not output_names:
                output_names.extend(call(name) for name in structure.names(last, "o"))
            last = labelled(last, output_names)
            outputs.append(last)
        return outputs, state

    xs = xs if xs else [None] * steps
    xs = xs[::-1] if reverse else xs
    token = current_scope.set(outer)
    try:
        with paused_gc(), telling_of_the_state(cell, inputs, given):
            if checkpoint_every is None:
                outputs, state = run(0, xs, state, None)
            else:
                outputs, state = in_segments(
                    run, xs, state, segment_length(checkpoint_every, steps), [cell, feed]
                )
    finally:
        current_scope.reset(token)
    outputs = outputs[::-1] if reverse else outputs
    return (outputs if as_list else stacked(outputs)), state
