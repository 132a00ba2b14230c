"""Initial values: what they promise, to the digit or within their sampling error."""

from typing import Any

import numpy as np
import pytest

from tinyseq import nn
from tinyseq.errors import ConfigError, DTypeError, ShapeError
from tinyseq.nn import init

MATRICES = [
    lambda **s: init.uniform((20, 30), 0.5, **s),
    lambda **s: init.normal((20, 30), 0.5, **s),
    lambda **s: init.xavier((20, 30), **s),
    lambda **s: init.orthogonal((20, 30), **s),
    lambda **s: init.sparse((20, 30), 15, **s),
]


@pytest.mark.parametrize("make", MATRICES)
def test_a_seed_gives_the_same_values_again(make: Any):
    np.testing.assert_array_equal(make(seed=3), make(seed=3))
    np.testing.assert_array_equal(make(seed=3), make(seed=np.random.default_rng(3)))
    assert (make(seed=3) != make(seed=4)).any()
    assert make(seed=3).shape == (20, 30)
    assert make(seed=3).dtype == np.float32
    assert make(seed=3, dtype=np.float64).dtype == np.float64


def test_xavier_has_its_variance():
    """gain^2 * 2 / (fan_in + fan_out) (Glorot and Bengio 2010, eq. 16), to 4 standard errors."""
    a = init.xavier((300, 500), gain=1.5, seed=0, dtype=np.float64)
    variance = 1.5**2 * 2 / 800
    # the fourth moment of U[-b, b] is b^4 / 5, its variance b^2 / 3: Var(a^2) = 4 b^4 / 45
    error = (4 / 45) ** 0.5 * 3 * variance / a.size**0.5
    assert abs((a**2).mean() - variance) < 4 * error
    assert abs(a).max() <= (3 * variance) ** 0.5


@pytest.mark.parametrize("shape", [(6, 6), (4, 7), (7, 4), (1, 5)])
@pytest.mark.parametrize("gain", [1.0, 1.3])
def test_orthogonal_rows_or_columns(shape: tuple[int, int], gain: float):
    w = init.orthogonal(shape, gain, seed=0, dtype=np.float64)
    product = w @ w.T if shape[0] <= shape[1] else w.T @ w
    np.testing.assert_allclose(product, gain**2 * np.eye(min(shape)), atol=1e-14)


def test_orthogonal_is_uniformly_drawn():
    """Any sign is as probable as the other; QR alone would always begin with a negative number."""
    signs = np.sign([init.orthogonal((3, 3), seed=k) for k in range(400)])
    assert (abs(signs.mean(axis=0)) < 4 / 400**0.5).all()


def test_identity():
    np.testing.assert_array_equal(init.identity(3, 0.5), 0.5 * np.eye(3, dtype=np.float32))


@pytest.mark.parametrize("nonzeros", [1, 15, 30])
def test_sparse_has_exactly_so_many_weights_into_every_unit(nonzeros: int):
    w = init.sparse((40, 30), nonzeros, std=2.0, seed=0)
    np.testing.assert_array_equal((w != 0).sum(axis=1), nonzeros)
    values = w[w != 0]
    assert abs(values.std() - 2) < 4 * 2 / (2 * values.size) ** 0.5
    for wrong in (0, 31, -1):
        with pytest.raises(ConfigError, match="non-zeros"):
            init.sparse((40, 30), wrong)


def test_the_spectral_radius_of_a_rotation_is_its_scale():
    """A complex pair: power iteration would never settle."""
    c, s = np.cos(0.7), np.sin(0.7)
    rotation = 1.7 * np.array([[c, -s], [s, c]])
    assert init.spectral_radius(rotation) == pytest.approx(1.7, abs=1e-14)
    larger = np.zeros((3, 3))
    larger[:2, :2], larger[2, 2] = rotation, 1.2
    assert init.spectral_radius(larger) == pytest.approx(1.7, abs=1e-14)
    # the largest singular value is another number
    assert init.spectral_radius(np.array([[0.5, 100.0], [0.0, 0.5]])) == pytest.approx(0.5)


@pytest.mark.parametrize("radius", [0.3, 1.1, 3.0])
@pytest.mark.parametrize("seed", range(5))
def test_a_matrix_is_scaled_to_a_spectral_radius(radius: float, seed: int):
    w = init.normal((30, 30), 1.0, seed, dtype=np.float64)
    scaled = init.with_spectral_radius(w, radius)
    assert np.abs(np.linalg.eigvals(scaled)).max() == pytest.approx(radius, rel=1e-12)
    np.testing.assert_allclose(scaled / w, (scaled / w)[0, 0], rtol=1e-10)
    single = init.with_spectral_radius(w.astype(np.float32), radius)
    assert single.dtype == np.float32
    assert init.spectral_radius(single) == pytest.approx(radius, rel=1e-5)


def test_what_has_no_spectral_radius_to_scale():
    with pytest.raises(ConfigError, match="zero"):
        init.with_spectral_radius(np.array([[0.0, 1.0], [0.0, 0.0]]), 1.0)
    with pytest.raises(ShapeError, match="square"):
        init.spectral_radius(np.ones((2, 3)))


def test_chrono_refuses_a_span_without_room():
    with pytest.raises(ConfigError, match="at least 3"):
        init.chrono(4, 2)


@pytest.mark.parametrize("make", [init.xavier, init.orthogonal, init.sparse])
@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (0, 3)])
def test_only_matrices_have_an_output_and_an_input(make: Any, shape: Any):
    with pytest.raises(ShapeError, match="matrix"):
        make(shape)


@pytest.mark.parametrize("seed", [1.5, "0", True])
def test_a_seed_is_a_whole_number_or_a_generator(seed: Any):
    with pytest.raises(DTypeError, match="seed"):
        nn.LSTMCell(2, 3, seed=seed)
