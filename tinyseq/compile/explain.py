"""explain: a schedule in words: what is done when, why, and what a step costs."""

from __future__ import annotations

from collections import Counter
from math import prod

from tinyseq.compile.program import Program, Value
from tinyseq.compile.schedule import PLACES, Schedule
from tinyseq.compile.writing.slots import VIEWS, bytes_of

REASONS = {
    ("forward", "once"): "depends on parameters alone",
    ("forward", "before"): "depends on the inputs, not on the state: all steps at once",
    ("forward", "loop"): "the next state depends on it",
    ("forward", "after"): "depends on the state, but the next state does not depend on it",
    ("backward", "once"): "depends on parameters alone",
    ("backward", "before"): "does not depend on the carried gradient: many steps at once",
    ("backward", "loop"): "the gradient that is carried to the step before depends on it",
    ("backward", "after"): "the carried gradient does not depend on it: sums over many steps",
}


def explain(schedule: Schedule) -> str:
    """The places of a schedule with their values, the reason, and floating-point work a step."""
    lines = []
    names = _names_of_sources(schedule.program)
    taken: Counter[str] = Counter()
    for title, places in (("forward", schedule.forward), ("backward", schedule.backward)):
        for place in PLACES:
            for value in places[place]:
                if id(value) not in names:
                    wish = _wish(value, names)
                    taken[wish] += 1
                    names[id(value)] = wish if taken[wish] == 1 else f"{wish}_{taken[wish]}"
        lines.append(title)
        for place in PLACES:
            values = [v for v in places[place] if v.op not in VIEWS or v.label]
            if not values:
                continue
            work = sum(flops(v) for v in values)
            unit = "in all" if place == "once" else "a step"
            lines.append(f"  {place}: {REASONS[title, place]} ({_short(work)} flops {unit})")
            lines += [f"    {_described(v, names)}" for v in values]
    kept = sum(bytes_of(v) for v in schedule.saved if v.op not in VIEWS)
    states = sum(bytes_of(v) for v in schedule.program.states)
    lines.append(f"kept for the backward pass: {_short(kept + states)} bytes a step")
    return "\n".join(lines)


def flops(value: Value) -> int:
    """Floating-point operations of a value; a multiplication and an addition are two."""
    if value.op == "linear":
        return 2 * prod(value.shape) * value.inputs[1].shape[-1]
    if value.op == "matmul":
        return 2 * prod(value.shape) * value.inputs[0].shape[-1]
    if value.op in VIEWS or value.op == "concatenate":
        return 0
    return max(prod(value.shape), *(prod(v.shape) for v in value.inputs))


def _names_of_sources(program: Program) -> dict[int, str]:
    """The name of what is given to a step, by its id; for gradients those of ``fast.source``."""
    names = {id(v): v.label or f"x{k or ''}" for k, v in enumerate(program.inputs)}
    names |= {id(v): f"gy{k}" for k, v in enumerate(program.seeds_y)}
    after = [v.label or "state" for v in program.new_states]
    names |= {id(v): f"{h}(t-1)" for v, h in zip(program.states, after, strict=True)}
    names |= {id(v): f"g_{h}" for v, h in zip(program.seeds_state, after, strict=True)}
    return names


def _wish(value: Value, names: dict[int, str]) -> str:
    """What to call a result: by its label, by what it is a piece of, or by what makes it."""
    if value.label or value.op not in VIEWS:
        return value.label or value.op
    base = _name(value.inputs[0], names)
    return base + {"getitem": "_piece", "transpose": "_T"}.get(value.op, "")


def _name(value: Value, names: dict[int, str]) -> str:
    """What a value is called on the right of a line; a number is itself."""
    if value.kind == "constant" and not value.shape:
        return f"{float(value.content):g}"
    return names.get(id(value)) or value.label or value.op


def _described(value: Value, names: dict[int, str]) -> str:
    made = ", ".join(_name(v, names) for v in value.inputs)
    where = f"   {value.where.partition(' in ')[2]}" if " in " in value.where else ""
    return f"{names[id(value)]} = {value.op}({made}) {tuple(value.shape)}{where}"


def _short(number: int) -> str:
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return str(number)
