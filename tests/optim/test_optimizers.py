"""The optimizers: against PyTorch step for step, and what they refuse."""

import json

import numpy as np
import pytest

import strict_cupy
from strict_cupy import count_syncs, to_host
from tinyseq.autograd.tensor import tensor
from tinyseq.backend import is_array
from tinyseq.errors import BackendError, CheckpointError, ConfigError, DTypeError, GraphError
from tinyseq.nn import Linear, Module, Parameter
from tinyseq.optim import SGD, Adam, AdamW, RMSprop

# The class, which PyTorch's has the same name, and the arguments beside the parameters.
CASES = [
    ("SGD", {}),
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.05}),
    ("SGD", {"lr": 0.03, "momentum": 0.9}),
    ("SGD", {"lr": 0.03, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.03, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.03, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("Adam", {}),
    ("Adam", {"lr": 0.01, "betas": (0.8, 0.99), "eps": 1e-4}),
    ("Adam", {"lr": 0.01, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.01, "amsgrad": True}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.02, "weight_decay": 0.3, "amsgrad": True}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.003, "alpha": 0.9, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.003, "momentum": 0.8}),
    ("RMSprop", {"lr": 0.003, "centered": True, "eps": 1e-5}),
    ("RMSprop", {"lr": 0.003, "centered": True, "momentum": 0.9, "weight_decay": 0.01}),
]
CLASSES = {"SGD": SGD, "Adam": Adam, "AdamW": AdamW, "RMSprop": RMSprop}
SHAPES = [(4, 3), (5,), ()]


def case_id(case):
    return case[0] + "".join(f"-{key}={value}" for key, value in case[1].items())


cases = pytest.mark.parametrize("case", CASES, ids=case_id)


def initial(dtype):
    rng = np.random.default_rng(1)
    return [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]


def gradients(step, dtype):
    """Of changing size; the second is missing in every third step, the first in the first."""
    rng = np.random.default_rng((2, step))
    scale = 10.0 ** rng.uniform(-3, 1)
    found = [(scale * rng.standard_normal(shape)).astype(dtype) for shape in SHAPES]
    if step % 3 == 1:
        found[1] = None
    if step == 0:
        found[0] = None
    return found


def run(case, steps, xp=np, dtype=np.float64):
    """The optimizer after so many steps, and the parameters after each of them."""
    name, arguments = case
    params = [Parameter(xp.asarray(values)) for values in initial(dtype)]
    optimizer = CLASSES[name](params, **arguments)
    return optimizer, [go(optimizer, step, xp, dtype) for step in range(steps)]


def go(optimizer, step, xp=np, dtype=np.float64):
    for parameter, g in zip(optimizer.params, gradients(step, dtype), strict=True):
        parameter.grad = None if g is None else xp.asarray(g)
    optimizer.step()
    return [to_host(parameter.data).copy() for parameter in optimizer.params]


@pytest.mark.oracle
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-6), (np.float64, 1e-12)])
@cases
def test_agrees_with_torch_at_every_step(case, dtype, tolerance):
    import torch

    name, arguments = case
    theirs = [torch.tensor(values, requires_grad=True) for values in initial(dtype)]
    reference = getattr(torch.optim, name)(theirs, **arguments)
    _, ours = run(case, 200, dtype=dtype)
    for step, found in enumerate(ours):
        for parameter, g in zip(theirs, gradients(step, dtype), strict=True):
            parameter.grad = None if g is None else torch.tensor(g)
        reference.step()
        for parameter, values in zip(theirs, found, strict=True):
            expected = parameter.detach().numpy()
            assert values.dtype == dtype
            scale = max(1.0, float(np.abs(expected).max()))
            assert np.abs(values - expected).max() <= tolerance * scale, f"step {step}"


@cases
def test_every_array_library_gives_the_same(case, xp):
    _, expected = run(case, 5, dtype=np.float32)
    optimizer, found = run(case, 5, xp, np.float32)
    for values, same in zip(found[-1], expected[-1], strict=True):
        np.testing.assert_allclose(values, same, rtol=1e-6)
    for p, g in zip(optimizer.params, gradients(5, np.float32), strict=True):
        p.grad = xp.asarray(g)
    with count_syncs() as syncs:
        optimizer.step()
    assert syncs == []


@cases
def test_goes_on_from_its_state_bit_for_bit(case):
    straight, expected = run(case, 20)
    first, values = run(case, 10)
    numbers = {k: v for k, v in first.state_dict().items() if not is_array(v)}
    arrays = {k: v for k, v in first.state_dict().items() if is_array(v)}
    second = type(first)([Parameter(array) for array in values[-1]])
    second.load_state_dict(json.loads(json.dumps(numbers)) | arrays)
    for step in range(10, 20):
        found = go(second, step)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected[-1], strict=True))
    last, same = second.state_dict(), straight.state_dict()
    assert sorted(last) == sorted(same)
    assert all(np.array_equal(last[key], same[key]) for key in same)


def test_names_of_the_state_are_those_of_the_parameters():
    model = Linear(2, 1, seed=0)
    optimizer = SGD(model.parameters(), momentum=0.5)
    model.weight.grad = np.ones((1, 2), np.float32)
    optimizer.step()
    state = optimizer.state_dict()
    assert list(state) == [
        "optimizer", "steps", "lr", "momentum", "dampening", "weight_decay", "nesterov",
        "weight.velocity",
    ]  # fmt: skip
    state["weight.velocity"][:] = 7  # a copy
    assert optimizer.state_dict()["weight.velocity"].tolist() == [[1, 1]]


def test_nothing_that_somebody_may_hold_is_changed(xp):
    for name, arguments in CASES:
        start = [xp.asarray(a) for a in initial(np.float32)]
        params = [Parameter(a) for a in start]
        optimizer = CLASSES[name](params, **arguments)
        held = [xp.asarray(g) for g in gradients(2, np.float32)]
        for _ in range(3):
            for parameter, g in zip(params, held, strict=True):
                parameter.grad = g
            optimizer.step()
        for g, same in zip(held, gradients(2, np.float32), strict=True):
            assert np.array_equal(to_host(g), same)
        for a, same in zip(start, initial(np.float32), strict=True):
            assert np.array_equal(to_host(a), same)


def test_a_step_makes_older_graphs_stale():
    weight = Parameter(np.ones(3))
    loss = (weight * weight).sum()
    weight.grad = np.ones(3)
    SGD([weight]).step()
    with pytest.raises(GraphError, match="changed by assign"):
        loss.backward()


def test_frozen_parameters_are_passed_over():
    frozen, free = Parameter(np.ones(2), requires_grad=False), Parameter(np.ones(2))
    optimizer = Adam([frozen, free])
    free.grad = np.ones(2)
    optimizer.step()
    optimizer.zero_grad()
    assert frozen.data.tolist() == [1, 1] and free.data[0] < 1
    assert free.grad is None


def test_minimises_the_rosenbrock_function():
    point = Parameter(np.array([-1.0, 1.0]))
    optimizer = Adam([point], lr=0.02)
    for _ in range(3000):
        x, y = point[0], point[1]
        loss = (1 - x) * (1 - x) + 100 * (y - x * x) * (y - x * x)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    np.testing.assert_allclose(point.data, [1, 1], atol=1e-3)


def test_a_setting_may_change_on_the_way_and_stays_a_python_float():
    weight = Parameter(np.ones(2, np.float32))
    optimizer = SGD([weight])
    optimizer.lr = np.float64(0.5)
    optimizer.momentum = 1
    assert type(optimizer.lr) is float and type(optimizer.momentum) is float
    weight.grad = np.ones(2, np.float32)
    optimizer.step()
    assert weight.data.tolist() == [0.5, 0.5]
    with pytest.raises(ConfigError, match=r"SGD: lr lies in \[0, inf\), not -1"):
        optimizer.lr = -1
    with pytest.raises(DTypeError, match="lr is a number, not 'fast'"):
        optimizer.lr = "fast"


def test_averages_do_not_end_as_denormals():
    weight = Parameter(np.ones(4, np.float32))
    optimizer = Adam([weight])
    weight.grad = np.full(4, 1e-3, np.float32)
    optimizer.step()
    weight.grad = np.zeros(4, np.float32)
    for _ in range(1500):
        optimizer.step()
    assert optimizer.state_dict()["0.m"].tolist() == [0, 0, 0, 0]  # 0.9 * x rounds to x for tiny x


def test_centered_rmsprop_survives_a_constant_gradient():
    weight = Parameter(np.ones(3, np.float32))
    optimizer = RMSprop([weight], alpha=0.5, centered=True)
    for _ in range(100):
        weight.grad = np.array([0.1, 0.7, 1e3], np.float32)
        optimizer.step()
    assert np.isfinite(weight.data).all()


WEIGHT = Parameter(np.ones(2))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGD([]), ConfigError, "without parameters"),
        (lambda: Adam(Module().parameters()), ConfigError, "without parameters"),
        (lambda: SGD([WEIGHT, WEIGHT]), ConfigError, "twice"),
        (lambda: SGD(WEIGHT), DTypeError, r"pass \[parameter\]"),
        (lambda: SGD([tensor(1.0)]), DTypeError, "entry 0 is a Tensor"),
        (lambda: SGD([np.ones(2)]), DTypeError, "entry 0 is a ndarray"),
        (lambda: SGD([WEIGHT], lr=float("nan")), ConfigError, "lr lies in"),
        (lambda: SGD([WEIGHT], nesterov=True), ConfigError, "nesterov wants momentum"),
        (lambda: SGD([WEIGHT], 0.1, 0.9, 0.1, nesterov=True), ConfigError, "dampening = 0"),
        (lambda: Adam([WEIGHT], betas=(0.9, 1.0)), ConfigError, r"beta2 lies in \[0, 1\), not 1"),
        (lambda: AdamW([WEIGHT], weight_decay=-1), ConfigError, "AdamW: weight_decay lies in"),
        (lambda: RMSprop([WEIGHT], alpha=1.5), ConfigError, "alpha lies in"),
        (lambda: RMSprop([WEIGHT], eps=None), DTypeError, "eps is a number, not None"),
    ],
)
def test_refuses(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_state_of_something_else_is_refused_and_nothing_is_changed():
    optimizer, _ = run(("Adam", {}), 3)
    state = optimizer.state_dict()
    with pytest.raises(CheckpointError, match="the state of SGD, not of Adam"):
        optimizer.load_state_dict(SGD([WEIGHT]).state_dict())
    with pytest.raises(CheckpointError, match=r"shape: 0.m \(2,\) instead of \(4, 3\); extra: 9.m"):
        optimizer.load_state_dict(state | {"lr": 0.5, "0.m": np.ones(2), "9.m": np.ones(2)})
    del state["eps"]
    with pytest.raises(CheckpointError, match="missing: eps"):
        optimizer.load_state_dict(state)
    same, _ = run(("Adam", {}), 3)
    for key, value in same.state_dict().items():
        assert np.array_equal(optimizer.state_dict()[key], value)


def test_a_moved_parameter_is_noticed_and_the_optimizer_can_follow():
    weight = Parameter(np.ones(2, np.float32))
    optimizer = Adam([weight])
    weight.grad = np.ones(2, np.float32)
    optimizer.step()
    weight.move(weight.data.astype(np.float64))
    weight.grad = np.ones(2)
    with pytest.raises(BackendError, match="moved after the optimizer's first step"):
        optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.step()
    assert optimizer.state_dict()["0.m"].dtype == np.float64


def test_a_parameter_that_went_to_the_gpu_is_noticed(monkeypatch):
    xp = strict_cupy.install(monkeypatch)
    weight = Parameter(np.ones(2, np.float32))
    optimizer = SGD([weight], momentum=0.9)
    weight.grad = np.ones(2, np.float32)
    optimizer.step()
    weight.move(xp.asarray(weight.data))
    weight.grad = xp.ones(2, np.float32)
    with pytest.raises(BackendError, match="moved"):
        optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.step()
    weight.grad = np.ones(2, np.float32)
    with pytest.raises(BackendError, match="two libraries"):
        optimizer.step()
