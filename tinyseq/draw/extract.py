"""extract: from a loss or outputs to plain data, one record for every value of the run.

    run = extract(loss)
    run.vertices[5]     # RunVertex(id=5, time=1, op="tanh", label="h", parents=(3, 4), ...)

From here on there are no tensors and no scopes: times, places, names and numbers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from tinyseq import structure
from tinyseq.autograd.engine import paused_gc, reachable
from tinyseq.autograd.node import Node, Scope
from tinyseq.autograd.primitive import PICK, gate_letter
from tinyseq.autograd.tensor import Tensor
from tinyseq.draw.gradients import gradient_norms
from tinyseq.draw.graph import Time
from tinyseq.draw.letters import letters_of
from tinyseq.draw.run import Role, RunGraph
from tinyseq.draw.steps import Place, places
from tinyseq.draw.variables import Found, Variable, find_variables
from tinyseq.errors import DrawError, GraphError

_PLAIN = frozenset({int, float})  # parameters of a primitive that are one number


# Operations that stand for many time steps, by name.
HIDDEN_STEPS = {
    "compiled loop": "this run was compiled: its time steps ran as one loop, which leaves no steps "
    "to draw. Run the original cell with ts.unroll (or a model's loss with literal=True).",
    "checkpointed steps": "of this run only every so many states were kept (checkpoint_every), "
    "which leaves no steps to draw. Run it without checkpoint_every.",
}


def extract(outputs: Any, gradients: bool = False) -> RunGraph:
    """Gather all that was computed on the way to the outputs.

    Args:
        outputs: a Tensor (a loss), or a list, tuple or dict of Tensors.
        gradients: also take the gradient of the output, which must then be one number, by every
            labelled value. The graph stays as it is, and so does every ``.grad``.

    Raises:
        DrawError: the outputs are no Tensors.
        GraphError: nothing was recorded; with ``gradients``, the graph was freed or is out of date.
    """
    tensors = tensors_of(outputs)
    with paused_gc():
        nodes = reachable([t.node for t in tensors if t.node is not None], for_pictures=True)
        _refuse_hidden_steps(nodes)
        where, loops = places({node.scope for node in nodes})
        found = find_variables(nodes, where, loops)
        number: dict[Any, int] = dict(zip(nodes, range(len(nodes)), strict=True))
        number.update((node, number[first]) for node, first in found.repeated.items())
        reader = _Reader(number, where, found)
        reader.read(nodes)
        reader.write_letters()
        norms = gradient_norms(tensors, nodes, found.variables) if gradients else {}
        return RunGraph(
            reader.roles,
            reader.role,
            reader.times,
            [node.shape for node in nodes],
            reader.parents,
            loops,
            {number[node]: node.value for node in found.variables},
            {number[node]: norm for node, norm in norms.items()},
        )


def _refuse_hidden_steps(nodes: Sequence[Node]) -> None:
    for name, what_to_do in HIDDEN_STEPS.items():
        if any(node.name == name for node in nodes):
            raise DrawError(what_to_do)


def tensors_of(outputs: Any) -> list[Tensor]:
    """The Tensors in a nested structure; refuses what cannot be drawn, and says why."""
    found = structure.leaves(outputs)
    for value in found:
        if not isinstance(value, Tensor):
            raise DrawError(
                f"a picture is drawn of what a run computed: a Tensor, or a list, tuple or dict of "
                f"Tensors, not {type(value).__name__}. Run the model first and pass its loss or "
                "outputs, as they come: not .data, not a number."
            )
    if not found:
        raise DrawError("there is nothing to draw: no outputs were given")
    if all(tensor.node is None for tensor in found):
        raise GraphError(
            "nothing was recorded behind these outputs: they were computed under no_grad(), or "
            "from constants alone, or detached. Run the forward pass again outside no_grad()."
        )
    return found


class _Reader:
    """Reads the nodes of a run in order of creation: role, time and parents of each."""

    def __init__(
        self, number: Mapping[Any, int], where: Mapping[Scope | None, Place], found: Found
    ) -> None:
        self.number = number
        self.where = where
        self.found = found
        self.roles: list[Role] = []
        self.first: list[int] = []  # of every role, the first vertex
        self.role: list[int] = []
        self.times: list[Time | None] = []
        self.parents: list[tuple[int | None, ...]] = []
        self.symbols: dict[int, str | None] = {}  # of the parameters, by role
        self._known: dict[Any, int] = {}
        self._counted: Counter[Any] = Counter()

    def read(self, nodes: Sequence[Node]) -> None:
        """Read them all. What is as in the last step that was read has the same role."""
        last: dict[Any, dict[int, Any]] = defaultdict(dict)  # by place and rank
        number, variable_of = self.number.get, self.found.variables.get
        add_role, add_time, add_parents = self.role.append, self.times.append, self.parents.append
        scope: Any = self  # which is the scope of no node
        for node in nodes:
            if node.scope is not scope:
                scope = node.scope
                place = self.where[scope]
                start, time, inside = place.start, place.time, place.loop is not None
                here = last[place.loop, place.path, place.offset]
            primitive = node.primitive
            parents = tuple(map(number, node.parents))
            if primitive is not None and primitive.name == "getitem":
                parents = tuple(map(number, _sources(node)))
            add_parents(parents)
            usual = here.get(node.order - start) if inside else None
            if usual and usual[0] is primitive and (usual[1] is None or usual[1] == node.params):
                if node.label is None:
                    same = primitive is not None and usual[2] is None
                else:
                    variable = variable_of(node)
                    same = (
                        variable is not None
                        and variable.time == time
                        and _named(variable) == usual[2]
                    )
                if same:
                    add_role(usual[3])
                    add_time(time)
                    continue
            role, now = self._described(node, place, parents)
            if inside and now == time and not _is_alone(self.roles[role]):
                variable = variable_of(node)
                params = node.params if type(node.params) in _PLAIN else None
                here[node.order - start] = (primitive, params, variable and _named(variable), role)
            add_role(role)
            add_time(now)

    def _described(
        self, node: Node, place: Place, parents: tuple[int | None, ...]
    ) -> tuple[int, Time | None]:
        """The role of a node, and its time."""
        loop, time, kind, name = place.loop, place.time, "operation", None
        rank: tuple[int, ...] = (*place.offset, node.order - place.start)
        if node in self.found.variables:
            loop, time, kind, name = self.found.variables[node]
        elif node in self.found.parameters:
            loop, time, kind = None, None, "parameter"
            self.symbols[len(self.roles)] = _symbol(node)
        elif place.loop is None and parents:
            loop, time = self._step_of(parents)
        op = _op(node)
        if loop is not None and place.loop is None and kind != "initial":
            # What was computed outside the steps is known by the order within its step.
            op = "slice" if op.startswith("pick") else op
            self._counted[loop, time, op, name] += 1
            rank = (1, self._counted[loop, time, op, name])
        family = "leaf" if node.primitive is None else node.primitive.kind
        label = node.label if name else None
        is_number = family == "elementwise" and type(node.params) in _PLAIN
        number = node.params if is_number else None
        role = Role(op, family, kind, label, name, loop, place.path, rank, None, number)
        k = self._known.setdefault(
            (role, len(self.role) if _is_alone(role) else None), len(self.roles)
        )
        if k == len(self.roles):
            self.roles.append(role)
            self.first.append(len(self.role))
        return k, time

    def _step_of(self, parents: Sequence[int | None]) -> tuple[int | None, Time | None]:
        """The step of a value that is computed outside the steps, but from one step alone."""
        kinds = [(self.roles[self.role[p]], self.times[p]) for p in parents if p is not None]
        steps = {time: role.loop for role, time in kinds if role.kind != "parameter"}
        if len(steps) != 1 or None in steps:
            return None, None
        ((time, loop),) = steps.items()
        return loop, time

    def write_letters(self) -> None:
        """Give the parameters their letters."""
        sources = [{self.role[p] for p in self.parents[k] if p is not None} for k in self.first]
        names = [role.variable for role in self.roles]
        for r, letter in letters_of(self.symbols, sources, names).items():
            self.roles[r] = self.roles[r]._replace(symbol=letter)


def _sources(node: Node) -> Sequence[Node | None]:
    """What a part of a value is made from: an element of a stack, from that element alone."""
    whole = node.parents[0]
    index = node.params["index"]
    found: Sequence[Node | None] = [whole]
    for part in index if isinstance(index, tuple) else (index,):
        stacks = [n for n in found if n is not None and n.name == "stack" and not n.params["axis"]]
        if len(stacks) < len(found) or not isinstance(part, int | slice):
            break
        chosen = (n.parents[part] if isinstance(part, slice) else [n.parents[part]] for n in stacks)
        found = [n for nodes in chosen for n in nodes]
    return found


def _named(variable: Variable) -> tuple[int | None, str, str]:
    """What a variable is, without the time."""
    return variable.loop, variable.kind, variable.name


def _is_alone(role: Role) -> bool:
    """Whether nothing in other steps can be the same."""
    return role.loop is None or role.kind == "initial"


def _op(node: Node) -> str:
    """The operation; of a part that was cut out, also which one: by the letter of a gate."""
    if node.primitive is not PICK:
        return node.name
    return f"pick {gate_letter(node) or node.params}"


def _symbol(leaf: Any) -> str | None:
    """What a parameter is called by itself: its symbol, or the last part of its name."""
    return leaf.symbol or (leaf.parameter_name or "").rpartition(".")[2] or leaf.label
