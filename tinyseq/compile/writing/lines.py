"""Lines: the line of NumPy that computes a value of a step, or of all steps of a chunk."""

from __future__ import annotations

from keyword import iskeyword
from math import isfinite, prod
from typing import Any

from tinyseq.compile.program import Value
from tinyseq.compile.writing.slots import ELEMENTWISE, UFUNCS, VIEWS, Slot, dtype_of
from tinyseq.errors import CompileError


class Lines:
    """Writes lines, one value at a time; ``emit_numpy`` puts them into functions."""

    def __init__(self) -> None:
        self.slots: dict[int, Slot] = {}
        self.names: set[str] = set()
        self.build: list[str] = []  # the allocation
        self.body: list[str] = []  # of the function that is being written
        self.indent = ""
        self.constants: list[Any] = []
        self.calls: list[tuple[Any, dict[str, Any]]] = []
        self.lists: set[str] = set()  # of arrays that build() allocates
        self.call_lists: set[str] = set()  # of arrays that belong to the call
        self.numbers: set[str] = set()  # arrays whose slices have no axes
        self.scalars: dict[tuple[str, str], str] = {}  # numbers as arrays
        self.backward = False
        self.fixed: set[int] = set()  # values that are the same in every step
        self.placed: dict[int, set[int]] = {}  # pieces of a concatenation that are in place already

    # -- names and places ----------------------------------------------------------------------

    def name(self, wish: str) -> str:
        """A name that is not taken, like the wish."""
        base = "".join(c if c.isascii() and c.isalnum() else "_" for c in wish).strip("_") or "v"
        base = base if base[0].isalpha() else "v" + base
        name, number = base, 1
        while name in self.names or name in RESERVED or iskeyword(name):
            number += 1
            name = f"{base}_{number}"
        self.names.add(name)
        return name

    def view_slot(self, base: Slot, name: str, expression: str) -> Slot:
        """A slot for a view of another slot, defined where that one is."""
        where = self.prelude if base.owner == "call" else self.build
        where.append(f"{name} = {expression}")
        return Slot(name, base.span, base.shift, base.owner, whole=False)

    def sliced(self, slot: Slot, value: Value) -> str:
        """The value of one step; sees to it that the list of the steps' slices is made."""
        if slot.span:
            if not value.shape:
                self.numbers.add(slot.array)
            if slot.owner == "call":
                self.call_lists.add(slot.array)
            elif slot.array not in self.lists:
                self.lists.add(slot.array)
                self.build.append(self.list_of(slot.array))
        return slot.step()

    def list_of(self, array: str) -> str:
        """The line that makes the list of an array's slices, which are views."""
        if array in self.numbers:  # of an array of numbers, list() gives copies
            return f"{array}_ = [{array}[t, ...] for t in range(len({array}))]"
        return f"{array}_ = list({array})"

    def ref(self, value: Value, mode: str, ndim: int | None = None) -> str:
        """How a value is written in a step ("step") or for all steps at once ("slab")."""
        if value.kind == "constant":
            return self.constant(value)
        slot = self.slots[id(value)]
        if mode == "step" or not slot.span:
            return self.sliced(slot, value)
        text = slot.slab()
        if ndim is not None and len(value.shape) < ndim:  # align from the right, after time
            ones = ("1",) * (ndim - len(value.shape))
            text += f".reshape({', '.join(('n', *ones, *map(str, value.shape)))})"
        return text

    def operands(self, value: Value, mode: str) -> list[str]:
        """How the inputs of an elementwise value are written."""
        dtypes = {dtype_of(v) for v in value.inputs if not _is_number(v)}
        return [
            self.scalar(v.content, dtype_of(value))
            if _is_number(v) and dtypes == {dtype_of(value)} and value.op != "pow"
            else self.ref(v, mode, len(value.shape))
            for v in value.inputs
        ]

    def scalar(self, number: int | float, dtype: str) -> str:
        """A number as an array, made once: a ufunc takes it in half the time of a Python number."""
        key = (repr(number), dtype)
        if key not in self.scalars:
            wish = {"0.5": "half", "1": "one", "1.0": "one", "2": "two", "2.0": "two"}
            name = self.scalars[key] = self.name(wish.get(key[0], "number"))
            written = repr(number) if isfinite(number) else f'float("{number}")'
            self.build.append(f"{name} = array({written}, {dtype!r})")
        return self.scalars[key]

    def constant(self, value: Value) -> str:
        """A number as it is; an array by its place in ``constants``."""
        content = value.content
        if isinstance(content, int | float):
            return repr(content) if isfinite(content) else f'float("{content}")'
        if not any(content is c for c in self.constants):
            self.constants.append(content)
        k = next(k for k, c in enumerate(self.constants) if c is content)
        return f"constants[{k}]"

    # -- lines ---------------------------------------------------------------------------------

    def write(self, line: str, value: Value | None = None) -> None:
        """One line of the function, with what it computes behind it."""
        comment = "" if value is None else f"  # {_printable(self.equation(value))}"
        self.body.append(self.indent + line + comment)

    def equation(self, value: Value) -> str:
        """A value and what it is made from, in the names of the program."""
        made = ", ".join(self.title(v) for v in value.inputs)
        return f"{self.title(value)} = {value.op}({made})" + (
            f", {value.where.partition(' in ')[2]}" if " in " in value.where else ""
        )

    def title(self, value: Value) -> str:
        """The label, else the name of the array."""
        if value.kind == "constant":
            return self.constant(value)
        if value.label:
            return value.label + {"state": "(t-1)", "seed_state": "'", "seed_y": "'"}.get(
                value.kind, ""
            )
        return self.slots[id(value)].array if id(value) in self.slots else value.op

    def emit(self, value: Value, mode: str, out: str) -> None:
        """Compute a value into ``out``."""
        op, ins = value.op, value.inputs
        if op in ELEMENTWISE:
            refs = self.operands(value, mode)
        if op in UFUNCS:
            named = "out=" if op in ("maximum", "minimum") else ""
            self.write(f"{UFUNCS[op]}({', '.join(refs)}, {named}{out})", value)
        elif op == "sigmoid":
            half = self.scalar(0.5, dtype_of(value))
            self.write(f"multiply({refs[0]}, {half}, {out})", value)
            self.write(f"tanh({out}, {out})")
            self.write(f"multiply({out}, {half}, {out})")
            self.write(f"add({out}, {half}, {out})")
        elif op == "relu":
            self.write(f"maximum({refs[0]}, 0, out={out})", value)
        elif op == "linear":
            self.product(ins[0], f"{self.ref(ins[1], 'step')}.T", value, mode, out)
            if len(ins) == 3:
                self.write(f"add({out}, {self.ref(ins[2], 'step')}, {out})")
        elif op == "matmul":
            self.matmul(value, mode, out)
        elif op == "concatenate":
            self.concatenate(value, mode, out)
        elif op == "sum":
            self.total(value, mode, out)
        elif op == "take" and not value.params["axis"] and not self.varies(ins[0]):
            self.write(f"{out}[...] = {self.ref(ins[0], 'step')}[{self.ref(ins[1], mode)}]", value)
        elif op in VIEWS:
            whole = out if out.endswith("]") and mode == "slab" else f"{out}[...]"
            self.write(f"{whole} = {self.view(value, self.ref(ins[0], mode), mode)}", value)
        else:
            self.generic(value, mode, out)

    def generic(self, value: Value, mode: str, out: str) -> None:
        """Any operation, step by step, as the tape computes it."""
        assert value.primitive is not None
        self.calls.append((value.primitive.forward, value.params))
        refs = ", ".join(["np", *(self.ref(v, "step") for v in value.inputs)])
        k = len(self.calls) - 1
        if mode == "slab" and self.varies(value):
            target = self.sliced(self.slots[id(value)], value)
            self.write("for t in range(lo, hi):")
            self.write(f"    {target}[...] = calls[{k}][0]({refs}, **calls[{k}][1])", value)
        else:
            self.write(f"{out}[...] = calls[{k}][0]({refs}, **calls[{k}][1])", value)

    def product(self, left: Value, right: str, value: Value, mode: str, out: str) -> None:
        """A stack of rows times one matrix: one product."""
        a = self.ref(left, mode)
        if mode == "slab" and self.slots[id(left)].span:
            rows = f"n * {prod(left.shape[:-1])}"
            wide, high = left.shape[-1], value.shape[-1]
            self.write(
                f"dot({a}.reshape({rows}, {wide}), {right}, {out}.reshape({rows}, {high}))", value
            )
        else:
            self.write(f"{a}.dot({right}, {out})" if len(left.shape) == 2 else
                       f"matmul({a}, {right}, {out})", value)  # fmt: skip

    def matmul(self, value: Value, mode: str, out: str) -> None:
        """A product of two matrices, of which either may be the same in every step."""
        a, b = value.inputs
        flat = len(a.shape) == len(b.shape) == 2
        if flat and not self.varies(b):
            self.product(a, self.ref(b, "step"), value, mode, out)
        elif flat and mode == "step":
            self.write(f"{self.ref(a, mode)}.dot({self.ref(b, mode)}, {out})", value)
        elif flat and not self.varies(a):
            self.write(f"products({self.ref(a, 'step')}, {self.ref(b, mode)}, {out})", value)
        elif flat:
            self.write(f"matmul({self.ref(a, mode)}, {self.ref(b, mode)}, {out})", value)
        else:
            self.generic(value, mode, out)

    def varies(self, value: Value) -> bool:
        """Whether a value differs from step to step."""
        if value.kind in ("parameter", "constant"):
            return False
        return id(value) not in self.fixed

    def concatenate(self, value: Value, mode: str, out: str) -> None:
        """Pieces next to each other; those that are not in their place already are copied."""
        axis, start = value.params["axis"], 0
        placed = self.placed.get(id(value), set())
        for k, piece in enumerate(value.inputs):
            end = start + piece.shape[axis]
            if k not in placed:
                lead = axis + (1 if mode == "slab" else 0)
                index = ", ".join((":",) * lead + (f"{start}:{end}",))
                self.write(f"{out}[{index}] = {self.ref(piece, mode)}", value)
            start = end

    def total(self, value: Value, mode: str, out: str) -> None:
        """A sum over axes."""
        shift = 1 if mode == "slab" else 0
        axis = tuple(k + shift for k in value.params["axis"])
        kept = value.params["keepdims"]
        a = self.ref(value.inputs[0], mode)
        self.write(f"add.reduce({a}, {axis}, None, {out}, {kept})", value)

    def view(self, value: Value, base: str, mode: str) -> str:
        """A view of a base, as an expression."""
        slab = mode == "slab"
        if value.op == "getitem":
            index = value.params["index"]
            parts = index if isinstance(index, tuple) else (index,)
            shown = ", ".join([":"] * slab + [_index_text(p, value) for p in parts])
            return f"{base}[{shown}]"
        if value.op == "transpose":
            axes = value.params["axes"]
            return f"{base}.transpose({(0, *(k + 1 for k in axes)) if slab else axes})"
        if value.op == "identity":
            return base
        shape = ", ".join((["n"] if slab else []) + [str(n) for n in value.shape])
        if value.op == "reshape":
            return f"{base}.reshape({shape})" if shape else f"{base}.reshape(())"
        ones = len(value.shape) - len(value.inputs[0].shape)
        if slab and ones:
            old = ", ".join(["n"] + ["1"] * ones + [str(n) for n in value.inputs[0].shape])
            base = f"{base}.reshape({old})"
        return f"broadcast_to({base}, ({shape},))"

    prelude: list[str]


RESERVED = {
    *UFUNCS.values(), "dot", "matmul", "empty", "constants", "broadcast_to", "n", "lo", "hi", "t",
    "T", "K", "list", "range", "forward", "backward", "build", "np", "kept", "calls", "concatenate",
    "array", "products", "flush_tiny", "len", "max", "min", "float",
}  # fmt: skip


def _is_number(value: Value) -> bool:
    """Whether a value is a number of Python, which takes on the dtype of what it meets."""
    return value.kind == "constant" and isinstance(value.content, int | float)


def _printable(text: str) -> str:
    """On one line, whatever a label or a name of a module holds."""
    return "".join(c if c.isprintable() else " " for c in text)[:200]


def _index_text(part: Any, value: Value) -> str:
    if isinstance(part, slice):
        shown = ["" if p is None else str(p) for p in (part.start, part.stop)]
        return ":".join(shown) + (f":{part.step}" if part.step not in (None, 1) else "")
    if part is None or part is Ellipsis or isinstance(part, int):
        return "..." if part is Ellipsis else str(part)
    raise CompileError(f"{value.where}: an index by array cannot be compiled")
