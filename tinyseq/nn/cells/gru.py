"""The gated recurrent unit, in its several published forms."""

from __future__ import annotations

from typing import Any

from tinyseq.errors import ConfigError
from tinyseq.nn.cell import Cell
from tinyseq.nn.cells.elman import add_gate_parameters, from_input, positive
from tinyseq.nn.parameter import Parameter
from tinyseq.ops import linear, sigmoid, split, tanh
from tinyseq.random import Seed


class GRUCell(Cell):
    """The GRU (Cho et al. 2014).

        r = sigmoid(U_r x + W_r h + b_r)        z = sigmoid(U_z x + W_z h + b_z)
        n = tanh(U_n x + b_in + r * (W_n h + b_hn))      reset="after"  (PyTorch, cuDNN)
        n = tanh(U_n x + b_in + W_n (r * h) + b_hn)      reset="before" (Cho v3, Chung, the book)
        h' = z * h + (1 - z) * n                         update="keep"  (Cho, PyTorch, the book)
        h' = (1 - z) * h + z * n                         update="new"   (Chung et al. 2014)

    The two resets are different functions. The two updates are the same family: negating what goes
    into z turns one into the other. The book writes a sigmoid for the candidate (eq. 10.45), which
    ``candidate="sigmoid"`` does, and indexes its gates one step back.

    Shapes: x (N, I), h (N, H); returns (h', h').

    Args:
        input_size: I; 0 for a network that runs without input.
        hidden_size: H.
        bias: whether there are biases; like PyTorch's, two each, of which b_hn stands inside the
            reset with reset="after".
        reset: "after" or "before" the product with W_n.
        update: whether z keeps the old state or takes the new one.
        candidate: "tanh" or "sigmoid".
        seed: for the initial values, uniform in +-1/sqrt(H) as in PyTorch.

    Parameters, gates in PyTorch's order r, z, n: weight_ih (3H, I) is U, weight_hh (3H, H) is W,
    bias_ih and bias_hh (3H,) are b.
    """

    gates = "rzn"
    weight_ih: Parameter | None
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        reset: str = "after",
        update: str = "keep",
        candidate: str = "tanh",
        seed: Seed = None,
    ) -> None:
        (self.hidden_size,) = positive("GRUCell", hidden_size)
        for name, value, known in (
            ("reset", reset, ("after", "before")),
            ("update", update, ("keep", "new")),
            ("candidate", candidate, ("tanh", "sigmoid")),
        ):
            if value not in known:
                raise ConfigError(f"GRUCell: {name} is {known[0]!r} or {known[1]!r}, not {value!r}")
        self.reset, self.update, self.candidate = reset, update, candidate
        add_gate_parameters(self, input_size, 3, bias, seed)

    def _parts_of_input(self, x: Any, h: Any) -> Any:
        a = from_input(self, x, h)
        return split(a, 3, -1) if hasattr(a, "shape") else (a, a, a)

    def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
        xr, xz, xn = self._parts_of_input(x, h)
        if self.reset == "after":
            hr, hz, hn = split(linear(h, self.weight_hh, self.bias_hh), 3, -1)
            r = sigmoid(xr + hr)
            hn = r * hn
        else:
            sizes = (2 * self.hidden_size, self.hidden_size)
            gates, new = split(self.weight_hh, sizes, 0)
            gates_bias, new_bias = (
                split(self.bias_hh, sizes, 0) if self.bias_hh is not None else (None, None)
            )
            hr, hz = split(linear(h, gates, gates_bias), 2, -1)
            r = sigmoid(xr + hr)
            hn = linear(r * h, new, new_bias)
        z = sigmoid(xz + hz)
        n = (tanh if self.candidate == "tanh" else sigmoid)(xn + hn)
        h = z * h + (1 - z) * n if self.update == "keep" else (1 - z) * h + z * n
        return h, h
