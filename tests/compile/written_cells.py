"""Cells that hypothesis writes: a step as lines of Python over the operations of ``tinyseq.ops``.

    cell = WrittenCell(["v0 = linear(x0, p0)", "v1 = tanh(v0 + s0)"], inputs=[(2,)], states=[(4,)],
                       weights=[(4, 2)], outputs=["v0"], new_states=["v1"])

x0, x1 ... are the inputs, s0, s1 ... the states (their shapes are given without the batch), p0, p1
... the parameters, n is the batch. What hypothesis finds can be pasted into a test as it stands.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from tinyseq import nn, ops, structure

Shape = tuple[int, ...]
SIZES = (1, 2, 4)
BATCH = (
    7  # of the trial run that finds the shapes: no size of a weight, so that axes are told apart
)


class Two(NamedTuple):
    """A state or an input of two fields."""

    a: Any
    b: Any


CONTAINERS: dict[str, Callable[[list[Any]], Any]] = {
    "alone": lambda values: values[0],
    "tuple": tuple,
    "dict": lambda values: {f"k{k}": v for k, v in enumerate(values)},
    "named": lambda values: Two(*values),
    "nested": lambda values: (values[0], {"rest": list(values[1:])}),
}
CONSTANTS = {
    "ROW1": np.array([0.5]),
    "ROW2": np.array([-1.0, 0.5]),
    "ROW4": np.array([1.0, -0.5, 0.25, 2.0]),
    "MASK1": np.array([True]),
    "MASK2": np.array([False, True]),
    "MASK4": np.array([True, False, False, True]),
}
NAMES = {name: getattr(ops, name) for name in ops.__all__} | CONSTANTS
NAMES |= {"ones": lambda *shape: np.ones(shape), "zeros": lambda *shape: np.zeros(shape)}


@dataclass(eq=False)
class WrittenCell(nn.Cell):
    """A cell whose step is given as lines, in the words of the module's text."""

    lines: list[str]
    inputs: list[Shape]
    states: list[Shape]
    weights: list[Shape]
    outputs: list[str]
    new_states: list[str]
    reads: str = "tuple"  # what the inputs are in; "" for a cell without input
    holds: str = "tuple"  # what the states are in
    gives: str = "tuple"  # what the outputs are in

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        self.p = [nn.Parameter(rng.uniform(-1, 1, shape)) for shape in self.weights]
        self.code = compile("\n".join(self.lines), "<step>", "exec")

    def init_state(self, batch: int) -> Any:
        dtype = self.p[0].dtype if self.p else np.float64
        zeros = [np.zeros((batch, *shape), dtype) for shape in self.states]
        return CONTAINERS[self.holds](zeros)

    def __call__(self, x: Any, state: Any) -> tuple[Any, Any]:
        before = structure.leaves(state)
        names = {**NAMES, "n": before[0].shape[0]}
        for letter, values in (("x", structure.leaves(x)), ("s", before), ("p", self.p)):
            names |= {f"{letter}{k}": value for k, value in enumerate(values)}
        exec(self.code, names)
        ys = CONTAINERS[self.gives]([names[name] for name in self.outputs])
        return ys, CONTAINERS[self.holds]([names[name] for name in self.new_states])

    @property
    def has_batch(self) -> bool:
        """Whether all outputs have the batch as their first axis, as ragged batches want it."""
        x, state = self.data(1, BATCH)
        ys, _ = self(None if x is None else structure.map(lambda a: a[0], x), state)
        return all(y.shape[:1] == (BATCH,) for y in structure.leaves(ys))

    def data(self, steps: int, batch: int, dtype: Any = np.float64, seed: int = 0) -> Any:
        """Inputs and an initial state."""
        rng = np.random.default_rng(seed)

        def draw(*shape: int) -> Any:
            return rng.uniform(-1.5, 1.5, shape).astype(dtype)

        xs = [draw(steps, batch, *shape) for shape in self.inputs]
        state = [draw(batch, *shape) for shape in self.states]
        return CONTAINERS[self.reads](xs) if xs else None, CONTAINERS[self.holds](state)


# -- writing --------------------------------------------------------------------------------------

# a is any value, f one with features (n, F), b any other; p(shape) is a parameter, old or new
UNARY = [
    "neg(a)", "tanh(a)", "sigmoid(a)", "softplus(a)", "relu(a)", "sin(a)", "cos(a)", "abs(a)",
    "log(abs(a) + 0.5)", "sqrt(abs(a) + 0.5)", "log1p(abs(a))", "expm1(tanh(a))", "exp(tanh(a))",
    "clip(a, -0.5, 0.7)", "2.0 * a", "a * a", "a ** 2", "1 - a", "a + 1.0", "a / 2.0",
    "1 / (abs(a) + 0.5)", "identity(a)", "a.detach()", "maximum(a, 0.1)", "minimum(0.2, a)",
    "where(a > 0.1, a, 0.5)",
]  # fmt: skip
BINARY = [
    "a + b", "a - b", "a * b", "a / (abs(b) + 0.5)", "a / exp(tanh(b))", "maximum(a, b)",
    "minimum(a, b)", "where(a > b, a, b)", "where(a <= b, a * b, b)", "tanh(a) * sigmoid(b)",
    "a * b + (1 - a) * b", "where(a > 0, b, 0.0)",
]  # fmt: skip
FEATURES = [
    "softmax(f)", "log_softmax(f)", "sum(f, -1)", "sum(f, -1, True)", "sum(f, 1)",
    "mean(f, -1, keepdims=True)", "mean(f, 1)", "logsumexp(f, -1, True)", "f[:, :1]", "f[:, -1:]",
    "f[:, 0]", "f[:, ::-1]", "f[..., ::2]", "f[:, None, :]", "flip(f, 1)", "roll(f, 1, 1)",
    "cumsum(f, 1)", "split(f, 1, -1)[0]", "reshape(f, n, -1)", "reshape(f, n, 1, -1)",
    "expand_dims(f, 1)", "pad(f, ((0, 0), (1, 0)))", "f.sum()", "f.mean(0)", "sum(f, 0, True)",
    "f - f.mean(-1, keepdims=True)", "einsum('nf,nf->n', f, f)", "max(f, -1, True)",
    "concatenate([f, f], -1)", "stack([f, f], 1)", "broadcast_to(f[:, :1], (n, 4))",
    "swapaxes(f[:, None, :], 1, 2)", "std(f, -1, True)", "f * ROWF", "ROWF - f",
    "where(MASKF, f, 0.0)", "where(MASKF, 1.0, f)", "softmax(f, 0)", "take(f, [0], 1)",
    "var(f, -1, True, 0)", "prod(f, -1, True)", "tile(f, (1, 2))",
]  # fmt: skip
HALVES = ["split(f, 2, -1)[0]", "split(f, 2, -1)[1]", "f[:, :HALF]", "f[:, HALF:]"]
PAIRS = [
    "concatenate([f, g], -1)", "concatenate([g, tanh(f)], 1)",
    "matmul(expand_dims(f, 2), expand_dims(g, 1))", "outer(f, g)[:, 0]",
    "einsum('ni,nj->nij', f, g)[:, :, 0]", "concatenate([f, g, f], -1)",
]  # fmt: skip
WEIGHED = ["linear(f, W)", "linear(f, W, B)", "matmul(f, M)", "f @ M", "f * R", "R1 + f", "f * S",
           "linear(f, W) + linear(g, V, B)", "where(MASKF, f, R)", "einsum('ni,oi->no', f, W)",
           "concatenate([f, broadcast_to(R1, (n, FS))], -1)", "linear(f, tanh(W))", "f @ W.T",
           "linear(f, W * W, B)", "maximum(f, R)", "R * S + f", "matmul(f, M) @ M.T"]  # fmt: skip
SQUASHED = ["sigmoid(a)", "tanh(a)", "sigmoid(a) * 0.5", "sigmoid(a) * b", "(1 - sigmoid(a)) * b"]
OTHERS = ["ROW4 * 2.0", "ones(n, 2)", "broadcast_to(R1, (n, 2))", "tanh(R)", "zeros(n, 4)",
          "W * 2.0", "ones(n, 4) * S"]  # fmt: skip
GATES = ["linear(f, U, C) + linear(g, G, D)", "linear(f, U) + linear(g, G)", "linear(f, U, C)",
         "linear(g, G, D) + linear(f, U)", "linear(f, U) + (C + linear(g, G))"]  # fmt: skip


class _Writer:
    """A step in the making: a trial run with raw arrays goes along, to know the shapes."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.rng = np.random.default_rng(1)
        self.values: dict[str, Any] = {}
        self.lines: list[str] = []
        self.weights: list[Shape] = []

    def pick(self, options: Any) -> Any:
        return self.draw(st.sampled_from(list(options)))

    def weight(self, *shape: int) -> str:
        """A parameter of a shape: one that is there, or a new one."""
        known = [f"p{k}" for k, s in enumerate(self.weights) if s == shape]
        if known and self.draw(st.booleans()):
            return self.pick(known)
        name = f"p{len(self.weights)}"
        self.weights.append(shape)
        self.values[name] = self.rng.uniform(-1, 1, shape)
        return name

    def write(self, text: str) -> str | None:
        """Add a line, if what it says fits; its name. Large values are squashed."""
        try:
            value = eval(text, {**NAMES, "n": BATCH}, dict(self.values))
        except Exception:
            return None
        if not value.size:
            return None
        if np.max(np.abs(value), initial=0) > 6:
            text, value = f"tanh({text})", np.tanh(value)
        name = f"v{len(self.lines)}"
        self.lines.append(f"{name} = {text}")
        self.values[name] = value
        return name

    def features(self) -> list[str]:
        """The names of the values of shape (n, F)."""
        return [k for k, v in self.values.items() if v.shape[:1] == (BATCH,) and v.ndim == 2]

    def line(self) -> None:
        """Draw an operation and what it reads."""
        kind = self.pick(
            ["unary", "binary", "features", "halves", "pairs", "weighed", "gates", "others"]
        )
        if kind in ("unary", "binary"):
            text = self.pick(UNARY if kind == "unary" else BINARY)
            a = self.pick(self.values)
            like = [k for k, v in self.values.items() if v.shape == self.values[a].shape]
            b = self.pick(like if self.draw(st.booleans()) else self.values)
            self.write(filled(text, {"a": a, "b": b}))
            return
        f, g = self.pick(self.features()), self.pick(self.features())
        i, j = self.values[f].shape[1], self.values[g].shape[1]
        words = {"f": f, "g": g, "ROWF": f"ROW{i}", "MASKF": f"MASK{i}", "FS": str(i)}
        if kind == "gates":
            return self.gates(f, g)
        if kind == "features":
            text = self.pick(FEATURES)
        elif kind == "halves":
            text = self.pick(HALVES)
            words["HALF"] = str(max(1, i // 2))
        elif kind == "pairs":
            text = self.pick(PAIRS)
        else:
            text, o = self.pick(WEIGHED if kind == "weighed" else OTHERS), self.pick(SIZES)
            i = i if kind == "weighed" else 2
            shapes = {"W": (o, i), "V": (o, j), "B": (o,), "M": (i, o), "R": (i,), "R1": (1, i),
                      "S": ()}  # fmt: skip
            for word, shape in shapes.items():
                if word in _words(text):
                    words[word] = self.weight(*shape)
        self.write(filled(text, words))

    def gates(self, f: str, g: str) -> None:
        """One product for several gates, cut into pieces that are squashed."""
        count, o = self.draw(st.integers(2, 4)), self.pick(SIZES)
        i, j = self.values[f].shape[1], self.values[g].shape[1]
        rows = count * o
        shapes = {"U": (rows, i), "G": (rows, j), "C": (rows,), "D": (rows,)}
        words = {word: self.weight(*shape) for word, shape in shapes.items()}
        whole = self.write(filled(self.pick(GATES), {"f": f, "g": g, **words}))
        if whole is None or self.lines[-1].split(" = ")[1].startswith("tanh("):
            return
        before = self.pick(
            [k for k, v in self.values.items() if v.shape in ((BATCH, o), ())] or [f]
        )
        for k in range(count):
            cut = f"split({whole}, {count}, -1)[{k}]"
            piece = self.pick([cut, f"{whole}[:, {k * o}:{k * o + o}]"])
            before = self.write(filled(self.pick(SQUASHED), {"a": piece, "b": before})) or before


def _words(text: str) -> list[str]:
    import re

    return re.findall(r"[A-Za-z_][A-Za-z0-9_]*", text)


def filled(text: str, words: dict[str, str]) -> str:
    """The text with whole words replaced."""
    import re

    return re.sub(r"(?<![.'\w])[A-Za-z_][A-Za-z0-9_]*", lambda m: words.get(m[0], m[0]), text)


@st.composite
def written_cells(draw: Any, most_lines: int = 8) -> WrittenCell:
    """A cell with up to three states and inputs, and anything as its outputs and new states."""
    writer = _Writer(draw)
    features = st.sampled_from(SIZES).map(lambda size: (size,))
    inputs = draw(st.lists(features, max_size=2))
    states = draw(st.lists(features | st.just((2, 2)), min_size=1, max_size=3))
    if all(len(shape) > 1 for shape in states):
        states[0] = (2,)
    for letter, shapes in (("x", inputs), ("s", states)):
        for k, shape in enumerate(shapes):
            writer.values[f"{letter}{k}"] = writer.rng.uniform(-1.5, 1.5, (BATCH, *shape))
    for _ in range(draw(st.integers(1, most_lines))):
        writer.line()
    new_states = [_new_state(writer, k, shape) for k, shape in enumerate(states)]
    names = list(writer.values)
    outputs = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3))

    def container(values: list[Any]) -> str:
        fitting = ["tuple", "dict", "nested"]
        fitting += ["alone"] * (len(values) == 1) + ["named"] * (len(values) == 2)
        return draw(st.sampled_from(fitting))

    return WrittenCell(
        writer.lines, inputs, states, writer.weights, outputs, new_states,
        container(inputs) if inputs else "", container(states), container(outputs),
    )  # fmt: skip


def _new_state(writer: _Writer, k: int, shape: Shape) -> str:
    """Any value of the right shape: often a result, sometimes a state or an input as it is."""
    fitting = [name for name, v in writer.values.items() if v.shape == (BATCH, *shape)]
    results = [name for name in fitting if name[0] == "v"]
    if results and not writer.draw(st.integers(0, 3)) == 3:
        name = writer.pick(results)
        return writer.write(f"tanh({name})") if writer.draw(st.booleans()) else name
    return writer.pick(fitting)
