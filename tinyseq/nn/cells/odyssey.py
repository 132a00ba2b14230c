"""The vanilla LSTM of the search-space study, and its eight variants."""

from __future__ import annotations

from typing import Any, NamedTuple

from tinyseq.errors import ConfigError
from tinyseq.nn import init
from tinyseq.nn.cell import Cell
from tinyseq.nn.cells.elman import add_gate_parameters, fields, from_input, positive
from tinyseq.nn.cells.lstm import LSTMState
from tinyseq.nn.cells.lstm_variants import set_gate_bias
from tinyseq.nn.parameter import Parameter
from tinyseq.ops import concatenate, linear, sigmoid, split, tanh
from tinyseq.random import Seed, generator

# What each variant lacks: gates, of i, f, g, o. The others lack none.
REMOVED = {"NIG": "i", "NFG": "f", "NOG": "o", "CIFG": "f"}
VARIANTS = ("V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "NP", "CIFG", "FGR")


class FullGateState(NamedTuple):
    """The state with full gate recurrence: that of an LSTM, and the gates of the last step.

    The output gate has the book's letter here, q, since o is what a network puts out.
    """

    h: Any
    c: Any
    i: Any
    f: Any
    q: Any


class OdysseyLSTMCell(Cell):
    """The LSTM of "A search space odyssey" (Greff et al. 2017) and what the study did to it.

        i = sigmoid(U_i x + W_i h + p_i * c + b_i)
        f = sigmoid(U_f x + W_f h + p_f * c + b_f)
        g = tanh(U_g x + W_g h + b_g)
        c' = f * c + i * g
        o = sigmoid(U_o x + W_o h + p_o * c' + b_o)
        h' = o * tanh(c')

    =====  =========================  ====================================================
    V      vanilla                    as above
    NIG    no input gate              i = 1
    NFG    no forget gate             f = 1
    NOG    no output gate             o = 1
    NIAF   no input activation        g = U_g x + W_g h + b_g
    NOAF   no output activation       h' = o * c'
    NP     no peepholes               p = 0: the usual LSTM
    CIFG   coupled input and forget   f = 1 - i
    FGR    full gate recurrence       i, f and o also read R [i, f, o] of the step before
    =====  =========================  ====================================================

    The study calls g "z" and h "y". It found none of them better than V on its three data sets, and
    NFG and NOAF the most harmful.

    Shapes: x (N, I), h and c (N, H); returns (h', LSTMState(h', c')), and for FGR the state is
    FullGateState(h', c', i, f, o).

    Args:
        input_size: I; 0 for a network that runs without input.
        hidden_size: H.
        variant: a name of the table.
        bias: whether there are biases; like PyTorch's, they are two that add up.
        forget_bias: the initial value of b_f (for CIFG of -b_i); None as the others.
        seed: for the initial values, uniform in +-1/sqrt(H).

    Parameters, of the G gates that there are, in PyTorch's order i, f, g, o: weight_ih (GH, I) is
    U, weight_hh (GH, H) is W, bias_ih and bias_hh (GH,) are b; weight_ci, weight_cf and weight_co
    (H,) are p; of FGR, weight_gates (3H, 3H), nine matrices from and to i, f, o, is R.
    """

    weight_ih: Parameter | None
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        variant: str = "V",
        bias: bool = True,
        forget_bias: float | None = None,
        seed: Seed = None,
    ) -> None:
        (self.hidden_size,) = positive("OdysseyLSTMCell", hidden_size)
        if variant not in VARIANTS:
            known = ", ".join(VARIANTS)
            raise ConfigError(f"OdysseyLSTMCell: variant is one of {known}, not {variant!r}")
        self.variant = variant
        self.gates = "".join(gate for gate in "ifgo" if gate not in REMOVED.get(variant, ""))
        rng, bound = generator(seed), hidden_size**-0.5
        add_gate_parameters(self, input_size, len(self.gates), bias, rng)
        if forget_bias is not None:
            self._set_forget_bias(forget_bias)
        self.peepholes: dict[str, str] = {}
        for gate in self.gates.replace("g", "") if variant != "NP" else "":
            self.peepholes[gate] = f"weight_c{gate}"
            peephole = Parameter(init.uniform((hidden_size,), bound, rng), "p")
            setattr(self, self.peepholes[gate], peephole)
        if variant == "FGR":
            size = 3 * hidden_size
            self.weight_gates = Parameter(init.uniform((size, size), bound, rng), "R")

    def _set_forget_bias(self, value: float) -> None:
        if self.variant == "NFG":
            raise ConfigError("OdysseyLSTMCell: forget_bias without a forget gate (NFG)")
        coupled = self.variant == "CIFG"
        set_gate_bias(self, self.gates.index("i" if coupled else "f"), -value if coupled else value)

    def init_state(self, batch: int) -> LSTMState | FullGateState:
        """Zeros, also for the gates of the step before the first."""
        if self.variant == "FGR":
            return FullGateState(*(self.zeros(batch) for _ in FullGateState._fields))
        return LSTMState(self.zeros(batch), self.zeros(batch))

    def __call__(self, x: Any, state: Any) -> tuple[Any, Any]:
        h, c, *before = fields(state, 5 if self.variant == "FGR" else 2)
        a = from_input(self, x, h) + linear(h, self.weight_hh, self.bias_hh)
        a = dict(zip(self.gates, split(a, len(self.gates), -1), strict=True))
        if self.variant == "FGR":
            recurrent = split(linear(concatenate(before, -1), self.weight_gates), 3, -1)
            for name, more in zip("ifo", recurrent, strict=True):
                a[name] = a[name] + more

        def gate(name: str, cell: Any) -> Any:
            if name not in self.gates:
                return 1.0
            if name not in self.peepholes:
                return sigmoid(a[name])
            return sigmoid(a[name] + cell * getattr(self, self.peepholes[name]))

        i = gate("i", c)
        f = 1 - i if self.variant == "CIFG" else gate("f", c)
        g = a["g"] if self.variant == "NIAF" else tanh(a["g"])
        c = f * c + i * g
        o = gate("o", c)
        h = o * (c if self.variant == "NOAF" else tanh(c))
        return h, LSTMState(h, c) if self.variant != "FGR" else FullGateState(h, c, i, f, o)
