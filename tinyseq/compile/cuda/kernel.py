"""kernel: elementwise values of a step as one kernel, whatever their shapes.

    kernel = Kernel("forward_loop_1", stores, source, all_steps=False, steps=5, title=str)
    kernel.text                # CUDA C
    kernel.arguments           # the names of the arrays that it takes

A thread computes an element of every box of one shape (``cuda.boxes``): of an LSTM the four gates,
the new cell and the output of one unit.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import prod
from typing import Any

from tinyseq.compile.cuda import code
from tinyseq.compile.cuda.boxes import Box, Buffer, Fusion, Store
from tinyseq.compile.cuda.index import Index, address, is_view, strides, whole
from tinyseq.compile.program import Value

THREADS = 128  # in a block


class Kernel:
    """One launch.

    Args:
        name: of the function.
        stores: what it leaves in memory.
        source: for a value, the Buffer it can be read from; None if it is to be computed.
        all_steps: whether it works on all steps at once (n of them), and not on step t alone.
        steps: how many there are.
        title: for a value, its name in the comments.
    """

    def __init__(
        self,
        name: str,
        stores: list[Store],
        source: Callable[[Value], Buffer | None],
        all_steps: bool,
        steps: int,
        title: Callable[[Value], str],
    ) -> None:
        self.name, self.source, self.all_steps, self.title = name, source, all_steps, title
        self.fusion = Fusion(stores, source)
        groups = self.fusion.groups
        self.threads = max(map(prod, groups), default=0) * (steps if all_steps else 1)
        largest = max([self.threads, *(prod(v.shape) for v in self.fusion.order)])
        self.integer = "long long" if largest >= 1 << 31 else "int"
        self.buffers: dict[str, tuple[Buffer, bool]] = {}  # by name, and whether it is written
        self.taken = {*code.RESERVED, *(store.buffer.name for store in stores)}
        for value in self.fusion.order:
            buffer = source(value)
            self.taken |= {buffer.name} if buffer is not None else set()
        body = [f"const {self.integer} i = ({self.integer})blockIdx.x * blockDim.x + threadIdx.x;"]
        for shape, boxes in groups.items():
            body += self._section(shape, boxes)
        self.arguments = list(self.buffers)
        made = ", ".join(dict.fromkeys(title(store.value) for store in stores))
        head = [f"// {plain(made)}", self._head(), "{"]
        self.text = "\n".join([*head, *("    " + line for line in body), "}"])

    # -- the text ----------------------------------------------------------------------------------

    def _section(self, shape: tuple[int, ...], boxes: list[Box]) -> list[str]:
        """The lines for the boxes of one shape."""
        wanted = self.fusion.wanted(boxes, shape)
        names: dict[tuple[int, Index], Any] = {}
        taken = set(self.taken)
        lines: list[str] = []
        for value in self.fusion.order:
            for index in wanted[id(value)]:
                self._compute(value, index, shape, names, taken, lines)
                for box in boxes:
                    if box.store.value is value and whole(box.start) == index:
                        self._store(box, names[id(value), index], shape, lines)
        size = prod(shape)
        head = [f"const {self.integer} k = i;"]
        if self.all_steps:
            head = [f"const long long t = i / {size};", f"const {self.integer} k = i % {size};"]
        for axis, stride in enumerate(strides(shape)):
            if any(re.search(rf"\bk{axis}\b", line.partition("//")[0]) for line in lines):
                rest = f" % {shape[axis]}" if axis else ""
                step = f" / {stride}" if stride > 1 else ""
                head.append(f"const {self.integer} k{axis} = k{step}{rest};")
        guard = f"n * {size}" if self.all_steps else str(size)
        about = f"  // an element of {shape}" if shape else ""
        return [f"if (i < {guard}) {{{about}", *("    " + line for line in [*head, *lines]), "}"]

    def _compute(
        self,
        value: Value,
        index: Index,
        box: tuple[int, ...],
        names: dict[tuple[int, Index], Any],
        taken: set[str],
        lines: list[str],
    ) -> None:
        """The line that makes one element; none for a number, or what has a name already."""
        key = (id(value), index)
        if value.kind == "constant" and not value.shape:
            typed = code.name_of(value.dtype)
            item = value.content.item() if hasattr(value.content, "item") else value.content
            names[key] = code.number(item, typed) if typed else item
            return
        buffer = self.source(value)
        if buffer is None and (is_view(value) or value.op == "concatenate"):
            ((v, at),) = self.fusion.operands(value, index, box)
            names[key] = names[id(v), at]
            return
        name = names[key] = _local(value, taken)
        kind = code.TYPES[code.name_of(value.dtype)]
        if buffer is not None:
            self._note(buffer, False)
            text, about = buffer.element(address(index, value.shape, box)), self.title(value)
            about = "" if about == buffer.name else about
        elif value.op == "take":
            text, about = self._gathered(value, index, box, names), self._equation(value)
        else:
            operands = [names[id(v), at] for v, at in self.fusion.operands(value, index, box)]
            text, about = code.expression(value, operands), self._equation(value)
        lines.append(f"const {kind} {name} = {text};" + f"  // {plain(about)}" * bool(about))

    def _gathered(
        self, value: Value, index: Index, box: tuple[int, ...], names: dict[Any, Any]
    ) -> str:
        """The element of a row that a number picks; not a number where there is no such row."""
        (table, at), (rows, which) = self.fusion.operands(value, index, box)
        axis = value.params["axis"]
        length, stride = table.shape[axis], strides(table.shape)[axis]
        row = names[id(rows), which]
        buffer = self.source(table)
        assert buffer is not None  # the plan puts a table into memory
        self._note(buffer, False)
        wrapped = f"({row} < 0 ? {row} + {length} : {row}) * {stride}"
        place = f"{address(at, table.shape, box)} + {wrapped}".removeprefix("0 + ")
        missing = code.number(float("nan"), code.name_of(value.dtype))
        return f"{row} >= -{length} && {row} < {length} ? {buffer.element(place)} : {missing}"

    def _store(self, box: Box, name: Any, shape: tuple[int, ...], lines: list[str]) -> None:
        value, buffer = box.store.value, box.store.buffer
        self._note(buffer, True)
        text = code.convert(name, code.name_of(value.dtype), buffer.dtype)
        lines.append(f"{buffer.element(address(whole(box.start), value.shape, shape))} = {text};")

    def _note(self, buffer: Buffer, written: bool) -> None:
        known = self.buffers.get(buffer.name)
        self.buffers[buffer.name] = (buffer, written or (known is not None and known[1]))

    def _equation(self, value: Value) -> str:
        made = ", ".join(self.title(v) for v in value.inputs)
        return f"{self.title(value)} = {value.op}({made})"

    def _head(self) -> str:
        parameters = [
            f"{'' if written else 'const '}{code.TYPES[buffer.dtype]} *{buffer.name}"
            for buffer, written in self.buffers.values()
        ]
        parameters.append(f"const long long {'n' if self.all_steps else 't'}")
        return f'extern "C" __global__ void {self.name}({", ".join(parameters)})'


def _local(value: Value, taken: set[str]) -> str:
    """A name for a number of the thread."""
    wish = re.sub(r"\W", "_", value.label or value.op, flags=re.ASCII).strip("_") or "v"
    base = wish if wish[0].isalpha() else "v" + wish
    number = 1
    while f"{base}_{number}" in taken:
        number += 1
    taken.add(f"{base}_{number}")
    return f"{base}_{number}"


def plain(text: str) -> str:
    """On one line of ASCII, and no part of the program, whatever a label holds."""
    return "".join(c if " " <= c <= "~" and c not in "\\\"'?" else "." for c in text)[:160]
