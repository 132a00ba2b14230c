"""recorded: the graph of one step and of its derivative, read off from the nodes of the tape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tinyseq import structure
from tinyseq.autograd.node import Leaf, Node, next_order
from tinyseq.autograd.primitive import PICK, Primitive, gate_letter, read_only
from tinyseq.autograd.tensor import Tensor, TracedTensor
from tinyseq.autograd.walk import by_order, reachable, walk_back
from tinyseq.backend import is_cupy, to_numpy
from tinyseq.compile.program import Program, Site, Value, in_order
from tinyseq.errors import CompileError
from tinyseq.ops.index import _get, is_basic
from tinyseq.recurrence.steps import checked_step

SLICE: Any = _get.primitive  # type: ignore[attr-defined]
# the same with an array in the index, which gives no view
GATHER = Primitive("gather", SLICE.kind, SLICE.forward, SLICE.vjp, SLICE.jvp, SLICE.saves)


class StateChanges(CompileError):
    """A step that gives another shape or dtype of state than it takes."""


class Recorded:
    """The values of one step, by the nodes that stand for them.

    Args:
        parameters, shared: as for ``trace``.
    """

    def __init__(self, parameters: Sequence[Tensor], shared: Mapping[str, Any]) -> None:
        self.start = next_order()  # nodes with smaller numbers were there before
        self.known: dict[Any, Value] = {}
        self.outside: dict[int, Value] = {}  # arrays without a node, by their ids
        self.shared: dict[str, tuple[Any, Value]] = {}  # by their paths
        self.parameters: list[Any] = [parameter.node for parameter in parameters]
        for k, leaf in enumerate(self.parameters):
            label = leaf.symbol or leaf.parameter_name
            self.known[leaf] = Value("parameter", leaf.shape, leaf.dtype, index=k, label=label)
        for path, value in shared.items():
            self._share(path, value)

    def _share(self, path: str, value: Any) -> None:
        node = value.node if isinstance(value, Tensor) else None
        array = value.data if isinstance(value, Tensor) else value
        label = getattr(node, "label", None) or path.replace(" ", ".").rpartition(".")[2]
        found = Value("parameter", array.shape, array.dtype, label=label)
        if node is None:
            found = self.outside.setdefault(id(array), found)
        else:
            found = self.known.setdefault(node, found)
        self.shared[path] = node, found

    def source(self, kind: str, index: int, array: Any) -> Tensor:
        """A leaf for what a step is given; nothing may be written into it."""
        array = read_only(array)
        needs_grad = array.dtype.kind == "f" and kind not in ("seed_y", "seed_state")
        leaf = Leaf(array.shape, array.dtype, needs_grad)
        self.known[leaf] = Value(kind, array.shape, array.dtype, index=index)
        return TracedTensor(array, leaf)

    def program(self, step: Any, x: Any, state: Any) -> Program:
        """The step and its derivative."""
        arrays = [a for a in structure.leaves(x) if a is not None]
        xs = [self.source("input", k, a) for k, a in enumerate(arrays)]
        states = [self.source("state", k, a) for k, a in enumerate(structure.leaves(state))]
        given, before = iter(xs), iter(states)
        result = checked_step(
            step,
            structure.map(lambda a: None if a is None else next(given), x),
            structure.map(lambda a: next(before), state),
            1,
        )
        outputs = [_as_tensor(value, "output") for value in structure.leaves(result[0])]
        new = [_as_tensor(value, "state") for value in structure.leaves(result[1])]
        _check_states(states, new)
        fixed = [k for k, old in enumerate(states) if old.node is new[k].node]
        for k, name in enumerate(structure.names(result[1], "h")):
            node: Any = new[k].node
            if node.order > self.start and node.label is None:
                node.label = name
            if k in fixed:
                self.known[node].kind, self.known[node].label = "parameter", node.label
        carried = [k for k in range(len(states)) if k not in fixed]
        states, kept = [states[k] for k in carried], [states[k] for k in fixed]
        end = next_order()
        program = self._differentiated(xs, states, outputs, [new[k] for k in carried], kept)
        program.fixed = fixed
        program.sites = [
            _site(node, self.known[node])
            for node in sorted(self.known, key=by_order)
            if node.primitive is not None and self.start < node.order < end
        ]
        return program

    def _differentiated(
        self,
        xs: list[Tensor],
        states: list[Tensor],
        outputs: list[Tensor],
        new: list[Tensor],
        kept: list[Tensor],
    ) -> Program:
        """The Program; its backward part is recorded here."""
        seeds_y = [self.source("seed_y", k, tensor.data) for k, tensor in enumerate(outputs)]
        seeds_state = [self.source("seed_state", k, tensor.data) for k, tensor in enumerate(new)]
        cotangents: dict[Any, Any] = {}
        for tensor, seed in zip([*outputs, *new], [*seeds_y, *seeds_state], strict=True):
            if tensor.requires_grad:
                met = cotangents.get(tensor.node)
                cotangents[tensor.node] = seed if met is None else met + seed
        found = walk_back(
            reachable(list(cotangents), stop=self.known.keys()),
            cotangents,
            retain_graph=True,
            create_graph=True,
            wanted=set(self.known),
            stop_at_wanted=True,
        )

        def read(tensors: list[Tensor]) -> list[Value]:
            return [self._read(tensor.node) for tensor in tensors]

        def gradients(nodes: Iterable[Any]) -> list[Value | None]:
            grads = [found.get(node) for node in nodes]
            return [None if g is None else read([_as_tensor(g, "gradient")])[0] for g in grads]

        program = Program(
            inputs=read(xs),
            states=read(states),
            parameters=[self.known[node] for node in self.parameters],
            outputs=read(outputs),
            new_states=read(new),
            seeds_y=read(seeds_y),
            seeds_state=read(seeds_state),
            input_grads=gradients(x.node for x in xs),
            state_grads=gradients(state.node for state in states),
            parameter_grads=gradients(self.parameters),
        )
        read_in_step = set(map(id, in_order(program.results())))
        for path, (node, value) in self.shared.items():
            if id(value) in read_in_step and value not in program.parameters:
                program.shared.append(path)
                value.index = len(program.parameters)
                program.parameters.append(value)
                program.parameter_grads += gradients([node])
        program.parameters += read(kept)
        program.parameter_grads += gradients(state.node for state in kept)
        return program

    def _read(self, root: Any) -> Value:
        """The value of a node; those behind it become known, each once, without recursion."""
        for node in reachable([root], for_pictures=True, stop=self.known.keys()):
            if node not in self.known:
                self.known[node] = self._value(node)
        return self.known[root]

    def _value(self, node: Node) -> Value:
        computed = node.primitive is not None
        if node.order < self.start if computed else node.requires_grad or node.value is None:
            raise CompileError(
                f"it reads a tensor of shape {node.shape} from outside ({node.where()}), whose "
                "gradient would be lost: make it an attribute of the cell, which is read anew at "
                "every call, or a parameter, an input or a state"
            )
        if node.primitive is None and node.parents:  # detached
            (origin,) = node.parents
            return self.known[origin]
        if node.primitive is None:
            constant = Value(
                "constant", node.shape, node.dtype, content=_on_host(node.value), label=node.label,
                where=node.where(),
            )  # fmt: skip
            return self.outside.get(id(node.value), constant)
        inputs = tuple(self.known[parent] for parent in node.parents if parent is not None)
        if node.primitive is PICK:
            # an output of split or unbind: a piece of what went in
            (whole,) = node.parents
            assert whole is not None
            return _piece(self.known[whole], node)
        primitive = node.primitive
        if primitive is SLICE and not is_basic(node.params["index"]):
            primitive = GATHER
        letter = _letter(node.parents[0]) if len(inputs) == 1 else None
        return Value(
            "result", node.shape, node.dtype, primitive, inputs, _on_host(node.params or {}),
            node.label or letter, where=node.where(),
        )  # fmt: skip


def _on_host(value: Any) -> Any:
    """A constant, or the parameters of an operation, with arrays of the host alone."""
    if isinstance(value, dict):
        return {name: _on_host(entry) for name, entry in value.items()}
    if type(value) in (tuple, list):
        return type(value)(_on_host(entry) for entry in value)
    return to_numpy(value) if is_cupy(value) else value


def _letter(node: Any) -> str | None:
    """The letter of the gate that a function of this value is: of its part, or of a sum with it."""
    if node is None or node.name != "add":
        return None if node is None else gate_letter(node)
    letters = {_letter(parent) for parent in node.parents} - {None}
    return letters.pop() if len(letters) == 1 else None


def _site(node: Node, value: Value) -> Site:
    chain = node.scope.chain() if node.scope else []
    modules = tuple(scope.label for scope in chain if scope.index is None)
    return Site(node.name, modules, node.label, value)


def _check_states(before: list[Tensor], after: list[Tensor]) -> None:
    """Raise StateChanges if a step cannot be given the state that it gives."""
    for old, new in zip(before, after, strict=True):
        if old.shape != new.shape or old.dtype != new.dtype:
            raise StateChanges(
                f"a state goes in as {old.dtype}{old.shape} and comes out as "
                f"{new.dtype}{new.shape}: every step must give what it takes"
            )


def _as_tensor(value: Any, what: str) -> Tensor:
    """A result of the step with a node; what does not depend on anything becomes a constant."""
    if isinstance(value, Tensor) and value.node is not None:
        return value
    array = value.data if isinstance(value, Tensor) else value
    if not hasattr(array, "shape"):
        raise CompileError(f"an {what} of the step is {array!r:.60}, not an array")
    leaf = Leaf(array.shape, array.dtype, False)
    leaf.value = array
    return Tensor(array, leaf)


def _piece(whole: Value, node: Node) -> Value:
    """Output number k of a primitive with several, as an index into its input."""

    axis, k = whole.params["axis"], node.params
    if whole.op == "split":
        start = sum(whole.params["sizes"][:k])
        last: Any = slice(start, start + whole.params["sizes"][k])
    elif whole.op == "unbind":
        last = k
    else:
        raise CompileError(f"{whole.where}: an operation with several outputs that is not known")
    index = (slice(None),) * axis + (last,)
    return Value(
        "result", node.shape, node.dtype, SLICE, whole.inputs, {"index": index},
        node.label, where=node.where(),
    )  # fmt: skip
