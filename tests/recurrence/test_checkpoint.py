"""checkpoint_every of ``unroll``: the same numbers, in less memory, or a refusal."""

import tracemalloc
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from compile.checks import assert_same, of_case, results
from nn.checks import every_cell
from nn.registry import Entry, case
from tinyseq import draw, nn, ops
from tinyseq.errors import ConfigError, DrawError, GraphError, NonFiniteError
from tinyseq.recurrence import FreeRunning, ScheduledSampling, argmax, sampler

T, N, I, H = 7, 3, 2, 4  # noqa: E741


def xs(steps: int = T) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(steps, N, I))


def start() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(N, H))


def elman(**settings: Any) -> nn.ElmanCell:
    return nn.ElmanCell(I, H, seed=0, **settings).to(np.float64)


def assert_same_as_without(cell: Any, inputs: Any, state: Any, every: Any, **settings: Any) -> None:
    """The values bit for bit, gradients but for the order in which they are added up."""
    found = results(cell, inputs, state, checkpoint_every=every, **settings)
    expected = results(cell, inputs, state, **settings)
    assert_same(found, expected)
    for name in expected:
        if not name.startswith("gradient"):
            np.testing.assert_array_equal(found[name], expected[name])


# -- the same numbers -----------------------------------------------------------------------------


@every_cell
@pytest.mark.parametrize("every", [1, 2, 5, 9, "sqrt"])
def test_of_every_cell(entry: Entry, every: Any):
    c = case(entry, 5, 3)
    for how in ({}, {"reverse": True}, {"lengths": [4, 2, 5]}):
        found = of_case(c.cell, c, checkpoint_every=every, **how)
        expected = of_case(c.cell, c, **how)
        assert_same(found, expected)
        for name in expected:
            if not name.startswith("gradient"):
                np.testing.assert_array_equal(found[name], expected[name])


@pytest.mark.parametrize("every", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("detach_every", [1, 2, 3, 7])
@pytest.mark.parametrize("how", [{}, {"reverse": True}, {"lengths": [3, 7, 0]}])
def test_with_truncation(every: int, detach_every: int, how: dict[str, Any]):
    assert_same_as_without(elman(), xs(), start(), every, detach_every=detach_every, **how)


def test_the_square_root_is_rounded_up():
    """5 steps run as 3 and 2: the second run of the 2 last ones comes first."""
    cell, seen = elman(), []

    def step(x: Any, h: Any) -> Any:
        seen.append(int(x[0, 0]))
        return cell(x, h)

    inputs = xs(5)
    inputs[:, 0, 0] = range(5)
    ys, _ = ts.unroll(step, inputs, start(), checkpoint_every="sqrt")
    ys.sum().backward()
    assert seen == [0, 1, 2, 3, 4, 3, 4, 0, 1, 2]


def test_no_steps_and_one_step():
    for steps in (0, 1):
        assert_same_as_without(elman(), xs(steps), start(), 3)


def test_inputs_as_a_list_and_outputs_as_a_list():
    cell = elman()

    def gradients(**settings: Any) -> list[np.ndarray]:
        leaves = [ts.tensor(x, requires_grad=True) for x in xs()]
        ys, h = ts.unroll(cell, leaves, start(), as_list=True, **settings)
        assert len(ys) == T
        return ts.grad((ys[1] * ys[5]).sum() + h.sum(), [*leaves, *cell.parameters()])

    for a, b in zip(gradients(checkpoint_every=3), gradients(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_between_other_operations():
    """One layer upon the other, with a loss that reads states of both."""
    first, second = elman(), nn.GRUCell(H, H, seed=1).to(np.float64)

    def loss(**settings: Any) -> ts.Tensor:
        ys, h = ts.unroll(first, xs(), start(), **settings)
        zs, g = ts.unroll(second, ops.tanh(ys), h, **settings)
        return (zs * ys).sum() + (g * h).sum()

    wanted = [*first.parameters(), *second.parameters()]
    assert loss(checkpoint_every=2).item() == loss().item()
    found, expected = ts.grad(loss(checkpoint_every=2), wanted), ts.grad(loss(), wanted)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)


def test_backward_twice_with_the_graph_retained():
    cell = elman()
    ys, _ = ts.unroll(cell, xs(), start(), checkpoint_every=3)
    loss = (ys * ys).sum()
    first = ts.grad(loss, cell.parameters(), retain_graph=True)
    second = ts.grad(loss, cell.parameters(), seed=np.array(2.0))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(2 * a, b)
    with pytest.raises(GraphError, match="retain_graph"):
        ts.grad(loss, cell.parameters())


def test_nothing_to_differentiate():
    with ts.no_grad():
        ys, h = ts.unroll(elman(), xs(), start(), checkpoint_every=3)
    assert not ys.requires_grad and not h.requires_grad

    def step(x: Any, h: Any) -> Any:
        return h * 0.5, h * 0.5 + x.sum()

    ys, h = ts.unroll(step, xs(), start(), checkpoint_every=3)
    assert not ys.requires_grad and not h.requires_grad


def test_one_inside_of_another():
    """Words of letters: the step of the outer recurrence runs an inner one."""
    letters, words = nn.GRUCell(I, H, seed=0).to(np.float64), nn.ElmanCell(H, H, seed=1)
    words.to(np.float64)
    inputs = np.random.default_rng(0).normal(size=(4, 5, N, I))

    def gradients(outer: Any, inner: Any) -> list[np.ndarray]:
        x = ts.tensor(inputs, requires_grad=True)

        def step(word: Any, h: Any) -> Any:
            _, read = ts.unroll(letters, word, h, checkpoint_every=inner)
            return words(read, h)

        ys, _ = ts.unroll(step, x, start(), checkpoint_every=outer)
        return ts.grad((ys * ys).sum(), [x, *letters.parameters(), *words.parameters()])

    expected = gradients(None, None)
    for every in ((3, 2), (3, None), (None, 2)):
        for a, b in zip(gradients(*every), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10)


def test_a_nan_is_found_in_a_checkpointed_run():
    inputs = xs()
    inputs[4, 0, 0] = np.nan
    with ts.detect_nonfinite(), pytest.raises(NonFiniteError, match="at step 5"):
        ts.unroll(elman(), inputs, start(), checkpoint_every=3)


# -- what the steps read besides ------------------------------------------------------------------


def test_gradients_of_what_the_step_closes_over():
    """A leaf, what was computed from parameters before, pieces of it, and a parameter as it is."""
    cell, encoder = elman(), nn.Linear(H, I, seed=1).to(np.float64)
    context = ts.tensor(np.random.default_rng(2).normal(size=(N, H)), requires_grad=True)

    def gradients(**settings: Any) -> list[np.ndarray]:
        encoded = encoder(context)
        left, right = ops.split(encoded, 2, axis=1)
        transposed = cell.parameters()[0].T

        def step(x: Any, h: Any) -> Any:
            h = cell(x + encoded * right, h)[1] + context * left
            return h @ transposed.T, h

        ys, h = ts.unroll(step, xs(), start(), **settings)
        wanted = [context, *cell.parameters(), *encoder.parameters()]
        return ts.grad((ys * ys).sum() + (h * encoded.sum()).sum(), wanted)

    for every in (1, 3, 7):
        for a, b in zip(gradients(checkpoint_every=every), gradients(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10)


class Remembering:
    """A step that reads its first input in all steps, past its state."""

    first: Any = None

    def __call__(self, x: Any, h: Any) -> Any:
        self.first = x if self.first is None else self.first
        h = ops.tanh(h * 0.5 + self.first.sum())
        return h, h


def test_a_step_that_remembers_outside_of_its_state_is_refused():
    inputs = ts.tensor(xs(), requires_grad=True)
    with pytest.raises(GraphError, match="earlier step computed.*belongs into the state"):
        ts.unroll(Remembering(), inputs, start(), checkpoint_every=3)


def test_a_step_that_remembers_within_a_segment_is_refused_when_it_runs_again():
    inputs = ts.tensor(xs(), requires_grad=True)
    ys, _ = ts.unroll(Remembering(), inputs, start(), checkpoint_every=T)
    with pytest.raises(GraphError, match="computed something else than before"):
        ys.sum().backward()


def test_a_parameter_that_has_changed_since_is_refused():
    cell = elman()
    ys, _ = ts.unroll(cell, xs(), start(), checkpoint_every=3)
    cell.weight_hh.assign(cell.weight_hh.data * 2)
    with pytest.raises(GraphError, match="weight_hh was changed by assign"):
        ys.sum().backward()


def test_an_array_that_has_changed_since_is_refused():
    cell, scale = elman(), np.ones((N, H))
    ys, _ = ts.unroll(lambda x, h: cell(x, h * scale), xs(), start(), checkpoint_every=3)
    scale *= 2
    with pytest.raises(GraphError, match="computed something else than before"):
        ys.sum().backward()


# -- random numbers, and inputs that depend on outputs --------------------------------------------


class Dropping(nn.Cell):
    """An Elman cell that drops out some of its state and of its output."""

    def __init__(self, seed: Any) -> None:
        self.inner = elman()
        self.dropout = nn.Dropout(0.4, seed)

    def init_state(self, batch: int) -> Any:
        return self.inner.init_state(batch)

    def __call__(self, x: Any, h: Any) -> Any:
        h = self.dropout(self.inner(x, h)[1])
        return self.dropout(h), h


@pytest.mark.parametrize("own", [True, False])
def test_dropout_draws_the_same_again(own: bool):
    def found(**settings: Any) -> Any:
        ts.manual_seed(3)
        cell = Dropping(5 if own else None)
        numbers = results(cell, xs(), start(), **settings)
        # and afterwards it goes on as if nothing had been drawn a second time
        return {**numbers, "next": cell.dropout(np.ones(50)).copy()}

    for every in (1, 3):
        a, b = found(checkpoint_every=every), found()
        for name in b:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-10, err_msg=name)


def test_layers_and_models_hand_it_on():
    layer = nn.LSTM(I, H, num_layers=2, bidirectional=True, dropout=0.3, seed=0).to(np.float64)
    model = nn.SequenceModel(Dropping(5), nn.Linear(H, 5, seed=1)).to(np.float64)
    targets = np.random.default_rng(1).integers(5, size=(T, N))

    def of_layer(**settings: Any) -> list[np.ndarray]:
        ts.random.set_state(layer.dropout.rng, state)
        ys, _ = layer(xs(), lengths=[7, 3, 5], **settings)
        return [ys.data, *ts.grad((ys * ys).sum(), layer.parameters())]

    def of_model(**settings: Any) -> list[np.ndarray]:
        ts.random.set_state(model.cell.dropout.rng, state)
        ys, _ = model(xs(), **settings)
        loss, _ = model.loss(xs(), targets, **settings)
        fed, _ = model.loss(
            xs(), targets, literal=False, feed=FreeRunning(lambda o: o[:, :I]), **settings
        )
        return [ys.data, *ts.grad((ys * ys).sum() + loss + fed, model.parameters())]

    state = ts.random.get_state(layer.dropout.rng)
    for run in (of_layer, of_model):
        for a, b in zip(run(checkpoint_every=2), run(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_a_literal_loss_is_refused():
    model = nn.SequenceModel(nn.ElmanCell(I, H), nn.Linear(H, 5))
    with pytest.raises(ConfigError, match="pass literal=False"):
        model.loss(xs(), np.zeros((T, N), int), literal=True, checkpoint_every=3)


def test_random_numbers_from_somewhere_else_are_refused():
    cell, rng = elman(), np.random.default_rng(0)

    def step(x: Any, h: Any) -> Any:
        return cell(x + rng.normal(size=x.shape), h)

    ys, _ = ts.unroll(step, xs(), start(), checkpoint_every=3)
    with pytest.raises(GraphError, match="draw random numbers"):
        ys.sum().backward()


class Reader(nn.Cell):
    """Puts out what it could read next."""

    def __init__(self) -> None:
        self.inner, self.out = elman(), nn.Linear(H, I, seed=2).to(np.float64)

    def init_state(self, batch: int) -> Any:
        return self.inner.init_state(batch)

    def __call__(self, x: Any, h: Any) -> Any:
        h = self.inner(x, h)[1]
        return self.out(h), h


@pytest.mark.parametrize("every", [1, 2, 3, 7])
def test_a_model_that_reads_its_own_outputs(every: int):
    """The gradient flows through what is read, also from one segment to the other."""
    assert_same_as_without(Reader(), xs(), start(), every, feed=FreeRunning(lambda o: o, after=2))


@pytest.mark.parametrize("every", [1, 2, 7])
def test_scheduled_sampling_throws_the_same_coins_again(every: int):
    def found(**settings: Any) -> Any:
        feed = ScheduledSampling(0.5, lambda o: o, seed=1)
        return results(Reader(), xs(), start(), feed=feed, **settings)

    assert_same(found(checkpoint_every=every), found())


class Speaker(nn.Cell):
    """Reads tokens, puts out logits."""

    def __init__(self) -> None:
        self.embed = nn.Embedding(5, I, seed=3)
        self.inner, self.out = elman(), nn.Linear(H, 5, seed=2)
        self.to(np.float64)

    def init_state(self, batch: int) -> Any:
        return self.inner.init_state(batch)

    def __call__(self, x: Any, h: Any) -> Any:
        h = self.inner(self.embed(x), h)[1]
        return self.out(h), h


def test_tokens_that_are_chosen():
    tokens = np.zeros((T, N), int)
    assert_same_as_without(Speaker(), tokens, start(), 3, feed=FreeRunning(argmax))
    ys, _ = ts.unroll(
        Speaker(), tokens, start(), feed=FreeRunning(sampler(0, 3.0)), checkpoint_every=3
    )
    with pytest.raises(GraphError, match="draw random numbers"):
        (ys * ys).sum().backward()


# -- what is not to be had ------------------------------------------------------------------------


@pytest.mark.parametrize("every", [0, -1, 2.5, True, "root", []])
def test_a_length_that_is_none(every: Any):
    with pytest.raises(ConfigError, match="checkpoint_every is a number of steps"):
        ts.unroll(elman(), xs(), start(), checkpoint_every=every)


def test_second_derivatives_and_forward_mode_say_what_to_do():
    cell = elman()
    x = ts.tensor(xs(), requires_grad=True)
    ys, _ = ts.unroll(cell, x, start(), checkpoint_every=3)
    (first,) = ts.grad((ys * ys).sum(), [x], retain_graph=True)
    assert isinstance(first, np.ndarray)
    with pytest.raises(GraphError, match="second derivative.*without checkpoint_every"):
        ts.grad((ys * ys).sum(), [x], create_graph=True)
    with pytest.raises(GraphError, match="forward mode.*without checkpoint_every"):
        ts.jvp(lambda x: ts.unroll(cell, x, start(), checkpoint_every=3)[0], [x], [xs()])


@pytest.mark.parametrize("picture", [draw.unrolled, draw.circuit])
def test_a_picture_says_that_the_steps_are_not_kept(picture: Any):
    ys, _ = ts.unroll(elman(), xs(), start(), checkpoint_every=3)
    with pytest.raises(DrawError, match="without checkpoint_every"):
        picture((ys * ys).sum())


# -- what it is for -------------------------------------------------------------------------------


def test_memory_is_that_of_a_segment_and_the_states():
    cell, steps = nn.LSTMCell(8, 32, seed=0), 400
    inputs = np.random.default_rng(0).normal(size=(steps, 8, 8)).astype(np.float32)

    def peak(**settings: Any) -> int:
        tracemalloc.start()
        ys, _ = ts.unroll(cell, inputs, **settings)
        ys.sum().backward()
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        cell.zero_grad()
        return found

    whole, root, few = peak(), peak(checkpoint_every="sqrt"), peak(checkpoint_every=100)
    assert root < 0.2 * whole
    assert few < 0.45 * whole


def test_a_step_is_named_in_errors_of_the_second_run_too():
    """The scope of the run is that of the first one."""
    cell, seen = elman(), []

    def step(x: Any, h: Any) -> Any:
        new = cell(x, h)
        seen.append(str(new[1].node.scope))
        return new

    ys, _ = ts.unroll(step, xs(3), start(), checkpoint_every=2)
    first = list(seen)
    ys.sum().backward()
    assert seen[3:] == [first[2], *first[:2]]
