"""Small runs of the networks of the chapter, and what their graphs should be.

The graphs are written down by hand, as the book's figures show them: edges of a circuit as
(source, parameters, target, delay). ``times_of`` unrolls them again.
"""

from collections.abc import Callable
from dataclasses import dataclass

import networkx
import numpy as np

import tinyseq as ts
from tinyseq import nn, ops
from tinyseq.recurrence import unroll

N, I, H, K = 2, 3, 4, 5  # noqa: E741  sequences, inputs, hidden units, classes
Wiring = list[tuple[str, str, str, int]]


@dataclass(frozen=True)
class Case:
    """A network: ``run(steps) -> loss``, and its circuit."""

    name: str
    run: Callable
    circuit: Wiring

    def __repr__(self) -> str:
        return self.name


def data(steps: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(steps, N, I)).astype(np.float32), rng.integers(0, K, (steps, N))


def readout(hs, ys) -> ts.Tensor:
    """o(t) = c + V h(t), L(t) and their sum, literally, in a pass of its own."""
    linear = nn.Linear(hs[0].shape[-1], K, seed=1)
    total = 0.0
    for t, (h, y) in enumerate(zip(hs, ys, strict=True), 1):
        with ts.scope("step", t):
            o = ts.label(linear(h), "o")
            total = total + ts.label(nn.cross_entropy(o, ts.label(y, "y")), "L")
    return total


def with_cell(cell_class, **options) -> Callable:
    def run(steps: int) -> ts.Tensor:
        xs, ys = data(steps)
        cell = cell_class(I, H, seed=0, **options)
        return nn.SequenceModel(cell, nn.Linear(H, K, seed=1)).loss(xs, ys)[0]

    return run


def by_hand(steps: int) -> ts.Tensor:
    """Figure 10.3 without a module: its own parameters, scopes and labels."""
    xs, ys = data(steps)
    rng = np.random.default_rng(1)
    shapes = {"U": (H, I), "W": (H, H), "V": (K, H), "b": (H,), "c": (K,)}
    U, W, V, b, c = (
        ts.label(ts.tensor(rng.normal(size=shape), requires_grad=True), name)
        for name, shape in shapes.items()
    )
    h, total = np.zeros((N, H)), 0.0
    for t, (x, y) in enumerate(zip(xs, ys, strict=True), 1):
        with ts.scope("step", t):
            h = ts.label(ops.tanh(b + h @ W.T + ts.label(x, "x") @ U.T), "h")
            o = ts.label(h @ V.T + c, "o")
            loss = ts.label(nn.cross_entropy(o, ts.label(y, "y")), "L")
        total = total + loss
    return total


def output_recurrence(steps: int) -> ts.Tensor:
    xs, ys = data(steps)
    return nn.SequenceModel(nn.OutputRecurrentCell(I, H, K, seed=0)).loss(xs, ys)[0]


def teacher_forcing(steps: int) -> ts.Tensor:
    """Figure 10.6: the target of a step is read by the next one."""
    xs, ys = data(steps)
    cell = nn.OutputRecurrentCell(I, H, K, seed=0)

    def step(pair, fed_back):
        o, fed_back = cell(pair, fed_back)
        return ts.label(nn.mse(ts.label(o, "o"), pair.y), "L"), fed_back

    losses, _ = unroll(step, nn.Forced(xs, nn.one_hot(ys, K)), cell.init_state(N), names={"o": "y"})
    return ops.sum(losses)


def one_output(steps: int) -> ts.Tensor:
    """Figure 10.5: all is read, one output at the end, taken from the stacked states."""
    xs, ys = data(steps)
    hs, _ = unroll(nn.ElmanCell(I, H, seed=0), xs)
    o = ts.label(nn.Linear(H, K, seed=1)(hs[-1]), "o")
    return ts.label(nn.cross_entropy(o, ts.label(ys[-1], "y")), "L")


def vector_to_sequence(steps: int) -> ts.Tensor:
    """Figure 10.9: one input, read in every step."""
    xs, ys = data(steps)
    x, cell = ts.label(xs[0], "x"), nn.ElmanCell(I, H, seed=0)
    hs, _ = unroll(lambda _, h: cell(x, h), None, cell.init_state(N), length=steps, as_list=True)
    return readout(hs, ys)


def bidirectional(steps: int) -> ts.Tensor:
    """Figure 10.11, with the two recurrences and the readout in passes of their own."""
    xs, ys = data(steps)
    hs, _ = unroll(nn.ElmanCell(I, H, seed=0), xs, as_list=True)
    gs, _ = unroll(nn.ElmanCell(I, H, seed=1), xs, reverse=True, names={"h": "g"}, as_list=True)
    return readout([ops.concatenate(pair, -1) for pair in zip(hs, gs, strict=True)], ys)


def two_layers(steps: int) -> ts.Tensor:
    """Figure 10.13a."""
    xs, ys = data(steps)
    hs, _ = nn.RNN(I, H, num_layers=2, seed=0)(xs)
    return readout(ts.ops.unbind(hs), ys)


def skip_through_time(steps: int) -> ts.Tensor:
    """A recurrence that also reads the state before the last one."""
    xs, ys = data(steps)
    U, W, Q = (nn.Parameter(np.ones((H, n)), s) for n, s in ((I, "U"), (H, "W"), (H, "Q")))

    def step(x, state):
        near, far = state
        h = ops.tanh(ops.linear(x, U) + ops.linear(near, W) + ops.linear(far, Q))
        h = ts.label(h, "h")
        return h, (h, near)

    hs, _ = unroll(step, xs, (np.zeros((N, H)), np.zeros((N, H))), as_list=True)
    return readout(hs, ys)


def peephole(steps: int) -> ts.Tensor:
    """A user's cell whose state is multiplied with a vector of weights."""
    xs, ys = data(steps)
    U, b, p = nn.Parameter(np.ones((H, I)), "U"), nn.Parameter(np.ones(H), "b"), None
    p = nn.Parameter(np.full(H, 0.5), "p")

    def step(x, h):
        h = ops.tanh(ops.linear(x, U, b) + p * h + b)
        return h, h

    hs, _ = unroll(step, xs, np.zeros((N, H)), as_list=True)
    return readout(hs, ys)


def truncated(steps: int) -> ts.Tensor:
    xs, ys = data(steps)
    hs, _ = unroll(nn.ElmanCell(I, H, seed=0), xs, detach_every=2, as_list=True)
    return readout(hs, ys)


def language_model(steps: int) -> ts.Tensor:
    """Tokens through an embedding into an LSTM."""
    rng = np.random.default_rng(0)
    model = nn.SequenceModel(
        nn.LSTMCell(I, H, seed=0), nn.Linear(H, K, seed=1), embed=nn.Embedding(K, I, seed=2)
    )
    return model.loss(rng.integers(0, K, (steps, N)), rng.integers(0, K, (steps, N)))[0]


READOUT: Wiring = [("h", "V", "o", 0), ("o", "", "L", 0), ("y", "", "L", 0)]
PLAIN: Wiring = [("x", "U", "h", 0), ("h", "W", "h", 1), *READOUT]
LSTM: Wiring = [
    ("x", "U", "c", 0), ("x", "U", "h", 0), ("c", "", "h", 0), ("c", "", "c", 1),
    ("h", "W", "c", 1), ("h", "W", "h", 1), *READOUT,
]  # fmt: skip

CASES = [
    Case("figure 10.3", with_cell(nn.ElmanCell), PLAIN),
    Case("figure 10.3 by hand", by_hand, PLAIN),
    Case("figure 10.4", output_recurrence, [("x", "U", "h", 0), ("o", "R", "h", 1), *READOUT]),
    Case("figure 10.6", teacher_forcing, [("x", "U", "h", 0), ("y", "R", "h", 1), *READOUT]),
    Case(
        "bidirectional",
        bidirectional,
        [
            ("x", "U_h", "h", 0),
            ("h", "W_h", "h", 1),
            ("x", "U_g", "g", 0),
            ("g", "W_g", "g", -1),
            ("g", "V", "o", 0),
            *READOUT,
        ],
    ),  # fmt: skip
    Case(
        "two layers",
        two_layers,
        [
            ("x", "U_1", "h1", 0),
            ("h1", "W_1", "h1", 1),
            ("h1", "U_2", "h2", 0),
            ("h2", "W_2", "h2", 1),
            ("h2", "V", "o", 0),
            ("o", "", "L", 0),
            ("y", "", "L", 0),
        ],
    ),  # fmt: skip
    Case("skip through time", skip_through_time, [*PLAIN, ("h", "Q", "h", 2)]),
    Case("peephole", peephole, [("x", "U", "h", 0), ("h", "p", "h", 1), *READOUT]),
    Case("truncated", truncated, PLAIN),
    Case("LSTM", with_cell(nn.LSTMCell), LSTM),
    Case("GRU", with_cell(nn.GRUCell), PLAIN),
    Case(
        "language model",
        language_model,
        [(s, "E,U" if s == "x" else p, t, d) for s, p, t, d in LSTM],
    ),
]


def as_networkx(edges: Wiring) -> networkx.MultiDiGraph:
    graph = networkx.MultiDiGraph()
    for source, parameters, target, delay in edges:
        graph.add_edge(source, target, parameters=parameters, delay=delay)
    for node in graph:
        graph.nodes[node]["label"] = node.partition("(")[0]
    return graph


def wiring(graph) -> Wiring:
    """The edges of a drawn graph, in the form in which they are written down here."""
    return [(e.source, ",".join(e.parameters), e.target, e.delay) for e in graph.edges]


def same(a: Wiring, b: Wiring) -> bool:
    """Whether two graphs are isomorphic, with labels, parameters and delays."""
    return networkx.is_isomorphic(
        as_networkx(a),
        as_networkx(b),
        node_match=lambda m, n: m["label"] == n["label"],
        edge_match=lambda m, n: sorted(map(str, m.values())) == sorted(map(str, n.values())),
    )


def unrolled_again(circuit: Wiring, steps: int) -> Wiring:
    """The unrolled graph of a circuit of which everything belongs to a step."""
    times = range(1, steps + 1)
    return [
        (f"{s}({t - d})", p, f"{target}({t})", d)
        for t in times
        for s, p, target, d in circuit
        if t - d in times
    ]
