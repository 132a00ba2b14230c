"""Steps as people write them, and what they change between two runs: no number may be a stale one.

What a step reads besides its arguments is set on two cells alike, one of them compiled.
"""

import dataclasses
import enum
import functools
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from compile.checks import assert_compiles, assert_same, results
from tinyseq import nn, ops

T, N, H = 5, 3, 4
RNG = np.random.default_rng(0)
XS, H0 = RNG.normal(size=(T, N, H)), RNG.normal(size=(N, H))


class Written(nn.Cell):
    """h' = what ``term`` makes of x and tanh(U x + W h + b)."""

    hidden_size = H
    rate = 1.0

    def __init__(self, term: Any = None, **attributes: Any) -> None:
        rng = np.random.default_rng(1)
        self.W = nn.Parameter(rng.normal(size=(H, H)) * 0.5, "W")
        self.U = nn.Parameter(rng.normal(size=(H, H)) * 0.5, "U")
        self.b = nn.Parameter(rng.normal(size=(H,)), "b")
        self.term = term
        for name, value in attributes.items():
            setattr(self, name, value)

    def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
        h = self.term(self, x, ops.tanh(ops.linear(x, self.U) + ops.linear(h, self.W) + self.b))
        return h, h


def stays_the_same(make: Callable[[], nn.Cell], *changes: Callable[[Any], Any]) -> Any:
    """Before and after each change, the compiled cell does what the cell does."""
    plain, cell = make(), make()
    fast = ts.compile(cell)
    assert_same(results(fast, XS, H0), results(plain, XS, H0))
    for change in changes:
        before = results(plain, XS, H0)["output 0"]
        change(plain)
        change(cell)
        expected = results(plain, XS, H0)
        assert np.abs(expected["output 0"] - before).max() > 1e-3, "the change makes a difference"
        assert_same(results(fast, XS, H0), expected)
    return fast


# -- attributes ------------------------------------------------------------------------------------


class Mode(enum.Enum):
    PLAIN = 1
    DOUBLE = 2


@dataclasses.dataclass
class Config:
    rate: float = 1.0
    mask: Any = None


class Slotted:
    __slots__ = ("rate",)

    def __init__(self) -> None:
        self.rate = 1.0


class Helper:
    def __init__(self) -> None:
        self.k = 1.0

    def __call__(self, h: Any) -> Any:
        return h * self.k


def reordered(cell: Any) -> None:
    cell.k["a"] = cell.k.pop("a")
    cell.k["a"], cell.k["b"] = cell.k["a"] * 5.0, cell.k["b"]


ATTRIBUTES: dict[str, tuple[Callable[[], Any], Any, Callable[[Any], Any]]] = {
    "a dictionary in another order": (
        lambda: {"a": np.full(H, 2.0), "b": np.ones(H)},
        lambda s, x, h: h * s.k["a"] + s.k["b"],
        reordered,
    ),
    "other keys": (
        lambda: {"a": 1.0},
        lambda s, x, h: h * s.k.get("a", 7.0),
        lambda c: (c.k.pop("a"), c.k.update(b=1.0)),
    ),
    "a list that grows": (
        lambda: [object()],
        lambda s, x, h: h * len(s.k),
        lambda c: c.k.append(object()),
    ),
    "functions in a list": (
        lambda: [ops.tanh],
        lambda s, x, h: s.k[0](h),
        lambda c: c.k.__setitem__(0, ops.relu),
    ),
    "a set": (lambda: {1}, lambda s, x, h: h * len(s.k), lambda c: c.k.add(2)),
    "a namespace": (
        lambda: types.SimpleNamespace(rate=1.0),
        lambda s, x, h: h * s.k.rate,
        lambda c: setattr(c.k, "rate", 2.0),
    ),
    "a dataclass": (Config, lambda s, x, h: h * s.k.rate, lambda c: setattr(c.k, "rate", 2.0)),
    "by getattr": (
        Config,
        lambda s, x, h: h * getattr(s.k, "rate"),  # noqa: B009
        lambda c: setattr(c.k, "rate", 2.0),
    ),
    "slots": (Slotted, lambda s, x, h: h * s.k.rate, lambda c: setattr(c.k, "rate", 2.0)),
    "an array in an object": (
        lambda: Config(mask=np.ones(H)),
        lambda s, x, h: h * s.k.mask,
        lambda c: setattr(c.k, "mask", np.full(H, 3.0)),
    ),
    "an array in an object, written over": (
        lambda: Config(mask=np.ones(H)),
        lambda s, x, h: h * s.k.mask,
        lambda c: c.k.mask.__imul__(3.0),
    ),
    "an object that is called": (
        Helper,
        lambda s, x, h: s.k(h),
        lambda c: setattr(c.k, "k", 2.0),
    ),
    "a method of an object": (
        lambda: Helper().__call__,
        lambda s, x, h: s.k(h),
        lambda c: setattr(c.k.__self__, "k", 2.0),
    ),
    "a partial function": (
        lambda: functools.partial(lambda h, by: h * by["v"], by={"v": 1.0}),
        lambda s, x, h: s.k(h),
        lambda c: c.k.keywords["by"].update(v=2.0),
    ),
    "an enumeration": (
        lambda: {"mode": Mode.PLAIN},
        lambda s, x, h: h * 2 if s.k["mode"] is Mode.DOUBLE else h,
        lambda c: c.k.update(mode=Mode.DOUBLE),
    ),
    "a table that is also looked at": (
        lambda: np.ones(H),
        lambda s, x, h: h * s.k + s.k.mean(),
        lambda c: setattr(c, "k", np.full(H, 2.0)),
    ),
    "a table that is also looked at, written over": (
        lambda: np.ones(H),
        lambda s, x, h: h * s.k + s.k.mean(),
        lambda c: c.k.__imul__(3.0),
    ),
    "a table that is turned into another, written over": (
        lambda: np.ones(H),
        lambda s, x, h: h * np.sqrt(s.k),
        lambda c: c.k.__imul__(4.0),
    ),
    "an order, written over": (
        lambda: np.arange(H),
        lambda s, x, h: h[:, s.k],
        lambda c: c.k.__setitem__(slice(None), [0, 0, 1, 1]),
    ),
    "a mask in an index, written over": (
        lambda: np.array([True, True, False, True]),
        lambda s, x, h: h + h[:, s.k].sum(-1, keepdims=True),
        lambda c: c.k.__setitem__(0, False),
    ),
}


@pytest.mark.parametrize("make, term, change", ATTRIBUTES.values(), ids=ATTRIBUTES)
def test_what_an_attribute_holds_changes(make: Any, term: Any, change: Any):
    stays_the_same(lambda: Written(term, k=make()), change)


def test_a_table_with_the_same_values_makes_no_other_loop():
    fast = stays_the_same(lambda: Written(lambda s, x, h: h * s.k + s.k.mean(), k=np.ones(H)))
    fast.k = np.ones(H)
    results(fast, XS, H0)
    (loop,) = fast.loops.values()
    fast.k = np.full(H, 2.0)
    results(fast, XS, H0)
    assert list(fast.loops.values()) != [loop], "its mean is part of the loop"


def test_attributes_that_no_step_reads_make_no_other_loop():
    """An optimizer that is kept in the cell counts its updates."""
    fast = stays_the_same(lambda: Written(lambda s, x, h: h, optimizer=Config()))
    fast.optimizer.rate = 5.0
    results(fast, XS, H0)
    assert len(fast.loops) == 1


class Selfish:
    """An object that holds itself."""

    def __init__(self) -> None:
        self.me, self.rate, self.all = self, 1.0, [self]


class Silent:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"{name}? never heard of it")


@pytest.mark.parametrize(
    "thing",
    [Selfish(), Silent(), np, iter("ab"), np.ones(2, complex)],
    ids=lambda thing: type(thing).__name__,
)
def test_things_of_all_kinds_may_be_attributes(thing: Any):
    assert_compiles(Written(lambda s, x, h: h if s.thing is not None else x, thing=thing), XS, H0)


def test_an_object_that_holds_itself_changes():
    make = lambda: Written(lambda s, x, h: h * s.k.me.all[0].rate, k=Selfish())  # noqa: E731
    stays_the_same(make, lambda c: setattr(c.k, "rate", 2.0))


def test_keys_that_look_alike():
    table = {1: np.ones(H), "1": np.full(H, 2.0), None: np.ones(H), (1, 2): 3.0}
    fast = stays_the_same(lambda: Written(lambda s, x, h: h * s.k[1] + s.k["1"], k=dict(table)))
    fast.k["1"] = np.full(H, 5.0)
    expected = results(fast.cell, XS, H0)
    assert_same(results(fast, XS, H0), expected)


def test_a_cell_takes_the_place_of_another_under_dropout():
    def make() -> nn.Stacked:
        cells = [nn.GRUCell(H, H, seed=k).to(np.float64) for k in range(2)]
        return nn.Stacked(cells, dropout=0.5).eval()

    def change(stack: Any) -> None:
        stack.cells[0] = nn.GRUCell(H, H, seed=7).to(np.float64)

    plain, cell = make(), make()
    fast = ts.compile(cell)
    for stack in (plain, cell):
        results(fast, XS, (H0, H0))
        change(stack)
    assert_same(results(fast, XS, (H0, H0)), results(plain, XS, (H0, H0)))


# -- variables around the step ---------------------------------------------------------------------

RATE: Any = 1.0
CONFIG = types.SimpleNamespace(rate=1.0)
MODULE = types.ModuleType("settings_of_an_experiment")


class Constants:
    rate = 1.0


def scaled(h: Any) -> Any:
    return h * RATE


def times(by: dict[str, float]) -> Any:
    def decorator(function: Any) -> Any:
        @functools.wraps(function)
        def decorated(h: Any) -> Any:
            return function(h) * by["v"]

        return decorated

    return decorator


FACTOR = {"v": 1.0}


@times(FACTOR)
def decorated(h: Any) -> Any:
    return h * RATE


def inside_a_function(s: Any, x: Any, h: Any) -> Any:
    def inner(h: Any) -> Any:
        return h * RATE

    return inner(h)


OUTSIDE: dict[str, tuple[Any, Any, str, Any]] = {
    "a number": (lambda s, x, h: h * RATE, None, "RATE", 2.0),
    "a number of NumPy's": (lambda s, x, h: h * RATE, None, "RATE", np.float32(2.0)),
    "by a function": (lambda s, x, h: scaled(h), None, "RATE", 2.0),
    "by a decorated function": (lambda s, x, h: decorated(h), None, "RATE", 2.0),
    "by its decorator": (lambda s, x, h: decorated(h), FACTOR, "v", 2.0),
    "in a comprehension": (lambda s, x, h: sum([h * RATE for _ in "ab"]), None, "RATE", 2.0),
    "in a generator": (lambda s, x, h: sum(h * RATE for _ in "ab"), None, "RATE", 2.0),
    "in a function inside": (inside_a_function, None, "RATE", 2.0),
    "another function": (lambda s, x, h: scaled(h), None, "scaled", lambda h: h * 9.0),
    "in an object": (lambda s, x, h: h * CONFIG.rate, CONFIG, "rate", 2.0),
    "in a class": (lambda s, x, h: h * Constants.rate, Constants, "rate", 2.0),
    "in another file": (lambda s, x, h: h * MODULE.rate, MODULE, "rate", 2.0),
    "by a function of another file": (lambda s, x, h: MODULE.scaled(h), MODULE, "rate", 2.0),
    "in the class of the cell": (lambda s, x, h: h * s.rate, Written, "rate", 2.0),
    "a method": (lambda s, x, h: s.act(h), Written, "act", lambda self, h: h * 3.0),
}


@pytest.mark.parametrize("owner", ["class", "static method", "property"])
def test_a_number_that_another_kind_of_function_reads(owner: str, monkeypatch: pytest.MonkeyPatch):
    function = {
        "class": classmethod(lambda cls, h: h * RATE),
        "static method": staticmethod(lambda h: h * RATE),
        "property": property(lambda self: lambda h: h * RATE),
    }[owner]
    kind: Any = type("Kind", (Written,), {"act": function})
    stays_the_same(
        lambda: kind(lambda s, x, h: s.act(h)),
        lambda c: monkeypatch.setitem(globals(), "RATE", 2.0),
    )


@pytest.mark.parametrize("term, holder, name, value", OUTSIDE.values(), ids=OUTSIDE)
def test_what_is_around_the_step_changes(
    term: Any, holder: Any, name: str, value: Any, monkeypatch: pytest.MonkeyPatch
):
    exec("rate = 1.0\ndef scaled(h):\n    return h * rate", vars(MODULE))
    monkeypatch.setattr(Written, "act", lambda self, h: h, raising=False)

    def change(_: Any) -> None:
        if holder is None or isinstance(holder, dict):
            monkeypatch.setitem(globals() if holder is None else holder, name, value)
        else:
            monkeypatch.setattr(holder, name, value)

    stays_the_same(lambda: Written(term), change)


def test_a_variable_of_a_closure_becomes_an_array():
    k: Any = 1.0

    def term(s: Any, x: Any, h: Any) -> Any:
        return h * k

    def change(value: Any) -> Any:
        def to(_: Any) -> None:
            nonlocal k
            k = value

        return to

    values = [2.0, np.float64(3.0), np.float64(4.0), np.ones(H), np.full(H, 3.0)]
    stays_the_same(lambda: Written(term), *map(change, values))
