"""The handle: what it is made of, what it turns into, what it refuses."""

import copy
import pickle

import numpy as np
import pytest

import strict_cupy
import tinyseq as ts
from tinyseq import nn, ops
from tinyseq.errors import BackendError, DTypeError, GraphError, ShapeError


@pytest.fixture
def x() -> ts.Tensor:
    return ts.tensor(np.array([1.0, 2.0, 3.0]), requires_grad=True)


# -- making one -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value, dtype",
    [
        (2, np.int64),
        (2.5, np.float64),
        (True, np.bool_),
        ([1, 2], np.int64),
        ([[1.0], [2.0]], np.float64),
        (np.float32(1), np.float32),
        (np.ones(2, np.float16), np.float16),
    ],
    ids=str,
)
def test_made_of_numbers_lists_and_arrays(value, dtype):
    made = ts.tensor(value)
    assert type(made.data) is np.ndarray and made.dtype == dtype
    np.testing.assert_array_equal(made.data, value)
    assert not made.requires_grad and made.is_leaf and made.node is None


def test_an_array_is_not_copied():
    array = np.ones(3)
    assert ts.tensor(array).data is array
    assert ts.tensor(ts.tensor(array)).data is array


def test_a_tensor_of_a_tensor_is_detached(x):
    y = ts.tensor(x * 2, requires_grad=True)
    assert y.is_leaf and y.data.tolist() == [2, 4, 6]


@pytest.mark.parametrize("dtype", [np.float32, "float32"])
def test_dtype_converts(dtype):
    made = ts.tensor([1, 2], requires_grad=True, dtype=dtype)
    assert made.dtype == np.float32 and made.requires_grad


@pytest.mark.parametrize("value", [[1, 2], [True], np.arange(3, dtype=np.int8)], ids=str)
def test_only_fractions_can_require_a_gradient(value):
    with pytest.raises(DTypeError, match="wants floating-point values.*pass dtype=float"):
        ts.tensor(value, requires_grad=True)


def test_ragged_lists_are_refused():
    with pytest.raises(ShapeError, match="ragged list.*Pad it.*pass lengths"):
        ts.tensor([[1.0, 2.0], [3.0]])
    with pytest.raises(ShapeError, match="^add: cannot make an array of a ragged list"):
        ts.tensor([1.0, 2.0]) + [[1.0, 2.0], [3.0]]


@pytest.mark.parametrize(
    "value",
    ["text", None, {"a": 1}, [1.0, None], np.array([1j]), np.array(["a"]), np.array([None])],
    ids=lambda v: f"{type(v).__name__}-{v}",
)
def test_what_is_no_real_number_is_refused(value):
    with pytest.raises(DTypeError):
        ts.tensor(value)


# -- turning it into something else ---------------------------------------------------------------


def test_numbers_out_of_a_tensor():
    one = ts.tensor([[2.75]], requires_grad=True) * 1
    assert (one.item(), float(one), int(one), bool(one)) == (2.75, 2.75, 2, True)
    assert type(one.item()) is float
    assert bool(ts.tensor([0.0])) is False


@pytest.mark.parametrize("convert", [float, int, bool, lambda t: t.item()])
def test_several_elements_are_no_number(x, convert):
    with pytest.raises(ShapeError, match=r"one element, not one of shape \(3,\)"):
        convert(x)


def test_shape_and_its_kin(x):
    y = x.reshape(3, 1)
    assert (y.shape, y.ndim, y.size, len(y), y.dtype) == ((3, 1), 2, 3, 3, np.float64)
    with pytest.raises(ShapeError, match="no length"):
        len(ts.tensor(1.0))


def test_a_constant_becomes_an_array_where_numpy_wants_one():
    made = ts.tensor([1.0, 2.0])
    np.testing.assert_array_equal(np.asarray(made), [1, 2])
    assert np.asarray(made, dtype=np.float32).dtype == np.float32
    assert np.asarray(made) is made.data


@pytest.mark.parametrize("take", [np.asarray, np.array, lambda t: np.stack([t, t])])
def test_a_tensor_of_a_graph_does_not_become_an_array_in_silence(x, take):
    with pytest.raises(GraphError, match=r"lose the gradient in silence\. Take \.data or \.detach"):
        take(x * 2)


def test_numpy_functions_are_refused(x):
    with pytest.raises(TypeError, match="does not support ufuncs"):
        np.tanh(x)


def test_a_tensor_is_not_changed_in_place(x):
    with pytest.raises(
        GraphError, match=r"not changed in place.*ts\.ops\.where or ts\.ops\.scatter"
    ):
        x[0] = 1.0


def test_augmented_assignment_makes_a_new_tensor(x):
    y = x * 1
    old = y
    y += 1
    assert y is not old and old.data.tolist() == [1, 2, 3] and y.data.tolist() == [2, 3, 4]
    assert ts.grad(y.sum(), x).tolist() == [1, 1, 1]


def test_tensors_are_told_apart_by_identity(x):
    other = ts.tensor(x.data, requires_grad=True)
    assert len({x, other, x}) == 2
    assert {x: 1}[x] == 1


def test_repr_shows_values_and_origin(x):
    ts.label(x, "x")
    assert repr(x) == (
        "tensor([1. 2. 3.], shape=(3,), dtype=float64, label='x', requires_grad=True)"
    )
    assert repr(ops.tanh(x * 0)) == "tensor([0. 0. 0.], shape=(3,), dtype=float64, made by tanh)"
    assert len(repr(ts.tensor(np.zeros((1000, 1000))))) < 500


# -- labels ---------------------------------------------------------------------------------------


def test_a_label_names_the_tensor_and_keeps_its_value(x):
    h = ts.label(ops.tanh(x), "h")
    assert h.label == "h" and h.node.value is h.data
    assert ts.label(h, "g") is h and h.label == "g"


def test_a_raw_array_gets_a_leaf_to_carry_the_label():
    made = ts.label(np.array([1, 2]), "x")
    assert type(made) is ts.Tensor and made.node.label == "x" and not made.requires_grad


@pytest.mark.parametrize("name", ["", None, 3])
def test_a_label_is_a_text(x, name):
    with pytest.raises(DTypeError, match="non-empty string"):
        ts.label(x, name)


# -- copies ---------------------------------------------------------------------------------------

COPIES = {
    "pickle": lambda t: pickle.loads(pickle.dumps(t)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES.keys())
def test_leaves_can_be_copied_and_stored(x, duplicate):
    again = duplicate(x)
    assert again.requires_grad and again is not x and again.node is not x.node
    assert again.data.tolist() == [1, 2, 3]
    (again * 2).sum().backward()
    assert x.grad is None
    assert not duplicate(ts.tensor([1, 2])).requires_grad


@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES.keys())
def test_parameters_can_be_copied_and_stored(duplicate):
    parameter = nn.Parameter(np.ones(2), symbol="W")
    again = duplicate(parameter)
    assert type(again) is nn.Parameter and again.symbol == "W" and again.requires_grad
    again.assign(np.zeros(2))
    assert parameter.data.tolist() == [1, 1]


@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES.keys())
def test_a_tensor_of_a_graph_is_not_copied_with_the_graph(x, duplicate):
    with pytest.raises(GraphError, match=r"cannot be pickled or deep-copied.*\.detach\(\)"):
        duplicate(x * 2)
    assert duplicate((x * 2).detach()).data.tolist() == [2, 4, 6]


# -- two libraries --------------------------------------------------------------------------------

MIXED = {
    "+": lambda a, b: a + b,
    "reversed +": lambda a, b: b + a,
    "matmul": lambda a, b: a @ b,
    "maximum": ops.maximum,
    "concatenate": lambda a, b: ops.concatenate([a, b]),
    "stack": lambda a, b: ops.stack([a, b]),
    "einsum": lambda a, b: ops.einsum("i,i->", a, b),
    "linear": lambda a, b: ops.linear(a, ops.expand_dims(b, 0)),
    "where": lambda a, b: ops.where(True, a, b),
    "clip": lambda a, b: ops.clip(a, b),
    "<": lambda a, b: a < b,
    "==": lambda a, b: a == b,
}


@pytest.mark.parametrize("f", MIXED.values(), ids=MIXED.keys())
@pytest.mark.parametrize("tracked", ["gpu", "host", "both"])
def test_arrays_of_two_libraries_are_refused_with_the_way_out(monkeypatch, f, tracked):
    cupy = strict_cupy.install(monkeypatch)
    gpu, host = cupy.ones(3), np.ones(3)
    if tracked != "host":
        gpu = ts.tensor(gpu, requires_grad=True)
    if tracked != "gpu":
        host = ts.tensor(host, requires_grad=True)
    for a, b in [(gpu, host), (host, gpu)]:
        with pytest.raises(BackendError) as caught:
            f(a, b)
        text = str(caught.value)
        assert "cupy" in text and "numpy" in text
        assert "ts.to_numpy(array)" in text and "ts.to_cupy(array)" in text


def test_numbers_go_with_either_library(xp):
    x = ts.tensor(xp.ones(2), requires_grad=True)
    for number in (2, 2.0, True, np.float64(2), np.float32(2), np.int64(2)):
        y = (x * number + number - number) / number
        assert type(y.data) is xp.ndarray and type(ts.grad(y.sum(), x)) is xp.ndarray


def test_a_gpu_tensor_does_not_become_a_numpy_array_in_silence(monkeypatch):
    x = ts.tensor(strict_cupy.install(monkeypatch).ones(2))
    with pytest.raises(DTypeError, match=r"lives on the GPU: use \.numpy\(\)"):
        np.asarray(x)
    assert type(x.numpy()) is np.ndarray
    assert "GPU" not in repr(x)


# -- the GPU that is not there --------------------------------------------------------------------


class NoDriver(Exception):
    """What CuPy raises has a class of its own."""


def with_devices(cupy, monkeypatch, count):
    def devices():
        if count is None:
            raise NoDriver("CUDA driver version is insufficient")
        return count

    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceCount", devices)


def test_the_gpu_without_cupy(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cupy", None)
    with pytest.raises(
        BackendError, match=r"CuPy is not installed: pip install 'tinyseq\[cuda12\]'"
    ):
        ts.to_cupy(np.ones(2))


@pytest.mark.parametrize(
    "count, text", [(None, "no usable one.*driver version is insufficient"), (0, "finds none")]
)
def test_the_gpu_without_a_gpu(monkeypatch, count, text):
    with_devices(strict_cupy.install(monkeypatch), monkeypatch, count)
    with pytest.raises(BackendError, match=text):
        ts.to_cupy(np.ones(2))


def test_there_and_back(monkeypatch):
    cupy = strict_cupy.install(monkeypatch)
    there = ts.to_cupy(np.array([1.0, 2.0]))
    assert type(there) is cupy.ndarray
    assert type(ts.to_numpy(there)) is np.ndarray and ts.to_numpy(there).tolist() == [1, 2]


# -- denormal numbers -----------------------------------------------------------------------------


def vanishing(dtype, steps=40, labels=True):
    """d/dx of x times 0.1 in every step: 10^-steps."""
    x = ts.tensor(np.array([1.0, 0.0], dtype), requires_grad=True)
    h = x
    for t in range(1, steps + 1):
        with ts.scope("step", t):
            h = h * 0.1
            if labels:
                h = ts.label(h, "h")
    return ts.grad(h, x, seed=np.ones(2, dtype))


def test_float32_gradients_that_vanish_become_0_before_they_are_denormal():
    assert vanishing(np.float32).tolist() == [0, 0]
    np.testing.assert_allclose(vanishing(np.float32, steps=29), 1e-29, rtol=1e-5)


def test_float64_gradients_keep_what_float32_cannot_hold():
    np.testing.assert_allclose(vanishing(np.float64), 1e-40)


def test_only_a_labelled_step_lets_a_gradient_vanish():
    with np.errstate(under="ignore"):
        assert (vanishing(np.float32, labels=False) > 0).all()


def test_small_gradients_beside_large_ones_stay():
    x = ts.tensor(np.ones(2, np.float32), requires_grad=True)
    with ts.scope("step", 1):
        h = ts.label(x * 1.0, "h")
    seed = np.array([1e-35, 1.0], np.float32)
    assert ts.grad(h, x, seed=seed).tolist() == seed.tolist()
