"""Sums: the gradient of a parameter is a sum over the steps, taken as early as possible.

The sum of many small products a(t) b(t) is one product of all columns with all rows; sums pass
through what is linear, so that only what has to be is written out for every step.
"""

from __future__ import annotations

from tinyseq.compile.program import Value, in_order
from tinyseq.compile.writing.memory import Memory
from tinyseq.compile.writing.slots import dtype_of


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
        if self.is_leaf(value):
            return [value]
        if self.is_linear(value):
            return [leaf for v in value.inputs for leaf in self.sum_leaves(v)]
        if value.op == "sum":
            return [value.inputs[0]]
        if self.is_scattered(value):
            return list(value.inputs)
        if self.is_outer(value):
            a, b = value.inputs
            return [_untransposed(a) or a, b]
        return [value]

    def summed(self, value: Value) -> str:
        """The sum of a value over the steps of the chunk, as an expression."""
        op, inputs = value.op, value.inputs
        if not self.varies(value):
            return f"n * {self.ref(value, 'step')}"
        if self.is_leaf(value):
            return f"{self.ref(value, 'slab')}.sum(0)"
        if self.is_linear(value):
            parts = [self.summed(v) if self.varies(v) else self.ref(v, "step") for v in inputs]
            if op in ("add", "sub"):
                return f"({self.summed(inputs[0])} {'+-'[op == 'sub']} {self.summed(inputs[1])})"
            if op == "concatenate":
                return f"concatenate(({', '.join(parts)},), {value.params['axis']})"
            written = {"neg": "-{0}", "mul": "({0} * {1})", "div": "({0} / {1})",
                       "transpose": f"{{0}}.transpose({value.params.get('axes')})",
                       "reshape": f"{{0}}.reshape({value.shape})",
                       "matmul": "matmul({0}, {1})"}  # fmt: skip
            return written[op].format(*parts)
        if op == "sum" and self.sums_batch(value):
            return self.summed_by_product(value)
        if op == "sum":
            axis = (0, *(k + 1 for k in value.params["axis"]))
            kept = value.params["keepdims"]
            total = f"{self.ref(inputs[0], 'slab')}.sum({axis}, keepdims={kept})"
            return total + ".squeeze(0)" * kept
        if self.is_scattered(value):
            assert value.primitive is not None
            self.calls.append((value.primitive.forward, value.params))
            refs = ", ".join(self.ref(v, "slab") for v in inputs)
            k = len(self.calls) - 1
            return f"calls[{k}][0](np, {refs}, **calls[{k}][1])"
        if self.is_outer(value):
            return f"dot({self.columns_of(inputs[0])}, {self.rows_of(inputs[1])})"
        return f"{self.ref(value, 'slab')}.sum(0)"

    def sums_batch(self, value: Value) -> bool:
        """Whether a value sums a matrix of floats over one axis, as the gradient of a bias does."""
        (base,) = value.inputs
        return (
            len(base.shape) == 2
            and len(value.params["axis"]) == 1
            and dtype_of(base) in ("float32", "float64")
        )

    def summed_by_product(self, value: Value) -> str:
        """The sum of a matrix over one axis, and over the steps: a product with ones."""
        (base,), (axis,) = value.inputs, value.params["axis"]
        count = base.shape[axis]
        ones = self.name("ones")
        self.build.append(f"{ones} = np.ones({self.chunk * count}, {dtype_of(base)!r})")
        ones = f"{ones}[: n * {count}]"
        total = (
            f"{self.columns_of(base)}.dot({ones})" if axis else f"{ones}.dot({self.rows_of(base)})"
        )
        kept = value.params["keepdims"]
        return f"{total}.reshape({value.shape})" if kept else total

    def columns_of(self, value: Value) -> str:
        """[a(lo) ... a(hi - 1)]: the matrices of all steps of the chunk, side by side."""
        base = _untransposed(value)
        if base is not None:
            return f"{self.rows_of(base)}.T"
        if id(value) not in self.side_by_side:  # arranged once, for all sums that read it
            high, wide = value.shape
            name = self.name(f"{self.slots[id(value)].array}_columns")
            slab = self.ref(value, "slab")
            self.write(f"{name} = {slab}.swapaxes(0, 1).reshape({high}, n * {wide})")
            self.side_by_side[id(value)] = name
        return self.side_by_side[id(value)]

    def rows_of(self, value: Value) -> str:
        """The matrices of all steps of the chunk, one above the other."""
        high, wide = value.shape
        return f"{self.ref(value, 'slab')}.reshape(n * {high}, {wide})"

    def is_leaf(self, value: Value) -> bool:
        """Whether a value is there for every step of the chunk already."""
        return self.place.get(id(value)) != "after"

    def is_linear(self, value: Value) -> bool:
        """Whether a sum over the steps may be taken of those inputs that vary instead."""
        op, varying = value.op, [self.varies(v) for v in value.inputs]
        same_shape = all(v.shape == value.shape for v in value.inputs)
        if op in ("concatenate", "transpose", "reshape", "neg"):
            return True
        if op in ("add", "sub"):
            return same_shape
        if op == "div":
            return same_shape and not varying[1]
        if op == "mul":
            return same_shape and not all(varying)
        if op == "matmul" and not all(varying):
            (fixed,) = (v for v, varies in zip(value.inputs, varying, strict=True) if not varies)
            return all(len(v.shape) >= len(fixed.shape) == 2 for v in value.inputs)
        return False

    def is_outer(self, value: Value) -> bool:
        """Whether a value is the product of two matrices that both vary."""
        matrices = value.op == "matmul" and all(len(v.shape) == 2 for v in value.inputs)
        return matrices and all(self.varies(v) for v in value.inputs)

    def is_scattered(self, value: Value) -> bool:
        """Whether a value is rows added up by their numbers, as an embedding's gradient is."""
        rows = value.op == "untake" and value.params["axis"] == 0
        return rows and all(self.varies(v) for v in value.inputs)


def _untransposed(value: Value) -> Value | None:
    """What a matrix is the transpose of, if it is one."""
    turned = value.op == "transpose" and value.params["axes"] == (1, 0)
    return value.inputs[0] if turned else None
