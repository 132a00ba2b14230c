"""MUT1, MUT2 and MUT3: the gated units that a search over architectures found."""

from __future__ import annotations

from typing import Any

from tinyseq.errors import ConfigError
from tinyseq.nn import init
from tinyseq.nn.cell import Cell
from tinyseq.nn.cells.elman import from_input, positive
from tinyseq.nn.parameter import Parameter
from tinyseq.ops import linear, sigmoid, split, tanh
from tinyseq.random import Seed, generator


class _MUTCell(Cell):
    """What the three share: their parameters."""

    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def _add_parameters(
        self, sizes: tuple[int, int], from_x: int, from_h: int, bias: bool, seed: Seed
    ) -> None:
        """Matrices of so many blocks of H rows, from the input and from the state."""
        self.input_size, self.hidden_size = positive(type(self).__name__, *sizes)
        rng, bound = generator(seed), self.hidden_size**-0.5

        def uniform(blocks: int, *columns: int, symbol: str) -> Parameter:
            shape = (blocks * self.hidden_size, *columns)
            return Parameter(init.uniform(shape, bound, rng), symbol)

        self.weight_ih = uniform(from_x, self.input_size, symbol="U")
        self.weight_hh = uniform(from_h, self.hidden_size, symbol="W")
        self.bias_ih = uniform(from_x, symbol="b") if bias else None
        self.bias_hh = uniform(from_h, symbol="b") if bias else None

    def _check_projection(self, project_input: bool) -> None:
        if not project_input and self.input_size != self.hidden_size:
            raise ConfigError(
                f"{type(self).__name__}: with project_input=False x(t) is added to the hidden "
                f"units as it is, so input_size {self.input_size} would have to be hidden_size "
                f"{self.hidden_size}. Embed the input, or set project_input=True"
            )
        self.project_input = project_input

    def _recurrent(self, blocks: int) -> list[tuple[Any, Any]]:
        """The blocks of weight_hh, each with its bias."""
        weights = split(self.weight_hh, blocks, 0)
        biases = [None] * blocks if self.bias_hh is None else split(self.bias_hh, blocks, 0)
        return list(zip(weights, biases, strict=True))


class MUT1Cell(_MUTCell):
    """MUT1 (Jozefowicz et al. 2015).

        r = sigmoid(U_r x + W_r h + b_r)        z = sigmoid(U_z x + b_z)
        n = tanh(W_n (r * h) + tanh(u) + b_n)   h' = z * n + (1 - z) * h

    In the paper u is x itself, which fits where I = H: ``project_input=False``. By default u is
    U_n x + b_un.

    Shapes: x (N, I), h (N, H); returns (h', h').

    Args:
        input_size: I.
        hidden_size: H.
        bias: whether there are biases; those from the input and from the state add up.
        project_input: whether x goes through a matrix into n.
        seed: for the initial values, uniform in +-1/sqrt(H).

    Parameters: weight_ih (3H, I), or (2H, I) without projection, is U, in the order r, z, n;
    weight_hh (2H, H) is W, in the order r, n; bias_ih and bias_hh, with as many rows each, are b.

    Raises:
        ConfigError: no projection, and I is not H.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        project_input: bool = True,
        seed: Seed = None,
    ) -> None:
        self._add_parameters((input_size, hidden_size), 2 + bool(project_input), 2, bias, seed)
        self._check_projection(project_input)

    def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
        a = from_input(self, x, h)
        xr, xz, u = split(a, 3, -1) if self.project_input else (*split(a, 2, -1), x)
        (Wr, br), (Wn, bn) = self._recurrent(2)
        r = sigmoid(xr + linear(h, Wr, br))
        z = sigmoid(xz)
        n = tanh(linear(r * h, Wn, bn) + tanh(u))
        h = z * n + (1 - z) * h
        return h, h


class MUT2Cell(_MUTCell):
    """MUT2 (Jozefowicz et al. 2015).

        r = sigmoid(u + W_r h + b_r)            z = sigmoid(U_z x + W_z h + b_z)
        n = tanh(W_n (r * h) + U_n x + b_n)     h' = z * n + (1 - z) * h

    In the paper u is x itself, which fits where I = H: ``project_input=False``. By default u is
    U_r x + b_ur.

    Shapes: x (N, I), h (N, H); returns (h', h').

    Args:
        input_size: I.
        hidden_size: H.
        bias: whether there are biases; those from the input and from the state add up.
        project_input: whether x goes through a matrix into r.
        seed: for the initial values, uniform in +-1/sqrt(H).

    Parameters: weight_ih (3H, I) is U, in the order r, z, n, or (2H, I) without projection, z, n;
    weight_hh (3H, H) is W, in the order r, z, n; bias_ih and bias_hh, with as many rows, are b.

    Raises:
        ConfigError: no projection, and I is not H.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        project_input: bool = True,
        seed: Seed = None,
    ) -> None:
        self._add_parameters((input_size, hidden_size), 2 + bool(project_input), 3, bias, seed)
        self._check_projection(project_input)

    def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
        a = from_input(self, x, h)
        u, xz, xn = split(a, 3, -1) if self.project_input else (x, *split(a, 2, -1))
        (Wr, br), (Wz, bz), (Wn, bn) = self._recurrent(3)
        r = sigmoid(u + linear(h, Wr, br))
        z = sigmoid(xz + linear(h, Wz, bz))
        n = tanh(linear(r * h, Wn, bn) + xn)
        h = z * n + (1 - z) * h
        return h, h


class MUT3Cell(_MUTCell):
    """MUT3 (Jozefowicz et al. 2015).

        r = sigmoid(U_r x + W_r h + b_r)        z = sigmoid(U_z x + W_z tanh(h) + b_z)
        n = tanh(W_n (r * h) + U_n x + b_n)     h' = z * n + (1 - z) * h

    Shapes: x (N, I), h (N, H); returns (h', h').

    Args:
        input_size: I.
        hidden_size: H.
        bias: whether there are biases; like PyTorch's, they are two that add up.
        seed: for the initial values, uniform in +-1/sqrt(H).

    Parameters, in the order r, z, n: weight_ih (3H, I) is U, weight_hh (3H, H) is W, bias_ih and
    bias_hh (3H,) are b.
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, seed: Seed = None
    ) -> None:
        self._add_parameters((input_size, hidden_size), 3, 3, bias, seed)

    def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
        xr, xz, xn = split(from_input(self, x, h), 3, -1)
        (Wr, br), (Wz, bz), (Wn, bn) = self._recurrent(3)
        r = sigmoid(xr + linear(h, Wr, br))
        z = sigmoid(xz + linear(tanh(h), Wz, bz))
        n = tanh(linear(r * h, Wn, bn) + xn)
        h = z * n + (1 - z) * h
        return h, h
