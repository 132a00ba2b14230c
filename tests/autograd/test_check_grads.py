"""check_grads passes what is right and finds what is wrong, and says where."""

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import ops
from tinyseq.autograd.kinds import unary
from tinyseq.errors import ConfigError, DTypeError, GradientError, GraphError

X = np.random.default_rng(0).normal(size=(2, 3))
W = np.random.default_rng(1).normal(size=(3, 2))


def test_passes_what_is_right():
    assert ts.check_grads(lambda x, w: ops.tanh(ops.matmul(x, w)), (X, W)) is None
    ts.check_grads(lambda x: [ops.sin(x), ops.sum(x * x)], X, order=3)


def test_works_in_float64_whatever_is_given():
    ts.check_grads(ops.exp, X.astype(np.float32))
    ts.check_grads(ops.exp, ts.tensor(X.astype(np.float32), requires_grad=True))
    ts.check_grads(ops.exp, 0.5)


def test_other_arguments_are_passed_on():
    ts.check_grads(lambda x, axis, ids: ops.take(ops.sum(x, axis), ids), (X, 0, np.array([1, 1])))


WRONG = {
    "factor": (lambda y: 1 - 0.9 * y * y, "reverse mode, by argument 0, element (0, 0)"),
    "sign": (lambda y: y * y - 1, "reverse mode, by argument 0, element (0, 0)"),
    # right as a number, but as a Tensor it hides how it depends on the input
    "constant": (
        lambda y: 1 - y.data * y.data if isinstance(y, ts.Tensor) else 1 - y * y,
        "reverse mode over reverse mode, by argument 0, element (0, 0)",
    ),
}


@pytest.mark.parametrize("derivative, where", WRONG.values(), ids=WRONG.keys())
def test_finds_a_wrong_rule_and_says_where(derivative, where):
    wrong = unary("wrong", derivative, saves="output", forward="tanh")
    with pytest.raises(GradientError) as caught:
        ts.check_grads(lambda a: wrong(a), X)
    text = str(caught.value)
    assert text.startswith(f"check_grads: {where}: expected ")
    assert "by central differences, found" in text
    assert isinstance(caught.value, AssertionError)


def test_names_the_argument_and_the_element():
    def f(x, w):
        broken = ops.where(np.arange(6).reshape(3, 2) == 3, w.detach(), w)
        return ops.matmul(x, broken)

    with pytest.raises(GradientError, match=r"reverse mode, by argument 1, element \(1, 1\)"):
        ts.check_grads(f, (X, W))
    with pytest.raises(
        GradientError, match=r"forward mode, by argument 1, output 0, element \(0, 1\)"
    ):
        ts.check_grads(f, (X, W), modes=["forward"])


def test_finds_a_rule_that_is_wrong_in_one_mode_only():
    half = unary("half", lambda y: 0 * y + 1, saves="output", forward=lambda xp, a: a * 1)
    half.primitive.jvp = lambda tangents, node: tangents[0] * 0.5
    ts.check_grads(half, X, modes=["reverse"], order=1)
    with pytest.raises(GradientError, match="forward mode, by argument 0, output 0"):
        ts.check_grads(half, X)


def test_finds_a_wrong_second_derivative_only_if_asked():
    rule = WRONG["constant"][0]
    wrong = unary("wrong", rule, saves="output", forward="tanh")
    ts.check_grads(wrong, X, order=1)
    with pytest.raises(GradientError, match="forward mode over forward mode"):
        ts.check_grads(wrong, X, modes=["forward"])


def test_a_derivative_that_is_no_number_does_not_pass():
    with np.errstate(all="ignore"), pytest.raises(GradientError, match="found nan"):
        ts.check_grads(lambda x: ops.where(X > 0, x, ops.sqrt(x - 1e3) * 0), X, order=1)


def test_a_kink_is_found():
    with pytest.raises(GradientError, match="central differences, found 0"):
        ts.check_grads(ops.relu, np.zeros(1))


def test_refuses():
    with pytest.raises(ConfigError, match="order=0"):
        ts.check_grads(ops.exp, X, order=0)
    with pytest.raises(ConfigError, match="modes=.*sideways"):
        ts.check_grads(ops.exp, X, modes=["sideways"])
    with pytest.raises(ConfigError, match="no argument is an array of floating-point"):
        ts.check_grads(lambda k: k, 3)
    with pytest.raises(DTypeError, match="returned ndarray"):
        ts.check_grads(lambda x: np.exp(x.data), X)
    with pytest.raises(GraphError, match="depends on nothing"):
        ts.check_grads(lambda x: x.detach(), X)
