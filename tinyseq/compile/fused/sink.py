"""sink: elementwise work that the loop alone waits for is done in the loop.

NumPy does for all steps at once what it can: each of its calls costs something. In a compiled loop
an operation costs less than writing and reading an array of all steps.
"""

from __future__ import annotations

from tinyseq.compile.fused.nests import is_fusible
from tinyseq.compile.program import Value
from tinyseq.compile.schedule import Schedule
from tinyseq.compile.writing.slots import VIEWS


def with_sunk(schedule: Schedule) -> Schedule:
    """The Schedule in which what could be done before a loop, and can be done in it, is."""
    results = {
        id(v) for v in schedule.program.forward_results() + schedule.program.backward_results()
    }
    forward, backward = (_sunk(p, results) for p in (schedule.forward, schedule.backward))
    return Schedule(schedule.program, forward, backward, schedule.saved)


def _sunk(places: dict[str, list[Value]], results: set[int]) -> dict[str, list[Value]]:
    users: dict[int, list[Value]] = {}
    for value in (v for values in places.values() for v in values):
        for v in value.inputs:
            users.setdefault(id(v), []).append(value)
    late = {id(v) for v in places["loop"]}
    after = {id(v) for v in places["after"]}
    sunk: dict[int, Value] = {}
    for value in reversed(places["before"]):
        readers = [id(u) for u in users.get(id(value), [])]
        if (
            (is_fusible(value) or value.op in VIEWS)
            and id(value) not in results
            and any(u in late for u in readers)
            and all(u in late or u in after for u in readers)
        ):
            sunk[id(value)] = value
            late.add(id(value))
    loop: list[Value] = []

    def place(value: Value) -> None:
        for v in value.inputs:
            if id(v) in sunk:
                place(sunk.pop(id(v)))
        loop.append(value)

    for value in places["loop"]:
        place(value)
    before = [v for v in places["before"] if id(v) not in late]
    return {**places, "before": before, "loop": loop}
