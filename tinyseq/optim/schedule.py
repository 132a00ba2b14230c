"""Schedules: functions of the number of steps done so far, for a learning rate or a momentum.

    schedule = cosine(1e-3, total=10_000, warmup=500)
    optimizer.lr = schedule(step)                      # before the update; step 0 is the first

A trainer does the second line by itself: ``Trainer(..., schedules={"lr": schedule})``.
"""

from __future__ import annotations

from collections.abc import Callable
from math import cos, floor, log2, pi

from tinyseq.errors import ConfigError

Schedule = Callable[[int], float]


def constant(value: float) -> Schedule:
    """Always the same."""
    return lambda step: value


def staircase(value: float, every: int, factor: float = 0.1) -> Schedule:
    """value * factor^floor(step / every)."""
    _check(staircase, every=every)
    return lambda step: value * factor ** (step // every)


def exponential(value: float, factor: float) -> Schedule:
    """value * factor^step."""
    if not 0 < factor <= 1:
        raise ConfigError(f"exponential: the factor lies in (0, 1], not {factor}")
    return lambda step: value * factor**step


def cosine(value: float, total: int, warmup: int = 0, final: float = 0.0) -> Schedule:
    """Up to ``value`` in a line over ``warmup`` steps, then down to ``final`` along half a cosine.

    final + (value - final) (1 + cos(pi s)) / 2, where s goes from 0 to 1 between the steps
    ``warmup`` and ``total`` (Loshchilov and Hutter 2017, eq. 5), and ``final`` from there on.
    """
    _check(cosine, total=total, warmup=warmup)

    def at(step: int) -> float:
        done = (step - warmup) / (total - warmup)
        return final + (value - final) * (1 + cos(pi * min(done, 1.0))) / 2

    return _warmed_up(value, warmup, at)


def linear_to_zero(value: float, total: int, warmup: int = 0) -> Schedule:
    """Up to ``value`` in a line over ``warmup`` steps, then down to zero in a line at ``total``."""
    _check(linear_to_zero, total=total, warmup=warmup)
    return _warmed_up(value, warmup, lambda step: value * (max(total - step, 0) / (total - warmup)))


def sutskever_momentum(largest: float = 0.99, every: int = 250) -> Schedule:
    """mu(t) = min(1 - 2^(-1 - log2(floor(t / 250) + 1)), largest): 0.5, 0.75, 0.833 ...

    Sutskever, Martens, Dahl and Hinton 2013, eq. 5; ``largest`` there is 0 to 0.999. They put it
    back to 0.9 for the last 1000 steps.
    """
    if not 0 <= largest < 1:
        raise ConfigError(f"sutskever_momentum: the largest momentum lies in [0, 1), not {largest}")
    _check(sutskever_momentum, every=every)
    return lambda step: min(1 - 2 ** (-1 - log2(floor(step / every) + 1)), largest)


def _warmed_up(value: float, warmup: int, after: Schedule) -> Schedule:
    return lambda step: value * (step + 1) / (warmup + 1) if step < warmup else after(step)


def _check(
    schedule: Callable[..., Schedule], total: int | None = None, warmup: int = 0, every: int = 1
) -> None:
    name = schedule.__name__
    if every < 1:
        raise ConfigError(f"{name}: every={every} is not a positive number of steps")
    if warmup < 0 or (total is not None and total <= warmup):
        raise ConfigError(f"{name}: 0 <= warmup < total is wanted, not {warmup} and {total}")
