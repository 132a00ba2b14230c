"""What every cell must do, whatever its equations are."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import strict_cupy
import tinyseq as ts
from nn.registry import CELLS, NAMES, Case, Entry, H, I, case, each
from tinyseq import nn, structure
from tinyseq.errors import GraphError, ShapeError, StructureError

every_cell = pytest.mark.parametrize("entry", CELLS, ids=NAMES)
every_smooth_cell = pytest.mark.parametrize(
    "entry", [e for e in CELLS if e.smooth], ids=[e.name for e in CELLS if e.smooth]
)
every_cell_with_input = pytest.mark.parametrize(
    "entry", [e for e in CELLS if e.refuses], ids=[e.name for e in CELLS if e.refuses]
)


def test_every_cell_is_in_the_registry():
    exported = {getattr(nn, name) for name in nn.__all__}
    cells = {c for c in exported if isinstance(c, type) and issubclass(c, nn.Cell)} - {nn.Cell}
    assert cells == {type(entry.make(0)) for entry in CELLS}


def test_names_in_the_registry_are_unique():
    assert len(set(NAMES)) == len(NAMES)


# -- helpers --------------------------------------------------------------------------------------


def run(c: Case, **settings: Any) -> tuple[Any, Any]:
    return ts.unroll(c.cell, c.inputs, c.state, length=c.length(), **settings)


def loop(c: Case, detach_every: int | None = None, order: Any = None) -> tuple[list[Any], Any]:
    """The recurrence, written out."""
    state, ys = c.state, {}
    for count, t in enumerate(order if order is not None else range(c.steps)):
        if detach_every and count and count % detach_every == 0:
            state = structure.map(lambda a: a.detach() if isinstance(a, ts.Tensor) else a, state)
        ys[t], state = c.cell(c.at(t), state)
    return [ys[t] for t in range(c.steps)], state


def arrays(*values: Any) -> list[np.ndarray]:
    """All arrays of some structures, on the host; lists stand for stacked arrays."""
    found: list[np.ndarray] = []
    for value in values:
        if isinstance(value, list):
            value = each(lambda *steps: np.stack([raw(s) for s in steps]), *value)
        found += [strict_cupy.to_host(raw(a)) for a in structure.leaves(value) if a is not None]
    return found


def raw(value: Any) -> Any:
    return value.data if isinstance(value, ts.Tensor) else value


def assert_same(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert len(found) == len(expected) > 0
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


def assert_close(found: list[np.ndarray], expected: list[np.ndarray], within: float) -> None:
    assert len(found) == len(expected) > 0
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=within, atol=within, strict=True)


def of_floats(c: Case) -> list[ts.Tensor]:
    """Leaves for all that has a derivative; the case's inputs and state are replaced by them."""
    leaves: list[ts.Tensor] = list(c.cell.parameters())

    def leaf(a: Any) -> Any:
        if a.dtype.kind != "f":
            return a
        leaves.append(ts.tensor(a, requires_grad=True))
        return leaves[-1]

    c.inputs = None if c.inputs is None else each(leaf, c.inputs)
    c.state = each(leaf, c.state)
    return leaves


def total(*values: Any, seed: int = 5) -> Any:
    """A sum with random weights of all elements."""
    rng, result = np.random.default_rng(seed), None
    for value in values:
        for a in structure.leaves(value):
            weights = rng.normal(size=a.shape).astype(a.dtype)
            part = (a * weights).sum()
            result = part if result is None else result + part
    return result


def gradients(c: Case, *values: Any) -> list[Any]:
    """By the parameters, the inputs and the initial state; zeros where there is no path."""
    leaves = [*c.cell.parameters(), *structure.leaves(c.inputs), *structure.leaves(c.state)]
    wanted = [leaf for leaf in leaves if isinstance(leaf, ts.Tensor)]
    found = ts.grad(total(*values), wanted, allow_unused=True)
    return [np.zeros(x.shape) if g is None else g for g, x in zip(found, wanted, strict=True)]


def put(module: nn.Module, path: str, value: Any) -> None:
    """Replace the parameter of this path by any Tensor."""
    *above, name = path.split(".")
    owner: Any = module
    for part in above:
        owner = owner[int(part)] if isinstance(owner, list) else getattr(owner, part)
    if isinstance(owner, dict):
        owner[name] = value
    else:
        object.__setattr__(owner, name, value)


# -- one step and many ----------------------------------------------------------------------------


@every_cell
@pytest.mark.parametrize("batch", [1, 5])
def test_a_step_gives_an_output_and_a_state_like_the_one_before(entry: Entry, batch: int):
    c = case(entry, batch=batch)
    y, state = c.cell(c.at(0), c.state)
    assert structure.skeleton(state) == structure.skeleton(c.cell.init_state(batch))
    for new, old in zip(structure.leaves(state), structure.leaves(c.state), strict=True):
        assert (new.shape, new.dtype) == (old.shape, old.dtype)
    assert all(a.shape[0] == batch and a.dtype == np.float64 for a in structure.leaves(y))


@every_cell
@pytest.mark.parametrize("steps, batch", [(1, 1), (1, 5), (4, 1), (4, 5)])
def test_unroll_is_the_loop(entry: Entry, steps: int, batch: int):
    c = case(entry, steps, batch)
    assert_same(arrays(*run(c)), arrays(*loop(c)))


@every_cell
def test_no_initial_state_means_the_cells_own(entry: Entry):
    c = case(entry)
    if c.inputs is None:
        c.state = c.cell.init_state(2)
        expected = arrays(*loop(c))
        c.state = c.cell.init_state(2)
    else:
        c.state = c.cell.init_state(2)
        expected = arrays(*loop(c))
        c.state = None
    assert_same(arrays(*run(c)), expected)


@every_cell
def test_no_steps_give_no_outputs_and_the_initial_state(entry: Entry):
    c = case(entry, steps=0)
    ys, state = run(c)
    one, _ = run(case(entry, steps=1))
    assert [a.shape for a in arrays(ys)] == [(0, *a.shape[1:]) for a in arrays(one)]
    assert_same(arrays(state), arrays(c.state))


@every_cell
def test_reverse_is_the_loop_from_the_end(entry: Entry):
    c = case(entry, steps=4)
    assert_same(arrays(*run(c, reverse=True)), arrays(*loop(c, order=[3, 2, 1, 0])))


@every_cell
def test_float32_stays_float32(entry: Entry):
    c = case(entry, dtype=np.float32)
    of_floats(c)
    ys, state = run(c)
    assert {a.dtype for a in arrays(ys, state)} == {np.dtype(np.float32)}
    found = ts.grad(total(ys, state), c.cell.parameters(), allow_unused=True)
    assert {g.dtype for g in found if g is not None} == {np.dtype(np.float32)}


@every_cell
def test_nothing_is_recorded_under_no_grad(entry: Entry):
    c = case(entry)
    with ts.no_grad():
        ys, state = run(c)
    recorded = [a for a in structure.leaves((ys, state)) if getattr(a, "node", None) is not None]
    assert not recorded
    assert_same(arrays(ys, state), arrays(*loop(c)))


# -- derivatives ----------------------------------------------------------------------------------


def as_function(entry: Entry) -> tuple[Any, list[np.ndarray]]:
    """The outputs and the last states as a function of parameters, inputs and initial states."""
    c = case(entry, steps=2)
    names = list(c.cell.state_dict())
    given = [raw(leaf) for leaf in of_floats(c)]
    fresh = case(entry, steps=2)

    def f(*values: Any) -> list[Any]:
        cell = copy.deepcopy(c.cell)
        left = list(values)
        for name in names:
            put(cell, name, left.pop(0))

        def take_over(a: Any) -> Any:
            return left.pop(0) if a.dtype.kind == "f" else a

        inputs = None if fresh.inputs is None else each(take_over, fresh.inputs)
        state = each(take_over, fresh.state)
        length = fresh.length()
        results = [*ts.unroll(cell, inputs, state, length=length)]
        results += [*ts.unroll(cell, inputs, cell.init_state(2), length=length)]
        return structure.leaves(results)

    return f, given


@every_cell
def test_derivatives_are_those_of_central_differences(entry: Entry):
    f, given = as_function(entry)
    ts.check_grads(f, given, order=1)


@every_smooth_cell
def test_second_derivatives_are_those_of_central_differences(entry: Entry):
    f, given = as_function(entry)
    rng = np.random.default_rng(3)
    weights = [rng.normal(size=y.shape) for y in f(*map(ts.tensor, given))]

    def gradient(*values: Any) -> list[Any]:
        loss = sum((w * y).sum() for w, y in zip(weights, f(*values), strict=True))
        found = ts.grad(loss, values, create_graph=True, allow_unused=True)
        return [
            ts.tensor(np.zeros(v.shape)) if g is None else g
            for g, v in zip(found, values, strict=True)
        ]

    direction = [rng.normal(size=a.shape) for a in given]
    step = 1e-5

    def shifted(by: float) -> list[np.ndarray]:
        leaves = [ts.tensor(a + by * d, True) for a, d in zip(given, direction, strict=True)]
        return [g.data for g in gradient(*leaves)]

    expected = [(a - b) / (2 * step) for a, b in zip(shifted(step), shifted(-step), strict=True)]
    leaves = [ts.tensor(a, True) for a in given]
    found = gradient(*leaves)
    forward_over_reverse = ts.push_forward(found, leaves, direction)
    along = sum((g * d).sum() for g, d in zip(found, direction, strict=True))
    reverse_over_reverse = [
        np.zeros(leaf.shape) if g is None else g
        for g, leaf in zip(ts.grad(along, leaves, allow_unused=True), leaves, strict=True)
    ]
    assert_close(forward_over_reverse, expected, within=1e-7)
    assert_close(reverse_over_reverse, expected, within=1e-7)


@every_cell
@pytest.mark.parametrize("every", [1, 2, 3, 4, 7])
def test_detach_every_cuts_the_gradient_and_nothing_else(entry: Entry, every: int):
    c = case(entry, steps=5)
    of_floats(c)
    ys, state = run(c, detach_every=every)
    assert_same(arrays(ys, state), arrays(*loop(case(entry, steps=5))))
    expected, last = loop(c, detach_every=every)
    stacked = each(lambda *steps: ts.ops.stack(steps), *expected)
    assert_close(gradients(c, ys, state), gradients(c, stacked, last), within=1e-12)


# -- ragged batches -------------------------------------------------------------------------------

LENGTHS = [4, 1, 0, 3, 2]


def part(c: Case, n: int, length: int) -> Case:
    """One sequence alone, without its padding."""
    inputs = None if c.inputs is None else each(lambda a: raw(a)[:length, n : n + 1], c.inputs)
    state = each(lambda a: raw(a)[n : n + 1], c.state)
    return Case(c.cell, inputs, state, length)


def spoil(c: Case, lengths: list[int], by: Any) -> None:
    """Put something else into the padding."""

    def spoiled(a: Any) -> Any:
        a = a.copy()
        for n, length in enumerate(lengths):
            a[length:, n] = by if a.dtype.kind == "f" else -1000
        return a

    c.inputs = None if c.inputs is None else each(spoiled, c.inputs)


@every_cell
@pytest.mark.parametrize("reverse", [False, True])
def test_a_sequence_in_a_padded_batch_is_the_sequence_alone(entry: Entry, reverse: bool):
    """Up to rounding: BLAS adds up one row in another order than several. In the recurrence itself
    nothing differs, see ``test_without_blas_a_sequence_alone_is_the_same_to_the_bit``.
    """
    c = case(entry, steps=4, batch=5)
    ys, state = run(c, lengths=LENGTHS, reverse=reverse)
    for n, length in enumerate(LENGTHS):
        alone = part(c, n, length)
        y, last = run(alone, reverse=reverse)
        assert_close(
            [a[n : n + 1] for a in arrays(state)] + [a[:length, n : n + 1] for a in arrays(ys)],
            arrays(last) + arrays(y),
            within=1e-14,
        )
        assert not any(a[length:, n].any() for a in arrays(ys))


@every_cell
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("padding", [7.0, 1e300, np.inf, np.nan])
def test_what_is_in_the_padding_changes_no_bit(entry: Entry, reverse: bool, padding: float):
    plain, other = case(entry, 4, 5), case(entry, 4, 5)
    spoil(plain, LENGTHS, 0.0)
    spoil(other, LENGTHS, padding)
    results = []
    for c in (plain, other):
        of_floats(c)
        ys, state = run(c, lengths=LENGTHS, reverse=reverse)
        results.append([*arrays(ys, state), *gradients(c, ys, state)])
    assert_same(*results)


@every_cell
def test_the_other_sequences_of_a_batch_change_no_bit(entry: Entry):
    c, other = case(entry, 4, 5), case(entry, 4, 5, seed=1)
    other.cell = c.cell

    def mixed(theirs: Any, mine: Any, axis: int) -> Any:
        theirs = theirs.copy()
        row = (slice(None),) * axis + (3,)
        theirs[row] = mine[row]
        return theirs

    if c.inputs is not None:
        other.inputs = each(lambda a, b: mixed(a, b, axis=1), other.inputs, c.inputs)
    other.state = each(lambda a, b: mixed(a, b, axis=0), other.state, c.state)
    results = []
    for one, lengths in ((c, [4, 1, 0, 3, 2]), (other, [1, 2, 3, 3, 4])):
        ys, state = run(one, lengths=lengths)
        results.append([a[:, 3] for a in arrays(ys)] + [a[3] for a in arrays(state)])
    assert_same(*results)


@every_cell
@pytest.mark.parametrize("reverse", [False, True])
def test_how_long_the_padding_is_changes_no_output(entry: Entry, reverse: bool):
    long = case(entry, 9, 5)
    short = Case(long.cell, long.inputs, long.state, 4)
    short.inputs = None if long.inputs is None else each(lambda a: a[:4], long.inputs)
    results = []
    for c in (short, long):
        of_floats(c)
        ys, state = run(c, lengths=LENGTHS, reverse=reverse)
        ys = each(lambda a: a[:4], ys)
        results.append((arrays(ys, state), gradients(c, ys, state)[: len(c.cell.parameters())]))
    assert_same(results[0][0], results[1][0])
    # The gradient of a weight is one product over all rows, whose order of summation depends on
    # their number.
    if results[0][1]:
        assert_close(results[0][1], results[1][1], within=1e-13)


@every_cell
def test_full_lengths_change_nothing(entry: Entry):
    c = case(entry, steps=3, batch=2)
    assert_same(arrays(*run(c, lengths=[3, 3])), arrays(*run(c)))


# -- saving, copying, moving ----------------------------------------------------------------------


@every_cell
def test_weights_go_from_one_cell_to_another(entry: Entry):
    c, other = case(entry, seed=0), case(entry, seed=1)
    assert list(c.cell.state_dict()) == [name for name, _ in c.cell.named_parameters()]
    before = arrays(*loop(Case(other.cell, c.inputs, c.state, 3)))
    other.cell.load_state_dict(c.cell.state_dict())
    after = arrays(*loop(Case(other.cell, c.inputs, c.state, 3)))
    assert_same(after, arrays(*loop(c)))
    assert any((a != b).any() for a, b in zip(before, after, strict=True))


@every_cell
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda cell: pickle.loads(pickle.dumps(cell))])
def test_a_copy_is_of_its_own(entry: Entry, copied: Any):
    c = case(entry)
    before = arrays(*loop(c))
    other = copied(c.cell)
    assert [n for n, _ in other.named_parameters()] == [n for n, _ in c.cell.named_parameters()]
    assert [p.symbol for p in other.parameters()] == [p.symbol for p in c.cell.parameters()]
    assert_same(arrays(*loop(Case(other, c.inputs, c.state, 3))), before)
    for parameter in other.parameters():
        parameter.assign(parameter.data + 1)
    assert_same(arrays(*loop(c)), before)


@every_cell
def test_every_parameter_has_a_name_and_a_letter(entry: Entry):
    cell = entry.make(0)
    for name, parameter in cell.named_parameters():
        assert parameter.name == name
        if not name.startswith("initial."):
            assert parameter.symbol


@every_cell
def test_numbers_and_gradients_are_the_same_in_every_array_library(entry: Entry, xp: Any):
    c, host = case(entry, steps=4, batch=5), case(entry, steps=4, batch=5)
    c.cell.to("numpy" if xp is np else "cupy")
    c.inputs = None if c.inputs is None else each(xp.asarray, c.inputs)
    c.state = each(xp.asarray, c.state)
    results = []
    for one in (host, c):
        of_floats(one)
        ys, state = run(one, lengths=LENGTHS)
        found = [*structure.leaves((ys, state)), *gradients_there(one, ys, state)]
        results.append(found)
    assert all(isinstance(raw(a), xp.ndarray) for a in results[1])
    assert_close(*([strict_cupy.to_host(raw(a)) for a in found] for found in results), within=1e-12)


def gradients_there(c: Case, *values: Any) -> list[Any]:
    loss = sum((a * a).sum() for a in structure.leaves(values))
    found = ts.grad(loss, c.cell.parameters(), allow_unused=True)
    return [g for g in found if g is not None]


@every_cell
def test_the_gpu_is_never_waited_for(entry: Entry, monkeypatch: pytest.MonkeyPatch):
    xp = strict_cupy.install(monkeypatch)
    c = case(entry, steps=4, batch=5)
    c.cell.to("cupy")
    c.inputs = None if c.inputs is None else each(xp.asarray, c.inputs)
    c.state = each(xp.asarray, c.state)
    with strict_cupy.count_syncs() as syncs:
        ys, state = run(c, lengths=LENGTHS)
        gradients_there(c, ys, state)
    allowed = {"get"} if entry.inputs.__name__ == "forced_classes" else set()
    assert set(syncs) <= allowed  # class ids are checked on the host to be in range


# -- mistakes -------------------------------------------------------------------------------------


class Outer(nn.Module):
    """A module around the cell, so that errors have a path to name."""

    def __init__(self, cell: nn.Cell) -> None:
        self.inner = cell

    def __call__(self, *args: Any, **settings: Any) -> Any:
        return ts.unroll(self.inner, *args, **settings)


def message(c: Case, error: type[Exception]) -> str:
    with pytest.raises(error) as caught:
        Outer(c.cell)(c.inputs, c.state, length=c.length())
    return str(caught.value)


@every_cell_with_input
def test_an_input_of_the_wrong_width_is_refused_by_path_and_step(entry: Entry):
    c = case(entry)
    if c.inputs is None:  # what no cell reads cannot be of the wrong width
        c.inputs = np.zeros((3, 2, I))
    else:
        c.inputs = each(lambda a: np.concatenate([a, a], -1), c.inputs)
    text = message(c, entry.refuses)
    assert "Outer.inner" in text and "at step 1" in text, text


@every_cell_with_input
def test_an_input_of_another_batch_is_refused_by_path_and_step(entry: Entry):
    for batch in (1, 3):  # one sequence would be broadcast in silence
        c = case(entry)
        if c.inputs is None or isinstance(c.inputs, nn.Forced) and c.inputs.x is None:
            continue
        c.inputs = case(entry, batch=batch).inputs
        text = message(c, ShapeError)
        assert "Outer.inner" in text and "at step 1" in text, text


@every_cell
def test_a_missing_or_unwanted_input_is_refused_by_path_and_step(entry: Entry):
    c = case(entry)
    if c.inputs is None:
        c.inputs = np.zeros((3, 2, I))
    elif isinstance(c.inputs, nn.Forced):
        given = c.inputs.x
        c.inputs = nn.Forced(np.zeros((3, 2, I)) if given is None else None, c.inputs.y)
    else:
        c.inputs = None
    text = message(c, ShapeError)
    assert "Outer.inner" in text and "at step 1" in text, text


@every_cell
def test_a_state_of_another_structure_is_refused_by_path_and_step(entry: Entry):
    c = case(entry)
    alone = not structure.is_container(c.state)
    c.state = (c.state, c.state) if alone else structure.leaves(c.state)[0]
    text = message(c, StructureError)
    assert "Outer.inner" in text and "at step 1" in text, text


@every_cell
def test_a_state_of_the_wrong_width_is_refused_by_path_and_step(entry: Entry):
    c = case(entry)
    c.state = each(lambda a: np.concatenate([a, a], -1), c.state)
    text = message(c, ShapeError)
    assert "Outer.inner" in text and "at step 1" in text, text


@every_cell_with_input
def test_nan_goes_through_and_can_be_found(entry: Entry):
    c = case(entry)
    if c.inputs is None:
        return
    c.inputs = each(lambda a: a * np.nan if a.dtype.kind == "f" else a, c.inputs)
    ys, _ = run(c)
    assert np.isnan(arrays(ys)[0]).any()
    # a target is first read one step after it is given
    step = 2 if isinstance(c.inputs, nn.Forced) and c.inputs.x is None else 1
    with ts.detect_nonfinite(), pytest.raises(FloatingPointError, match=f"at step {step}"):
        run(c)


@every_cell
def test_a_graph_from_before_an_update_is_refused(entry: Entry):
    c = case(entry)
    ys, state = run(c, lengths=None)
    changed = next(p for p in c.cell.parameters() if p.name not in untouched(c))
    changed.assign(changed.data * 2)
    with pytest.raises(GraphError, match=changed.name):
        total(ys, state).backward()


def untouched(c: Case) -> set[str | None]:
    """Parameters on which nothing depends: an initial state when another one was given."""
    return {p.name for p in c.cell.parameters() if p.name.startswith("initial.")}


@every_cell
def test_the_batch_may_be_empty(entry: Entry):
    c = case(entry, steps=2, batch=0)
    ys, state = run(c)
    assert all(a.shape[:2] == (2, 0) for a in arrays(ys))
    assert all(a.shape[0] == 0 for a in arrays(state))


def test_the_sizes_of_the_registry_tell_the_axes_apart():
    assert len({I, H, 2, 5}) == 4
