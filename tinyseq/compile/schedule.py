"""schedule: which values are worked out when.

A step that is repeated T times need not be worked out T times, step by step. Of the forward pass,

    once      depends on parameters alone
    before    depends on the inputs, but not on the state: for all T steps at once, before the loop
    loop      the next state depends on it: step by step
    after     depends on the state, but the next state does not depend on it: for all steps at once

and of the backward pass the same, with the cotangent that is carried from step to step in place of
the state. What a parameter's gradient needs beyond the carried cotangent comes "after", and the sum
over the steps makes one large product of T small ones. From a literal LSTM this finds the schedule
of a kernel tuned by hand: one product for all inputs, the recurrent product and the gates in the
loop, three products after it.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from tinyseq.compile.program import Program, Value, in_order
from tinyseq.ops import identity

_identity = identity.primitive  # type: ignore[attr-defined]
PLACES = ("once", "before", "loop", "after")


class Placed(NamedTuple):
    """An operation of a step, as it is written, and the place where it is worked out.

    Attributes:
        op, scope, label: as those of a Site.
        place: one of PLACES.
    """

    op: str
    scope: tuple[str, ...]
    label: str | None
    place: str


@dataclass
class Schedule:
    """The values of a Program by the place where they are worked out, in order.

    Attributes:
        program: what is scheduled.
        forward, backward: for each of PLACES its values.
        saved: the results of the forward pass that the backward pass reads, and that are stacked.
    """

    program: Program
    forward: dict[str, list[Value]] = field(default_factory=dict)
    backward: dict[str, list[Value]] = field(default_factory=dict)
    saved: list[Value] = field(default_factory=list)

    def place(self, value: Value) -> str:
        """ "once", "before", "loop" or "after", preceded by "backward " for that pass."""
        for name, places in (("", self.forward), ("backward ", self.backward)):
            for where, values in places.items():
                if any(v is value for v in values):
                    return name + where
        return value.kind


def placed(program: Program) -> list[Placed]:
    """The operations of the forward step in the order in which it does them, with their places.

    Args:
        program: as it was traced.
    """
    forward = in_order(program.forward_results())
    places = _places(forward, program.new_states, {"input"}, {"state"})
    place = {id(v): name for name, values in places.items() for v in values}
    return [
        Placed(site.op, site.scope, site.label, place[id(site.value)])
        for site in program.sites
        if id(site.value) in place
    ]


def schedule(program: Program) -> Schedule:
    """Put every value of a Program into its place."""
    forward = in_order(program.forward_results())
    in_forward = {id(v) for v in forward}
    everything = in_order(program.forward_results() + program.backward_results())
    backward = [v for v in everything if id(v) not in in_forward]
    result = Schedule(replace(program))
    result.forward = _places(forward, program.new_states, {"input"}, {"state"})
    carried = [v for v in program.state_grads if v is not None]
    # What only the forward values and parameters enter is a forward value too, but is asked for by
    # the backward pass: it is made there, of stacked values, so as not to be kept.
    stacked = {id(v) for place in PLACES if place != "once" for v in result.forward[place]}
    result.backward = _places(
        backward, carried, {"input", "state", "seed_y"}, {"seed_state"}, stacked
    )
    _copy_carried(result)
    asked = {id(v) for value in backward for v in value.inputs}
    # a gradient may be a forward value, or a seed, as it is
    asked |= {id(v) for v in program.backward_results()}
    result.saved = [v for v in forward if id(v) in asked and v.kind == "result"]
    return result


def _copy_carried(schedule: Schedule) -> None:
    """What reads a carried cotangent behind the loop reads a copy, of which there is one a step."""
    program = schedule.program
    copies: dict[int, Value] = {}

    def copy(value: Any) -> Any:
        if value is None or value.kind != "seed_state":
            return value
        if value.index not in copies:
            copies[value.index] = Value(
                "result", value.shape, value.dtype, _identity, (value,), label=value.label
            )
        return copies[value.index]

    for value in schedule.backward["after"]:
        value.inputs = tuple(copy(v) for v in value.inputs)
    program.input_grads = [copy(v) for v in program.input_grads]
    program.parameter_grads = [copy(v) for v in program.parameter_grads]
    schedule.backward["loop"][:0] = copies.values()


def _places(
    values: list[Value],
    carried: list[Value],
    timely: set[str],
    looped: set[str],
    given: Set[int] = frozenset(),
) -> dict[str, list[Value]]:
    """Once, before, loop, after, from what each value depends on and whether it is carried on.

    ``timely`` are the kinds of sources that differ from step to step, ``looped`` the kinds that the
    step before (or after) makes; ``given`` are results of the other pass, which differ, too.
    """
    varies: set[int] = set()
    loops: set[int] = set()
    for value in values:
        if value.kind in looped:
            loops.add(id(value))
        if value.kind in timely:
            varies.add(id(value))
        for v in value.inputs:
            if id(v) in loops:
                loops.add(id(value))
            if id(v) in varies or id(v) in given or v.kind in timely:
                varies.add(id(value))
            if v.kind in looped:
                loops.add(id(value))
    needed = {id(v) for v in in_order(carried)}
    places: dict[str, list[Value]] = {place: [] for place in PLACES}
    for value in values:
        if value.kind != "result":
            continue
        if id(value) in loops:
            places["loop" if id(value) in needed else "after"].append(value)
        else:
            places["before" if id(value) in varies else "once"].append(value)
    return places
