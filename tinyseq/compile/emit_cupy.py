"""emit_cupy: a Schedule as a page of CUDA C and of CuPy.

    emitted = emit(schedule, steps)
    emitted.source                        # the kernels, and def build(xp, ...): forward, backward

Elementwise values are fused: what lies between two products is one kernel (``cuda.plan`` says what
is in it, ``cuda.kernel`` writes it). The products are cuBLAS's. A loop of nothing else is captured
as a CUDA graph, once for each memory that it works in (``cuda.graph``). So it reads and writes
arrays that stay where they are: arguments that the loop reads are copied into them, and results are
copied out of them. Nothing in forward or backward waits for the GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

from tinyseq.backend import gpu_namespace
from tinyseq.compile.cuda.boxes import Buffer
from tinyseq.compile.cuda.code import name_of
from tinyseq.compile.cuda.graph import Captured, Turns
from tinyseq.compile.cuda.kernel import THREADS, Kernel, plain
from tinyseq.compile.cuda.memory import Memory, empty
from tinyseq.compile.cuda.plan import Stage
from tinyseq.compile.cuda.sums import total
from tinyseq.compile.cuda.values import in_kernel, root_of
from tinyseq.compile.program import Value
from tinyseq.compile.schedule import Schedule


@dataclass
class Emitted:
    """The source, and what it refers to by number.

    Attributes:
        cuda: the kernels, which are a part of the source.
        captured: for each pass that has a loop, what keeps it from being captured; "" if nothing.
    """

    source: str
    cuda: str
    constants: list[Any]
    calls: list[Any]
    captured: dict[str, str]

    def __post_init__(self) -> None:
        self.code = compile(self.source, "<tinyseq compiled loop>", "exec")

    def build(self) -> tuple[Any, Any]:
        """forward and backward, over memory of their own."""
        names: dict[str, Any] = {}
        exec(self.code, names)
        xp = gpu_namespace()
        module = xp.RawModule(code=self.cuda) if self.cuda else None
        return names["build"](xp, self.constants, self.calls, module, Captured, Turns(xp))


def emit(schedule: Schedule, steps: int) -> Emitted:
    """The source of a schedule for a number of steps.

    Raises:
        CompileError: for what would go wrong on a GPU without being noticed.
    """
    return _Page(schedule, steps).written()


class _Page(Memory):
    """Puts the launches of a Plan into two functions."""

    def __init__(self, schedule: Schedule, steps: int) -> None:
        super().__init__(schedule, steps)
        self.kernels: list[Kernel] = []
        self.captured: dict[str, str] = {}

    def written(self) -> Emitted:
        """The page."""
        self.sources()
        forward = self.forward_results()
        backward = self.backward_results()
        self.give_memory()
        body = [*self.forward_lines(*forward), "", *self.backward_lines(*backward)]
        cuda = "\n\n".join(kernel.text for kernel in self.kernels)
        functions = [f'{k.name} = kernels.get_function("{k.name}")' for k in self.kernels]
        lines = [
            f'CUDA = r"""\n{cuda}\n"""\n\n',
            "def build(xp, constants, calls, kernels, captured, in_turn):",
            f"    n = {self.steps}  # steps",
            *_in([*self.memory, "", *functions, "", *body, ""]),
            "    return in_turn(forward), in_turn(backward)",
            "",
        ]
        return Emitted("\n".join(lines), cuda, self.constants, self.calls, self.captured)

    def forward_lines(self, outputs: list[str], finals: list[str]) -> list[str]:
        """forward(inputs, states, parameters) -> (outputs, final states, what backward reads)."""
        states = [self.buffers[id(v)].name for v in self.program.states]
        names = [*self.arguments["x"], *states, *self.arguments["p"]]
        given, head = self.received(names, {name: "0" for name in states})
        loop = self.loop("forward")
        results = ", ".join([_tuple(outputs), _tuple(finals), _tuple(self.kept())])
        body = [*head, *self.sections("forward"), f"return {results}"]
        return [*loop, f"def forward({', '.join(given)}):", *_in(body)]

    def backward_lines(self, inputs: list[str], carried: list[str]) -> list[str]:
        """backward(cotangents, kept, parameters) -> gradients by inputs, states, parameters."""
        carried_on = [self.buffers[id(v)].name for v in self.program.seeds_state]
        states = carried_on[: len(self.program.states)]
        names = [*self.arguments["gy"], *states]
        given, head = self.received(names, {name: "n" for name in states})
        head += [f"{part}[n] = 0" for part in carried_on[len(states) :]]
        kept = [f"{_tuple(self.kept())} = kept"] if self.kept() else []
        loop = self.loop("backward")
        gradients, sums = self.sums()
        results = ", ".join([_tuple(inputs), _tuple(carried), _tuple(gradients)])
        body = [*kept, *head, *self.sections("backward"), *sums, f"return {results}"]
        given = [*given, "kept", "*parameters"]
        return [*loop, f"def backward({', '.join(given)}):", *_in(body)]

    def kept(self) -> list[str]:
        """The arguments of forward that backward may read."""
        return [a for a in self.arguments["x"] + self.arguments["p"] if a not in self.static]

    def received(self, names: list[str], rows: dict[str, str]) -> tuple[list[str], list[str]]:
        """What the arguments are called, and the lines that put them where they are read.

        Args:
            names: of their buffers.
            rows: for those that are one row of their buffer, which.
        """
        arguments, lines = [], []
        for name in names:
            if name in self.static:
                given = self.name(f"{name}_given")
                lines.append(f"{name}[{rows.get(name, '...')}] = {given}")
            else:
                given = name
                lines.append(f'{name} = xp.asarray({name}, order="C")')
            arguments.append(given)
        return arguments, lines

    def sections(self, which: str) -> list[str]:
        """The lines of a pass: what is made once, before, in and after the loop."""
        stages = self.plan.stages
        lines = [f"{buffer.name} = {empty(buffer)}" for buffer in self.own[which]]
        lines += self.section(stages[f"{which} once"], "the same in every step")
        lines += self.section(stages[f"{which} before"], "for all steps at once")
        lines += [f"{which}_loop()"] if which in self.captured else []
        return lines + self.section(stages[f"{which} after"], "for all steps at once")

    def loop(self, which: str) -> list[str]:
        """The function of a loop, if there is anything to do in it."""
        stage = self.plan.stages[f"{which} loop"]
        lines = self.launches(stage)
        if not lines:
            return []
        allocating = [v for v in stage.values if not in_kernel(v) and not self.can_be_captured(v)]
        steps = "range(n)" if which == "forward" else "range(n - 1, -1, -1)"
        function = [f"def {which}_loop():", f"    for t in {steps}:", *_in(_in(lines))]
        reason = ", ".join(dict.fromkeys(v.op for v in allocating))
        self.captured[which] = reason
        after = f"{which}_loop = captured(xp, {which}_loop)"
        if reason:
            after = f"# not captured as a CUDA graph: CuPy allocates memory in it, for {reason}"
        return [*function, "", after, ""]

    def section(self, stage: Stage, title: str) -> list[str]:
        """The lines of a stage, with a heading."""
        lines = self.launches(stage)
        return [f"# {title}", *lines] if lines else []

    def launches(self, stage: Stage) -> list[str]:
        """The lines of a stage: products and kernels in turn."""
        place = {"once": "once", "loop": "step"}.get(stage.place, "slab")
        whole = [v for v in stage.values if not in_kernel(v)]
        levels = {self.plan.level[id(v)] for v in whole} | set(stage.stores)
        lines = []
        for level in sorted(levels):
            for value in whole:
                if self.plan.level[id(value)] == level:
                    lines += self.lines(value, place)
            if level in stage.stores:
                lines += self.launch(stage, level, place)
        return lines

    def launch(self, stage: Stage, level: int, place: str) -> list[str]:
        """The launch of the kernel of a level of a stage."""
        stores = stage.stores[level]

        def source(value: Value) -> Buffer | None:
            return self.plan.source(value, stage, level, self.buffers)

        name = self.name(f"{stage.name.replace(' ', '_')}_{level + 1}")
        kernel = Kernel(name, stores, source, place == "slab", self.steps, self.title)
        if not kernel.threads:
            return []
        self.kernels.append(kernel)
        blocks = ceil(kernel.threads / THREADS)
        last = {"slab": "n", "step": "t", "once": "0"}[place]
        made = ", ".join(dict.fromkeys(self.title(store.value) for store in stores))
        call = f"{name}(({blocks},), ({THREADS},), ({', '.join([*kernel.arguments, last])}))"
        return [f"{call}  # {plain(made)}"]

    def sums(self) -> tuple[list[str], list[str]]:
        """The gradients of the parameters, and the lines that sum them up over the steps."""
        names, lines = [], []
        known: dict[int, str] = {}
        for parameter, grad in zip(self.arguments["p"], self.program.parameter_grads, strict=True):
            if grad is None or id(grad) in known:
                names.append("None" if grad is None else f"{known[id(grad)]}.copy()")
                continue
            name = self.name(f"d_{parameter}")
            text = total(grad, self.plan.after, self.plan.varies, lambda v: self.array(v, "slab"))
            if not self.plan.varies(grad) and not root_of(grad).shape:
                text = f'xp.full({tuple(grad.shape)}, {text}, "{name_of(grad.dtype)}")'
            names.append(name)
            known[id(grad)] = name
            lines.append(f"{name} = {text}")
        return names, ["# the gradients, as sums over all steps", *lines] if lines else []


def _in(lines: list[str]) -> list[str]:
    return [f"    {line}" if line else "" for line in lines]


def _tuple(names: list[str]) -> str:
    return f"({', '.join(names)}{',' * (len(names) == 1)})"
