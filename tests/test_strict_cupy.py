"""The strict double of CuPy refuses what breaks on a GPU, and computes what NumPy computes."""

import copy
import operator
import pickle
import sys

import numpy as np
import pytest

import cupy_names
from strict_cupy import count_syncs, cupy, install, ndarray, to_host

HOST = np.random.default_rng(0).normal(size=(3, 4))
MATRIX = HOST[:, :3] + 4 * np.eye(3)


@pytest.fixture
def a() -> ndarray:
    return cupy.asarray(HOST)


# What it refuses. Each entry is one way in which code that runs on NumPy breaks on a GPU.

REFUSED = {
    "np.asarray": (lambda a: np.asarray(a), TypeError, "Implicit conversion to a NumPy array"),
    "np.array of a list": (lambda a: np.array([a, a]), TypeError, "Implicit conversion"),
    "a ufunc of numpy": (lambda a: np.tanh(a), TypeError, "call xp.tanh"),
    "a function of numpy": (lambda a: np.concatenate([a, a]), TypeError, "call xp.concatenate"),
    "a + numpy array": (lambda a: a + HOST, TypeError, "Unsupported type <class 'numpy.ndarray'>"),
    "numpy array + a": (lambda a: HOST + a, TypeError, "call xp.add"),
    "a + 0-d numpy array": (lambda a: a + np.array(1.0), TypeError, "Unsupported type"),
    "numpy array += a": (lambda a: operator.iadd(HOST.copy(), a), TypeError, "call xp.add"),
    "a += numpy array": (lambda a: operator.iadd(a, HOST), TypeError, "Unsupported type"),
    "a @ numpy array": (lambda a: a @ HOST.T, TypeError, "Unsupported type"),
    "a < numpy array": (lambda a: a < HOST, TypeError, "Unsupported type"),
    "a == numpy array": (lambda a: a == HOST, TypeError, "Unsupported type"),
    "a + list": (lambda a: a + [1.0] * 4, TypeError, "Unsupported type <class 'list'>"),
    "a * numpy scalar": (lambda a: a * np.float32(2), TypeError, "foreign scalar"),
    "numpy scalar * a": (lambda a: np.float64(2) * a, TypeError, "call xp.multiply"),
    "numpy scalar to a ufunc": (lambda a: cupy.maximum(a, np.int64(0)), TypeError, "foreign"),
    "numpy scalar to a function": (
        lambda a: cupy.where(a > 0, a, np.float64(0)),
        TypeError,
        "foreign scalar",
    ),
    "numpy array in a list": (lambda a: cupy.stack([a, HOST]), TypeError, "Unsupported type"),
    "numpy array to einsum": (lambda a: cupy.einsum("ij,kj", a, HOST), TypeError, "Unsupported"),
    "numbers and arrays to array": (lambda a: cupy.array([a[0, 0], 1.0]), TypeError, "Implicit"),
    "list to a reduction": (lambda a: cupy.sum([1.0, 2.0]), TypeError, "must be a cupy.ndarray"),
    "number to a function": (lambda a: cupy.reshape(1.0, (1,)), TypeError, "must be a cupy"),
    "bool condition": (lambda a: cupy.where(True, a, a), TypeError, "condition must be"),
    "list to a ufunc": (lambda a: cupy.exp([1.0]), TypeError, "Unsupported type"),
    "out of numpy": (lambda a: cupy.exp(a, out=HOST.copy()), TypeError, "Output arguments"),
    "out of numpy, in a function": (
        lambda a: cupy.sum(a, axis=0, out=np.zeros(4)),
        TypeError,
        "Output arguments",
    ),
    "write a numpy array": (lambda a: operator.setitem(a, 0, HOST[0]), TypeError, "Unsupported"),
    "write a numpy scalar": (lambda a: operator.setitem(a, 0, HOST[0, 0]), TypeError, "foreign"),
    "write a list": (lambda a: operator.setitem(a, 0, [1.0] * 4), TypeError, "Unsupported type"),
    "ufunc with where": (lambda a: cupy.exp(a, where=a > 0), TypeError, "Wrong arguments"),
    "max with initial": (lambda a: cupy.max(a, initial=0.0), TypeError, "'initial'"),
    "method with where": (lambda a: a.sum(where=a > 0), TypeError, "'where'"),
    "maximum.reduce": (lambda a: cupy.maximum.reduce(a), NotImplementedError, "not supported yet"),
    "logaddexp.at": (
        lambda a: cupy.logaddexp.at(a, [0], 1.0),
        NotImplementedError,
        "cupy_logaddexp.at",
    ),
    "add.at of int64": (
        lambda a: cupy.add.at(cupy.zeros(3, dtype=np.int64), cupy.asarray([0]), 1),
        TypeError,
        "int64",
    ),
    "a name of numpy": (lambda a: cupy.errstate, AttributeError, "has no attribute 'errstate'"),
    "a name of np.linalg": (lambda a: cupy.linalg.vecdot, AttributeError, "'vecdot'"),
    "random numbers": (lambda a: cupy.random, AttributeError, "'random'"),
    "a method of numpy": (lambda a: a.setflags(write=False), AttributeError, "setflags"),
    "a flag of numpy": (lambda a: a.flags.writeable, AttributeError, "writeable"),
    "an attribute of numpy": (lambda a: a.ctypes, AttributeError, "ctypes"),
    "a new attribute": (lambda a: setattr(a, "name", "h"), AttributeError, "name"),
    "objects": (lambda a: a.astype(object), ValueError, "Unsupported dtype object"),
    "strings": (lambda a: cupy.asarray(["a"]), ValueError, "Unsupported dtype"),
    "as a count": (lambda a: range(cupy.asarray(3)), TypeError, "as an integer"),
    "as a key": (lambda a: {a: 1}, TypeError, "unhashable"),
    "a float as index": (lambda a: a[1.0], IndexError, "is no index"),
    "an array of floats as index": (lambda a: a[a], IndexError, "integers or booleans"),
    "an integer out of range": (lambda a: a[3], IndexError, "out of bounds"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name, a):
    code, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        code(a)


def test_a_name_that_only_the_double_lacks_says_so():
    with pytest.raises(AttributeError, match="CuPy has cupy.RawKernel, its double has not"):
        _ = cupy.RawKernel


def test_has_nothing_that_cupy_lacks():
    _, names = cupy_names.read_names()
    own = {n for n in vars(cupy) if not n.startswith("__")}
    assert own and {f"cupy.{n}" for n in own} <= set(names)
    own = {n for n in vars(cupy.linalg) if not n.startswith("__")}
    assert own and {f"cupy.linalg.{n}" for n in own} <= set(names)
    own = set(dir(ndarray)) - {"_host", "__weakref__"}
    assert {f"cupy.ndarray.{n}" for n in own} <= set(names)


# What it computes.

COMPUTED = {
    "tanh": lambda xp, a, m: xp.tanh(a),
    "log of negatives": lambda xp, a, m: xp.log(xp.abs(a) + 1e-9),
    "maximum": lambda xp, a, m: xp.maximum(a, 0.0),
    "where": lambda xp, a, m: xp.where(a > 0, a, -1.0),
    "clip": lambda xp, a, m: xp.clip(a, -0.5, 0.5),
    "sum": lambda xp, a, m: xp.sum(a, axis=0, keepdims=True),
    "method sum": lambda xp, a, m: a.sum(axis=(0, 1)),
    "var": lambda xp, a, m: a.var(axis=1, ddof=1),
    "argmax": lambda xp, a, m: xp.argmax(a, axis=1),
    "max": lambda xp, a, m: a.max(),
    "cumsum": lambda xp, a, m: xp.cumsum(a, axis=1),
    "add.reduce": lambda xp, a, m: xp.add.reduce(a, axis=1),
    "add.accumulate": lambda xp, a, m: xp.add.accumulate(a, axis=1),
    "multiply.outer": lambda xp, a, m: xp.multiply.outer(a[0], a[1]),
    "add.reduceat": lambda xp, a, m: xp.add.reduceat(a, [0, 2], axis=1),
    "matmul": lambda xp, a, m: m @ a,
    "xp.matmul": lambda xp, a, m: xp.matmul(m, a),
    "dot": lambda xp, a, m: m.dot(a),
    "einsum": lambda xp, a, m: xp.einsum("ij,kj->ik", a, a),
    "tensordot": lambda xp, a, m: xp.tensordot(a, a, axes=2),
    "concatenate": lambda xp, a, m: xp.concatenate([a, a], axis=1),
    "stack": lambda xp, a, m: xp.stack([a, a]),
    "split": lambda xp, a, m: xp.split(a, 2, axis=1),
    "pad": lambda xp, a, m: xp.pad(a, ((0, 0), (1, 2))),
    "tile": lambda xp, a, m: xp.tile(a, (2, 1)),
    "roll": lambda xp, a, m: xp.roll(a, 1, axis=0),
    "flip": lambda xp, a, m: xp.flip(a, 1),
    "moveaxis": lambda xp, a, m: xp.moveaxis(a, 0, 1),
    "broadcast_to": lambda xp, a, m: xp.broadcast_to(a, (2, 3, 4)),
    "reshape": lambda xp, a, m: a.reshape(2, -1).T,
    "astype": lambda xp, a, m: a.astype(np.float32),
    "promotion of float32": lambda xp, a, m: a.astype(np.float32) * 2.0,
    "promotion of 0-d": lambda xp, a, m: a.astype(np.float32) * xp.asarray(2.0),
    "promotion of integers": lambda xp, a, m: xp.arange(3) / 2,
    "zeros_like": lambda xp, a, m: xp.zeros_like(a),
    "full": lambda xp, a, m: xp.full((2, 2), 0.5, dtype=np.float32),
    "linspace": lambda xp, a, m: xp.linspace(0.0, 1.0, 5),
    "eye": lambda xp, a, m: xp.eye(3, k=1),
    "asarray of rows": lambda xp, a, m: xp.asarray([a[0], a[1]]),
    "take": lambda xp, a, m: xp.take(a, xp.asarray([2, 0]), axis=0),
    "method take": lambda xp, a, m: a.take(xp.asarray([-1, 0]), axis=1),
    "take_along_axis": lambda xp, a, m: xp.take_along_axis(a, xp.argsort(a, axis=1), 1),
    "a[i]": lambda xp, a, m: a[-1],
    "a[i, j]": lambda xp, a, m: a[1, 2],
    "a[slice]": lambda xp, a, m: a[::2, 1:],
    "a[None, ..., 0]": lambda xp, a, m: a[None, ..., 0],
    "a[list]": lambda xp, a, m: a[[0, 2]],
    "a[array]": lambda xp, a, m: a[:, xp.asarray([1, -1])],
    "a[array, array]": lambda xp, a, m: a[xp.asarray([0, 1]), xp.asarray([2, 3])],
    "a[..., array]": lambda xp, a, m: a[..., xp.asarray([[0], [1]])],
    "a[index from the host]": lambda xp, a, m: a[np.array([0, 1])],
    "a[mask]": lambda xp, a, m: a[a > 0],
    "a[mask of rows]": lambda xp, a, m: a[xp.asarray([True, False, True])],
    "iteration": lambda xp, a, m: [row.sum() for row in a],
    "comparison": lambda xp, a, m: (a >= 0) & ~(a > 1),
    "swapped operators": lambda xp, a, m: 1 - 2 / (3 + xp.abs(a)),
    "power": lambda xp, a, m: xp.abs(a) ** 0.5 + 2.0 ** (a // 1) % 3,
    "divmod": lambda xp, a, m: divmod(a, 0.5),
    "negative": lambda xp, a, m: abs(-(+a)),
    "allclose": lambda xp, a, m: xp.allclose(a, a),
    "norm": lambda xp, a, m: xp.linalg.norm(a, axis=1),
    "qr": lambda xp, a, m: xp.linalg.qr(m),
    "svd": lambda xp, a, m: xp.linalg.svd(a, full_matrices=False),
    "solve": lambda xp, a, m: xp.linalg.solve(m, a),
    "nonzero": lambda xp, a, m: xp.nonzero(a > 0),
}


@pytest.mark.parametrize("name", COMPUTED)
def test_computes_what_numpy_computes(name, a):
    expected = COMPUTED[name](np, HOST, MATRIX)
    got = COMPUTED[name](cupy, a, cupy.asarray(MATRIX))
    if not isinstance(expected, tuple | list):
        expected, got = [expected], [got]
    assert len(got) == len(expected)
    for g, e in zip(got, expected, strict=True):
        assert type(g) is ndarray
        assert g.dtype == np.asarray(e).dtype
        assert g.shape == np.shape(e)
        np.testing.assert_array_equal(to_host(g), e)


WRITES = {
    "a number": lambda xp, a: operator.setitem(a, (slice(None), 1), 5.0),
    "a row": lambda xp, a: operator.setitem(a, 0, a[1]),
    "by an array": lambda xp, a: operator.setitem(a, xp.asarray([0, -1]), 7.0),
    "by a mask": lambda xp, a: operator.setitem(a, a < 0, 0.0),
    "through a view": lambda xp, a: operator.setitem(a[1:].T, (0, 0), 9.0),
    "through a view of no dimensions": lambda xp, a: operator.iadd(xp.reshape(a, -1)[:1], 3.0),
    "fill": lambda xp, a: a.fill(2.0),
    "in place": lambda xp, a: operator.imul(a, 2.0),
    "out": lambda xp, a: xp.exp(a, out=a),
    "out as the third argument": lambda xp, a: xp.add(a, 1.0, a),
    "add.at, twice the same": lambda xp, a: xp.add.at(a, xp.asarray([1, 1]), 1.0),
    "add.at, with an array": lambda xp, a: xp.add.at(a, (xp.asarray([0, 0]), 1), a[:2, 2]),
    "maximum.at": lambda xp, a: xp.maximum.at(a, xp.asarray([1]), 0.0),
    "sort": lambda xp, a: a.sort(axis=0),
    "put_along_axis": lambda xp, a: xp.put_along_axis(
        a, xp.argmax(a, axis=1, keepdims=True), 0.0, 1
    ),
}


@pytest.mark.parametrize("name", WRITES)
def test_writes_what_numpy_writes(name, a):
    expected = HOST.copy()
    WRITES[name](np, expected)
    WRITES[name](cupy, a)
    assert not np.array_equal(expected, HOST)
    np.testing.assert_array_equal(to_host(a), expected)


def test_single_elements_are_views_of_no_dimensions(a):
    element = a[1, 2]
    element += 1.0
    assert to_host(a)[1, 2] == HOST[1, 2] + 1.0


def test_gives_no_warning_where_numpy_does():
    zero = cupy.zeros(2)
    np.testing.assert_array_equal(to_host(1.0 / zero), [np.inf, np.inf])
    np.testing.assert_array_equal(to_host(cupy.log(zero)), [-np.inf, -np.inf])


def test_index_arrays_out_of_range_wrap_around_in_silence(a):
    far = cupy.asarray([3, 7, -4])
    np.testing.assert_array_equal(to_host(a[far]), HOST[[0, 1, 2]])
    np.testing.assert_array_equal(to_host(cupy.take(a, far, axis=0)), HOST[[0, 1, 2]])
    rows = cupy.take_along_axis(a, far[:, None], 0)
    np.testing.assert_array_equal(to_host(rows), HOST[[0, 1, 2]])
    target = cupy.zeros(3)
    cupy.add.at(target, far, 1.0)
    np.testing.assert_array_equal(to_host(target), [1.0, 1.0, 1.0])


def test_eigenvalues_are_complex_even_where_all_are_real():
    values = cupy.linalg.eigvals(cupy.asarray(MATRIX + MATRIX.T))
    assert values.dtype == np.complex128
    np.testing.assert_allclose(
        np.sort(to_host(values)), np.linalg.eigvalsh(MATRIX + MATRIX.T), rtol=1e-12
    )


def test_scatter_casts_to_the_dtype_of_the_target(a):
    target = cupy.zeros(3, dtype=np.float32)
    cupy.add.at(target, cupy.asarray([0, 0]), a[0, :2])
    assert target.dtype == np.float32
    np.testing.assert_allclose(to_host(target)[0], HOST[0, :2].sum(), rtol=1e-6)


class Other:
    """A class that asks to do the operation itself, as Tensor does."""

    __array_ufunc__ = None

    def __radd__(self, other):
        return "radd"

    def __rmatmul__(self, other):
        return "rmatmul"

    def __gt__(self, other):
        return "gt"


def test_leaves_operations_to_a_class_that_asks_for_them(a):
    assert a + Other() == "radd"
    assert a @ Other() == "rmatmul"
    assert (a < Other()) == "gt"
    assert (a == None) is False  # noqa: E711


# What it counts.

SYNCS = {
    "item": lambda a: a[0, 0].item(),
    "float": lambda a: float(a[0, 0]),
    "int": lambda a: int(a[0, 0]),
    "complex": lambda a: complex(a[0, 0]),
    "bool": lambda a: bool(a[0, 0]),
    "tolist": lambda a: a.tolist(),
    "tobytes": lambda a: a.tobytes(),
    "get": lambda a: cupy.asnumpy(a),
    "repr": repr,
    "str": str,
    "format": lambda a: f"{a[0, 0]:.3f}",
    "boolean mask": lambda a: a[a > 0],
    "nonzero": lambda a: cupy.nonzero(a),
    "where": lambda a: cupy.where(a > 0),
    "unique": lambda a: cupy.unique(a),
}


@pytest.mark.parametrize("name", SYNCS)
def test_counts_what_waits_for_the_gpu(name, a):
    with count_syncs() as syncs:
        SYNCS[name](a)
    assert syncs == [name]


def test_counts_the_hidden_ones(a):
    with count_syncs() as syncs:
        if (a > 0).all():
            pass
        assert a[0, 0] in a[0]
        pickle.loads(pickle.dumps(a))
    assert syncs == ["bool", "bool", "get"]


def test_counts_nothing_that_stays_on_the_gpu(a):
    with count_syncs() as outer, count_syncs() as inner:
        b = cupy.tanh(a @ a.T + 1.0)
        b[0] = 0.0
        _ = cupy.where(b > 0, b, 0.0).sum(), b.shape, len(b), b[0, 0], copy.deepcopy(b)
    assert inner == [] and outer == []
    with count_syncs() as outer:
        with count_syncs() as inner:
            float(a[0, 0])
        int(a[0, 0])
    assert inner == ["float"] and outer == ["float", "int"]


# How it is used.


def test_install_is_what_import_finds(monkeypatch):
    with monkeypatch.context() as patch:
        installed = install(patch)
        import cupy as imported

        assert imported is installed is sys.modules["cupy"]
        assert type(imported.ones(2)).__module__ == "cupy"
        assert imported.cuda.runtime.getDeviceCount() == 1
    assert sys.modules.get("cupy") is not installed


def test_the_way_in_and_the_way_out_copy():
    source = HOST.copy()
    array = cupy.asarray(source)
    source[:] = 0.0
    out = cupy.asnumpy(array)
    np.testing.assert_array_equal(out, HOST)
    out[:] = 0.0
    np.testing.assert_array_equal(to_host(array), HOST)
    assert cupy.asarray(array) is array
    assert array.astype(array.dtype, copy=False) is array
    assert cupy.get_array_module(array) is cupy and cupy.get_array_module(HOST) is np


def test_the_fixture_gives_a_namespace_whose_arrays_to_host_takes_back(xp):
    array = xp.linspace(0.0, 1.0, 3)
    assert type(array).__module__.partition(".")[0] == xp.__name__
    assert type(to_host(array)) is np.ndarray
    np.testing.assert_array_equal(to_host(array), [0.0, 0.5, 1.0])
