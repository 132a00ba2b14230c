"""What cannot be compiled is refused, with the line or the operation, and never baked in."""

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn, ops
from tinyseq.errors import CompileError, ConfigError, ShapeError, StructureError

XS = np.random.default_rng(0).normal(size=(5, 3, 2))


class Base(nn.Cell):
    """h' = tanh(W x + what ``term`` gives)."""

    hidden_size = 2

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self.W = nn.Parameter(rng.normal(size=(2, 2)), "W")
        self.V = nn.Parameter(rng.normal(size=(2, 2)), "V")
        self.dropout = nn.Dropout(0.5, seed=0)
        self.rng = np.random.default_rng(2)
        self.count = 0
        self.history: list[Any] = []
        self.table = {"seen": 0}
        self.last: Any = None

    def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
        h = ops.tanh(ops.linear(x, self.W) + self.term(x, h))
        return h, h

    def term(self, x: Any, h: Any) -> Any:
        raise NotImplementedError


def cell_with(term: Any) -> Base:
    return type("Baked", (Base,), {"term": term})()


def refusal(term: Any, inputs: Any = XS) -> str:
    cell = cell_with(term)
    ts.unroll(cell, inputs)  # it can be run step by step
    with pytest.raises(CompileError) as caught:
        ts.unroll(ts.compile(cell_with(term)), inputs)
    return str(caught.value)


# -- looking at a value ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "look",
    [
        lambda h: h * float(h[0, 0]),
        lambda h: h * h[0, 0].item(),
        lambda h: h[:, int(h[0, 0] > 0) :] * 1.0 + h,
        lambda h: h if h.sum() > 0 else -h,
        lambda h: h * (1.0 if bool(h[0, 0] > 0) else 2.0),
        lambda h: -h if h[0, 0] > 0 and h[0, 1] > 0 else h,
        lambda h: h if h.data.sum() > 0 else -h,
        lambda h: h * ts.tensor(h.data),
        lambda h: h + (h * 2.0).numpy(),
        lambda h: h + float(np.mean(h.data)),
        lambda h: h if h.detach().data[0, 0] > 0 else -h,
        lambda h: h[:, np.argsort(h.data[0])],
        lambda h: ops.where(h.data > 0, h, 0.0),
        lambda h: h + np.asarray(h.detach()),
    ],
    ids=[
        "float", "item", "int", "if", "bool", "and", "data", "tensor of data", "numpy", "mean",
        "detach", "argsort", "mask", "asarray",
    ],
)  # fmt: skip
def test_a_step_that_looks_at_a_value(look: Any):
    message = refusal(lambda self, x, h: look(h))
    assert "looks at a value" in message and "ts.ops.where" in message
    assert "test_refused.py, line" in message and "lambda h" in message


@pytest.mark.parametrize("seed", range(8))
def test_no_decision_by_a_value_slips_through(seed: int):
    """Not by luck: also where another example would be decided alike."""
    weights = np.random.default_rng(seed).normal(size=(2, 2))

    def term(self: Any, x: Any, h: Any) -> Any:
        return h if ops.tanh(ops.linear(x, weights) + h).data.sum() > 0 else -h

    assert "looks at a value" in refusal(term)


def test_a_decision_under_no_grad():
    def term(self: Any, x: Any, h: Any) -> Any:
        with ts.no_grad():
            small = float((h * h).sum()) < 1.0
        return h * 2.0 if small else h

    assert "detach" in refusal(term)


def test_a_while_loop_on_a_value_names_its_line():
    def halved(self: Any, x: Any, h: Any) -> Any:
        while (h * h).sum() > 1.0:
            h = h * 0.5
        return h

    assert "while (h * h).sum() > 1.0:" in refusal(halved)


# -- what a trace would take for a constant --------------------------------------------------------


BAKED = {
    "tensor": lambda self, x, h: h + ts.tensor(x),
    "a parameter's data": lambda self, x, h: h @ self.V.data,
    "worked out from a parameter's data": lambda self, x, h: h @ (self.V.data * 2 + 1),
    "noise": lambda self, x, h: h + self.rng.normal(size=2),
    "a choice by chance": lambda self, x, h: h * self.rng.choice([1.0, 2.0, 3.0, 4.0, 5.0]),
    "dropout": lambda self, x, h: self.dropout(h),
    "dropout of an input": lambda self, x, h: h + self.dropout(x),
}


@pytest.mark.parametrize("term", BAKED.values(), ids=BAKED)
def test_what_is_worked_out_without_tensors_is_refused(term: Any):
    message = refusal(term)
    assert "of its state" in message and "in cell" in message.replace("Baked", "cell")


@pytest.mark.parametrize(
    "inputs", [np.array([[0, 1, 2], [2, 1, 0]]), np.array([[True, False], [False, True]])]
)
def test_integers_and_booleans_are_watched_as_well(inputs: np.ndarray):
    class Reads(Base):
        def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
            h = h + np.asarray(x.data, float)[:, None]
            return h, h

    with pytest.raises(CompileError):
        ts.unroll(ts.compile(Reads()), inputs)


def test_an_output_that_is_no_tensor():
    class Raw(Base):
        def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
            return self.rng.normal(size=x.shape), ops.tanh(h + x)

    with pytest.raises(CompileError, match="a result"):
        ts.unroll(ts.compile(Raw()), XS)


def counts(self: Any, x: Any, h: Any) -> Any:
    self.count += 1
    return h * self.count


def counts_by_threes(self: Any, x: Any, h: Any) -> Any:
    self.count += 1
    return h if self.count % 3 else -h


def remembers(self: Any, x: Any, h: Any) -> Any:
    before, self.last = self.last, h.detach()
    return h if before is None else h * 0.5


def records(self: Any, x: Any, h: Any) -> Any:
    self.history.append(h.shape)
    return h


def notes(self: Any, x: Any, h: Any) -> Any:
    self.table["seen"] += 1
    return h


@pytest.mark.parametrize(
    "term, name",
    [(counts, "count"), (counts_by_threes, "count"), (remembers, "last"), (records, "history"),
     (notes, "table")],
)  # fmt: skip
def test_what_a_step_remembers_is_refused_by_its_name(term: Any, name: str):
    assert f"self.{name}" in refusal(term)


def test_memory_deeper_inside_is_found():
    class Inner(nn.Module):
        def __init__(self) -> None:
            self.calls = 0

        def __call__(self, h: Any) -> Any:
            self.calls += 1
            return h

    class Outer(Base):
        def __init__(self) -> None:
            super().__init__()
            self.parts = [Inner()]

        def term(self, x: Any, h: Any) -> Any:
            return self.parts[0](h)

    with pytest.raises(CompileError, match=r"self\.parts\.0\.calls"):
        ts.unroll(ts.compile(Outer()), XS)


def test_what_is_made_once_and_kept_is_no_memory():
    """A constant that the first call makes for the later ones."""

    def lazily(self: Any, x: Any, h: Any) -> Any:
        if self.last is None:
            self.last = np.linspace(0.0, 1.0, h.shape[-1])
        return h * self.last

    fast, slow = ts.compile(cell_with(lazily)), cell_with(lazily)
    np.testing.assert_allclose(ts.unroll(fast, XS)[0].data, ts.unroll(slow, XS)[0].data)


def test_shapes_lengths_and_dtypes_may_be_looked_at():
    def scaled(self: Any, x: Any, h: Any) -> Any:
        return h * (len(x) / x.size) + np.arange(h.shape[1], dtype=h.dtype) * x.ndim

    fast, slow = ts.compile(cell_with(scaled)), cell_with(scaled)
    np.testing.assert_allclose(ts.unroll(fast, XS)[0].data, ts.unroll(slow, XS)[0].data)


def test_a_step_is_refused_before_it_has_touched_the_gradients():
    cell = cell_with(counts)
    with pytest.raises(CompileError):
        ts.unroll(ts.compile(cell), XS)
    assert all(p.grad is None for p in cell.parameters())


def test_after_a_refusal_the_mode_of_recording_is_the_old_one():
    for term in (counts, BAKED["noise"], lambda self, x, h: h * float(h[0, 0])):
        with pytest.raises(CompileError):
            ts.unroll(ts.compile(cell_with(term)), XS)
        ts.tensor(np.ones(1), requires_grad=True).item()


def test_what_the_step_says_of_other_values_is_not_the_users():
    """Other parameters than those given are tried."""

    def checks(self: Any, x: Any, h: Any) -> Any:
        if self.V.data[0, 0] != first:
            raise ValueError("not the V that I know")
        return h + x

    cell = cell_with(checks)
    first = cell.V.data[0, 0]
    with pytest.raises(CompileError, match="looks at values.*not the V that I know"):
        ts.unroll(ts.compile(cell), XS)


# -- tensors from outside --------------------------------------------------------------------------


def test_a_constant_from_outside_is_one():
    outside = np.linspace(0, 1, 6).reshape(3, 2)

    def term(self: Any, x: Any, h: Any) -> Any:
        return h * outside + ts.label(outside, "z")

    fast, slow = ts.compile(cell_with(term)), cell_with(term)
    np.testing.assert_allclose(ts.unroll(fast, XS)[0].data, ts.unroll(slow, XS)[0].data)


# -- what is wrong uncompiled, too -----------------------------------------------------------------


def same_error(cell: Any, inputs: Any, state: Any = None, **settings: Any) -> None:
    """Compiled, a mistake is reported as ``unroll`` reports it."""
    with pytest.raises(Exception) as plain:
        ts.unroll(cell, inputs, state, **settings)
    with pytest.raises(type(plain.value)) as compiled:
        ts.unroll(ts.compile(cell), inputs, state, **settings)
    assert type(compiled.value) is type(plain.value)
    name = type(cell).__name__
    assert str(compiled.value).replace("cell", name) == str(plain.value).replace("cell", name)


def test_mistakes_are_reported_as_unroll_reports_them():
    cell = nn.LSTMCell(2, 4, seed=0).to(np.float64)
    xs = np.ones((5, 3, 2))
    same_error(cell, np.ones((5, 3, 1)))
    same_error(cell, xs, np.ones((3, 4)))
    same_error(cell, xs, (np.ones((3, 4)), np.ones((3, 4))))
    same_error(cell, xs, type(cell.init_state(1))(np.ones((2, 4)), np.ones((2, 4))))
    same_error(cell, None)
    same_error(cell, xs, length=6)
    same_error(cell, xs, length=-1)
    same_error(cell, xs, lengths=[1, 2])
    same_error(cell, xs, lengths=[1, 2, 6])
    with pytest.raises(ShapeError):
        ts.unroll(ts.compile(cell), [np.ones((3, 2)), np.ones((3, 1))])


@pytest.mark.parametrize("every", [0, -1])
def test_detaching_after_fewer_than_one_step(every: int):
    same_error(nn.LSTMCell(2, 4).to(np.float64), np.ones((5, 3, 2)), detach_every=every)


def test_a_step_that_does_not_keep_the_contract():
    class Alone(Base):
        def __call__(self, x: Any, h: Any) -> Any:
            return ops.tanh(h)

    class Other(Base):
        def __call__(self, x: Any, h: Any) -> Any:
            return h, (h, h)

    class Breaks(Base):
        def __call__(self, x: Any, h: Any) -> Any:
            return x.no_such_name, h

    for kind in (Alone, Other):
        with pytest.raises(StructureError):
            ts.unroll(ts.compile(kind()), XS)
        same_error(kind(), XS)
    same_error(Breaks(), XS)


def test_a_state_that_grows_is_refused():
    class Grows(Base):
        def __call__(self, x: Any, h: Any) -> Any:
            return x, ops.concatenate([h, x], -1)

    with pytest.raises(CompileError, match=r"goes in as .*\(3, 4\) and comes out as .*\(3, 6\)"):
        ts.unroll(ts.compile(Grows()), XS)


def test_with_lengths_an_output_without_the_batch_as_its_first_axis():
    class Mean(Base):
        def __call__(self, x: Any, h: Any) -> Any:
            h = ops.tanh(h + x)
            return h.mean(0), h

    same_error(Mean(), XS, lengths=[1, 2, 3])
    with pytest.raises(ShapeError, match=r"with lengths.*\(batch, ...\), not \(2,\)"):
        ts.unroll(ts.compile(Mean()), XS, lengths=[1, 2, 3])


def test_what_is_no_cell_is_refused():
    for thing in (lambda x, h: (h, h), nn.Linear(2, 2), nn.ElmanCell, None, 3):
        with pytest.raises(CompileError, match="a cell, a layer or a SequenceModel, not"):
            ts.compile(thing)


def test_there_is_no_source_before_the_first_run():
    fast = ts.compile(nn.ElmanCell(2, 4))
    with pytest.raises(CompileError, match="shapes are known"):
        fast.source  # noqa: B018
    with pytest.raises(CompileError, match="shapes are known"):
        fast.explain()


def test_a_wrong_batch_names_the_module():
    cell = nn.ElmanCell(2, 4).to(np.float64)
    with pytest.raises(ShapeError, match="batch of 3"):
        ts.unroll(ts.compile(cell), XS, np.ones((5, 4)))


def test_an_emitter_that_does_not_exist():
    with pytest.raises(ConfigError, match="emitter is one of"):
        ts.compile(nn.ElmanCell(2, 3), emitter="fortran")
