"""steady: whether a step does the same in every time step, so that tracing it once is enough.

A trace sees what is computed with Tensors. What a step works out in another way (from ``x.data``,
under ``no_grad``, by a random generator, by counting in an attribute) is a constant to it, and
would stay in the loop as it was in the first step. So the step is traced a second time, on other
values: what is not the same then is no constant.
"""

from __future__ import annotations

import copy
import linecache
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinyseq import structure
from tinyseq.autograd.node import Node
from tinyseq.autograd.tensor import Tensor, tensor
from tinyseq.autograd.walk import walk_back
from tinyseq.backend import is_array, namespace
from tinyseq.compile.program import Program, Value, in_order
from tinyseq.compile.simplify import plain
from tinyseq.compile.step.shared import Same, modules_of
from tinyseq.errors import CompileError
from tinyseq.nn.parameter import Parameter

WAY_OUT = (
    "Compute with tinyseq.ops on the Tensors themselves, keep what changes from step to step in "
    "the state, draw random numbers beforehand and read them as inputs, call eval() if it is a "
    "Dropout; or unroll the cell uncompiled."
)
PACKAGE = Path(__file__).parent.parent.parent


def other_step(
    step: Any, parameters: Any, shared: Mapping[str, Any], arrays: Sequence[str]
) -> tuple[Any, Any]:
    """A copy of the step with other values of its parameters; the step itself if it has none.

    The Tensors that it shares with the outside are leaves with other values in the copy. So are the
    arrays at these paths, if they are attributes.
    """
    outside: dict[int, Any] = {id(shared[path]): other_values(shared[path]) for path in arrays}
    outside |= {
        id(t): tensor(other_values(t.data), t.requires_grad)
        for t in shared.values()
        if isinstance(t, Tensor) and not isinstance(t, Parameter)
    }
    try:
        other, copies = copy.deepcopy((step, list(parameters)), outside)
    except Exception:  # whatever an attribute raises that cannot be copied: an open file, a graph
        return step, parameters
    for parameter in copies:
        parameter.assign(other_values(parameter.data))
    return other, copies


def other_values(value: Any) -> Any:
    """A structure of arrays with values of the same kind, as different as they can be."""
    rng = np.random.default_rng(0)

    def other(a: Any) -> Any:
        return None if a is None else namespace(a).asarray(unlike(a))  # not a NumPy scalar

    def unlike(a: Any) -> Any:
        if a.dtype.kind == "b":
            return ~a
        if a.dtype.kind in "iu":
            turned = a[::-1].copy() if a.ndim else a
            return turned if (turned != a).any() else a * 0  # an index stays in its range
        scale, shift = rng.uniform(0.5, 1.5, a.shape), rng.uniform(-0.1, 0.1, a.shape)
        xp = namespace(a)
        return (xp.asarray(shift) - xp.asarray(scale) * a).astype(a.dtype)

    return structure.map(other, value)


def refuse_changes(first: Program, second: Program) -> None:
    """Raise CompileError, with the operation, where two traces of one step are not the same."""
    values, again = (in_order(p.forward_results() + p.backward_results()) for p in (first, second))
    place = {id(v): k for program in (values, again) for k, v in enumerate(program)}
    for a, b in zip(values, again, strict=False):
        if a.op == b.op and plain(a.params) != plain(b.params):
            _refuse(f"{a.where or a.op}: an argument that is no Tensor")
        if _account(a, place) != _account(b, place):
            _refuse(f"{a.where or a.op} the first time, {b.where or b.op} the second")
        if a.kind == "constant" and not _equal(a.content, b.content):
            reader = next((v for v in values if any(i is a for i in v.inputs)), None)
            _refuse(f"{reader.where if reader else 'a result'}: an operand that is no Tensor")
    if len(values) != len(again):
        _refuse(f"{len(values)} operations the first time, {len(again)} the second")


def _refuse(what: str) -> None:
    raise CompileError(
        f"{what}. The step decides by values, draws random numbers, or remembers something outside "
        f"of its state; compiled, it would do in every step as in the first. {WAY_OUT}"
    )


def _account(value: Value, place: dict[int, int]) -> Any:
    made_from = tuple(place[id(v)] for v in value.inputs)
    return value.kind, value.op, value.index, made_from, value.shape, value.dtype


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return type(a) is type(b) and (a == b or a != a)


def remembered(step: Any, arrays: bool = True) -> dict[str, Any]:
    """What the modules of a step hold in their attributes, in a form that can be compared.

    Without ``arrays``, an array in an attribute is as good as another.
    """
    return {
        f"{path}.{name}".lstrip("."): _summary(value, arrays)
        for path, module in modules_of(step)
        for name, value in vars(module).items()
    }


def _summary(value: Any, arrays: bool) -> Any:
    if isinstance(value, bool | int | float | str | None | np.generic):
        return value
    if isinstance(value, list | tuple | dict | set):
        inside = list(value.values()) if isinstance(value, dict) else list(value)
        return type(value), [_summary(entry, arrays) for entry in inside]
    array = isinstance(value, Tensor) or is_array(value)
    if array and not isinstance(value, Parameter) and not arrays:
        return "an array"
    return Same(value)


def refuse_memory(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Raise CompileError if a step has changed an attribute."""
    for name in sorted({*before, *after}):
        if name not in before or name not in after or before[name] != after[name]:
            raise CompileError(
                f"the step changes self.{name}: what a step remembers belongs into the state, "
                f"which it is given and gives back. {WAY_OUT}"
            )


def refuse_writing(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Raise CompileError if a step has written into an array that it found outside."""
    for path, array in after.items():
        if not namespace(array).array_equal(array, before[path], equal_nan=array.dtype.kind == "f"):
            raise CompileError(
                f"the step writes into an array that is not its own, {path}: what a step remembers "
                f"belongs into the state, which it is given and gives back. {WAY_OUT}"
            )


def line_of(error: BaseException) -> str:
    """Where an error was raised: the line of the step, or the operation whose derivative it is."""
    inner = ("autograd", "backend.py", "compile", "ops", "structure.py")
    for frame, number in reversed(list(traceback.walk_tb(error.__traceback__))):
        node = frame.f_locals.get("node")
        if frame.f_code is walk_back.__code__ and isinstance(node, Node):
            return f"the derivative of {node.where()}"
        path = Path(frame.f_code.co_filename)
        if not path.is_relative_to(PACKAGE) or path.relative_to(PACKAGE).parts[0] not in inner:
            text = linecache.getline(str(path), number).strip()
            return f"{path.name}, line {number}: {text}"
    return ""
