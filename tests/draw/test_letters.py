"""One letter is one parameter: what has the same symbol is told apart."""

import numpy as np
import pytest

from draw.runs import H, I, K, N, data, readout
from tinyseq import draw, nn, ops
from tinyseq.draw import extract
from tinyseq.recurrence import unroll


def letters(outputs) -> dict[tuple[str, str], tuple[str, ...]]:
    """By the labels of source and target, the letters on the edges between them."""
    return {(e.source, e.target): e.parameters for e in draw.circuit(outputs).graph.edges}


def of_parameters(outputs) -> list[str | None]:
    return [v.symbol for v in extract(outputs).vertices if v.kind == "parameter"]


def two_recurrences(first, second, names=None):
    xs, _ = data(4)
    hs, _ = unroll(first, xs, as_list=True)
    ss, _ = unroll(second, xs, names=names or {"h": "s"}, as_list=True)
    return readout([ops.concatenate(pair, -1) for pair in zip(hs, ss, strict=True)], data(4)[1])


def test_the_subscript_says_what_is_computed():
    found = letters(two_recurrences(nn.ElmanCell(I, H, seed=0), nn.ElmanCell(I, H, seed=1)))
    assert found["x", "h"] == ("U_h",) and found["h", "h"] == ("W_h",)
    assert found["x", "s"] == ("U_s",) and found["s", "s"] == ("W_s",)
    assert found["h", "o"] == found["s", "o"] == ("V",)


def test_a_cell_that_runs_twice_has_one_letter():
    cell = nn.ElmanCell(I, H, seed=0)
    found = letters(two_recurrences(cell, cell))
    assert found["x", "h"] == found["x", "s"] == ("U",)
    assert found["h", "h"] == found["s", "s"] == ("W",)


def test_only_what_collides_has_a_subscript():
    second = nn.OutputRecurrentCell(I, H, H, seed=1)
    found = letters(two_recurrences(nn.ElmanCell(I, H, seed=0), second, {"h": "s", "o": "p"}))
    assert found["h", "h"] == ("W",) and found["p", "s"] == ("R",)
    assert found["x", "h"] == ("U_h",) and found["x", "s"] == ("U_s",)
    assert found["s", "p"] == ("V_p",) and found["p", "o"] == found["h", "o"] == ("V_o",)


def test_an_lstm_leads_to_its_h():
    both = nn.LSTM(I, H, bidirectional=True, seed=0)(data(3)[0])[0]
    assert {"U_h", "W_h", "U_g", "W_g"} <= set(of_parameters(both))


def test_layers_have_the_numbers_of_their_states():
    found = letters(nn.GRU(I, H, num_layers=3, seed=0)(data(3)[0])[0])
    assert [found[f"h{k}", f"h{k}"] for k in (1, 2, 3)] == [("W_1",), ("W_2",), ("W_3",)]


def layered_step(*symbols: str):
    """h = tanh(A tanh(B h) + C x), the matrices with the given symbols."""
    A, B, C = (nn.Parameter(np.eye(H, n) * 0.5, s) for s, n in zip(symbols, (H, H, I), strict=True))

    def step(x, h):
        h = ops.tanh(ops.linear(ops.tanh(ops.linear(h, B)), A) + ops.linear(x, C))
        return h, h

    return unroll(step, data(3)[0], np.zeros((N, H)))[0]


@pytest.mark.parametrize(
    ("symbols", "expected"),
    [
        ("WVU", [("W", "V"), "U"]),
        ("WWU", [("W_1", "W_2"), "U"]),
        ("WWW", [("W_1", "W_2"), "W_3"]),
        (("W", "W", "W_1"), [("W′_1", "W′_2"), "W_1"]),
        (("W", "W", "W1"), [("W′_1", "W′_2"), "W1"]),
        (("W_f", "W_f", "U"), [("W_f1", "W_f2"), "U"]),
    ],
)
def test_where_they_lead_to_the_same_they_are_numbered(symbols, expected):
    found = letters(layered_step(*symbols))
    assert set(found["h", "h"]) == set(expected[0]) and len(found["h", "h"]) == 2
    assert found["x", "h"] == (expected[1],)


def test_letters_stay_when_the_run_is_longer():
    def run(steps: int):
        xs, ys = data(steps)
        return readout(nn.RNN(I, H, num_layers=2, seed=0)(xs)[0], ys)

    assert letters(run(3)) == letters(run(7))


def test_a_name_that_cannot_be_a_subscript_gives_numbers():
    xs, _ = data(3)
    names = {"h": "my state", "o": "my state"}
    hs, _ = unroll(nn.ElmanCell(I, H, seed=0), xs, names=names)
    ss, _ = unroll(nn.ElmanCell(H, K, seed=1), hs, names={"x": "h"})
    assert {"W_1", "W_2", "U_1", "U_2"} <= set(of_parameters(ss))


def test_letters_are_seen_in_the_picture():
    picture = draw.unrolled(nn.RNN(I, H, num_layers=2, seed=0)(data(3)[0])[0])
    written = {(w.label.text.base, w.label.text.subscript) for w in picture.scene.wires if w.label}
    assert written == {("U", "1"), ("W", "1"), ("U", "2"), ("W", "2")}


def test_what_is_read_outside_of_every_variable_is_numbered():
    xs, _ = data(3)
    h, _ = unroll(nn.ElmanCell(I, H, seed=0), xs)
    loss = ops.sum(ops.linear(h[-1], nn.Parameter(np.eye(H), "W")))
    assert {"W_1", "W_2"} <= set(of_parameters(loss))
