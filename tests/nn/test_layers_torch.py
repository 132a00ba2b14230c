"""RNN, LSTM and GRU against PyTorch: outputs, states, all gradients, and weights both ways."""

import copy
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn, structure

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

I, H, T, N = 3, 4, 5, 4  # noqa: E741
LENGTHS = [5, 2, 4, 1]
KINDS = ["RNN", "LSTM", "GRU"]


class Pair(NamedTuple):
    """The same layer twice."""

    ours: Any
    theirs: Any


def pair(kind: str, seed: int = 0, **settings: Any) -> Pair:
    """Our layer with PyTorch's weights."""
    torch.manual_seed(seed)
    theirs = getattr(torch.nn, kind)(I, H, dtype=torch.float64, **settings)
    ours = getattr(nn, kind)(I, H, **settings).to(np.float64)
    ours.load_state_dict(theirs.state_dict())
    return Pair(ours, theirs)


def numbers(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def initial(kind: str, count: int, batch: int | None, seed: int = 2) -> Any:
    shape = (count, H) if batch is None else (count, batch, H)
    h, c = numbers(2, *shape, seed=seed)
    return (h, c) if kind == "LSTM" else h


def leaf(a: np.ndarray) -> Any:
    return torch.tensor(a, requires_grad=True)


def compare(
    layers: Pair, x: np.ndarray, state: Any = None, lengths: Any = None, within: float = 1e-10
) -> None:
    """Values and the gradients of everything, by random cotangents of outputs and states."""
    ours_x = ts.tensor(x, requires_grad=True)
    theirs_x = leaf(x)
    ours_state = theirs_state = None
    if state is not None:
        ours_state = structure.map(lambda a: ts.tensor(a, requires_grad=True), state)
        theirs_state = structure.map(leaf, state)
    y, last = layers.ours(ours_x, ours_state, lengths)
    if lengths is None:
        z, final = layers.theirs(theirs_x, theirs_state)
    else:
        batch_first = layers.theirs.batch_first
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            theirs_x, lengths, batch_first, enforce_sorted=False
        )
        z, final = layers.theirs(packed, theirs_state)
        steps = x.shape[1 if batch_first else 0]
        z, _ = torch.nn.utils.rnn.pad_packed_sequence(z, batch_first, total_length=steps)
    ours, theirs = [y, *structure.leaves(last)], [z, *structure.leaves(final)]
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert tuple(a.shape) == tuple(b.shape)
        np.testing.assert_allclose(a.data, b.detach().numpy(), rtol=within, atol=within)
    weights = [numbers(*a.shape, seed=7) for a in ours]
    sum((a * w).sum() for a, w in zip(ours, weights, strict=True)).backward()
    sum((b * torch.tensor(w)).sum() for b, w in zip(theirs, weights, strict=True)).backward()
    pairs = [(ours_x, theirs_x)]
    pairs += zip(structure.leaves(ours_state), structure.leaves(theirs_state), strict=True)
    named = dict(layers.theirs.named_parameters())
    pairs += [(p, named[name]) for name, p in layers.ours.named_parameters()]
    assert len(named) == len(layers.ours.parameters())
    for a, b in pairs:
        if a is not None:
            np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=within, atol=within)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_layers_and_directions(kind: str, num_layers: int, bidirectional: bool, lengths: Any):
    layers = pair(kind, num_layers=num_layers, bidirectional=bidirectional)
    compare(layers, numbers(T, N, I), lengths=lengths)
    state = initial(kind, num_layers * (1 + bidirectional), N)
    compare(pair(kind, num_layers=num_layers, bidirectional=bidirectional), numbers(T, N, I), state)
    layers = pair(kind, num_layers=num_layers, bidirectional=bidirectional)
    compare(layers, numbers(T, N, I), state, lengths)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch, steps", [(1, 1), (1, 7), (5, 1), (6, 20)])
def test_batches_and_lengths(kind: str, batch: int, steps: int):
    compare(pair(kind), numbers(steps, batch, I), initial(kind, 1, batch))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_batch_first(kind: str, lengths: Any):
    layers = pair(kind, num_layers=2, bidirectional=True, batch_first=True)
    compare(layers, numbers(N, T, I), initial(kind, 4, N), lengths)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_one_sequence_without_a_batch(kind: str, with_state: bool, batch_first: bool):
    layers = pair(kind, num_layers=2, bidirectional=True, batch_first=batch_first)
    compare(layers, numbers(T, I), initial(kind, 4, None) if with_state else None)


@pytest.mark.parametrize("kind", KINDS)
def test_without_bias(kind: str):
    compare(pair(kind, num_layers=2, bias=False), numbers(T, N, I))


def test_relu():
    compare(pair("RNN", num_layers=2, nonlinearity="relu"), numbers(T, N, I))


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_in_evaluation(kind: str):
    layers = pair(kind, num_layers=3, dropout=0.5)
    layers.ours.eval()
    layers.theirs.eval()
    compare(layers, numbers(T, N, I))


def test_dropout_is_between_the_layers_and_keeps_the_mean():
    layer = nn.RNN(I, 200, num_layers=2, dropout=0.4, seed=0).to(np.float64)
    x = numbers(1, 1, I)
    identity = {"weight_ih_l1": np.eye(200), "weight_hh_l1": np.zeros((200, 200))}
    zeros = {"bias_ih_l1": np.zeros(200), "bias_hh_l1": np.zeros(200)}
    layer.load_state_dict(identity | zeros, strict=False)
    seen = np.stack([np.arctanh(layer(x * 0.01)[0].data[0, 0]) for _ in range(300)])
    layer.eval()
    kept = np.arctanh(layer(x * 0.01)[0].data[0, 0])
    dropped = seen == 0
    np.testing.assert_allclose(seen[~dropped], np.broadcast_to(kept / 0.6, seen.shape)[~dropped])
    # 60,000 draws of probability 0.4: three standard deviations are 0.006
    assert abs(dropped.mean() - 0.4) < 0.006


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_weights_go_both_ways(kind: str, num_layers: int, bidirectional: bool, bias: bool):
    settings = dict(num_layers=num_layers, bidirectional=bidirectional, bias=bias)
    ours = getattr(nn, kind)(I, H, seed=3, **settings)
    theirs = getattr(torch.nn, kind)(I, H, **settings)
    state = ours.state_dict()
    assert list(state) == list(theirs.state_dict())
    assert [p.name for p in ours.parameters()] == list(state)
    assert {n: a.shape for n, a in state.items()} == {
        n: tuple(a.shape) for n, a in theirs.state_dict().items()
    }
    theirs.load_state_dict({name: torch.tensor(a) for name, a in state.items()})
    x = numbers(T, N, I).astype(np.float32)
    y, _ = ours(x)
    np.testing.assert_allclose(y.data, theirs(torch.tensor(x))[0].detach().numpy(), atol=1e-6)
    other = getattr(nn, kind)(I, H, seed=4, **settings)
    other.load_state_dict(theirs.state_dict())
    np.testing.assert_array_equal(other(x)[0].data, y.data)


@pytest.mark.parametrize("kind", KINDS)
def test_signatures_and_defaults_are_pytorchs(kind: str):
    ours, theirs = getattr(nn, kind)(I, H), getattr(torch.nn, kind)(I, H)
    for name in ("input_size", "hidden_size", "num_layers", "batch_first", "bidirectional"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.dropout.p == theirs.dropout
    assert all(p.dtype == np.float32 for p in ours.parameters())
    # by position: num_layers, then nonlinearity for RNN, bias, batch_first, dropout, bidirectional
    rest = ([2, "relu"] if kind == "RNN" else [2]) + [True, True, 0.1, True]
    ours, theirs = getattr(nn, kind)(I, H, *rest), getattr(torch.nn, kind)(I, H, *rest)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert (ours.batch_first, ours.dropout.p) == (theirs.batch_first, theirs.dropout)


@pytest.mark.parametrize("kind", KINDS)
def test_initial_values_are_spread_as_in_pytorch(kind: str):
    """Uniform in +-1/sqrt(H), all of them."""
    layer = getattr(nn, kind)(50, 100, seed=0)
    for a in layer.state_dict().values():
        assert abs(a).max() <= 0.1
        assert abs(a).max() > 0.099
        # the standard deviation of that is 0.1 / sqrt(3); its estimate from n draws is off by
        # about 0.45 / sqrt(n) of it
        assert abs(a.std() / (0.1 / 3**0.5) - 1) < 4 * 0.45 / a.size**0.5


@pytest.mark.parametrize("kind", KINDS)
def test_a_transposed_recurrent_matrix_differs(kind: str):
    """The baseline of the comparison: a common mistake is far outside of its tolerance."""
    layers = pair(kind)
    turned = layers.ours.state_dict()
    blocks = np.split(turned["weight_hh_l0"], len(turned["weight_hh_l0"]) // H)
    turned["weight_hh_l0"] = np.concatenate([block.T for block in blocks])
    layers.ours.load_state_dict(turned)
    y, _ = layers.ours(numbers(T, N, I))
    z, _ = layers.theirs(torch.tensor(numbers(T, N, I)))
    assert abs(y.data - z.detach().numpy()).max() > 1e-2
    with pytest.raises(AssertionError):
        compare(layers, numbers(T, N, I))


@pytest.mark.parametrize("kind", KINDS)
def test_an_unmasked_batch_differs(kind: str):
    layers = pair(kind, bidirectional=True)
    x = numbers(T, N, I)
    masked, _ = layers.ours(x, None, LENGTHS)
    plain, _ = layers.ours(x)
    for n, length in enumerate(LENGTHS):
        forward, backward = np.split(abs(masked.data - plain.data)[:length, n], 2, axis=-1)
        assert not forward.any()
        assert (backward.max() > 1e-3) == (length < T)


@pytest.mark.parametrize("kind", KINDS)
def test_no_steps(kind: str):
    """PyTorch refuses a sequence of length 0; ours gives no outputs and the initial state."""
    layer = getattr(nn, kind)(I, H, num_layers=2, bidirectional=True, seed=0).to(np.float64)
    state = initial(kind, 4, N)
    y, last = layer(numbers(0, N, I), state)
    assert y.shape == (0, N, 2 * H)
    for a, b in zip(structure.leaves(last), structure.leaves(state), strict=True):
        np.testing.assert_array_equal(a.data, b)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_second_derivatives(name: str):
    """Hessian-vector products over three steps, by both frameworks' double backward passes."""
    kind = name.upper()
    layers = pair(kind)
    x = numbers(3, 2, I)
    state = initial(kind, 1, 2)
    given = [x, *structure.leaves(state)]
    ours = [ts.tensor(a, requires_grad=True) for a in given]
    theirs = [leaf(a) for a in given]

    def again(values: list[Any]) -> Any:
        return tuple(values[1:]) if kind == "LSTM" else values[1]

    y, _ = layers.ours(ours[0], again(ours))
    # cuDNN-like kernels have no double backward; PyTorch's CPU path has
    z, _ = layers.theirs(theirs[0], again(theirs))
    leaves_y = [*ours, *layers.ours.parameters()]
    leaves_z = [*theirs, *layers.theirs.parameters()]
    first_y = ts.grad((y * y * y).sum(), leaves_y, create_graph=True)
    first_z = torch.autograd.grad((z * z * z).sum(), leaves_z, create_graph=True)
    directions = [numbers(*a.shape, seed=9) for a in leaves_y]
    along_y = sum((g * v).sum() for g, v in zip(first_y, directions, strict=True))
    along_z = sum((g * torch.tensor(v)).sum() for g, v in zip(first_z, directions, strict=True))
    second_y = ts.grad(along_y, leaves_y)
    second_z = torch.autograd.grad(along_z, leaves_z)
    for a, b in zip(second_y, second_z, strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-10, atol=1e-10)
    assert max(abs(a).max() for a in second_y) > 0.1


def test_a_copy_of_a_layer_keeps_pytorchs_names():
    layer = copy.deepcopy(nn.LSTM(I, H, 2, bidirectional=True))
    assert list(layer.state_dict()) == [p.name for p in layer.parameters()]
    assert "weight_hh_l1_reverse" in layer.state_dict()
