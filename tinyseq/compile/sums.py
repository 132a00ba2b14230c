"""Sums: the gradient of a parameter is a sum over the steps, taken as early as possible.

The sum of many small products a(t)^T b(t) is one product of all rows; sums pass through what is
linear, so that only what has to be is written out for every step.
"""

from __future__ import annotations

from tinyseq.compile.memory import Memory
from tinyseq.compile.program import Value, in_order


class Sums(Memory):
    """Memory, with sums over the steps."""

    def needed_after(self) -> list[Value]:
        """Of the values that come after the loop, those that are written out for every step.

        The others are only met on the way to a sum over the steps, which is taken earlier.
        """
        after = {id(v) for v in self.schedule.backward["after"]}
        wanted = [v for v in self.program.input_grads if v is not None and id(v) in after]
        for value in self.program.parameter_grads:
            if value is not None:
                wanted += [v for v in self.sum_leaves(value) if id(v) in after]
        needed = {id(v) for v in in_order(wanted)} & after
        return [v for v in self.schedule.backward["after"] if id(v) in needed]

    def sum_leaves(self, value: Value) -> list[Value]:
        """The values whose slabs the sum of a value over the steps is made from."""
        if not self.varies(value):
            return []
        if id(value) not in self.place or self.place[id(value)] != "after":
            return [value]
        if value.op in ("concatenate", "transpose", "reshape", "add", "sub", "neg"):
            if value.op in ("add", "sub") and any(v.shape != value.shape for v in value.inputs):
                return [value]
            return [leaf for v in value.inputs for leaf in self.sum_leaves(v)]
        if value.op == "sum":
            return [value.inputs[0]]
        if self.is_scattered(value):
            return list(value.inputs)
        if self.is_same_map(value):
            return self.sum_leaves(value.inputs[0])
        if _is_outer(value):
            a, b = value.inputs[0].inputs[0], value.inputs[1]
            if self.varies(a) and self.varies(b):
                return [a, b]
            return self.sum_leaves(a) + self.sum_leaves(b)
        return [value]

    def summed(self, value: Value) -> str:
        """The sum of a value over the steps of the chunk, as an expression."""
        if not self.varies(value):
            return f"n * {self.ref(value, 'step')}"
        leaf = id(value) not in self.place or self.place[id(value)] != "after"
        if not leaf and value.op in ("add", "sub"):
            if all(v.shape == value.shape for v in value.inputs):
                sign = " + " if value.op == "add" else " - "
                return f"({sign.join(self.summed(v) for v in value.inputs)})"
        elif not leaf and value.op == "neg":
            return f"-{self.summed(value.inputs[0])}"
        elif not leaf and value.op == "concatenate":
            parts = ", ".join(self.summed(v) for v in value.inputs)
            return f"concatenate(({parts},), {value.params['axis']})"
        elif not leaf and value.op == "transpose":
            return f"{self.summed(value.inputs[0])}.transpose({value.params['axes']})"
        elif not leaf and value.op == "reshape":
            return f"{self.summed(value.inputs[0])}.reshape({value.shape})"
        elif not leaf and value.op == "sum":
            axis = (0, *(k + 1 for k in value.params["axis"]))
            base = self.ref(value.inputs[0], "slab")
            return f"{base}.sum({axis}, keepdims={value.params['keepdims']})" + (
                ".squeeze(0)" if value.params["keepdims"] else ""
            )
        elif not leaf and self.is_scattered(value):
            assert value.primitive is not None
            self.calls.append((value.primitive.forward, value.params))
            refs = ", ".join(self.ref(v, "slab") for v in value.inputs)
            k = len(self.calls) - 1
            return f"calls[{k}][0](np, {refs}, **calls[{k}][1])"
        elif not leaf and self.is_same_map(value):
            a, b = value.inputs
            return f"matmul({self.summed(a)}, {self.ref(b, 'step')})"
        elif not leaf and _is_outer(value):
            a, b = value.inputs[0].inputs[0], value.inputs[1]
            if not self.varies(b):  # the sum of a(t)^T b is that of the a(t), times b
                return f"dot(({self.summed(a)}).T, {self.ref(b, 'step')})"
            if not self.varies(a):
                return f"dot({self.ref(a, 'step')}.T, {self.summed(b)})"
            left = f"{self.ref(a, 'slab')}.reshape(n * {a.shape[0]}, {a.shape[-1]})"
            right = f"{self.ref(b, 'slab')}.reshape(n * {b.shape[0]}, {b.shape[-1]})"
            return f"dot({left}.T, {right})"
        return f"{self.ref(value, 'slab')}.sum(0)"

    def is_scattered(self, value: Value) -> bool:
        """Whether a value is rows added up by their numbers, as an embedding's gradient is."""
        rows = value.op == "untake" and value.params["axis"] == 0
        return rows and all(self.varies(v) for v in value.inputs)

    def is_same_map(self, value: Value) -> bool:
        """Whether a value is what varies times a matrix that is the same in every step."""
        if value.op != "matmul" or _is_outer(value) or self.varies(value.inputs[1]):
            return False
        return len(value.inputs[0].shape) >= len(value.inputs[1].shape) == 2


def _is_outer(value: Value) -> bool:
    """Whether a value is a^T b of two matrices whose rows are the batch."""
    if value.op != "matmul":
        return False
    a, b = value.inputs
    return (
        (
            a.op == "transpose"
            and a.params["axes"] == (1, 0)
            and len(b.shape) == 2
            and a.kind == b.kind == "result"
            or b.kind in ("input", "state")
        )
        and a.op == "transpose"
        and len(a.shape) == 2 == len(b.shape)
    )
