"""What a graph keeps alive, for how long, and how large it may be."""

import gc
import sys
import tracemalloc
import weakref

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import ops
from tinyseq.autograd.primitive import Primitive
from tinyseq.autograd.walk import paused_gc, reachable

SIZE = 50_000  # float64: 400 kB an array, next to which a node is nothing


@pytest.fixture
def no_collector():
    """Nothing here may need the garbage collector: a graph has no cycles."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


# -- size -----------------------------------------------------------------------------------------


def test_a_chain_of_a_million_nodes():
    """Built, differentiated and freed without recursion."""
    x = ts.tensor(np.array([0.5]), requires_grad=True)
    y = x
    with paused_gc():
        for _ in range(500_000):
            y = y * 1.0
            y = y + 0.0
    assert y.node.order - x.node.order == 1_000_000
    assert ts.grad(y, x) == 1
    holders = sys.getrefcount(x.node)
    del y
    left = sys.getrefcount(x.node)
    assert left == holders - 1


def test_unbind_of_1000_slices_is_one_operation(monkeypatch):
    """The gradient by T slices is one stack, not T arrays of zeros with a slice each."""
    called = []
    vjp = (
        ops.unbind(ts.tensor(np.ones((1, 1)), requires_grad=True))[0].node.parents[0].primitive.vjp
    )
    x = ts.tensor(np.ones((1000, 2)), requires_grad=True)
    parts = ops.unbind(x)
    whole = parts[0].node.parents[0]
    monkeypatch.setattr(whole.primitive, "vjp", lambda *a: (called.append(1), vjp(*a))[1])
    total = parts[0] * 1
    for k, part in enumerate(parts[1:], 1):
        total = total + part * (k + 1)
    names = [node.name for node in reachable([total.node])]
    assert names.count("unbind") == 1 and names.count("pick") == 1000
    g = ts.grad(total.sum(), x)
    assert len(called) == 1
    np.testing.assert_array_equal(g, np.arange(1.0, 1001)[:, None] * np.ones(2))


def test_iterating_over_a_tensor_is_one_unbind():
    x = ts.tensor(np.ones((10, 2)), requires_grad=True)
    assert len({part.node.parents[0] for part in x}) == 1


def test_unbind_of_a_stack_gives_back_what_was_stacked():
    """So that a layer reads h(t) of the layer below, and not all of them."""
    x = ts.tensor(np.ones((3, 2)), requires_grad=True)
    states = [ops.tanh(part) for part in ops.unbind(x)]
    again = ops.unbind(ops.stack(states))
    assert [a.node for a in again] == [s.node for s in states]
    for a, s in zip(again, states, strict=True):
        np.testing.assert_array_equal(a.data, s.data)
    other_axis = ops.unbind(ops.stack(states), 1)
    assert all(a.node.name == "pick" for a in other_axis)


def test_unbind_of_a_stack_with_a_constant_and_with_two_dtypes():
    x = ts.tensor(np.ones(2, np.float32), requires_grad=True)
    single, double = ops.unbind(ops.stack([x, np.ones(2)]))
    assert single.dtype == single.node.dtype == np.float64  # not x, which is float32
    g = ts.grad(single.sum(), x)
    assert g.dtype == np.float32 and g.tolist() == [1, 1]
    first, second = ops.unbind(ops.stack([x, np.ones(2, np.float32)]))
    assert first.node is x.node and second.node is None


def test_unbind_of_a_stack_under_no_grad_is_constant():
    x = ts.tensor(np.ones(2), requires_grad=True)
    stacked = ops.stack([x, x])
    with ts.no_grad():
        assert all(part.node is None for part in ops.unbind(stacked))


# -- what is kept ---------------------------------------------------------------------------------


def grown(step, steps: int) -> float:
    """The arrays that so many steps keep alive: allocated memory in units of one array."""
    x = ts.tensor(np.full(SIZE, 0.5), requires_grad=True)
    w = ts.tensor(np.full(SIZE, 0.9), requires_grad=True)
    h = x + 0.0
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(steps):
        h = step(h, w)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / (SIZE * 8)


KEPT = {  # for one step: the arrays that its derivative needs, besides those that are there anyway
    "tanh: its output": (lambda h, w: ops.tanh(h), 1),
    "sin: its input": (lambda h, w: ops.sin(h), 1),
    "h + w: nothing": (lambda h, w: h + w, 0),
    "h - 1: nothing": (lambda h, w: h - 1, 0),
    "-h: nothing": (lambda h, w: -h, 0),
    "2 h: nothing": (lambda h, w: h * 2.0, 0),
    "c h: nothing but c": (lambda h, w: h * w.data, 0),
    "w h: both": (lambda h, w: h * w, 1),
    "reshape, transpose: nothing": (lambda h, w: h.reshape(2, -1).T.reshape(SIZE), 0),
    "where: its condition, of a byte": (lambda h, w: ops.where(h.data > 0, h, 0.0), 1 / 8),
    "tanh(w h + w): product and output": (lambda h, w: ops.tanh(h * w + w), 1),
    "sigmoid(h) h: two": (lambda h, w: ops.sigmoid(h) * h, 2),
    "exp(sin(h)): the output of exp, which sin reads": (lambda h, w: ops.exp(ops.sin(h)), 1),
}


@pytest.mark.parametrize("step, kept", KEPT.values(), ids=KEPT.keys())
def test_a_node_keeps_only_what_it_declared(step, kept):
    per_step = (grown(step, 25) - grown(step, 5)) / 20
    assert per_step == pytest.approx(kept, abs=0.02)


def test_looking_for_nan_keeps_no_more():
    with ts.detect_nonfinite():
        per_step = (grown(lambda h, w: h * w.data, 25) - grown(lambda h, w: h * w.data, 5)) / 20
    assert per_step == pytest.approx(0, abs=0.02)


def test_gradient_of_one_matrix_for_a_whole_stack_is_no_stack_of_gradients():
    x = np.ones((200, 2, 50))
    w = ts.tensor(np.ones((50, 50)), requires_grad=True)
    loss = ops.sum(ops.matmul(x, w))
    tracemalloc.start()
    g = ts.grad(loss, w)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (g == 400).all()
    assert peak < 40 * g.nbytes  # 200 gradients, one for each matrix, would be the stack


def test_memory_of_back_propagation_through_time_is_linear_in_the_steps():
    """Distinct arrays that the graph of tau steps holds: one state a step, and the parameters."""

    def arrays_held(steps: int) -> int:
        w, u, b = (ts.tensor(np.eye(4) * 0.5, True) for _ in range(3))
        h = ts.tensor(np.zeros((2, 4)))
        for x in ops.unbind(np.ones((steps, 2, 4))):
            h = ops.tanh(ops.linear(x, u) + ops.linear(h, w) + b[0])
        held = [
            a
            for node in reachable([h.node])
            if node.saved is not None
            for a in (node.saved if isinstance(node.saved, tuple) else (node.saved,))
        ]
        return len({id(a if a.base is None else a.base) for a in held})

    few, many = arrays_held(10), arrays_held(110)
    assert many - few == 100


def test_nothing_is_kept_under_no_grad():
    with ts.no_grad():
        assert grown(lambda h, w: ops.sigmoid(h) * h * w, 20) < 1.5  # the last result only


# -- for how long ---------------------------------------------------------------------------------


def test_saved_arrays_go_with_the_backward_pass(no_collector):
    x = ts.tensor(np.ones(3), requires_grad=True)
    h = ops.tanh(x)
    saved = weakref.ref(h.data)
    loss = ops.sum(h * h)
    del h
    assert saved() is not None
    loss.backward()
    assert saved() is None


def test_saved_arrays_stay_if_asked(no_collector):
    x = ts.tensor(np.ones(3), requires_grad=True)
    h = ops.tanh(x)
    saved = weakref.ref(h.data)
    loss = ops.sum(h * h)
    del h
    loss.backward(retain_graph=True)
    assert saved() is not None
    del loss
    assert saved() is None


@pytest.mark.parametrize("record", [False, True], ids=["plain", "recorded"])
def test_a_graph_goes_with_its_last_handle(no_collector, record):
    x = ts.tensor(np.ones(3), requires_grad=True)
    h = ops.tanh(x)
    saved, loss = weakref.ref(h.data), ops.sum(h * h)
    g = ts.grad(loss, x, create_graph=record, retain_graph=True)
    del h, loss
    assert (saved() is not None) == record  # a recorded gradient is a graph itself
    del g
    assert saved() is None


def test_cotangents_go_as_the_pass_moves_on():
    """A pass over 50 steps holds a few arrays at a time, not one for every step."""
    x = ts.tensor(np.full(SIZE, 0.5), requires_grad=True)
    h = x
    for _ in range(50):
        h = ops.tanh(h)
    loss = h.sum()
    tracemalloc.start()
    loss.backward()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak / (SIZE * 8) < 6


# -- the garbage collector ------------------------------------------------------------------------


def test_the_collector_rests_during_the_pass_and_is_as_before_afterwards():
    seen = []
    watch = Primitive(
        "watch",
        "test",
        lambda xp, a: a * 1,
        lambda g, node, i: (seen.append(gc.isenabled()), g)[1],
        lambda t, node: t[0],
        None,
    )
    x = ts.tensor(np.ones(1), requires_grad=True)
    watch(x).backward()
    assert seen == [False] and gc.isenabled()


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_as_before_after_an_error(enabled):
    def fail(g, node, i):
        raise ValueError("a broken rule")

    broken = Primitive("broken", "test", lambda xp, a: a * 1, fail, lambda t, node: t[0], None)
    x = ts.tensor(np.ones(1), requires_grad=True)
    if not enabled:
        gc.disable()
    try:
        with pytest.raises(ValueError, match="a broken rule"):
            broken(x).backward()
        assert gc.isenabled() == enabled
    finally:
        gc.enable()
