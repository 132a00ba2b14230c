"""What every operation in the registry must do."""

import functools
from typing import Any

import numpy as np
import pytest

import strict_cupy
import tinyseq as ts
from ops.registry import REGISTRY, Bad, Case, cases
from tinyseq import ops
from tinyseq.autograd.functional import differentiable, pull_back, push, tensors_of

every_case = pytest.mark.parametrize("case", cases(), ids=lambda case: case.id)
every_case_of_several = pytest.mark.parametrize(
    "case", [case for case in cases() if len(case.shapes) > 1], ids=lambda case: case.id
)
every_bad_call = pytest.mark.parametrize(
    "name, bad",
    [(entry.name, bad) for entry in REGISTRY.values() for bad in entry.bad],
    ids=lambda value: value if isinstance(value, str) else "",
)


def test_every_operation_is_in_the_registry():
    assert set(REGISTRY) == set(ops.__all__)


@pytest.mark.parametrize("name", ops.__all__)
def test_every_operation_says_what_it_does(name):
    assert len(getattr(ops, name).__doc__) > 5
    assert getattr(ops, name).__name__ == name


def as_list(result: Any) -> list[Any]:
    return list(result) if isinstance(result, list | tuple) else [result]


def leaves(arrays: Any) -> list[ts.Tensor]:
    return [ts.tensor(array, requires_grad=True) for array in arrays]


def raw(values: Any) -> list[Any]:
    return [value.data for value in values]


def random_like(values: Any, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=value.shape).astype(value.dtype) for value in values]


# -- values ---------------------------------------------------------------------------------------


@every_case
def test_raw_arrays_give_raw_arrays_and_tensors_the_same_values(case: Case):
    arrays = case.arrays()
    plain = as_list(case.use.call(*arrays))
    made = as_list(case.use.call(*leaves(arrays)))
    constant = as_list(case.use.call(*map(ts.tensor, arrays)))
    for array, tensor, untracked in zip(plain, made, constant, strict=True):
        assert isinstance(array, np.ndarray | np.generic)
        assert type(tensor) is ts.Tensor and type(tensor.data) is np.ndarray
        assert tensor.requires_grad and not untracked.requires_grad
        assert array.shape == tensor.shape and array.dtype == tensor.dtype
        np.testing.assert_array_max_ulp(array, tensor.data, 2)
        np.testing.assert_array_equal(tensor.data, untracked.data)


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:.*degrees of freedom is <= 0")  # of no rows, says torch
@every_case
def test_agrees_with_torch_to_second_order(case: Case):
    import torch

    arrays = case.arrays()
    mine, theirs = leaves(arrays), [torch.tensor(a, requires_grad=True) for a in arrays]
    outputs, expected = as_list(case.use.call(*mine)), as_list(case.use.torch(*theirs))
    assert [y.shape for y in outputs] == [tuple(y.shape) for y in expected]
    close(raw(outputs), [y.detach() for y in expected])

    us = random_like(outputs, 1)
    first = pull_back(outputs, mine, us, record=True)
    wanted = gradients(expected, theirs, [torch.tensor(u) for u in us])
    close(raw(first), [g.detach() for g in wanted])

    vs = random_like(first, 2)
    pairs = [(g, v) for g, v in zip(wanted, vs, strict=True) if g.requires_grad]
    if any(g.requires_grad for g in first) and pairs:
        second = pull_back(first, mine, vs)
        wanted = gradients([g for g, _ in pairs], theirs, [torch.tensor(v) for _, v in pairs])
        close(second, [g.detach() for g in wanted])


def gradients(outputs: Any, inputs: Any, seeds: Any) -> Any:
    import torch

    return torch.autograd.grad(
        outputs, inputs, seeds, create_graph=True, allow_unused=True, materialize_grads=True
    )


def close(found: Any, expected: Any) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, np.asarray(b), rtol=1e-9, atol=1e-12)


# -- derivatives ----------------------------------------------------------------------------------


@every_case
def test_derivatives_agree_with_differences_to_second_order(case: Case):
    ts.check_grads(case.use.call, case.arrays())


@every_case
def test_forward_mode_is_the_adjoint_of_reverse_mode(case: Case):
    inputs = leaves(case.arrays())
    outputs = as_list(case.use.call(*inputs))
    us, vs = random_like(outputs, 3), random_like(inputs, 4)
    pushed = push(outputs, inputs, vs)
    pulled = pull_back(outputs, inputs, us)
    left = sum(np.vdot(u, t) for u, t in zip(us, pushed, strict=True))
    right = sum(np.vdot(g, v) for g, v in zip(pulled, vs, strict=True))
    assert left == pytest.approx(right, rel=1e-12, abs=1e-12)


@every_case
def test_gradients_have_their_inputs_shape_and_share_no_memory(case: Case):
    inputs = leaves(case.arrays())
    outputs = as_list(case.use.call(*inputs))
    seeds, vectors = random_like(outputs, 5), random_like(inputs, 6)
    for results, like in [
        (pull_back(outputs, inputs, seeds), inputs),
        (push(outputs, inputs, vectors), outputs),
    ]:
        assert [r.shape for r in results] == [x.shape for x in like]
        others = [*raw(inputs), *raw(outputs), *seeds, *vectors]
        for k, result in enumerate(results):
            assert type(result) is np.ndarray and result.flags.writeable
            for other in [*others, *results[:k]]:
                assert not np.may_share_memory(result, other) or not result.size


def test_two_gradients_that_are_equal_are_two_arrays():
    x, y = leaves([np.ones(3), np.ones(3)])
    seed = np.ones(3)
    gx, gy = ts.grad(x + y, [x, y], seed=seed)
    gx += 1
    np.testing.assert_array_equal(gy, np.ones(3))
    np.testing.assert_array_equal(seed, np.ones(3))


# -- dtypes ---------------------------------------------------------------------------------------


@every_case
def test_float32_stays_float32(case: Case):
    arrays = case.arrays(np.float32)
    wanted = np.float32 if case.use.keeps_dtype else np.float64
    exact = as_list(case.use.call(*(a.astype(np.float64) for a in arrays)))
    inputs = leaves(arrays)
    outputs = as_list(case.use.call(*inputs))
    for plain, made, true in zip(as_list(case.use.call(*arrays)), outputs, exact, strict=True):
        assert plain.dtype == made.dtype == wanted
        np.testing.assert_allclose(made.data, true, rtol=1e-4, atol=1e-4)
    recorded = pull_back(outputs, inputs, random_like(outputs, 7), record=True)
    assert [g.dtype for g in recorded] == [np.float32] * len(inputs)
    assert [g.dtype for g in pull_back(outputs, inputs, random_like(outputs, 7))] == [
        np.float32
    ] * len(inputs)
    assert [t.dtype for t in push(outputs, inputs, random_like(inputs, 8))] == [wanted] * len(
        outputs
    )


@every_case_of_several
@pytest.mark.parametrize("rare", [np.float32, np.float64], ids=["one single", "one double"])
def test_mixed_dtypes_give_every_input_a_gradient_of_its_own(case: Case, rare):
    usual = np.float64 if rare is np.float32 else np.float32
    arrays = case.arrays()
    for odd in range(len(arrays)):
        mixed = [a.astype(rare if k == odd else usual) for k, a in enumerate(arrays)]
        inputs = leaves(mixed)
        outputs = as_list(case.use.call(*inputs))
        results = pull_back(outputs, inputs, random_like(outputs, 9))
        assert [g.dtype for g in results] == [a.dtype for a in mixed]
        pushed = push(outputs, inputs, random_like(inputs, 10))
        assert [t.dtype for t in pushed] == [y.dtype for y in outputs]
        expected = np.result_type(*mixed) if case.use.promotes else mixed[0].dtype
        for y, plain in zip(outputs, as_list(case.use.call(*mixed)), strict=True):
            assert y.dtype == plain.dtype == expected


# -- backends -------------------------------------------------------------------------------------


def all_derivatives(case: Case, xp: Any) -> tuple[list[Any], list[Any]]:
    """Everything that one can ask of a case, with the host arrays moved to the library before."""
    arrays = [xp.asarray(array) for array in case.arrays()]
    sample = as_list(case.use.call(*case.arrays()))
    us = [xp.asarray(u) for u in random_like(sample, 11)]
    vs = [xp.asarray(v) for v in random_like(case.arrays(), 12)]
    ws = [xp.asarray(w) for w in random_like(case.arrays(), 13)]
    counter = strict_cupy.count_syncs() if xp is strict_cupy.cupy else functools.partial(list)
    found: list[Any] = []

    def run() -> None:
        found.extend(as_list(case.use.call(*arrays)))
        inputs = leaves(arrays)
        outputs = as_list(case.use.call(*inputs))
        found.extend(raw(outputs))
        found.extend(push(outputs, inputs, vs))
        first = pull_back(outputs, inputs, us, record=True)
        found.extend(raw(first))
        if any(map(differentiable, first)):
            found.extend(pull_back(tensors_of(first), inputs, ws))
            found.extend(push(tensors_of(first), inputs, vs))
        found.extend(pull_back(outputs, inputs, us))

    if isinstance(counter, functools.partial):
        run()
        return found, []
    with counter as syncs:
        run()
    return found, syncs


@every_case
def test_runs_on_a_gpu_without_waiting_for_it(case: Case, xp):
    found, syncs = all_derivatives(case, xp)
    expected, _ = all_derivatives(case, np)
    for array, wanted in zip(found, expected, strict=True):
        assert type(array).__module__.partition(".")[0] == xp.__name__
        host = strict_cupy.to_host(array)
        assert host.dtype == wanted.dtype and host.shape == wanted.shape
        np.testing.assert_allclose(host, wanted, rtol=1e-11, atol=1e-13)
    assert set(syncs) == case.use.waits if xp is strict_cupy.cupy else not syncs


# -- bad input ------------------------------------------------------------------------------------


@every_bad_call
@pytest.mark.parametrize("make", [np.asarray, ts.tensor, leaves], ids=["raw", "constant", "leaf"])
def test_bad_input_is_refused_by_the_name_of_the_operation(name: str, bad: Bad, make):
    wrapped = (lambda array: leaves([array])[0]) if make is leaves else make
    with ts.scope("cell", 3), pytest.raises(bad.error) as caught:
        bad.call(wrapped)
    assert str(caught.value).startswith(f"{name} at step 3: ")
