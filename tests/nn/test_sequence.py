"""SequenceModel: outputs, the summed loss, masks, feeds; run literally and all steps at once."""

from typing import Any

import numpy as np
import pytest

import strict_cupy
import tinyseq as ts
from tinyseq import nn, ops, structure
from tinyseq.data import tasks
from tinyseq.errors import ConfigError, ShapeError, StructureError, TinyseqError
from tinyseq.recurrence import FreeRunning, ScheduledSampling, argmax

T, N, I, H, K = 6, 3, 2, 4, 5  # noqa: E741


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def tokens(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(K, size=(T, N))


def classifier(seed: int = 0) -> nn.SequenceModel:
    """Tokens in, classes out."""
    return nn.SequenceModel(
        nn.LSTMCell(I, H, seed=seed),
        nn.Linear(H, K, seed=seed + 1),
        embed=nn.Embedding(K, I, seed=seed + 2),
    ).to(np.float64)


def regressor(seed: int = 0) -> nn.SequenceModel:
    """Real numbers in and out."""
    return nn.SequenceModel(nn.GRUCell(I, H, seed=seed), nn.Linear(H, I, seed=seed + 1), nn.mse).to(
        np.float64
    )


def gradients(model: nn.SequenceModel, loss: Any) -> dict[str, np.ndarray]:
    found = ts.grad(loss, model.parameters())
    return dict(zip((n for n, _ in model.named_parameters()), found, strict=True))


def assert_close(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name in found:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-11, atol=1e-12)


def test_the_outputs_are_readouts_of_the_cells_outputs():
    model, x = classifier(), tokens()
    outputs, state = model(x)
    ys, last = ts.unroll(model.cell, model.embed(x))
    np.testing.assert_allclose(outputs.data, model.readout(ys).data, rtol=1e-13)
    np.testing.assert_array_equal(state.c.data, last.c.data)


@pytest.mark.parametrize("literal", [False, True])
def test_the_loss_is_the_sum_over_steps_and_sequences(literal: bool):
    """Book, eq. 10.12: L = sum over t of L(t)."""
    model, x, y = classifier(), tokens(), tokens(1)
    loss, state = model.loss(x, y, literal=literal)
    outputs, last = model(x)
    expected = sum(
        float(nn.cross_entropy(outputs.data[t, n], y[t, n])) for t in range(T) for n in range(N)
    )
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(state.h.data, last.h.data, rtol=1e-13)


MASKS = {
    "none": None,
    "some": np.random.default_rng(5).random((T, N)) < 0.5,
    "last step": np.arange(T)[:, None] * np.ones(N) == T - 1,
    "nothing": np.zeros((T, N), bool),
    "units": np.random.default_rng(6).random((T, N, I)) < 0.5,
    "steps": np.arange(T) > 2,
}


@pytest.mark.parametrize("mask", MASKS, ids=str)
@pytest.mark.parametrize("feed", [None, "free"])
@pytest.mark.parametrize("every", [None, 2])
def test_literally_or_at_once_are_the_same_numbers(mask: str, feed: Any, every: int | None):
    def run(literal: bool) -> tuple[float, dict[str, np.ndarray], Any]:
        model = regressor()
        given = FreeRunning(lambda o: o, after=2) if feed else None
        loss, state = model.loss(
            numbers(T, N, I), numbers(T, N, I, seed=1), numbers(N, H, seed=2),
            mask=MASKS[mask], literal=literal, feed=given, detach_every=every,
        )  # fmt: skip
        return loss.item(), gradients(model, loss), state.data

    (a, by_step, h), (b, at_once, g) = run(True), run(False)
    assert a == pytest.approx(b, rel=1e-12)
    assert (a == 0) == (mask == "nothing")
    assert_close(by_step, at_once)
    np.testing.assert_allclose(h, g, rtol=1e-12)


@pytest.mark.parametrize("literal", [False, True])
@pytest.mark.parametrize("mask", ["some", "units", "steps"])
def test_a_mask_picks_losses(literal: bool, mask: str):
    model, x, y = regressor(), numbers(T, N, I), numbers(T, N, I, seed=1)
    loss, _ = model.loss(x, y, mask=MASKS[mask], literal=literal)
    squares = (model(x)[0].data - y) ** 2
    assert loss.item() == pytest.approx(squares[MASKS[mask]].sum(), rel=1e-12)


@pytest.mark.parametrize("literal", [False, True])
def test_error_derivatives_are_added_at_masked_units_and_steps_only(literal: bool):
    """Targets for some units at some steps (Hinton's lecture 7): dL/do is zero elsewhere."""
    mask = MASKS["units"]
    found: dict[Any, Any] = {}

    class Watched(nn.SequenceModel):
        pass

    def loss(outputs: Any, targets: Any, reduction: str) -> Any:
        found[len(found)] = outputs
        return nn.mse(outputs, targets, reduction=reduction)

    model = Watched(nn.GRUCell(I, H, seed=0), nn.Linear(H, I, seed=1), loss).to(np.float64)
    total, _ = model.loss(numbers(T, N, I), numbers(T, N, I, seed=1), mask=mask, literal=literal)
    derivatives = ts.grad(total, list(found.values()))
    by_step = np.concatenate([d.reshape(-1, N, I) for d in derivatives])
    np.testing.assert_array_equal(by_step != 0, mask)


@pytest.mark.parametrize("literal", [False, True])
@pytest.mark.parametrize("task", [tasks.echo, tasks.adding, tasks.temporal_order, tasks.latch])
def test_what_stands_where_no_loss_is_does_not_matter(task: Any, literal: bool):
    """Tasks put NaN, or a class that is none, where their mask is False."""
    batch = task(3, 10, np.random.default_rng(0), dtype=np.float64)
    loss = nn.cross_entropy if batch.kind == "classification" else nn.mse
    cell = nn.LSTMCell(batch.inputs.shape[-1], H, seed=0)
    model = nn.SequenceModel(cell, nn.Linear(H, batch.classes, seed=1), loss).to(np.float64)
    total, _ = model.loss(batch.inputs, batch.targets, mask=batch.mask, literal=literal)
    outputs, _ = model(batch.inputs)
    expected = loss(outputs[batch.mask], batch.targets[batch.mask])
    assert total.item() == pytest.approx(expected.item(), rel=1e-12)
    assert_close(gradients(model, total), gradients(model, expected))


@pytest.mark.parametrize("literal", [False, True])
def test_a_model_without_input_needs_targets_only(literal: bool):
    cell = nn.LearnedInitialState(nn.ElmanCell(0, H, seed=0))
    model = nn.SequenceModel(cell, nn.Linear(H, K, seed=1))
    loss, state = model.loss(None, tokens(), literal=literal)
    assert state.shape == (N, H)
    assert gradients(model, loss)["cell.initial.h"].shape == (1, H)


def test_a_cell_whose_output_is_what_counts_needs_no_readout():
    model = nn.SequenceModel(nn.OutputRecurrentCell(I, H, K, seed=0))
    x, y = numbers(T, N, I), tokens()
    free, _ = model.loss(x, y, literal=False)
    forced, state = model.loss(nn.Forced(x, y), y)
    assert free.item() != forced.item()
    np.testing.assert_array_equal(state.o.data, np.eye(K)[y[-1]])


@pytest.mark.parametrize("literal", [False, True])
def test_the_state_goes_on_to_the_next_chunk(literal: bool):
    model, x, y = classifier(), tokens(), tokens(1)
    whole, last = model.loss(x, y, literal=literal)
    first, state = model.loss(x[:2], y[:2], literal=literal)
    second, state = model.loss(x[2:], y[2:], state, literal=literal)
    assert whole.item() == pytest.approx(first.item() + second.item(), rel=1e-12)
    np.testing.assert_allclose(state.c.data, last.c.data, rtol=1e-12)


@pytest.mark.parametrize("literal", [False, True])
def test_a_scheduled_feed_is_read(literal: bool):
    model, y = classifier(), tokens(1)
    x = np.concatenate([np.zeros((1, N), int), y[:-1]])
    losses = [
        model.loss(x, y, literal=literal, feed=feed)[0].item()
        for feed in (
            None,
            ScheduledSampling(1.0, argmax, seed=0),
            ScheduledSampling(0.0, argmax, seed=0),
            FreeRunning(argmax),
        )
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)
    assert losses[2] == pytest.approx(losses[3], rel=1e-12)
    assert losses[0] != losses[3]


def test_both_losses_mixed():
    model, x, y = regressor(), numbers(T, N, I), numbers(T, N, I, seed=1)
    feed = FreeRunning(lambda o: o, after=2)
    forced, free = model.loss(x, y)[0], model.loss(x, y, feed=feed)[0]
    for share in (0.0, 0.3, 1.0):
        mixed = nn.mixed_loss(model, x, y, feed, share)
        assert mixed.item() == pytest.approx((1 - share) * forced.item() + share * free.item())
        assert gradients(model, mixed)["cell.weight_hh"].any()
    masked = nn.mixed_loss(model, x, y, feed, 0.5, mask=MASKS["some"])
    assert masked.item() < nn.mixed_loss(model, x, y, feed, 0.5).item()
    with pytest.raises(ConfigError, match="share"):
        nn.mixed_loss(model, x, y, feed, 1.5)


def test_the_literal_run_labels_a_column_a_step():
    labels = labels_of(classifier().loss(tokens(), tokens(1))[0])
    assert labels.pop(0) == ["c", "h"]
    assert labels == {t: ["L", "c", "h", "o", "x", "y"] for t in range(1, T + 1)}


def test_a_forced_run_has_one_target_in_a_step():
    model = nn.SequenceModel(nn.OutputRecurrentCell(I, H, K, seed=0), loss=nn.mse)
    y = numbers(T, N, K).astype("f4")
    labels = labels_of(model.loss(nn.Forced(numbers(T, N, I), y), y)[0])
    assert labels.pop(0) == ["o"]  # the zeros that are read by the first step
    assert labels == {t: ["L", "h", "o", "x", "y"] for t in range(1, T + 1)}


def labels_of(loss: Any) -> dict[int, list[str]]:
    """The labels of all nodes behind the loss, by time."""
    labels: dict[int, list[str]] = {}
    seen, pending = set(), [loss.node]
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        pending += node.parents
        scope = node.scope
        while scope is not None and scope.index is None:
            scope = scope.parent
        if node.label and scope is not None:
            labels.setdefault(scope.index, []).append(node.label)
    return {time: sorted(names) for time, names in labels.items()}


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("literal", [False, True])
@pytest.mark.parametrize(
    "inputs, targets, mask",
    [
        (tokens(), tokens()[:4], None),
        (tokens()[:4], tokens(), None),
        (tokens(), tokens()[:, :2], None),
        (tokens(), tokens()[:, 0], None),
        (tokens(), tokens(), np.ones((T, 2), bool)),
        (tokens(), tokens(), np.ones((4, N), bool)),
        (tokens(), tokens(), np.ones((T, N, 1), bool)),
        (tokens(), tokens(), np.ones((T, N))),
    ],
)
def test_inputs_targets_and_masks_must_fit(inputs: Any, targets: Any, mask: Any, literal: bool):
    with pytest.raises(TinyseqError):
        classifier().loss(inputs, targets, mask=mask, literal=literal)


class Unchecked(nn.Cell):
    """h(t) = tanh(h(t-1) + x(t)), where any x(t) will do that can be broadcast."""

    hidden_size = K

    def __call__(self, x: Any, h: Any) -> Any:
        h = ops.tanh(h + x[..., :1])
        return h, h


@pytest.mark.parametrize("literal", [False, True])
@pytest.mark.parametrize("targets", [(T, 2), (T, 9), (T - 1, N)])
@pytest.mark.parametrize("kind", ["array", "tensor", "forced", "list"])
def test_a_forgotten_batch_axis_is_refused(targets: Any, literal: bool, kind: str):
    model = nn.SequenceModel(Unchecked())
    x: Any = numbers(T, N)
    x = {"array": x, "tensor": ts.tensor(x), "forced": nn.Forced(x, None), "list": list(x)}[kind]
    with pytest.raises(ShapeError, match=r"loss: inputs are \(T, N, \.\.\.\) .* \(6, 3\)"):
        model.loss(x, np.zeros(targets, int), literal=literal)


@pytest.mark.parametrize("literal", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
def test_a_cell_that_returns_but_its_state_is_refused(literal: bool, layers: int):
    """With two sequences a Tensor would be unpacked in silence."""

    class Alone(nn.Cell):
        hidden_size = K

        def __call__(self, x: Any, h: Any) -> Any:
            return ops.tanh(h + x)

    cell: nn.Cell = Alone() if layers == 1 else nn.Stacked([nn.ElmanCell(K, K), Alone()])
    model = nn.SequenceModel(cell).to(np.float64)
    with pytest.raises(StructureError, match=r"at step 1: a step returns \(y, state\).* Tensor"):
        model.loss(numbers(T, 2, K), np.zeros((T, 2), int), literal=literal)
    with pytest.raises(StructureError, match=r"at step 1: a step returns \(y, state\).* Tensor"):
        model(numbers(T, 2, K))


def test_errors_tell_the_step():
    model = classifier()
    bad = tokens()
    bad[3, 1] = K
    with pytest.raises(ShapeError, match="at step 4: index 5"):
        model.loss(bad, tokens())
    with pytest.raises(ShapeError, match="at step 4"):
        model.loss(tokens(), bad)
    with pytest.raises(ShapeError):
        model.loss(tokens(), bad, literal=False)


# -- array libraries ------------------------------------------------------------------------------


@pytest.mark.parametrize("literal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_the_loss_is_the_same_in_every_array_library(xp: Any, literal: bool, masked: bool):
    results = []
    for there in (xp, np):
        model = classifier().to("numpy" if there is np else "cupy")
        mask = there.asarray(MASKS["some"]) if masked else None
        x, y = there.asarray(tokens()), there.asarray(tokens(1))
        loss, _ = model.loss(x, y, mask=mask, literal=literal)
        found = gradients(model, loss)
        assert all(isinstance(g, there.ndarray) for g in found.values())
        found["loss"] = loss.data
        results.append({n: strict_cupy.to_host(g) for n, g in found.items()})
    assert_close(*results)


@pytest.mark.parametrize("masked", [False, True])
def test_a_regression_at_once_never_waits_for_the_gpu(masked: bool, monkeypatch: Any):
    xp = strict_cupy.install(monkeypatch)
    model = regressor().to("cupy")
    x, y = xp.asarray(numbers(T, N, I)), xp.asarray(numbers(T, N, I, seed=1))
    with strict_cupy.count_syncs() as syncs:
        loss, _ = model.loss(x, y, literal=False, mask=MASKS["some"] if masked else None)
        loss.backward()
    assert syncs == []


def test_structured_states_work(xp: Any):
    cells = [nn.LSTMCell(I, H, seed=0), nn.GRUCell(H, H, seed=1)]
    model = nn.SequenceModel(nn.Stacked(cells), nn.Linear(H, I, seed=2), nn.mse).to(np.float64)
    model.to("numpy" if xp is np else "cupy")
    x = xp.asarray(numbers(T, N, I))
    loss, state = model.loss(x, x, mask=MASKS["some"])
    loss.backward()
    assert structure.skeleton(state) == "(LSTMState(h=·, c=·), ·)"
    assert all(isinstance(p.grad, xp.ndarray) for p in model.parameters())
    assert ops.sum(loss).shape == ()
