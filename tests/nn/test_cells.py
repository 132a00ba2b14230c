"""The cells' equations: against hand-written ones, and the identities between their forms."""

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from nn.registry import H, I
from tinyseq import nn, ops
from tinyseq.errors import ConfigError, ShapeError

N = 5


def sigmoid(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def parts(cell: nn.Cell, count: int) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
    """The matrices and biases of every gate."""
    weights = cell.state_dict()
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return tuple(np.split(weights[name], count) for name in names)  # type: ignore[return-value]


# -- GRU ------------------------------------------------------------------------------------------


def gru_step(
    cell: nn.GRUCell, x: Any, h: Any, reset: str, update: str, candidate: Any
) -> np.ndarray:
    """The equations of the docstring, written in NumPy."""
    (Ur, Uz, Un), (Wr, Wz, Wn), (br, bz, bn), (cr, cz, cn) = parts(cell, 3)
    r = sigmoid(x @ Ur.T + br + h @ Wr.T + cr)
    z = sigmoid(x @ Uz.T + bz + h @ Wz.T + cz)
    if reset == "after":
        n = candidate(x @ Un.T + bn + r * (h @ Wn.T + cn))
    else:
        n = candidate(x @ Un.T + bn + (r * h) @ Wn.T + cn)
    return z * h + (1 - z) * n if update == "keep" else (1 - z) * h + z * n


@pytest.mark.parametrize("reset", ["after", "before"])
@pytest.mark.parametrize("update", ["keep", "new"])
@pytest.mark.parametrize("candidate", ["tanh", "sigmoid"])
def test_gru_is_its_equations(reset: str, update: str, candidate: str):
    cell = nn.GRUCell(I, H, reset=reset, update=update, candidate=candidate, seed=0).to(float)
    x, h = numbers(N, I), numbers(N, H, seed=1)
    y, after = cell(x, h)
    squash = {"tanh": np.tanh, "sigmoid": sigmoid}[candidate]
    expected = gru_step(cell, x, h, reset, update, squash)
    np.testing.assert_allclose(y.data, expected, rtol=1e-13, atol=1e-14)
    assert after is y


@pytest.mark.parametrize("reset", ["after", "before"])
def test_negating_what_goes_into_z_turns_keep_into_new(reset: str):
    """sigmoid(-a) = 1 - sigmoid(a): Cho et al. 2014 and Chung et al. 2014 mean the same family."""
    keep = nn.GRUCell(I, H, reset=reset, update="keep", seed=0).to(float)
    new = nn.GRUCell(I, H, reset=reset, update="new", seed=1).to(float)
    state = keep.state_dict()
    for a in state.values():
        a[H : 2 * H] *= -1
    xs, h = numbers(6, N, I), numbers(N, H, seed=1)
    new.load_state_dict(state)
    expected, found = ts.unroll(keep, xs, h)[0].data, ts.unroll(new, xs, h)[0].data
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)
    new.load_state_dict(keep.state_dict())
    assert abs(ts.unroll(new, xs, h)[0].data - expected).max() > 0.1


def test_reset_before_and_after_are_different_functions():
    """Also without the second bias, which alone could not tell them apart."""
    after, before = nn.GRUCell(I, H, seed=0), nn.GRUCell(I, H, reset="before", seed=0)
    for cell in (after, before):
        cell.to(float)
        cell.bias_hh.assign(np.zeros(3 * H))
    x, h = numbers(N, I), numbers(N, H, seed=1)
    assert abs(after(x, h)[0].data - before(x, h)[0].data).max() > 1e-2
    # where the reset gate is wide open they agree
    for cell in (after, before):
        bias = cell.bias_ih.data.copy()
        bias[:H] = 100
        cell.bias_ih.assign(bias)
    np.testing.assert_allclose(after(x, h)[0].data, before(x, h)[0].data, atol=1e-14)


@pytest.mark.oracle
@pytest.mark.parametrize("update", ["keep", "new"])
@pytest.mark.parametrize("candidate", ["tanh", "sigmoid"])
def test_gru_with_reset_before_against_a_loop_in_torch(update: str, candidate: str):
    """PyTorch's own GRU resets after the product; values and gradients of a hand-written loop."""
    torch = pytest.importorskip("torch")
    cell = nn.GRUCell(I, H, reset="before", update=update, candidate=candidate, seed=0).to(float)
    xs, h = numbers(6, N, I), numbers(N, H, seed=1)
    weights = {n: torch.tensor(a, requires_grad=True) for n, a in cell.state_dict().items()}
    U, W, b, c = (weights[n].chunk(3) for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    x = torch.tensor(xs, requires_grad=True)
    start = state = torch.tensor(h, requires_grad=True)
    total = torch.zeros((), dtype=torch.float64)
    for t in range(6):
        r = torch.sigmoid(x[t] @ U[0].T + b[0] + state @ W[0].T + c[0])
        z = torch.sigmoid(x[t] @ U[1].T + b[1] + state @ W[1].T + c[1])
        n = getattr(torch, candidate)(x[t] @ U[2].T + b[2] + (r * state) @ W[2].T + c[2])
        state = z * state + (1 - z) * n if update == "keep" else (1 - z) * state + z * n
        total = total + (state**3).sum()
    total.backward()
    ours_x, ours_h = ts.tensor(xs, requires_grad=True), ts.tensor(h, requires_grad=True)
    ys, last = ts.unroll(cell, ours_x, ours_h)
    (ys * ys * ys).sum().backward()
    np.testing.assert_allclose(last.data, state.detach().numpy(), atol=1e-12)
    pairs = [(ours_x, x), (ours_h, start)]
    pairs += [(p, weights[name]) for name, p in cell.named_parameters()]
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours.grad, theirs.grad.numpy(), rtol=1e-10, atol=1e-10)


def test_gru_as_the_book_has_it():
    """Eqs. 10.45 to 10.47, element by element.

    h_i(t) = u_i(t-1) h_i(t-1) + (1 - u_i(t-1)) sigma(b_i + sum_j U_ij x_j(t-1)
                                                          + sum_j W_ij r_j(t-1) h_j(t-1))
    u_i(t) = sigma(b^u_i + sum_j U^u_ij x_j(t) + sum_j W^u_ij h_j(t)), and r likewise. The book's
    x(t-1), h(t-1), u(t-1) and r(t-1) are what one step here is given: its indices are one back.
    """
    cell = nn.GRUCell(I, H, reset="before", update="keep", candidate="sigmoid", seed=0).to(float)
    (Ur, Uu, U), (Wr, Wu, W), (br, bu, b), (cr, cu, c) = parts(cell, 3)
    x, h = numbers(I), numbers(H, seed=1)
    u, r = np.zeros(H), np.zeros(H)
    for i in range(H):
        u[i] = sigmoid(bu[i] + cu[i] + sum(Uu[i, j] * x[j] for j in range(I))
                       + sum(Wu[i, j] * h[j] for j in range(H)))  # fmt: skip
        r[i] = sigmoid(br[i] + cr[i] + sum(Ur[i, j] * x[j] for j in range(I))
                       + sum(Wr[i, j] * h[j] for j in range(H)))  # fmt: skip
    expected = np.zeros(H)
    for i in range(H):
        a = b[i] + c[i] + sum(U[i, j] * x[j] for j in range(I))
        a += sum(W[i, j] * r[j] * h[j] for j in range(H))
        expected[i] = u[i] * h[i] + (1 - u[i]) * sigmoid(a)
    y, _ = cell(x[None], h[None])
    np.testing.assert_allclose(y.data[0], expected, rtol=1e-13)


# -- LSTM -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("candidate", ["tanh", "sigmoid"])
def test_lstm_as_the_book_has_it(candidate: str):
    """Eqs. 10.40 to 10.44, element by element; the sigmoid of eq. 10.41 is the book's."""
    cell = nn.LSTMCell(I, H, candidate=candidate, seed=0).to(float)
    (Ug, Uf, U, Uo), (Wg, Wf, W, Wo), (bg, bf, b, bo), (cg, cf, c, co) = parts(cell, 4)
    x, h, s = numbers(I), numbers(H, seed=1), numbers(H, seed=2)

    def gate(i: int, b: Any, U: Any, W: Any) -> float:
        a = b[i] + sum(U[i, j] * x[j] for j in range(I)) + sum(W[i, j] * h[j] for j in range(H))
        return float(a)

    squash = {"tanh": np.tanh, "sigmoid": sigmoid}[candidate]
    after, shown = np.zeros(H), np.zeros(H)
    for i in range(H):
        f = sigmoid(gate(i, bf + cf, Uf, Wf))  # 10.40
        g = sigmoid(gate(i, bg + cg, Ug, Wg))  # 10.42
        after[i] = f * s[i] + g * squash(gate(i, b + c, U, W))  # 10.41
        q = sigmoid(gate(i, bo + co, Uo, Wo))  # 10.44
        shown[i] = np.tanh(after[i]) * q  # 10.43
    y, state = cell(x[None], nn.LSTMState(h[None], s[None]))
    np.testing.assert_allclose(y.data[0], shown, rtol=1e-13)
    np.testing.assert_allclose(state.c.data[0], after, rtol=1e-13)
    assert state.h is y


@pytest.mark.parametrize("value", [1.0, -1, 0, 2.5])
def test_the_forget_bias_is_put_into_one_of_the_two_biases(value: float):
    cell = nn.LSTMCell(I, H, forget_bias=value, seed=0)
    plain = nn.LSTMCell(I, H, seed=0)
    i, f, g, o = np.split(cell.bias_ih.data + cell.bias_hh.data, 4)
    np.testing.assert_array_equal(f, np.full(H, value, np.float32))
    for k, bias in enumerate((i, g, o)):
        other = np.split(plain.bias_ih.data + plain.bias_hh.data, 4)[(0, 2, 3)[k]]
        np.testing.assert_array_equal(bias, other)
    assert not np.split(cell.bias_hh.data, 4)[1].any()


def test_chrono_biases_are_opposite_and_in_range():
    """Tallec and Ollivier 2018: b_f = log U(1, T - 1), b_i = -b_f."""
    longest = 50
    cell = nn.LSTMCell(I, 2000, forget_bias="chrono", longest=longest, seed=0)
    i, f, _, _ = np.split(cell.bias_ih.data + cell.bias_hh.data, 4)
    np.testing.assert_array_equal(i, -f)
    assert 0 <= f.min() < 0.1
    assert np.log(longest - 1) - 0.01 < f.max() <= np.log(longest - 1)
    # exp(b_f) is uniform: its mean within 4 standard errors
    u = np.exp(f.astype(float))
    assert abs(u.mean() - longest / 2) < 4 * (longest - 2) / 12**0.5 / 2000**0.5


def test_layers_hand_the_forget_bias_on():
    layer = nn.LSTM(I, H, num_layers=2, bidirectional=True, forget_bias=1.0)
    for suffix in ("l0", "l0_reverse", "l1", "l1_reverse"):
        state = layer.state_dict()
        total = state[f"bias_ih_{suffix}"] + state[f"bias_hh_{suffix}"]
        np.testing.assert_array_equal(total[H : 2 * H], 1)


@pytest.mark.parametrize(
    "settings",
    [
        {"forget_bias": "chrono"},
        {"forget_bias": "chrono", "longest": 2},
        {"forget_bias": "large"},
        {"forget_bias": 1.0, "bias": False},
        {"candidate": "relu"},
    ],
)
def test_lstm_refuses_unknown_settings(settings: dict[str, Any]):
    with pytest.raises(ConfigError, match="LSTMCell|chrono"):
        nn.LSTMCell(I, H, **settings)


@pytest.mark.parametrize("kind", [nn.ElmanCell, nn.LSTMCell, nn.GRUCell])
@pytest.mark.parametrize("sizes", [(-1, 4), (3, 0), (3, -2), (2.5, 4), (3, 4.0), (True, 4)])
def test_sizes_are_whole_numbers(kind: Any, sizes: tuple[Any, Any]):
    with pytest.raises(ConfigError, match=kind.__name__):
        kind(*sizes)
    with pytest.raises(ConfigError, match="OutputRecurrentCell"):
        nn.OutputRecurrentCell(*sizes, 2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.GRUCell(I, H, reset="during"),
        lambda: nn.GRUCell(I, H, update="old"),
        lambda: nn.GRUCell(I, H, candidate="relu"),
        lambda: nn.ElmanCell(I, H, nonlinearity="sigmoid"),
        lambda: nn.Stacked([]),
        lambda: nn.Stacked([nn.ElmanCell(I, H)], dropout=1.0),
    ],
)
def test_unknown_variants_are_refused_with_what_is_known(make: Any):
    with pytest.raises(ConfigError, match="not|no cells"):
        make()


# -- output recurrence ----------------------------------------------------------------------------


@pytest.mark.parametrize("hidden_recurrence", [False, True])
@pytest.mark.parametrize("feedback", [None, ops.softmax])
def test_output_recurrence_is_its_equations(hidden_recurrence: bool, feedback: Any):
    """Book, figure 10.4: a = b + R o(t-1) + U x [+ W h(t-1)], h = tanh(a), o = c + V h."""
    cell = nn.OutputRecurrentCell(I, H, 2, hidden_recurrence, feedback, seed=0).to(float)
    rng = np.random.default_rng(0)
    for parameter in cell.parameters():  # its biases start at zero
        parameter.assign(rng.normal(size=parameter.shape))
    p = cell.state_dict()
    xs, h, fed = numbers(4, N, I), np.zeros((N, H)), np.zeros((N, 2))
    ys, state = ts.unroll(cell, xs)
    for t in range(4):
        a = p["bias"] + fed @ p["weight_oh"].T + xs[t] @ p["weight_ih"].T
        if hidden_recurrence:
            a = a + h @ p["weight_hh"].T
        h = np.tanh(a)
        fed = o = p["bias_o"] + h @ p["weight_ho"].T
        if feedback:
            fed = np.exp(o) / np.exp(o).sum(-1, keepdims=True)
        np.testing.assert_allclose(ys.data[t], o, rtol=1e-12)
    np.testing.assert_allclose(state.o.data, fed, rtol=1e-12)
    assert ("weight_hh" in p) == hidden_recurrence


def test_classes_are_fed_back_as_unit_vectors():
    cell = nn.OutputRecurrentCell(I, H, 3, seed=0).to(float)
    xs, ids = numbers(4, N, I), np.random.default_rng(0).integers(3, size=(4, N))
    by_class, _ = ts.unroll(cell, nn.Forced(xs, ids))
    by_vector, _ = ts.unroll(cell, nn.Forced(xs, np.eye(3)[ids]))
    np.testing.assert_array_equal(by_class.data, by_vector.data)


def test_a_target_of_the_wrong_shape_is_not_fed_back():
    cell = nn.OutputRecurrentCell(I, H, 3, seed=0).to(float)
    with pytest.raises(ShapeError, match="to feed back"):
        ts.unroll(cell, nn.Forced(numbers(4, N, I), numbers(4, N, 1)))


# -- compositions ---------------------------------------------------------------------------------


def test_stacked_is_one_cell_on_the_output_of_the_other():
    below, above = nn.LSTMCell(I, H, seed=0).to(float), nn.ElmanCell(H, 2, seed=1).to(float)
    xs = numbers(6, N, I)
    found, (first, second) = ts.unroll(nn.Stacked([below, above]), xs)
    middle, expected_first = ts.unroll(below, xs)
    expected, expected_second = ts.unroll(above, middle)
    np.testing.assert_array_equal(found.data, expected.data)
    np.testing.assert_array_equal(first.c.data, expected_first.c.data)
    np.testing.assert_array_equal(second.data, expected_second.data)


def test_stacked_drops_between_the_cells_and_only_in_training():
    cells = [nn.ElmanCell(I, H, seed=0), nn.ElmanCell(H, H, seed=1)]
    stacked, xs = nn.Stacked(cells, dropout=0.5, seed=2), numbers(6, N, I).astype("f4")
    dropped, (first, _) = ts.unroll(stacked, xs)
    plain, expected = ts.unroll(cells[0], xs)
    np.testing.assert_array_equal(first.data, expected.data)  # the lowest layer reads x whole
    stacked.eval()
    kept, _ = ts.unroll(stacked, xs)
    np.testing.assert_array_equal(kept.data, ts.unroll(cells[1], plain)[0].data)
    assert (kept.data != dropped.data).any()


def test_a_learned_initial_state_is_the_same_for_every_sequence():
    cell = nn.LearnedInitialState(nn.LSTMCell(I, H, seed=0))
    assert [name for name, _ in cell.named_parameters()][-2:] == ["initial.h", "initial.c"]
    c = numbers(1, H).astype("f4")
    cell.initial["c"].assign(c)
    state = cell.init_state(3)
    np.testing.assert_array_equal(state.c.data, np.broadcast_to(c, (3, H)))
    ys, _ = ts.unroll(cell, np.zeros((2, 3, I), "f4"))
    ys.sum().backward()
    assert cell.initial["c"].grad.shape == (1, H)
    assert cell.initial["c"].grad.any() and cell.initial["h"].grad.any()


def test_a_subset_of_the_initial_state_is_learned():
    units = np.array([True, False, False, True])
    cell = nn.LearnedInitialState(nn.ElmanCell(I, H, seed=0), units)
    cell.initial["h"].assign(np.ones((1, H)))
    np.testing.assert_array_equal(cell.init_state(2).data, [[1, 0, 0, 1]] * 2)
    ys, _ = ts.unroll(cell, np.zeros((2, 3, I), "f4"))
    ys.sum().backward()
    assert cell.initial["h"].grad[0, units].all()
    assert not cell.initial["h"].grad[0, ~units].any()
    with pytest.raises(ShapeError, match="units"):
        nn.LearnedInitialState(nn.ElmanCell(I, H), units[:2])


def test_initial_states_of_a_stack_have_names_of_their_own():
    cell = nn.LearnedInitialState(nn.Stacked([nn.LSTMCell(I, H), nn.LSTMCell(H, H)]))
    assert list(cell.initial) == ["h1", "c1", "h2", "c2"]


def test_clamped_units_have_the_given_values_at_every_step():
    units = np.array([True, False, True, False])
    inner = nn.ElmanCell(0, H, seed=0).to(float)
    xs, h = numbers(5, N, H), numbers(N, H, seed=1)
    x = ts.tensor(xs, requires_grad=True)
    ys, _ = ts.unroll(nn.Clamped(inner, units), x, h)
    for t in range(5):
        h, _ = inner(None, np.where(units, xs[t], h if t == 0 else h.data))
        np.testing.assert_array_equal(ys.data[t], h.data)
    ys.sum().backward()
    assert x.grad[..., units].all()
    assert not x.grad[..., ~units].any()  # what is given for the free units is never read


def test_a_cell_without_parameters_has_a_float64_state():
    class Sum(nn.Cell):
        hidden_size = 2

        def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
            h = h + x
            return h, h

    ys, _ = ts.unroll(Sum(), np.ones((3, 1, 2)))
    np.testing.assert_array_equal(ys.data[:, 0, 0], [1, 2, 3])


def test_a_cell_that_forgets_to_say_how_large_it_is_or_what_it_does():
    class Nothing(nn.Cell):
        pass

    with pytest.raises(ConfigError, match="hidden_size"):
        Nothing().init_state(1)
    with pytest.raises(ConfigError, match="__call__"):
        Nothing()(None, None)
