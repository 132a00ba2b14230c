"""backward, grad and push_forward: what they give, what they leave alone, what they refuse."""

import numpy as np
import pytest

import strict_cupy
import tinyseq as ts
from tinyseq import nn, ops
from tinyseq.autograd.primitive import Primitive
from tinyseq.autograd.walk import reachable
from tinyseq.errors import BackendError, DTypeError, GraphError, ShapeError


@pytest.fixture
def x() -> ts.Tensor:
    return ts.tensor(np.array([1.0, 2.0, 3.0]), requires_grad=True)


@pytest.fixture
def w() -> ts.Tensor:
    return ts.tensor(np.array([0.5, -1.0, 2.0]), requires_grad=True)


# -- sums over paths ------------------------------------------------------------------------------


def test_gradients_add_up_over_all_uses(x):
    y = x * x + x + 3 * x
    assert ts.grad(y.sum(), x).tolist() == [6, 8, 10]


def test_one_tensor_twice_in_one_operation(x):
    assert ts.grad((x + x).sum(), x).tolist() == [2, 2, 2]
    assert ts.grad((x * x).sum(), x).tolist() == [2, 4, 6]
    assert ts.grad(ops.matmul(x, x), x).tolist() == [2, 4, 6]
    assert ts.grad(ops.concatenate([x, x, x]).sum(), x).tolist() == [3, 3, 3]


def test_diamond(x):
    """d/dx sin(u) cos(u) = cos(2u) du/dx with u = x^2."""
    u = x * x
    y = ops.sin(u) * ops.cos(u)
    np.testing.assert_allclose(ts.grad(y.sum(), x), np.cos(2 * u.data) * 2 * x.data)


def test_a_ladder_of_diamonds_is_walked_once():
    """Two paths at each of 64 rungs make 2^64 paths: only a walk node by node ends."""
    x = ts.tensor(np.array(1.0), requires_grad=True)
    y = x
    for _ in range(64):
        y = (y + y) * 0.5
    assert ts.grad(y, x) == 1


@pytest.mark.parametrize("seed", range(5))
def test_random_graphs_agree_with_differences(seed):
    """Graphs of 30 operations with much sharing, in both modes and to second order."""
    rng = np.random.default_rng(seed)
    plan = [(rng.integers(5), rng.integers(1000, size=2)) for _ in range(30)]

    def f(a, b):
        values = [a, b]
        for kind, (i, j) in plan:
            u, v = values[i % len(values)], values[j % len(values)]
            values.append(
                [
                    lambda u, v: ops.tanh(u + v),
                    lambda u, v: ops.mul(ops.sigmoid(u), v),
                    lambda u, v: ops.sub(u, v) * 0.7,
                    lambda u, v: ops.matmul(u.T, ops.tanh(v)),
                    lambda u, v: ops.concatenate(ops.split(u, 2)[::-1]) + v,
                ][kind](u, v)
            )
        return ops.tanh(values[-1] + values[-2] + values[len(values) // 2])

    ts.check_grads(f, [rng.normal(size=(2, 2)), rng.normal(size=(2, 2))], rtol=1e-5)


# -- backward -------------------------------------------------------------------------------------


def test_backward_fills_grad_and_adds_to_it(x):
    (x * 2).sum().backward()
    assert type(x.grad) is np.ndarray and x.grad.tolist() == [2, 2, 2]
    (x * 3).sum().backward()
    assert x.grad.tolist() == [5, 5, 5]
    x.grad = None
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3, 3, 3]


def test_the_gradient_of_a_number_is_an_array_after_every_pass():
    x = ts.tensor(np.array(2.0), requires_grad=True)
    for passes in (1, 2, 3):
        (x * x).backward()
        assert type(x.grad) is np.ndarray and x.grad == 4 * passes


def test_grad_accumulates_on_leaves_only(x):
    y = x * x
    y.sum().backward()
    assert y.grad is None and x.grad is not None


def test_earlier_results_do_not_change_when_a_gradient_grows(x):
    (x * 2).sum().backward()
    first = x.grad
    (x * 3).sum().backward()
    assert first.tolist() == [2, 2, 2]


def test_backward_with_a_seed(x):
    (x * x).backward(np.array([1.0, 10.0, 100.0]))
    assert x.grad.tolist() == [2, 40, 600]


def test_backward_of_several_outputs_is_one_pass(x):
    y = ops.tanh(x)
    ts.backward([y.sum(), y[0], y[0]])
    slope = 1 - np.tanh(x.data) ** 2
    np.testing.assert_allclose(x.grad, slope * [3, 1, 1])
    with pytest.raises(ShapeError, match="2 outputs want as many seeds, not 1"):
        ts.backward([y[0], y[1]], [np.array(1.0)])


def test_backward_of_a_leaf_itself():
    x = ts.tensor(np.array(3.0), requires_grad=True)
    x.backward()
    assert x.grad == 1


def test_backward_without_seed_wants_one_number(x):
    with pytest.raises(GraphError, match=r"one number, not of a tensor of shape \(3,\): sum it up"):
        (x * 2).backward()
    (x[:1] * 2).backward()  # one element in any shape is one number
    assert x.grad.tolist() == [2, 0, 0]


def test_a_seed_has_the_shape_of_its_output(x):
    with pytest.raises(ShapeError, match=r"seed of shape \(2,\) for a tensor of shape \(3,\)"):
        (x * 2).backward(np.ones(2))


def test_a_seed_of_another_dtype_is_converted(x):
    (x * 2).backward(np.array([1, 2, 3]))
    assert x.grad.dtype == np.float64 and x.grad.tolist() == [2, 4, 6]


def test_a_seed_may_be_a_tensor_and_is_not_recorded_unless_asked(x):
    seed = ts.tensor(np.ones(3), requires_grad=True)
    y = x * x
    before = (x * 1).node.order
    assert type(ts.grad(y, x, seed=seed)) is np.ndarray
    assert (x * 1).node.order == before + 1
    g = ts.grad(x * x, x, seed=seed, create_graph=True)
    assert ts.grad(g.sum(), seed).tolist() == [2, 4, 6]


@pytest.mark.parametrize(
    "make", [lambda: ts.tensor(1.0), lambda: ts.tensor(1.0) * 2], ids=["leaf", "result"]
)
def test_backward_on_what_was_not_recorded(make):
    with pytest.raises(GraphError, match="nothing to differentiate.*no_grad.*detached"):
        make().backward()


def test_a_gradient_is_taken_of_a_tensor(x):
    with pytest.raises(DTypeError, match="of a Tensor, not of ndarray"):
        ts.grad(np.ones(1), x)


def test_grad_attribute_is_guarded(x):
    with pytest.raises(ShapeError, match=r"\.grad of shape \(2,\)"):
        x.grad = np.ones(2)
    with pytest.raises(GraphError, match="only a leaf"):
        (x * 2).grad = np.ones(3)
    with pytest.raises(GraphError, match="only a leaf"):
        ts.tensor(np.ones(3)).grad = np.ones(3)


# -- grad -----------------------------------------------------------------------------------------


def test_grad_touches_nothing(x, w):
    loss = (x * w).sum()
    assert [g.tolist() for g in ts.grad(loss, [x, w])] == [w.data.tolist(), x.data.tolist()]
    assert x.grad is None and w.grad is None


def test_one_input_gives_one_array_a_list_a_list(x):
    assert type(ts.grad(x.sum(), x)) is np.ndarray
    assert type(ts.grad(x.sum(), [x])) is list


def test_grad_by_what_lies_on_the_way(x):
    y = x * x
    z = ops.sin(y)
    by_y, by_x, by_z = ts.grad(z.sum(), [y, x, z])
    np.testing.assert_allclose(by_y, np.cos(y.data))
    np.testing.assert_allclose(by_x, np.cos(y.data) * 2 * x.data)
    assert by_z.tolist() == [1, 1, 1]


def test_grad_by_the_same_input_twice_gives_two_arrays(x):
    first, second = ts.grad((x * 2).sum(), [x, x])
    first += 1
    assert second.tolist() == [2, 2, 2]


def test_grad_names_the_input_on_which_nothing_depends(x, w):
    ts.label(w, "W")
    with pytest.raises(GraphError, match=r"does not depend on input 1 \(W\), of shape \(3,\)"):
        ts.grad(x.sum(), [x, w])
    assert ts.grad(x.sum(), [x, w], allow_unused=True)[1] is None


@pytest.mark.parametrize("other", [np.ones(3), 1.0], ids=["array", "number"])
def test_grad_by_what_is_no_tensor(x, other):
    with pytest.raises(GraphError, match="input 1 is not part of a graph"):
        ts.grad(x.sum(), [x, other])


def test_grad_by_an_intermediate_walks_only_what_lies_between(x, monkeypatch):
    """A gradient by a late state must not pay for the whole past."""
    called = []
    for op in (ops.tanh, ops.mul):
        vjp = op.primitive.vjp

        def counted(g, node, i, vjp=vjp):
            called.append(node.order)
            return vjp(g, node, i)

        monkeypatch.setattr(op.primitive, "vjp", counted)
    h, states = x, []
    for _ in range(10):
        h = ops.tanh(h * x)
        states.append(h)
    loss = h.sum()
    ts.grad(loss, states[7], retain_graph=True)
    assert len(called) == 4  # tanh and * of the last two steps, * by h only
    called.clear()
    ts.grad(loss, x)
    assert len(called) == 10 + 9 * 2 + 2


def test_gathering_stops_where_it_is_told():
    """Forward mode from a late state pays nothing for the past either."""
    h = x = ts.tensor(np.ones(2), requires_grad=True)
    for _ in range(50):
        h = ops.tanh(h)
    y = ops.sin(h * x)
    assert len(reachable([y.node])) == 53
    assert reachable([y.node], stop={h.node, x.node}) == [
        x.node,
        h.node,
        y.node.parents[0],
        y.node,
    ]


# -- freeing --------------------------------------------------------------------------------------


def test_second_backward_says_what_to_do(x):
    y = (x * x).sum()
    y.backward()
    with pytest.raises(GraphError, match="sum: .*freed by an earlier backward.*retain_graph=True"):
        y.backward()
    assert x.grad.tolist() == [2, 4, 6]


def test_retain_graph_allows_a_second_backward(x):
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4, 8, 12]
    with pytest.raises(GraphError, match="freed"):
        ts.grad(y, x)


def test_forward_mode_after_freeing_is_refused(x):
    y = (x * x).sum()
    y.backward()
    with pytest.raises(GraphError, match="freed"):
        ts.push_forward([y], [x], [np.ones(3)])


def test_grad_frees_only_what_it_walked(x):
    y = x * x
    z = ops.sin(y)
    ts.grad(z.sum(), y)
    assert ts.grad(y.sum(), x).tolist() == [2, 4, 6]


# -- stale graphs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("run", [lambda y, p: y.backward(), ts.grad], ids=["backward", "grad"])
def test_a_graph_recorded_before_assign_is_stale(run):
    parameter = nn.Parameter(np.array([1.0, 2.0]), symbol="W")
    parameter.leaf.parameter_name = "cell.weight"
    old = (parameter * parameter).sum()
    parameter.assign(np.array([5.0, 6.0]))
    with pytest.raises(
        GraphError, match=r"cell\.weight was changed by assign\(\).*forward pass again"
    ):
        run(old, parameter) if run is ts.grad else run(old, None)
    assert parameter.grad is None
    new = (parameter * parameter).sum()
    assert ts.grad(new, parameter).tolist() == [10, 12]


def test_grad_by_a_state_is_refused_too_once_a_weight_has_changed():
    parameter = nn.Parameter(np.array([2.0]))
    h = ts.tensor(np.array([3.0]), requires_grad=True)
    y = h * parameter
    parameter.assign(np.array([5.0]))
    with pytest.raises(GraphError, match="changed by assign"):
        ts.grad(y, h)


# -- higher orders --------------------------------------------------------------------------------


def test_derivatives_to_fourth_order():
    x = ts.tensor(np.array(0.7), requires_grad=True)
    y = ops.sin(x) * ops.exp(x)
    found = []
    for _ in range(4):
        y = ts.grad(y, x, create_graph=True)
        found.append(y.item())
    s, c, e = np.sin(0.7), np.cos(0.7), np.exp(0.7)
    np.testing.assert_allclose(found, [e * (s + c), 2 * e * c, 2 * e * (c - s), -4 * e * s])


def test_backward_can_be_recorded(x):
    (x * x * x).sum().backward(create_graph=True)
    assert type(x.grad) is ts.Tensor
    first = x.grad
    x.grad = None
    first.sum().backward()
    assert x.grad.tolist() == [6, 12, 18]


def test_a_gradient_that_was_not_recorded_cannot_be_differentiated(x):
    g = ts.grad((x * x).sum(), x)
    assert type(g) is np.ndarray


def test_gradient_penalty(x, w):
    """A loss that contains a gradient: |d/dx sum(tanh(w x))|^2, differentiated by w."""

    def penalty(w):
        x = ts.tensor(np.array([1.0, 2.0, 3.0]), requires_grad=True)
        g = ts.grad(ops.tanh(ops.mul(w, x)).sum(), x, create_graph=True)
        return (g * g).sum()

    ts.check_grads(penalty, [w.data], order=1, modes=("reverse",))


def test_double_backward_of_several_outputs(x):
    parts = ops.unbind(x * x * x)
    y = parts[0] * parts[2]
    g = ts.grad(y, x, create_graph=True)
    np.testing.assert_allclose(g.data, [3 * 27, 0, 27])
    np.testing.assert_allclose(ts.grad(g.sum(), x), [6 * 27 + 3 * 27, 0, 3 * 27 + 18])


# -- forward mode ---------------------------------------------------------------------------------


def test_forward_mode(x, w):
    y, z = x * w, ops.sin(w)
    tx, tw = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])
    ty, tz = ts.push_forward([y, z], [x, w], [tx, tw])
    np.testing.assert_allclose(ty, tx * w.data + x.data * tw)
    np.testing.assert_allclose(tz, np.cos(w.data) * tw)


def test_forward_mode_gives_zeros_where_nothing_depends(x, w):
    (tangent,) = ts.push_forward([ops.sin(w)], [x], [np.ones(3)])
    assert tangent.tolist() == [0, 0, 0]
    (tangent,) = ts.push_forward([ts.tensor(np.ones(2))], [x], [np.ones(3)])
    assert tangent.tolist() == [0, 0]


def test_forward_mode_leaves_the_graph_usable(x):
    y = (x * x).sum()
    assert ts.push_forward([y], [x], [np.ones(3)]) == [12]
    assert ts.grad(y, x).tolist() == [2, 4, 6]


def test_an_input_behind_another_input_counts_as_independent(x):
    y = x * x
    z = y + x
    moved = ts.push_forward([z], [x, y], [np.ones(3), np.zeros(3)])
    assert moved[0].tolist() == [1, 1, 1]


def test_forward_mode_refuses(x):
    y = x * x
    with pytest.raises(ShapeError, match=r"tangent of shape \(2,\)"):
        ts.push_forward([y], [x], [np.ones(2)])
    with pytest.raises(GraphError, match="not part of a graph"):
        ts.push_forward([y], [ts.tensor(np.ones(3))], [np.ones(3)])
    with pytest.raises(GraphError, match="not part of a graph"):
        ts.push_forward([y], [ts.label(np.ones(3), "x")], [np.ones(3)])


# -- what is recorded -----------------------------------------------------------------------------


def test_a_labelled_constant_is_seen_but_not_differentiated(x):
    constant = ts.label(np.array([2.0, 3.0, 4.0]), "c")
    y = x * constant
    assert y.node.parents == (x.node, constant.node) and not constant.requires_grad
    assert y.node.saved[0] is None  # nobody needs x
    assert ts.grad(y.sum(), x).tolist() == [2, 3, 4]
    z = constant * 2
    assert z.node is not None and z.node.saved is None and not z.requires_grad
    with pytest.raises(GraphError, match="input 0 is not part of a graph"):
        ts.grad(y.sum(), [constant])


def test_integers_may_be_labelled_but_have_no_gradient(x):
    ids = ts.label(np.array([2, 0]), "x")
    y = ops.take(x, ids)
    assert y.node.parents == (x.node, ids.node)
    assert ts.grad(y.sum(), x).tolist() == [1, 0, 1]


def test_detach_cuts(x):
    y = (x * x).detach()
    assert not y.requires_grad and y.node is None
    assert ts.grad((x * y).sum(), x).tolist() == [1, 4, 9]


def test_observer_sees_every_labelled_gradient_once(x):
    ts.label(x, "x")
    h = ts.label(x * x, "h")
    o = ts.label(ops.sin(h) + h, "o")
    seen = []
    ts.grad(o.sum(), x, observe=lambda node, g: seen.append((node.label, g.copy())))
    assert [label for label, _ in seen] == ["o", "h", "x"]
    np.testing.assert_allclose(seen[1][1], np.cos(h.data) + 1)


def test_the_same_weight_in_many_steps_and_places():
    """Weights that all steps share are summed in one product at the end: the sum is the same."""
    rng = np.random.default_rng(0)
    w, b = (ts.tensor(rng.normal(size=s) * 0.3, requires_grad=True) for s in ((3, 3), (3,)))
    x = rng.normal(size=(300, 2, 3))

    def run(linear):
        h = ts.tensor(np.zeros((2, 3)))
        for step in x:
            h = ops.tanh(linear(h, w, b) + step)
        return (h * linear(x[0], w, b) + linear(h[0], w, None)).sum()

    together = ts.grad(run(ops.linear), [w, b])
    apart = ts.grad(run(lambda x, w, b: ops.matmul(x, w.T) + (0 if b is None else b)), [w, b])
    for first, second in zip(together, apart, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-10)
    only_b = ts.grad(run(ops.linear), b)
    np.testing.assert_allclose(only_b, together[1], rtol=1e-12)


@pytest.mark.parametrize("frozen", ["w", "b"])
def test_a_frozen_weight_among_shared_ones(frozen):
    values = {"w": np.eye(2) * 0.5, "b": np.ones(2)}
    tensors = {
        name: ts.label(value, name) if name == frozen else ts.tensor(value, requires_grad=True)
        for name, value in values.items()
    }
    h = np.ones((1, 2))
    for _ in range(3):
        h = ops.linear(h, tensors["w"], tensors["b"])
    h.sum().backward()
    (other,) = set(tensors) - {frozen}
    ts.check_grads(
        lambda p: _chain(**(values | {other: p})), [values[other]], order=1, modes=["reverse"]
    )
    np.testing.assert_allclose(
        tensors[other].grad,
        ts.grad(_chain(**(values | {other: (p := ts.tensor(values[other], True))})), p),
    )
    assert tensors[frozen].grad is None


def _chain(w, b):
    h = np.ones((1, 2))
    for _ in range(3):
        h = ops.add(ops.matmul(h, ops.transpose(w)), b)
    return ops.sum(h)


def test_two_operations_that_share_weights_are_gathered_apart():
    """``linear`` and another one that gathers, on the same weight: each sums its own."""

    def gather(gs, saved, i):
        return sum(saved_x.T @ g for g, (saved_x, _) in zip(gs, saved, strict=True))

    other = Primitive(
        "other",
        "test",
        lambda xp, x, w: x @ w,
        lambda g, node, i: g @ node.saved[1].T if i == 0 else node.saved[0].T @ g,
        lambda t, node: t[0],
        "inputs",
        gather,
    )
    w = ts.tensor(np.array([[1.0, 2.0], [3.0, 5.0]]), requires_grad=True)
    x = np.array([[1.0, 10.0]])
    loss = ops.sum(ops.linear(x, w)) + ops.sum(other(x, w)) + ops.sum(ops.linear(other(x, w), w))
    expected = ops.sum(ops.matmul(x, w.T)) + ops.sum(x @ w) + ops.sum(x @ w @ w.T)
    np.testing.assert_allclose(ts.grad(loss, w), ts.grad(expected, w))


def test_a_cotangent_of_the_wrong_shape_is_an_error_of_the_rule(x):
    broken = Primitive(
        "broken", "test", lambda xp, a: a * 2, lambda g, node, i: g[:2], lambda t, node: t[0], None
    )
    with pytest.raises(ShapeError, match=r"cotangent of shape \(2,\) for a value of shape \(3,\)"):
        broken(x).backward(np.ones(3))


def test_numpy_seed_for_a_gpu_tensor_is_refused(monkeypatch):
    x = ts.tensor(strict_cupy.install(monkeypatch).ones(3), requires_grad=True)
    with pytest.raises(BackendError, match="cupy"):
        (x * 2).backward(np.ones(3))
