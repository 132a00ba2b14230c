"""What every step reads and no step is given: an encoder's states, a context, a table.

It is read anew in every run, from where it is, and its gradient flows back to whatever made it.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn, ops
from tinyseq.errors import CompileError, ShapeError

N, S, H, I = 2, 5, 4, 3  # noqa: E741


class Attentive(nn.Cell):
    """A decoder with dot-product attention to ``self.memory`` (N, S, H)."""

    def __init__(self, input_size: int = I, hidden_size: int = H) -> None:
        rng = np.random.default_rng(3)
        self.hidden_size = hidden_size
        self.U = nn.Parameter(rng.normal(size=(hidden_size, input_size)), "U")
        self.W = nn.Parameter(rng.normal(size=(hidden_size, hidden_size)), "W")
        self.C = nn.Parameter(rng.normal(size=(hidden_size, hidden_size)), "C")
        self.K = nn.Parameter(rng.normal(size=(hidden_size, hidden_size)), "K")
        self.memory: Any = None

    def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
        c = self.read(self.memory, h)
        h = ops.tanh(ops.linear(x, self.U) + ops.linear(h, self.W) + ops.linear(c, self.C))
        return h, h

    def read(self, memory: Any, h: Any) -> Any:
        """The mean of the memory, weighted by how well it fits the state."""
        keys = ops.linear(memory, self.K)
        weights = ops.softmax((keys * ops.expand_dims(h, 1)).sum(-1))
        return (ops.expand_dims(weights, 2) * memory).sum(1)


def data(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def encoder_decoder(compiled: bool, seed: int, **settings: Any) -> list[Any]:
    """Outputs of a decoder, and the gradients of all parameters and of the encoder's input."""
    encoder, decoder = nn.GRUCell(I, H, seed=0).to(np.float64), Attentive()
    runs = ts.compile(decoder) if compiled else decoder
    found, loops = [], []
    for batch in (seed, seed + 1):  # the second with other states, from the same loop
        xs = ts.tensor(data(batch, S, N, I), requires_grad=True)
        states, last = ts.unroll(encoder, xs)
        decoder.memory = ops.swapaxes(states, 0, 1)
        ys, _ = ts.unroll(runs, data(batch + 9, 6, N, I), last, **settings)
        loss = (ys * data(batch + 5, *ys.shape)).sum()
        found += [ys.data, *ts.grad(loss, [xs, *encoder.parameters(), *decoder.parameters()])]
        loops.append(len(runs.loops) if compiled else 0)
    assert loops[1] == loops[0], "the second batch needs no other loop"
    return found


def assert_all_close(found: list[Any], expected: list[Any], rtol: float = 1e-10) -> None:
    for a, b in zip(found, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-12)


@pytest.mark.parametrize(
    "settings",
    [{}, {"lengths": [6, 3]}, {"reverse": True}, {"detach_every": 2}, {"checkpoint_every": 4}],
    ids=str,
)
def test_a_decoder_that_attends_to_an_encoder(settings: Any):
    assert_all_close(encoder_decoder(True, 0, **settings), encoder_decoder(False, 0, **settings))


def test_what_depends_on_the_memory_alone_is_done_once():
    """The keys are the same in every step; only the schedule can know."""
    decoder = Attentive()
    decoder.memory = ts.tensor(data(0, N, S, H), requires_grad=True)
    fast = ts.compile(decoder)
    ts.unroll(fast, data(1, 6, N, I))
    once = fast.explain().partition("before:")[0]
    assert "once:" in once and "linear(memory, K)" in once


# -- where it may be -------------------------------------------------------------------------------


class Reads(nn.Cell):
    """h' = tanh(W h + x + what ``term`` gives)."""

    hidden_size = 2
    term: Callable[..., Any]

    def __init__(self) -> None:
        self.W = nn.Parameter(data(1, 2, 2), "W")

    def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
        h = ops.tanh(ops.linear(h, self.W) + x + self.term(h))
        return h, h


XS = data(2, 5, 3, 2)


def compare(cell: nn.Cell, fast: Any, wanted: list[ts.Tensor]) -> None:
    """The same values and gradients, also accumulated on leaves."""
    found = []
    for runs in (fast, cell):
        ys, _ = ts.unroll(runs, XS)
        loss = (ys * ys).sum()
        grads = ts.grad(loss, wanted, allow_unused=True, retain_graph=True)
        for leaf in wanted:
            leaf.grad = None
        loss.backward(retain_graph=True)
        found.append([ys.data, *grads, *(leaf.grad for leaf in wanted)])
    assert_all_close(*found)


def leaf(seed: int) -> ts.Tensor:
    return ts.tensor(data(seed, 3, 2), requires_grad=True)


class Holder(nn.Module):
    """A module that holds an array, inside the cell."""

    table: Any = None


def in_a_list(cell: Any, value: Any) -> None:
    cell.contexts[1] = value


def deep_inside(cell: Any, value: Any) -> None:
    cell.parts[0].table = {"rows": (value,)}


PLACES: dict[str, tuple[Any, Any]] = {
    "attribute": (lambda s, h: h * s.context, lambda c, v: setattr(c, "context", v)),
    "an entry of a list": (lambda s, h: h * s.contexts[1], in_a_list),
    "a module inside": (lambda s, h: h * s.parts[0].table["rows"][0], deep_inside),
}


@pytest.mark.parametrize("term, put", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("kind", ["leaf", "computed", "constant", "array"])
def test_attributes_are_read_anew_at_every_call(term: Any, put: Any, kind: str):
    cell: Any = type("Placed", (Reads,), {"term": term})()
    cell.contexts, cell.parts = [data(0, 3, 2), None], [Holder()]
    fast = ts.compile(cell)
    for seed in (3, 4, 5):
        source = leaf(seed)
        value: Any = {
            "leaf": source, "computed": ops.tanh(source) * 2, "constant": ts.tensor(source.data),
            "array": source.data,
        }[kind]  # fmt: skip
        put(cell, value)
        compare(cell, fast, [source, cell.W] if kind in ("leaf", "computed") else [cell.W])
    assert len(fast.loops) == 1


def test_a_variable_around_the_step():
    context = leaf(3)

    class Closed(Reads):
        def term(self, h: Any) -> Any:
            return h * around(context)

    def around(value: Any) -> Any:
        return value * scale

    scale = ts.tensor(np.array(0.5), requires_grad=True)
    cell = Closed()
    fast = ts.compile(cell)
    compare(cell, fast, [context, scale, cell.W])
    context, scale = leaf(4), ts.tensor(np.array(-1.5), requires_grad=True)
    compare(cell, fast, [context, scale, cell.W])
    assert len(fast.loops) == 1


GLOBAL = leaf(3)


class ReadsGlobal(Reads):
    """Reads a variable of the file."""

    def term(self, h: Any) -> Any:
        return h * GLOBAL


def test_a_variable_of_the_file(monkeypatch: pytest.MonkeyPatch):
    cell = ReadsGlobal()
    fast = ts.compile(cell)
    for seed in (4, 5):
        monkeypatch.setitem(globals(), "GLOBAL", leaf(seed))
        compare(cell, fast, [GLOBAL, cell.W])


def test_a_number_around_the_step_that_changes():
    scale = 0.5

    class Closed(Reads):
        def term(self, h: Any) -> Any:
            return h * scale

    cell = Closed()
    fast = ts.compile(cell)
    compare(cell, fast, [cell.W])
    scale = 2.0
    compare(cell, fast, [cell.W])


def test_two_of_which_one_is_made_from_the_other():
    class Both(Reads):
        def term(self, h: Any) -> Any:
            return h * self.a + self.b  # type: ignore[attr-defined]

    cell: Any = Both()
    fast = ts.compile(cell)
    for seed in (3, 4):
        cell.a = ops.sin(leaf(seed))
        cell.b = cell.a * cell.a
        compare_computed(cell, fast)


def compare_computed(cell: Any, fast: Any) -> None:
    found = []
    for runs in (fast, cell):
        ys, _ = ts.unroll(runs, XS)
        found.append(ts.grad((ys * ys).sum(), [cell.a, cell.W], retain_graph=True))
    assert_all_close(*found)


def test_an_array_that_is_turned_into_another_is_a_constant_until_it_is_replaced():
    class Turned(Reads):
        def term(self, h: Any) -> Any:
            return h * np.sqrt(self.table)  # type: ignore[attr-defined]

    cell: Any = Turned()
    fast = ts.compile(cell)
    for seed in (3, 4):
        cell.table = np.abs(data(seed, 3, 2))
        compare(cell, fast, [cell.W])


def test_another_shape_is_another_loop_and_what_does_not_fit_is_refused():
    cell: Any = type("Placed", (Reads,), {"term": PLACES["attribute"][0]})()
    fast = ts.compile(cell)
    for shape in ((3, 2), (1, 2), (2,), ()):
        cell.context = ts.tensor(data(0, *shape), requires_grad=True)
        compare(cell, fast, [cell.context, cell.W])
    cell.context = ts.tensor(data(0, 3, 5), requires_grad=True)
    with pytest.raises(ShapeError):
        ts.unroll(fast, XS)


def test_what_no_step_reads_has_no_gradient():
    cell: Any = type("Placed", (Reads,), {"term": PLACES["attribute"][0]})()
    cell.context, cell.idle = leaf(3), leaf(4)
    compare(cell, ts.compile(cell), [cell.context, cell.idle, cell.W])
    assert cell.idle.grad is None


def test_set_on_the_compiled_cell_it_is_set_on_the_cell():
    cell: Any = type("Placed", (Reads,), {"term": PLACES["attribute"][0]})()
    fast: Any = ts.compile(cell)
    fast.context = leaf(3)
    assert cell.context is fast.context
    compare(cell, fast, [cell.context, cell.W])


def test_without_recording():
    decoder = Attentive()
    decoder.memory = ts.tensor(data(0, N, S, H), requires_grad=True) * 2
    fast, xs = ts.compile(decoder), data(1, 6, N, I)
    with ts.no_grad():
        ys, _ = ts.unroll(fast, xs)
    assert ys.node is None
    np.testing.assert_allclose(ys.data, ts.unroll(decoder, xs)[0].data, rtol=1e-12)


@pytest.mark.parametrize(
    "outside",
    [leaf(0), leaf(0) * 2.0, nn.Parameter(data(0, 3, 2)),
     nn.Parameter(data(0, 3, 2), requires_grad=False)],
    ids=["leaf", "computed", "parameter", "frozen"],
)  # fmt: skip
def test_where_it_is_not_found_it_is_refused(outside: Any):
    cell: Any = type("Placed", (Reads,), {"term": lambda s, h: h * s.box[0]})()
    cell.box = deque([outside])  # into which nobody looks
    ts.unroll(cell, XS)
    with pytest.raises(CompileError, match="from outside.*attribute of the cell"):
        ts.unroll(ts.compile(cell), XS)


# -- as part of the state --------------------------------------------------------------------------


class Carries(Attentive):
    """The same decoder, which is given the memory as a part of the state, and hands it on."""

    def __call__(self, x: Any, state: Any) -> tuple[Any, Any]:
        c = self.read(state["memory"], state["h"])
        h = ops.linear(x, self.U) + ops.linear(state["h"], self.W) + ops.linear(c, self.C)
        h = ops.tanh(h)
        return h, {"memory": state["memory"], "h": h}


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("settings", [{}, {"lengths": [6, 3]}, {"detach_every": 4}], ids=str)
def test_a_state_that_is_handed_on_as_it_is(settings: Any, wanted: bool):
    cell, xs = Carries(), data(1, 6, N, I)
    found = []
    fast = ts.compile(cell)
    for runs in (fast, cell):
        memory = ts.tensor(data(0, N, S, H), requires_grad=wanted)
        h = ts.tensor(data(2, N, H), requires_grad=True)
        ys, state = ts.unroll(runs, xs, {"memory": memory, "h": h}, **settings)
        loss = (ys * ys).sum() + (state["memory"] * state["memory"]).sum() + state["h"].sum()
        leaves = [h, *cell.parameters(), *([memory] if wanted else [])]
        found.append([ys.data, state["memory"].data, state["h"].data, *ts.grad(loss, leaves)])
    assert_all_close(*found)


def test_it_is_not_copied_for_every_step():
    cell, xs = Carries(), data(1, 6, N, I)
    fast = ts.compile(cell)
    ts.unroll(fast, xs, {"memory": data(0, N, S, H), "h": np.zeros((N, H))})
    assert f"empty((7, {N}, {S}, {H})" not in fast.source
    assert "once:" in fast.explain() and "linear(h, K)" not in fast.explain()
