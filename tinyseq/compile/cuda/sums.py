"""sums: the sum of a value over all steps, which is what the gradient of a parameter is.

The products a(t)^T b(t) of all steps are one product of the stacked a and b; sums of other values
are taken of what they are made from, so that less has to be kept of every step.
"""

from __future__ import annotations

from collections.abc import Callable

from tinyseq.compile.program import Value

Read = Callable[[Value], str]


def total(value: Value, after: set[int], varies: Callable[[Value], bool], read: Read) -> str:
    """The sum over the steps, as an expression over arrays of CuPy.

    Args:
        value: what is summed.
        after: the values that are made behind the loop, by id, and so need not be made at all.
        varies: whether a value differs from step to step.
        read: the array of a value: of all steps if it varies, else the one there is. It is called
            for every array that the sum is made from.
    """

    def of(v: Value) -> str:
        return total(v, after, varies, read)

    terms = _terms(value, after, varies)
    if len(terms) > 1 or terms[0][1] is not value:
        text = "".join(f" {sign} {of(v)}" for sign, v in terms)
        return f"({text.removeprefix(' + ').strip()})"
    if not varies(value):
        return f"n * {read(value)}"
    if id(value) in after:
        if value.op == "concatenate":
            pieces = ", ".join(of(v) for v in value.inputs)
            return f"xp.concatenate([{pieces}], {value.params['axis']})"
        if value.op == "transpose":
            return f"{of(value.inputs[0])}.transpose({value.params['axes']})"
        if value.op == "reshape":
            return f"{of(value.inputs[0])}.reshape({value.shape})"
        if value.op == "sum" and varies(value.inputs[0]):
            axis = (0, *(k + 1 for k in value.params["axis"]))
            kept = value.params["keepdims"]
            text = f"{read(value.inputs[0])}.sum(axis={axis}, keepdims={kept})"
            return f"{text}.reshape({value.shape})" if kept else text
        if is_outer(value):
            a, b = value.inputs[0].inputs[0], value.inputs[1]
            if varies(a) and varies(b):
                rows = f"n * {a.shape[0]}"
                left = f"{read(a)}.reshape({rows}, {a.shape[1]})"
                return f"xp.dot({left}.T, {read(b)}.reshape({rows}, {b.shape[1]}))"
            if varies(b):
                return f"xp.dot({read(a)}.T, {of(b)})"
            return f"xp.dot({of(a)}.T, {read(b)})"
    return f"{read(value)}.sum(axis=0)"


def _terms(
    value: Value, after: set[int], varies: Callable[[Value], bool]
) -> list[tuple[str, Value]]:
    """A sum of many terms as a list of them, each with its sign; however many there are."""
    terms: list[tuple[str, Value]] = []
    stack = [("+", value)]
    while stack:
        sign, v = stack.pop()
        if id(v) in after and varies(v):
            if v.op == "neg":
                stack.append(("-+"[sign == "-"], v.inputs[0]))
                continue
            if v.op in ("add", "sub") and all(u.shape == v.shape for u in v.inputs):
                second = sign if v.op == "add" else "-+"[sign == "-"]
                stack += [(second, v.inputs[1]), (sign, v.inputs[0])]
                continue
        terms.append((sign, v))
    return terms


def is_outer(value: Value) -> bool:
    """Whether a value is a^T b of two matrices, whose rows are then rows of one long matrix."""
    return (
        value.op == "matmul"
        and value.inputs[0].op == "transpose"
        and value.inputs[0].params["axes"] == (1, 0)
        and len(value.inputs[1].shape) == 2
    )
