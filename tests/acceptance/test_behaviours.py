"""What a recurrent network does by itself: oscillate, settle, or be chaotic (Hinton, lecture 7).

Autonomous networks h(t) = tanh(W h(t-1)) with matrices that are given, not learned.
"""

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn, ops
from tinyseq.nn import init


def network(weight: np.ndarray) -> nn.ElmanCell:
    """A cell without input and bias, in float64."""
    cell = nn.ElmanCell(0, len(weight), bias=False).to(np.float64)
    cell.weight_hh.assign(weight)
    return cell


def run(weight: np.ndarray, start: np.ndarray, steps: int) -> np.ndarray:
    """All states (steps, H)."""
    with ts.no_grad():
        states, _ = ts.unroll(network(weight), None, start[None], length=steps)
    return states.data[:, 0]


def linear_run(weight: np.ndarray, start: np.ndarray, steps: int) -> np.ndarray:
    """The same network without its tanh."""
    with ts.no_grad():
        step = lambda x, h: (ops.linear(h, weight),) * 2  # noqa: E731
        states, _ = ts.unroll(step, None, start[None], length=steps)
    return np.asarray(states)[:, 0]


# -- oscillation ----------------------------------------------------------------------------------


def rotation(angle: float, scale: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return scale * np.array([[c, -s], [s, c]])


def period(signal: np.ndarray) -> float:
    """By the largest peak of the spectrum, placed between its bins by a parabola."""
    spectrum = np.log(abs(np.fft.rfft((signal - signal.mean()) * np.hanning(len(signal)))))
    k = int(spectrum.argmax())
    before, at, after = spectrum[k - 1 : k + 2]
    return len(signal) / (k + 0.5 * (before - after) / (before - 2 * at + after))


@pytest.mark.parametrize("angle", [0.3, 0.7, 2 * np.pi / 7.3, 1.1])
def test_a_rotation_that_grows_becomes_an_oscillator(angle: float):
    """W = 1.1 rotation: from almost nothing to a limit cycle, with the rotation's period to 2%.

    For slow rotations the cycle is no circle, and longer: 8% at an angle of 0.1.
    """
    states = run(rotation(angle, 1.1), np.array([1e-2, 0.0]), 6000)
    assert period(states[2000:, 0]) == pytest.approx(2 * np.pi / angle, rel=0.02)
    size = np.linalg.norm(states, axis=1)
    early, late = size[2000:4000], size[4000:]
    assert early.max() == pytest.approx(late.max(), rel=0.01)
    assert 0.3 < late.min() and late.max() < 1
    # another start, on the other side of the cycle, ends on the same one
    other = np.linalg.norm(run(rotation(angle, 1.1), np.array([0.9, 0.9]), 6000)[4000:], axis=1)
    assert other.max() == pytest.approx(late.max(), rel=0.01)


def test_a_linear_network_has_no_limit_cycle():
    """It grows without bound, or keeps the amplitude that it was given."""
    sizes = np.linalg.norm(linear_run(rotation(0.7, 1.1), np.array([1e-2, 0.0]), 600), axis=1)
    assert sizes[-1] > 1e20
    for start in (1e-2, 1.0):
        kept = linear_run(rotation(0.7, 1.0), np.array([start, 0.0]), 600)
        assert np.linalg.norm(kept[-1]) == pytest.approx(start, rel=1e-10)


# -- point attractors -----------------------------------------------------------------------------


def symmetric(size: int, radius: float, seed: int) -> np.ndarray:
    """A symmetric matrix without self-connections, of a given spectral radius."""
    w = init.normal((size, size), 1.0, seed, dtype=np.float64)
    w = w + w.T
    np.fill_diagonal(w, 0)
    return init.with_spectral_radius(w, radius)


def energy(weight: np.ndarray, h: np.ndarray) -> float:
    """-h W h / 2 + sum of the integrals of atanh (Hopfield 1984, with units of gain 1)."""
    integral = h * np.arctanh(h) + 0.5 * np.log1p(-(h**2))
    return float(-0.5 * h @ weight @ h + integral.sum())


def settle(weight: np.ndarray, h: np.ndarray, sweeps: int) -> tuple[np.ndarray, np.ndarray]:
    """Units updated one at a time, in turn; the final state, and the energy after every update."""
    cell, energies = network(weight), [energy(weight, h)]
    with ts.no_grad():
        for k in range(sweeps * len(h)):
            unit = k % len(h)
            h = h.copy()
            h[unit] = cell(None, h[None])[0].data[0, unit]
            energies.append(energy(weight, h))
    return h, np.array(energies)


@pytest.mark.parametrize("seed", range(5))
def test_a_symmetric_network_settles(seed: int):
    """One unit at a time, the energy never rises and the state ends in a fixed point."""
    rng = np.random.default_rng(seed)
    w = symmetric(12, 1.5, seed)
    h, energies = settle(w, rng.uniform(-0.9, 0.9, 12), sweeps=250)
    assert (np.diff(energies) <= 1e-12).all()
    after = network(w)(None, h[None])[0].data[0]
    assert np.linalg.norm(after - h) < 1e-8
    assert np.linalg.norm(h) > 0.1  # not the trivial one
    other, _ = settle(w, -h, sweeps=250)
    np.testing.assert_allclose(other, -h, atol=1e-7)  # fixed points come in pairs


def test_a_network_that_is_not_symmetric_need_not_settle():
    w = rotation(0.7, 1.5)
    h, energies = settle(w, np.array([0.5, 0.0]), sweeps=250)
    assert (np.diff(energies) > 1e-3).any()
    assert np.linalg.norm(network(w)(None, h[None])[0].data[0] - h) > 0.1


# -- chaos ----------------------------------------------------------------------------------------


def lyapunov(f: Any, size: int, seed: int, steps: int, before: int = 200) -> float:
    """The largest Lyapunov exponent: how fast a tangent grows along the run, by forward mode."""
    rng = np.random.default_rng(seed)
    h, v, total = 0.1 * rng.normal(size=(1, size)), rng.normal(size=(1, size)), 0.0
    for k in range(before + steps):
        y, v = ts.jvp(f, h, v)
        h, length = y.data, float(np.linalg.norm(v))
        v = v / length
        total += np.log(length) * (k >= before)
    return total / steps


@pytest.mark.parametrize("seed", range(5))
def test_a_random_network_is_chaotic_above_a_gain_of_one(seed: int):
    """Sompolinsky, Crisanti and Sommers 1988: W ~ N(0, g^2 / N), with N = 400 units.

    Exponent below -0.3 for g = 0.5 and above 0.02 for g = 1.5. For smaller networks the
    transition is not sharp: of five with 200 units one is not chaotic at 1.5.
    """
    w = init.normal((400, 400), 1 / 20, seed, dtype=np.float64)
    assert lyapunov(lambda h: ops.tanh(ops.linear(h, 0.5 * w)), 400, seed, 400) < -0.3
    assert lyapunov(lambda h: ops.tanh(ops.linear(h, 1.5 * w)), 400, seed, 1000) > 0.02


def test_two_runs_that_start_together_part():
    w = init.normal((400, 400), 1.5 / 20, 0, dtype=np.float64)
    start = 0.1 * np.random.default_rng(0).normal(size=400)
    distance = np.linalg.norm(run(w, start, 600) - run(w, start + 1e-10, 600), axis=1)
    assert distance[0] < 1e-8 and distance[-1] > 1
    calm = np.linalg.norm(run(w / 3, start, 600) - run(w / 3, start + 1e-10, 600), axis=1)
    assert calm[-1] < 1e-20


@pytest.mark.parametrize("gain", [0.5, 1.5])
def test_a_linear_network_is_never_chaotic(gain: float):
    """Its exponent is the logarithm of the spectral radius: it decays or explodes."""
    w = init.with_spectral_radius(init.normal((50, 50), 1.0, 0, dtype=np.float64), gain)
    found = lyapunov(lambda h: ops.linear(h, w), 50, 1, 500, before=300)
    assert found == pytest.approx(np.log(gain), abs=0.01)
    size = np.linalg.norm(linear_run(w, np.ones(50), 400)[-1])
    assert size < 1e-80 if gain < 1 else size > 1e60
