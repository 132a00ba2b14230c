"""no_grad, detect_nonfinite, scopes: what they change, and for whom."""

import asyncio
import threading

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import ops
from tinyseq.errors import NonFiniteError, ShapeError


def recorded() -> bool:
    x = ts.tensor(np.ones(2), requires_grad=True)
    return ops.tanh(x).requires_grad and (x * 2).requires_grad and x.sum().requires_grad


# -- no_grad --------------------------------------------------------------------------------------


def test_nothing_is_recorded_inside():
    assert recorded()
    with ts.no_grad():
        assert not recorded()
        with ts.no_grad():
            assert not recorded()
        assert not recorded()
    assert recorded()


def test_every_operation_gives_constants_inside():
    x = ts.tensor(np.ones((2, 2)), requires_grad=True)
    with ts.no_grad():
        for y in [x + 1, x @ x, x.T, x[0], x.sum(0), ops.where(x.data > 0, x, 0.0), *x.split(2)]:
            assert type(y) is ts.Tensor and y.node is None


def test_recording_is_on_again_after_an_error():
    with pytest.raises(ShapeError), ts.no_grad():
        ops.matmul(np.ones(2), np.ones(3))
    assert recorded()


def test_leaves_can_be_made_inside():
    with ts.no_grad():
        x = ts.tensor(np.ones(2), requires_grad=True)
    assert ts.grad((x * 2).sum(), x).tolist() == [2, 2]


def test_gradients_can_be_taken_inside():
    x = ts.tensor(np.ones(2), requires_grad=True)
    y = (x * x).sum()
    with ts.no_grad():
        y.backward()
    assert x.grad.tolist() == [2, 2]


def test_no_grad_holds_for_its_thread_only():
    found = {}
    inside, done = threading.Event(), threading.Event()

    def quiet():
        with ts.no_grad():
            inside.set()
            done.wait(5)
            found["quiet"] = recorded()

    thread = threading.Thread(target=quiet)
    thread.start()
    assert inside.wait(5)
    found["loud"] = recorded()
    done.set()
    thread.join()
    assert found == {"loud": True, "quiet": False}


def test_no_grad_holds_for_its_task_only():
    found = {}

    async def quiet(turn: asyncio.Event, other: asyncio.Event):
        with ts.no_grad():
            other.set()
            await turn.wait()
            found["quiet"] = recorded()

    async def loud(turn: asyncio.Event, other: asyncio.Event):
        await turn.wait()  # the other task is inside its no_grad now
        found["loud"] = recorded()
        other.set()

    async def both():
        first, second = asyncio.Event(), asyncio.Event()
        await asyncio.gather(quiet(first, second), loud(second, first))

    asyncio.run(both())
    assert found == {"quiet": False, "loud": True}


def test_scopes_are_of_their_thread():
    places = {}

    def run(name: str, barrier: threading.Barrier):
        with ts.scope(name):
            barrier.wait(5)
            places[name] = str((ts.tensor(1.0, requires_grad=True) * 1).node.scope)
            barrier.wait(5)

    barrier = threading.Barrier(2)
    threads = [threading.Thread(target=run, args=(name, barrier)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert places == {"one": "one", "two": "two"}


# -- detect_nonfinite -----------------------------------------------------------------------------


@pytest.fixture
def silent():
    with np.errstate(all="ignore"):
        yield


def test_the_first_nan_names_operation_module_and_step(silent):
    x = ts.tensor(np.array([1.0, -1.0, 0.0]), requires_grad=True)
    with ts.detect_nonfinite(), ts.scope("lm"), ts.scope("rnn"), ts.scope("step", 3):
        y = x * 2
        with pytest.raises(
            NonFiniteError,
            match=r"^log in lm\.rnn at step 3: 2 of 3 values are NaN or infinite "
            r"\(inputs: float64\(3,\)\)",
        ):
            ops.log(y)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: ops.exp(x * 1000),
        lambda x: x / 0,
        lambda x: ops.sum(x * np.inf),
        lambda x: ops.matmul(x, x * np.nan),
        lambda x: ops.split(ops.astype(x * 1e300, np.float32), 2),
        lambda x: ops.where(np.array([True, False]), x, np.nan),
    ],
    ids=["unary", "binary", "reduction", "matmul", "several", "where"],
)
def test_every_kind_of_operation_is_checked(silent, f):
    x = ts.tensor(np.ones(2), requires_grad=True)
    f(x)
    with ts.detect_nonfinite(), pytest.raises(NonFiniteError):
        f(x)


def test_constants_are_checked_too(silent):
    with ts.detect_nonfinite(), pytest.raises(NonFiniteError, match="^log: "):
        ops.log(ts.tensor(np.zeros(1)))
    with ts.detect_nonfinite(), ts.no_grad(), pytest.raises(NonFiniteError, match="^log: "):
        ops.log(ts.tensor(np.zeros(1), requires_grad=True))


def test_a_gradient_that_is_not_finite_is_found(silent):
    x = ts.tensor(np.zeros(2), requires_grad=True)
    with ts.detect_nonfinite():
        with ts.scope("cell", 2):
            h = x * 3
        with ts.scope("cell", 3):
            loss = ops.sqrt(h).sum()
        with pytest.raises(
            NonFiniteError, match="^the gradient that reaches mul at step 2: 2 of 2 values"
        ):
            loss.backward()
    assert x.grad is None


def test_it_stops_at_the_end_and_does_not_switch_recording_on(silent):
    with ts.detect_nonfinite():
        assert recorded()
        with ts.no_grad():
            assert not recorded()
    with ts.no_grad(), ts.detect_nonfinite():
        assert not recorded()
    assert recorded()
    ops.log(ts.tensor(np.zeros(1), requires_grad=True))


def test_integers_are_finite():
    with ts.detect_nonfinite():
        assert (ts.tensor(np.arange(3)) + 1).data.tolist() == [1, 2, 3]


# -- scopes and messages --------------------------------------------------------------------------


def test_errors_name_the_place():
    with ts.scope("lm"), ts.scope("rnn"), ts.scope("t", 7):
        with pytest.raises(ShapeError, match=r"^matmul in lm\.rnn at step 7: .*\(2, 3\).*\(2, 3\)"):
            ops.matmul(ts.tensor(np.ones((2, 3))), np.ones((2, 3)))
    with ts.scope("t", 7), pytest.raises(ShapeError, match="^add at step 7: "):
        ts.tensor(np.ones(2)) + np.ones(3)
    with pytest.raises(ShapeError, match="^add: "):
        ts.tensor(np.ones(2)) + np.ones(3)


def test_nodes_know_scope_and_rank():
    x = ts.tensor(np.ones(2), requires_grad=True)
    nodes = []
    for t in (1, 2):
        with ts.scope("step", t) as scope:
            y = ops.tanh(x * 2)
            nodes.append((y.node.scope.index, y.node.order - scope.start))
    assert [t for t, _ in nodes] == [1, 2]
    assert nodes[0][1] == nodes[1][1]  # the same place in both steps
