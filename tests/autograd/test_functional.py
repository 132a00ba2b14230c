"""Functional derivatives and the Gauss-Newton product, against whole matrices and torch."""

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn, ops
from tinyseq.errors import ConfigError, DTypeError, GraphError, ShapeError

torch_warns = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 2))


def f(a, b):
    return ops.tanh(ops.matmul(a, b)) * 2


def several(a, b):
    return [ops.matmul(a, b), ops.sin(a)]


def torch_f(a, b):
    return (a @ b).tanh() * 2


# -- vjp ------------------------------------------------------------------------------------------


def test_vjp_multiplies_by_the_transposed_jacobian():
    u = RNG.normal(size=(3, 2))
    y, pullback = ts.vjp(f, A, B)
    np.testing.assert_allclose(y.data, f(A, B))
    by_a, by_b = pullback(u)
    ja, jb = ts.jacobian(lambda a: f(a, B), A), ts.jacobian(lambda b: f(A, b), B)
    np.testing.assert_allclose(by_a, np.tensordot(u, ja, 2))
    np.testing.assert_allclose(by_b, np.tensordot(u, jb, 2))


def test_one_argument_gives_one_array_and_the_pullback_can_be_called_again():
    _, pullback = ts.vjp(lambda a: ops.exp(a), A)
    first, second = pullback(np.ones((3, 4))), pullback(2 * np.ones((3, 4)))
    assert type(first) is np.ndarray
    np.testing.assert_allclose(second, 2 * first)


def test_vjp_of_several_outputs():
    (y, z), pullback = ts.vjp(several, A, B)
    by_a, by_b = pullback([np.ones(y.shape), np.ones(z.shape)])
    np.testing.assert_allclose(by_a, np.ones((3, 2)) @ B.T + np.cos(A))
    np.testing.assert_allclose(by_b, A.T @ np.ones((3, 2)))
    with pytest.raises(ShapeError, match="2 outputs want as many cotangents, not 1"):
        pullback([np.ones(y.shape)])
    with pytest.raises(ShapeError, match="seed of shape"):
        pullback([np.ones(z.shape), np.ones(z.shape)])


def test_an_argument_that_is_not_used_has_a_gradient_of_zeros():
    _, pullback = ts.vjp(lambda a, b: ops.sin(a), A, B)
    assert pullback(np.ones((3, 4)))[1].tolist() == np.zeros((4, 2)).tolist()


def test_what_is_no_fraction_is_passed_on_and_has_no_gradient():
    def g(a, axis, ids):
        assert axis == 1 and type(ids) is np.ndarray
        return ops.take(ops.sum(a, axis), ids)

    _, pullback = ts.vjp(g, A, 1, np.array([0, 2]))
    by_a, by_axis, by_ids = pullback(np.ones(2))
    assert by_a.tolist() == [[1] * 4, [0] * 4, [1] * 4] and by_axis is by_ids is None


def test_a_closure_over_parameters_works():
    w = nn.Parameter(B, symbol="W")
    _, pullback = ts.vjp(lambda _: f(A, w), w)
    np.testing.assert_allclose(pullback(np.ones((3, 2))), ts.grad(f(A, w), w, seed=np.ones((3, 2))))
    assert ts.jacobian(lambda _: f(A, w), w).shape == (3, 2, 4, 2)
    assert w.grad is None


@pytest.mark.parametrize(
    "value", [2.0, np.float32(2), ts.tensor(2.0)], ids=lambda v: type(v).__name__
)
def test_numbers_and_constant_tensors_are_differentiated_too(value):
    _, pullback = ts.vjp(lambda x: x * x, value)
    assert pullback(np.array(1.0)) == 4


def test_functions_that_lose_the_graph_are_told_so():
    with pytest.raises(
        DTypeError, match="returned ndarray, not a Tensor: was it computed with NumPy"
    ):
        ts.vjp(lambda a: np.tanh(a.data), A)
    with pytest.raises(GraphError, match="depends on nothing.*no_grad"):
        ts.vjp(lambda a: ops.tanh(a.detach()), A)
    with ts.no_grad(), pytest.raises(GraphError, match="depends on nothing"):
        ts.jvp(ops.tanh, A, A)


# -- jvp ------------------------------------------------------------------------------------------


def test_jvp_multiplies_by_the_jacobian():
    va, vb = RNG.normal(size=A.shape), RNG.normal(size=B.shape)
    y, tangent = ts.jvp(f, (A, B), (va, vb))
    np.testing.assert_allclose(y.data, f(A, B))
    ja, jb = ts.jacobian(lambda a: f(a, B), A), ts.jacobian(lambda b: f(A, b), B)
    np.testing.assert_allclose(tangent, np.tensordot(ja, va, 2) + np.tensordot(jb, vb, 2))


def test_jvp_of_one_argument_and_of_several_outputs():
    _, tangent = ts.jvp(ops.exp, A, A)
    np.testing.assert_allclose(tangent, np.exp(A) * A)
    _, tangents = ts.jvp(several, [A, B], [A, B])
    np.testing.assert_allclose(tangents[0], 2 * A @ B)
    np.testing.assert_allclose(tangents[1], np.cos(A) * A)


def test_vectors_must_fit_the_arguments():
    with pytest.raises(ShapeError, match="2 arguments want as many vectors, not 1"):
        ts.jvp(f, (A, B), (A,))
    with pytest.raises(ShapeError, match="tangent of shape"):
        ts.jvp(f, (A, B), (B, A))
    with pytest.raises(ConfigError, match="argument 1 wants a vector"):
        ts.jvp(f, (A, B), (A, None))
    with pytest.raises(ConfigError, match="argument 1 has no derivative: pass None"):
        ts.jvp(lambda a, k: ops.sum(a, k), (A, 0), (A, 1))
    _, tangent = ts.jvp(lambda a, k: ops.sum(a, k), (A, 0), (A, None))
    np.testing.assert_allclose(tangent, A.sum(0))


# -- jacobian and hessian -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "g, shape",
    [
        (lambda a: ops.tanh(ops.matmul(a, B)), (3, 2)),  # more inputs: reverse mode
        (lambda a: ops.outer(a, a), (3, 4, 4)),  # more outputs: forward mode
        (lambda a: ops.sum(a * a), ()),
        (lambda a: ops.sum(a, 0) * 0 + 1, (4,)),
    ],
    ids=["reverse", "forward", "number", "zero"],
)
def test_jacobian_against_differences(g, shape):
    found = ts.jacobian(g, A)
    assert found.shape == (*shape, *A.shape)
    for k in np.ndindex(A.shape):
        step = np.zeros(A.shape)
        step[k] = 1e-6
        expected = (g(ts.tensor(A + step)).data - g(ts.tensor(A - step)).data) / 2e-6
        np.testing.assert_allclose(found[..., *k], expected, atol=1e-8)


@pytest.mark.parametrize(
    "g, passes",
    [
        (lambda a: ops.sum(ops.tanh(a), 0), "4 vjp"),
        (lambda a: ops.tanh(ops.tile(a, (9,))), "12 jvp"),
    ],
    ids=["wide", "tall"],
)
def test_jacobian_takes_as_many_passes_as_its_shorter_side(monkeypatch, g, passes):
    called = []
    for name in ("vjp", "jvp"):
        rule = getattr(ops.tanh.primitive, name)
        monkeypatch.setattr(
            ops.tanh.primitive, name, lambda *a, r=rule, n=name: (called.append(n), r(*a))[1]
        )
    ts.jacobian(g, A)
    assert f"{len(called)} {called[0]}" == passes and len(set(called)) == 1


@pytest.mark.oracle
@torch_warns
def test_jacobian_and_hessian_agree_with_torch():
    import torch

    a, b = torch.tensor(A), torch.tensor(B)
    np.testing.assert_allclose(
        ts.jacobian(lambda a: f(a, B), A), torch.func.jacrev(lambda a: torch_f(a, b))(a)
    )
    np.testing.assert_allclose(
        ts.hessian(lambda a: ops.sum(f(a, B) * f(a, B)), A),
        torch.func.hessian(lambda a: (torch_f(a, b) ** 2).sum())(a),
    )


def test_hessian_of_a_quadratic_form_is_its_matrix():
    m = RNG.normal(size=(4, 4))
    found = ts.hessian(lambda x: ops.matmul(ops.matmul(x, m), x), RNG.normal(size=4))
    np.testing.assert_allclose(found, m + m.T)


def test_hessian_of_a_linear_function_is_0():
    assert ts.hessian(lambda x: ops.sum(x * 3), np.ones(2)).tolist() == [[0, 0], [0, 0]]


def test_whole_matrices_refuse():
    with pytest.raises(
        DTypeError, match="jacobian: x is a Tensor or array of floating-point numbers"
    ):
        ts.jacobian(lambda x: x, np.arange(3))
    with pytest.raises(DTypeError, match="returned list"):
        ts.jacobian(lambda a: [a, a], A)
    with pytest.raises(GraphError, match="returns one number here"):
        ts.hessian(ops.tanh, A)


# -- Hessian times vector -------------------------------------------------------------------------


def test_hvp_is_the_hessian_times_the_vector():
    def g(a):
        return ops.sum(ops.exp(ops.tanh(a) * ops.sum(a)))

    v = RNG.normal(size=A.shape)
    np.testing.assert_allclose(ts.hvp(g, A, v), np.tensordot(ts.hessian(g, A), v, 2))


def test_hvp_of_several_arguments():
    """All blocks of the Hessian: differences of the gradient along the vector."""

    def g(a, b):
        return ops.sum(f(a, b) * f(a, b))

    va, vb = RNG.normal(size=A.shape), RNG.normal(size=B.shape)
    found = ts.hvp(g, (A, B), (va, vb))

    def gradient(h):
        return ts.vjp(g, A + h * va, B + h * vb)[1](np.array(1.0))

    for product, above, below in zip(found, gradient(1e-5), gradient(-1e-5), strict=True):
        np.testing.assert_allclose(product, (above - below) / 2e-5, rtol=1e-6, atol=1e-6)


@pytest.mark.oracle
@torch_warns
def test_hvp_agrees_with_torch():
    import torch

    v = RNG.normal(size=A.shape)
    b = torch.tensor(B)
    found = ts.hvp(lambda a: ops.sum(ops.logsumexp(f(a, B), 1)), A, v)
    _, expected = torch.autograd.functional.hvp(
        lambda a: torch_f(a, b).logsumexp(1).sum(), torch.tensor(A), torch.tensor(v)
    )
    np.testing.assert_allclose(found, expected)


def test_hvp_with_parameters_and_with_what_has_no_derivative():
    w = nn.Parameter(B)

    def g(w, axis):
        return ops.sum(ops.logsumexp(ops.matmul(A, w), axis))

    product, nothing = ts.hvp(g, (w, 1), (B, None))
    assert nothing is None
    np.testing.assert_allclose(product, np.tensordot(ts.hessian(lambda w: g(w, 1), w), B, 2))


def test_hvp_refuses_what_is_no_number():
    with pytest.raises(GraphError, match=r"returns one number here, not a shape of \(3, 4\)"):
        ts.hvp(ops.tanh, A, A)


# -- Gauss-Newton ---------------------------------------------------------------------------------


def matrices(network, loss_of, x):
    """J^T H_L J from whole matrices; x is a vector."""
    outputs = network(ts.tensor(x)).data
    j = ts.jacobian(network, x).reshape(-1, x.size)
    h = ts.hessian(loss_of, outputs).reshape(outputs.size, outputs.size)
    return j.T @ h @ j


def network(w):
    return ops.reshape(ops.tanh(ops.matmul(A, ops.reshape(w, (4, 2)))), (6,))


LOSSES = {
    "squares": lambda o: ops.sum(o * o) * 0.5,
    "softmax": lambda o: ops.sub(ops.logsumexp(o), ops.getitem(o, 2)),
    "other": lambda o: ops.sum(ops.exp(o) * ops.sin(o)),
}


@pytest.mark.parametrize("loss_of", LOSSES.values(), ids=LOSSES.keys())
def test_gauss_newton_product_against_whole_matrices(loss_of):
    x = RNG.normal(size=8)
    w = ts.tensor(x, requires_grad=True)
    outputs = network(w)
    loss = loss_of(outputs)
    g = matrices(network, loss_of, x)
    for _ in range(2):  # as often as one likes on one graph
        v = RNG.normal(size=8)
        np.testing.assert_allclose(ts.gauss_newton_product(loss, outputs, w, v), g @ v)
    assert ts.grad(loss, w).shape == (8,)


def test_gauss_newton_of_squares_is_the_jacobian_squared():
    x = RNG.normal(size=8)
    w = ts.tensor(x, requires_grad=True)
    o = network(w)
    j = ts.jacobian(network, x)
    v = RNG.normal(size=8)
    found = ts.gauss_newton_product(ops.sum(o * o) * 0.5, o, w, v)
    np.testing.assert_allclose(found, j.T @ (j @ v))


def test_gauss_newton_is_not_the_hessian_and_never_negative():
    rng = np.random.default_rng(3)
    x = rng.normal(size=8)
    w = ts.tensor(x, requires_grad=True)
    o = network(w)
    loss = ops.sum((o - 2) * (o - 2))
    h = ts.hessian(lambda w: ops.sum((network(w) - 2) * (network(w) - 2)), x)
    assert np.linalg.eigvalsh(h).min() < -1e-3
    g = np.stack([ts.gauss_newton_product(loss, o, w, e) for e in np.eye(8)])
    np.testing.assert_allclose(g, g.T, atol=1e-12)
    assert np.linalg.eigvalsh(g).min() > -1e-12


def unrolled(w, u, feedback):
    """Three steps of h = tanh(w h + u o), o = exp(h): an output may reach the next state."""
    h, o, outputs = np.full(2, 0.3), np.full(2, 0.1), []
    for _ in range(3):
        h = ops.tanh(ops.add(ops.matmul(w, h), ops.matmul(u, o if feedback else np.ones(2))))
        o = ops.exp(h)
        outputs.append(o)
    return outputs


@pytest.mark.parametrize("feedback", [False, True], ids=["hidden", "output fed back"])
def test_gauss_newton_over_time_holds_each_output_fixed_for_the_others(feedback):
    """The Hessian of L is by o(1), o(2), o(3) as variables, also where o(1) leads to o(2)."""
    w0, u0 = RNG.normal(size=(2, 2)), RNG.normal(size=(2, 2))
    w, u = (ts.tensor(p, requires_grad=True) for p in (w0, u0))
    outputs = unrolled(w, u, feedback)

    def loss_of(all_outputs):
        first, second, third = ops.split(all_outputs, 3)
        return ops.sum(ops.tanh(first) * second * third) + ops.logsumexp(third * first)

    loss = loss_of(ops.concatenate(outputs))
    vw, vu = RNG.normal(size=(2, 2)), RNG.normal(size=(2, 2))
    by_w, by_u = ts.gauss_newton_product(loss, outputs, [w, u], [vw, vu])

    def flat(theta):
        w, u = ops.split(theta, 2)
        return ops.concatenate(unrolled(ops.reshape(w, (2, 2)), ops.reshape(u, (2, 2)), feedback))

    g = matrices(flat, loss_of, np.concatenate([w0.ravel(), u0.ravel()]))
    expected = g @ np.concatenate([vw.ravel(), vu.ravel()])
    np.testing.assert_allclose(np.concatenate([by_w.ravel(), by_u.ravel()]), expected)


def test_gauss_newton_of_an_output_computed_from_another():
    x = RNG.normal(size=8)
    w = ts.tensor(x, requires_grad=True)

    def both(w):
        first = network(w)
        return [first, ops.tanh(first)]

    def loss_of(pair):
        first, second = ops.split(pair, 2)
        return ops.sum(first * second * second)

    v = RNG.normal(size=8)
    outputs = both(w)
    loss = ops.sum(outputs[0] * outputs[1] * outputs[1])
    g = matrices(lambda w: ops.concatenate(both(w)), loss_of, x)
    np.testing.assert_allclose(ts.gauss_newton_product(loss, outputs, w, v), g @ v)


def test_gauss_newton_leaves_out_what_bypasses_the_outputs():
    w = ts.tensor(RNG.normal(size=8), requires_grad=True)
    o = network(w)
    plain = ops.sum(o * o)
    v = RNG.normal(size=8)
    np.testing.assert_allclose(
        ts.gauss_newton_product(plain + ops.sum(w * w), o, w, v),
        ts.gauss_newton_product(plain, o, w, v),
    )


def test_gauss_newton_where_an_output_or_an_input_is_not_used():
    w, other = (ts.tensor(RNG.normal(size=8), requires_grad=True) for _ in range(2))
    o, unused = network(w), network(other)
    v = RNG.normal(size=8)
    by_w, by_other = ts.gauss_newton_product(ops.sum(o * o), [o, unused], [w, other], [v, v])
    np.testing.assert_allclose(by_w, ts.gauss_newton_product(ops.sum(o * o), o, w, v))
    assert by_other.tolist() == [0] * 8


def test_gauss_newton_of_a_linear_loss_is_0():
    w = ts.tensor(RNG.normal(size=8), requires_grad=True)
    o = network(w)
    assert ts.gauss_newton_product(ops.sum(o), o, w, np.ones(8)).tolist() == [0] * 8


@pytest.mark.oracle
@torch_warns
def test_gauss_newton_agrees_with_torch():
    import torch

    x, v = RNG.normal(size=8), RNG.normal(size=8)
    w = ts.tensor(x, requires_grad=True)
    o = network(w)
    found = ts.gauss_newton_product(LOSSES["softmax"](o), o, w, v)

    a = torch.tensor(A)

    def net(w):
        return (a @ w.reshape(4, 2)).tanh().reshape(6)

    def loss(o):
        return o.logsumexp(0) - o[2]

    out, jv = torch.func.jvp(net, (torch.tensor(x),), (torch.tensor(v),))
    _, hjv = torch.func.jvp(torch.func.grad(loss), (out,), (jv,))
    (expected,) = torch.func.vjp(net, torch.tensor(x))[1](hjv)
    np.testing.assert_allclose(found, expected)


def test_gauss_newton_refuses():
    w = ts.tensor(RNG.normal(size=8), requires_grad=True)
    o = network(w)
    v = np.ones(8)
    with pytest.raises(GraphError, match="the loss is one number"):
        ts.gauss_newton_product(o * o, o, w, v)
    with pytest.raises(GraphError, match="does not depend on these outputs"):
        ts.gauss_newton_product(ops.sum(o), network(w), w, v)
    with pytest.raises(GraphError, match="requires no gradient"):
        ts.gauss_newton_product(ops.sum(o), o, ts.tensor(v), v)
    with pytest.raises(ShapeError, match="1 arguments want as many vectors"):
        ts.gauss_newton_product(ops.sum(o), o, [w], [v, v])
    loss = ops.sum(o * o)
    loss.backward()
    with pytest.raises(GraphError, match="freed"):
        ts.gauss_newton_product(loss, o, w, v)
