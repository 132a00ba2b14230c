"""Schedules: by hand, and against PyTorch's."""

from math import floor, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyseq.errors import ConfigError
from tinyseq.optim import (
    constant,
    cosine,
    exponential,
    linear_to_zero,
    staircase,
    sutskever_momentum,
)


def test_momentum_of_sutskever():
    schedule = sutskever_momentum(0.99)
    found = [
        schedule(t) for t in (0, 249, 250, 500, 750, 1000, 2500, 12_250, 12_499, 12_500, 10**6)
    ]
    by_hand = [0.5, 0.5, 0.75, 1 - 1 / 6, 0.875, 0.9, 1 - 1 / 22, 0.99, 0.99, 0.99, 0.99]
    assert found == pytest.approx(by_hand, rel=1e-12)
    assert sutskever_momentum(0.0)(5000) == 0
    for largest in (0.9, 0.995, 0.999):
        for t in range(0, 200_000, 997):
            formula = min(1 - 2.0 ** (-1 - log2(floor(t / 250) + 1)), largest)
            assert sutskever_momentum(largest)(t) == pytest.approx(formula)
            assert formula == pytest.approx(min(1 - 0.5 / (t // 250 + 1), largest))


def torch_rates(make, steps):
    import torch

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler = make(torch.optim.lr_scheduler, optimizer)
    rates = []
    for _ in range(steps):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("schedule", "make"),
    [
        (constant(0.3), lambda lib, o: lib.ConstantLR(o, factor=1.0)),
        (staircase(0.3, 7, 0.5), lambda lib, o: lib.StepLR(o, 7, 0.5)),
        (exponential(0.3, 0.9), lambda lib, o: lib.ExponentialLR(o, 0.9)),
        (cosine(0.3, 40, final=0.01), lambda lib, o: lib.CosineAnnealingLR(o, 40, 0.01)),
        (linear_to_zero(0.3, 40), lambda lib, o: lib.LinearLR(o, 1.0, 0.0, total_iters=40)),
    ],
)
def test_agrees_with_torch(schedule, make):
    assert [schedule(step) for step in range(40)] == pytest.approx(torch_rates(make, 40), rel=1e-9)


@pytest.mark.parametrize("make", [cosine, linear_to_zero])
@given(warmup=st.integers(0, 30), more=st.integers(1, 50), value=st.floats(1e-5, 10))
def test_up_in_a_line_then_down_to_zero_and_no_further(make, warmup, more, value):
    total = warmup + more
    schedule = make(value, total, warmup)
    rates = [schedule(step) for step in range(total + 5)]
    assert rates[warmup] == value == max(rates)
    rise = [value * (step + 1) / (warmup + 1) for step in range(warmup)]
    assert rates[:warmup] == pytest.approx(rise)
    assert all(a > b for a, b in zip(rates[warmup:total], rates[warmup + 1 : total], strict=False))
    assert rates[total:] == pytest.approx([0] * 5, abs=1e-12)
    assert min(rates) >= 0 and min(rates[:total]) > 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: staircase(0.1, 0), "staircase: every=0"),
        (lambda: exponential(0.1, 1.5), "the factor lies in"),
        (lambda: cosine(0.1, 0), "cosine: 0 <= warmup < total is wanted, not 0 and 0"),
        (lambda: cosine(0.1, 10, 10), "not 10 and 10"),
        (lambda: linear_to_zero(0.1, 10, -1), "linear_to_zero: 0 <= warmup"),
        (lambda: sutskever_momentum(1.0), "momentum lies in"),
        (lambda: sutskever_momentum(0.9, 0), "every=0"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
