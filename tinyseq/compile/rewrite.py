"""rewrite: the same Program, put so that less of it has to be done in the loop.

Three identities of arithmetic, which change a result by rounding alone:

    P + (W h + b)  =  (P + b) + W h              a bias joins what is done before the loop
    (g p) q        =  g (p q)                    factors that are known before the loop meet first
    sigmoid(a)     =  tanh(a / 2) / 2 + 1 / 2    and a / 2 is had by halving the weights once

After the third, all gates of an LSTM are one tanh over one array.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyseq.compile.program import Program, Value, in_order
from tinyseq.ops.elementwise import add, mul, tanh
from tinyseq.ops.index import _get
from tinyseq.ops.linalg import _linear

ADD, MUL, TANH, SLICE = (_op.primitive for _op in (add, mul, tanh, _get))  # type: ignore[attr-defined]


def rewrite(program: Program) -> Program:
    """The Program after the three identities."""
    program = _mapped(program, _bias_first)
    program = _mapped(program, _factors_first)
    return _halved_gates(program)


# -- the first two: one value at a time ------------------------------------------------------------

Rule = Callable[[Value, "Facts"], Value]


class Facts:
    """What a rule may want to know of the values of a Program."""

    def __init__(self, values: list[Value]) -> None:
        self.uses: dict[int, int] = {}
        self.kinds: dict[int, set[str]] = {}
        self.learn(values)

    def learn(self, values: list[Value]) -> None:
        """Count the uses, and find the kinds of sources, of values in order."""
        for value in values:
            kinds = {value.kind} if value.kind != "result" else set()
            for v in value.inputs:
                self.uses[id(v)] = self.uses.get(id(v), 0) + 1
                kinds |= self.kinds[id(v)]
            self.kinds[id(value)] = kinds

    def loops(self, value: Value) -> bool:
        """Whether a value depends on the state (or on the cotangent) that is carried."""
        return bool(self.kinds[id(value)] & {"state", "seed_state"})

    def carried_back(self, value: Value) -> bool:
        """Whether a value depends on the cotangent that is carried."""
        return "seed_state" in self.kinds[id(value)]


def _mapped(program: Program, rule: Rule) -> Program:
    """The Program with every result passed through a rule, makers first."""
    values = in_order(program.forward_results() + program.backward_results())
    facts = Facts(values)
    new: dict[int, Value] = {}
    for value in values:
        if value.kind != "result":
            new[id(value)] = value
            continue
        inputs = tuple(new[id(v)] for v in value.inputs)
        if any(a is not b for a, b in zip(inputs, value.inputs, strict=True)):
            replaced = _like(value, value.primitive, inputs)
            facts.kinds[id(replaced)] = facts.kinds[id(value)]
            facts.uses[id(replaced)] = facts.uses.get(id(value), 0)
        else:
            replaced = value
        changed = rule(replaced, facts)
        if changed is not replaced:
            facts.uses[id(changed)] = facts.uses.get(id(value), 0)
        new[id(value)] = changed
    return program.replaced(new)


def _like(value: Value, primitive: Any, inputs: tuple[Value, ...]) -> Value:
    """A result of the same shape, made in another way."""
    return Value(
        "result", value.shape, value.dtype, primitive, inputs, value.params, value.label,
        where=value.where,
    )  # fmt: skip


def _made(primitive: Any, inputs: tuple[Value, ...], like: Value, facts: Facts) -> Value:
    """A new unlabelled result of the shape of another, known to the facts."""
    value = Value("result", like.shape, like.dtype, primitive, inputs, where=like.where)
    facts.learn([v for v in inputs if id(v) not in facts.kinds])
    facts.kinds[id(value)] = set().union(*(facts.kinds[id(v)] for v in inputs))
    facts.uses[id(value)] = 1
    return value


def _bias_first(value: Value, facts: Facts) -> Value:
    if value.op != "add":
        return value
    for early, late in (value.inputs, value.inputs[::-1]):
        if late.op != "linear" or len(late.inputs) != 3 or facts.uses.get(id(late), 0) > 1:
            continue
        bias = late.inputs[2]
        if facts.loops(early) or not facts.loops(late) or facts.loops(bias):
            continue
        if early.shape != value.shape or early.kind != "result":
            continue
        product = _made(_linear, late.inputs[:2], late, facts)
        if early.op == "linear" and len(early.inputs) == 3 and facts.uses.get(id(early), 0) == 1:
            both = _made(ADD, (early.inputs[2], bias), bias, facts)
            start = _made(_linear, (*early.inputs[:2], both), early, facts)
        else:
            start = _made(ADD, (early, bias), early, facts)
        changed = _like(value, ADD, (start, product))
        facts.kinds[id(changed)] = facts.kinds[id(value)]
        return changed
    return value


def _factors_first(value: Value, facts: Facts) -> Value:
    if value.op != "mul":
        return value
    for late, early in (value.inputs, value.inputs[::-1]):
        if late.op != "mul" or facts.uses.get(id(late), 0) > 1 or late.label:
            continue
        if not facts.carried_back(late) or facts.carried_back(early):
            continue
        for inner, factor in (late.inputs, late.inputs[::-1]):
            if facts.carried_back(inner) and not facts.carried_back(factor):
                if factor.shape == early.shape == value.shape == inner.shape:
                    met = _made(MUL, (factor, early), value, facts)
                    changed = _like(value, MUL, (inner, met))
                    facts.kinds[id(changed)] = facts.kinds[id(value)]
                    return changed
    return value


# -- the third: all gates of one array -------------------------------------------------------------


def _halved_gates(program: Program) -> Program:
    """sigmoid and tanh of the pieces of one array, as one tanh of the array with halved weights."""
    values = in_order(program.forward_results() + program.backward_results())
    readers: dict[int, list[Value]] = {}
    for value in values:
        for v in value.inputs:
            readers.setdefault(id(v), []).append(value)
    new: dict[int, Value] = {}
    for whole in values:
        gates = _gates_of(whole, readers)
        if gates is None or whole.kind != "result":
            continue
        axis_size = whole.shape[-1]
        scale = np.ones(axis_size, whole.dtype)
        for gate, piece in gates:
            if gate.op == "sigmoid":
                scale[piece.params["index"][-1]] = 0.5
        if (scale == 1).all():
            continue
        scaled = _scaled(whole, scale, readers)
        if scaled is None:
            continue
        squashed = Value("result", whole.shape, whole.dtype, TANH, (scaled,), where=whole.where)
        _replace_gates(squashed, gates, scale, new)
    return _substituted(program, new) if new else program


def _gates_of(whole: Value, readers: dict[int, list[Value]]) -> list[tuple[Value, Value]] | None:
    """(sigmoid or tanh, piece) of all the pieces that make up the last axis of an array."""
    pieces = readers.get(id(whole), [])
    if len(pieces) < 2 or whole.label or any(p.op != "getitem" or p.label for p in pieces):
        return None
    gates, covered = [], 0
    for piece in sorted(pieces, key=_start):
        users = readers.get(id(piece), [])
        start = _start(piece)
        if len(users) != 1 or users[0].op not in ("sigmoid", "tanh") or start != covered:
            return None
        covered = start + piece.shape[-1]
        gates.append((users[0], piece))
    return gates if covered == whole.shape[-1] else None


def _start(piece: Value) -> int:
    """Where a piece begins in the last axis; -1 if it is no plain piece of it."""
    index = piece.params["index"]
    rank = len(piece.inputs[0].shape)
    plain = isinstance(index, tuple) and len(index) == rank and isinstance(index[-1], slice)
    if not plain or any(part != slice(None) for part in index[:-1]) or index[-1].step:
        return -1
    return index[-1].start or 0


def _scaled(value: Value, scale: np.ndarray, readers: dict[int, list[Value]]) -> Value | None:
    """The array times a constant along its last axis, had by scaling weights; None if it is not."""
    if value.op == "add" and all(v.shape == value.shape for v in value.inputs):
        parts = [_scaled(v, scale, readers) for v in value.inputs]
        if any(
            part is None or len(readers[id(v)]) > 1
            for part, v in zip(parts, value.inputs, strict=True)
        ):
            return None
        return _like(value, ADD, tuple(p for p in parts if p is not None))
    if value.op != "linear" or any(v.kind == "result" and v.op != "add" for v in value.inputs[1:]):
        return None
    x, weight, *bias = value.inputs
    column = Value("constant", (len(scale), 1), scale.dtype, content=scale[:, None].copy())
    row = Value("constant", scale.shape, scale.dtype, content=scale)
    inputs = [x, Value("result", weight.shape, weight.dtype, MUL, (weight, column))]
    inputs += [Value("result", b.shape, b.dtype, MUL, (b, row)) for b in bias]
    return _like(value, _linear, tuple(inputs))


def _replace_gates(
    squashed: Value,
    gates: list[tuple[Value, Value]],
    scale: np.ndarray,
    new: dict[int, Value],
) -> None:
    """Pieces of the one tanh in place of the gates.

    Sigmoids that are neighbours are halved and raised together; if tanhs lie between them, so is
    the whole array, by numbers that leave a tanh as it is.
    """
    runs: list[list[tuple[Value, Value]]] = []
    for pair in gates:
        if runs and runs[-1][-1][0].op == pair[0].op == "sigmoid":
            runs[-1].append(pair)
        else:
            runs.append([pair])
    apart = sum(run[0][0].op == "sigmoid" for run in runs) > 1
    if apart:
        offset = np.where(scale == 1, 0, scale).astype(scale.dtype)
        squashed, runs = _raised(squashed, scale, offset), [gates]
    for run in runs:
        start, width = _start(run[0][1]), sum(piece.shape[-1] for _, piece in run)
        together = squashed if apart else _piece(squashed, start, width, run[0][0])
        if run[0][0].op == "sigmoid" and not apart:
            together = _raised(together, 0.5, 0.5)
        for gate, piece in run:
            changed = together
            if len(run) > 1:
                changed = _piece(together, _start(piece) - start, piece.shape[-1], gate)
            changed.label, changed.where = gate.label, gate.where
            new[id(gate)] = changed


def _raised(value: Value, scale: Any, offset: Any) -> Value:
    """The value times a constant plus another: sigmoids of tanhs."""
    for primitive, content in ((MUL, scale), (ADD, offset)):
        constant = Value("constant", np.shape(content), getattr(content, "dtype", None))
        constant.content = content
        value = Value("result", value.shape, value.dtype, primitive, (value, constant))
    return value


def _piece(whole: Value, start: int, width: int, like: Value) -> Value:
    index = (slice(None),) * (len(whole.shape) - 1) + (slice(start, start + width),)
    shape = (*whole.shape[:-1], width)
    return Value("result", shape, like.dtype, SLICE, (whole,), {"index": index})


def _substituted(program: Program, new: dict[int, Value]) -> Program:
    """The Program with some results exchanged for others."""
    done: dict[int, Value] = {}
    roots = program.forward_results() + program.backward_results()

    def visit(values: list[Value]) -> None:
        for value in in_order(values):
            if id(value) in done:
                continue
            if id(value) in new:
                visit([new[id(value)]])
                done[id(value)] = done[id(new[id(value)])]
            elif value.kind != "result":
                done[id(value)] = value
            else:
                inputs = tuple(done[id(v)] for v in value.inputs)
                same = all(a is b for a, b in zip(inputs, value.inputs, strict=True))
                done[id(value)] = value if same else _like(value, value.primitive, inputs)

    visit(roots)
    return program.replaced(done)
