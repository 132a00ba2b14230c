"""The training loop: what a step does, when it stops, and what it leaves behind."""

import gc
import weakref

import numpy as np
import pytest

from strict_cupy import to_host
from tinyseq import nn
from tinyseq.autograd.engine import backward, grad
from tinyseq.autograd.node import Leaf, Node, next_order
from tinyseq.autograd.tensor import tensor
from tinyseq.data import TextBatches, tasks
from tinyseq.errors import CheckpointError, ConfigError, DataError, NonFiniteError
from tinyseq.io import load_checkpoint
from tinyseq.models import LanguageModel
from tinyseq.ops import sqrt
from tinyseq.optim import SGD, Adam, clip_grad_norm, linear_to_zero, sutskever_momentum
from tinyseq.train import (
    GeneratedBatches,
    Trainer,
    evaluate,
    load_weights,
    read_log,
    task_loss,
    text_loss,
)

TEXT = np.array([2, 0, 1, 3, 1, 0, 4] * 40)


def test_a_run_is_the_loop_that_one_would_write(make_trainer):
    trainer = make_trainer(clip=0.05)
    text = trainer.batches
    trainer.run(epochs=2)

    model = LanguageModel(5, 6, seed=0)
    optimizer = Adam(model.parameters(), 0.01)
    clipped = 0
    for _ in range(2):
        state = None
        for inputs, targets in TextBatches(TEXT, 4, 5):
            loss, state = model.loss(inputs, targets, state, literal=False)
            backward(loss * (1 / targets.size))
            clipped += clip_grad_norm(model.parameters(), 0.05) > 0.05
            optimizer.step()
            optimizer.zero_grad()
            state = type(state)(*(part.detach() for part in state))
    assert 0 < clipped and trainer.step == 28 == 2 * len(text) and text.epoch == 2
    for name, values in trainer.model.state_dict().items():
        assert np.array_equal(values, model.state_dict()[name])


def test_the_state_is_carried_detached_and_starts_afresh_with_every_epoch(make_trainer):
    calls = []

    def spy(model, batch, state):
        loss, count, after = text_loss(model, batch, state)
        calls.append((state, after))
        return loss, count, after

    make_trainer(loss_of=spy).run(epochs=2)
    starts = [k for k, (state, _) in enumerate(calls) if state is None]
    assert starts == [0, 14]
    for (_, before), (state, _) in zip(calls, calls[1:], strict=False):
        if state is not None:
            assert all(np.array_equal(a.data, b.data) for a, b in zip(before, state, strict=True))
            assert before[0].requires_grad and not state[0].requires_grad


def test_the_graph_of_a_step_is_gone_before_the_next_is_built(make_trainer):
    losses, alive, start = [], [], next_order()

    def spy(model, batch, state):
        gc.collect()
        nodes = [thing for thing in gc.get_objects() if type(thing) in (Node, Leaf)]
        alive.append(sum(node.order > start for node in nodes))  # other tests may leave some behind
        assert all(loss() is None for loss in losses)
        loss, count, after = text_loss(model, batch, state)
        losses.append(weakref.ref(loss))
        return loss, count, after

    make_trainer(loss_of=spy).run(steps=6)
    assert len(losses) == 6 and len(set(alive[1:])) == 1  # the parameters' leaves, nothing else


def test_it_learns_a_text_by_heart(make_trainer, held_out):
    trainer = make_trainer(None, LanguageModel(5, 16, seed=1), lr=0.02, held_out=held_out)
    before = trainer.evaluate()
    result = trainer.run(epochs=12)
    assert before > 1.2 and result.best < 0.1  # nats; the text has a period of 7


def test_it_trains_on_generated_tasks(tmp_path):
    batches = GeneratedBatches(lambda rng: tasks.adding(32, 12, rng), 100, seed=0)
    held_out = GeneratedBatches(lambda rng: tasks.adding(100, 12, rng), 5, seed=1)
    model = nn.SequenceModel(nn.LSTMCell(2, 24, seed=0), nn.Linear(24, 1, seed=0), nn.mse)
    trainer = Trainer(
        model,
        Adam(model.parameters(), 0.01),
        batches,
        loss_of=task_loss,
        held_out=held_out,
        folder=tmp_path,
        clip=1.0,
        in_bits=False,
    )
    result = trainer.run(epochs=5)
    baseline = tasks.adding(1, 12, np.random.default_rng(0)).baseline
    assert result.best < baseline / 5
    assert [r["epoch"] for r in trainer.log.records if r["kind"] == "held_out"] == [1, 2, 3, 4, 5]
    assert "bits" not in trainer.log.records[0]


def test_a_masked_task_counts_only_what_the_mask_names():
    batch = tasks.temporal_order(3, 12, np.random.default_rng(0))
    model = nn.SequenceModel(
        nn.ElmanCell(batch.inputs.shape[2], 4, seed=0), nn.Linear(4, batch.classes)
    )
    loss, count, state = task_loss(model, batch, None)
    outputs, _ = model(batch.inputs)
    expected = nn.cross_entropy(outputs.data[batch.mask], batch.targets[batch.mask])
    assert count == batch.mask.sum() < batch.mask.size and state is None
    assert loss.item() == pytest.approx(float(expected), rel=1e-5)


def test_every_array_library_trains_alike(make_trainer, tmp_path, xp):
    def run(folder, library):
        model = LanguageModel(5, 6, seed=0)
        for parameter in model.parameters():
            parameter.move(library.asarray(parameter.data))
        trainer = make_trainer(folder, model, clip=0.1)
        trainer.run(steps=5)
        trainer = make_trainer(folder, model, clip=0.1)
        trainer.load()
        trainer.run(steps=10)
        assert type(trainer.state[0].data) is type(model.parameters()[0]._store)
        return model.state_dict()

    expected = run("reference", np)
    for name, values in run("other", xp).items():
        np.testing.assert_allclose(to_host(values), expected[name], rtol=1e-3, atol=1e-5)


# ---------------------------------------------------------------- when it stops


def test_limits_are_totals(make_trainer):
    trainer = make_trainer()
    result = trainer.run(steps=3)
    assert (result.stopped, result.step, result.epoch) == ("steps", 3, 0)
    assert trainer.run(steps=3).step == 3
    assert trainer.run(epochs=1).step == 14
    result = trainer.run(steps=20, epochs=2)
    assert (result.stopped, result.step, result.epoch) == ("steps", 20, 1)
    result = trainer.run(steps=99, epochs=2)
    assert (result.stopped, result.step, result.epoch) == ("epochs", 28, 2)


def test_a_time_limit_is_that_of_the_call(make_trainer):
    trainer = make_trainer()
    for _ in range(2):
        before = trainer.seconds
        result = trainer.run(time_limit=0.2)
        assert result.stopped == "time limit"
        assert 0.2 <= result.seconds - before < 2.0
    assert trainer.run(time_limit=0.0).step == result.step
    assert trainer.log.records[-1]["seconds"] <= trainer.seconds


def test_early_stopping_keeps_the_best(make_trainer, tmp_path):
    """What is held out has the frequencies of the text and nothing else: overfitting hurts."""
    held_out = TextBatches(np.random.default_rng(0).permutation(TEXT), 3, 10)
    trainer = make_trainer(held_out=held_out, evaluate_every=3, patience=4)
    result = trainer.run(steps=2000)
    losses = [r["loss"] for r in trainer.log.records if r["kind"] == "held_out"]
    assert result.stopped == "early stopping" and result.step == 3 * len(losses) < 2000
    assert result.best == min(losses) == losses[-5] < losses[-1]
    model = LanguageModel(5, 6, seed=9)
    load_weights(model, tmp_path / "run" / "best.safetensors")
    assert evaluate(model, held_out) == result.best
    assert (
        load_checkpoint(tmp_path / "run" / "last.safetensors")[1]["counters"]["step"] == result.step
    )


def test_schedules_set_the_optimizer_before_every_step():
    seen = []

    def spy(model, batch, state):
        seen.append((optimizer.lr, optimizer.momentum))
        return text_loss(model, batch, state)

    model = LanguageModel(5, 6, seed=0)
    optimizer = SGD(model.parameters(), lr=9.0)
    schedules = {
        "lr": linear_to_zero(0.1, 8, warmup=2),
        "momentum": sutskever_momentum(0.9, every=3),
    }
    trainer = Trainer(
        model, optimizer, TextBatches(np.arange(99) % 5, 4, 5), loss_of=spy, schedules=schedules
    )
    trainer.run(steps=9)
    assert [lr for lr, _ in seen] == pytest.approx(
        [0.1 / 3, 0.2 / 3, 0.1, 0.5 / 6, 0.4 / 6, 0.3 / 6, 0.2 / 6, 0.1 / 6, 0]
    )
    assert [m for _, m in seen] == pytest.approx([0.5] * 3 + [0.75] * 3 + [1 - 1 / 6] * 3)


# ---------------------------------------------------------------- what goes wrong


def spoilt(step, what):
    """A loss that is no number at this step, or whose gradient is not."""
    count = 0

    def loss_of(model, batch, state):
        nonlocal count
        count += 1
        loss, predictions, state = text_loss(model, batch, state)
        if count == step and what == "loss":
            loss = loss * np.float32(np.inf) * 0.0
        elif count == step:
            loss = loss + _steep(model)
        return loss, predictions, state

    return loss_of


def _steep(model):
    """Zero, with an infinite slope: the square root of 0 w, at every bias of the readout."""
    return sqrt(model.readout.bias * 0.0).sum()


@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize(
    ("what", "message"),
    [
        (
            "loss",
            r"step 8: the loss is nan. Take a smaller learning rate \(now 0.01\) or threshold",
        ),
        ("gradient", r"step 8: a NaN or an infinity in the gradient of readout.bias\. "),
    ],
)
def test_a_loss_or_gradient_that_is_no_number_stops_the_run(
    make_trainer, tmp_path, what, message, clip
):
    trainer = make_trainer(loss_of=spoilt(8, what), save_every=5, clip=clip)
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError, match=message) as caught:
        trainer.run(steps=20)
    last = tmp_path / "run" / "last.safetensors"
    assert f"detect_nonfinite(). The last checkpoint is {last}." in str(caught.value)

    reference = make_trainer("reference")
    reference.run(steps=5)
    arrays, meta = load_checkpoint(last)
    assert meta["counters"]["step"] == 5
    reference.run(steps=7)
    for name, values in reference.model.state_dict().items():
        assert np.array_equal(trainer.model.state_dict()[name], values)  # of before step 8
    trainer.optimizer.lr = 0.001
    assert trainer.run(steps=10).step == 10  # nothing of the bad step is left


@pytest.mark.parametrize("nonfinite", ["skip", "random"])
def test_a_gradient_that_is_no_number_may_be_survived(make_trainer, nonfinite):
    trainer = make_trainer(
        loss_of=spoilt(8, "gradient"), nonfinite=nonfinite, clip=0.5, log_every=1
    )
    trainer.run(steps=7)
    before = trainer.model.state_dict()
    with np.errstate(all="ignore"):
        trainer.run(steps=8)
    after = trainer.model.state_dict()
    changed = [name for name in before if not np.array_equal(before[name], after[name])]
    assert changed == ([] if nonfinite == "skip" else list(before))
    assert trainer.log.records[-1]["grad_norm"] is None
    trainer.run(steps=12)


def test_weights_that_are_no_numbers_are_not_saved(make_trainer, tmp_path):
    trainer = make_trainer()
    trainer.run(steps=2)
    weight = trainer.model.readout.bias
    weight.assign(np.full(weight.shape, np.inf))
    with pytest.raises(CheckpointError, match="not written, since .* infinity in readout.bias"):
        trainer.save()
    assert load_checkpoint(tmp_path / "run" / "last.safetensors")[1]["counters"]["step"] == 2


def test_a_folder_with_a_run_is_not_written_over(make_trainer):
    make_trainer().run(steps=2)
    with pytest.raises(ConfigError, match=r"holds a run: call load\(\) to go on"):
        make_trainer().run(steps=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"log_every": 0}, "log_every is at least 1, not 0"),
        ({"evaluate_every": -1}, "evaluate_every is at least 1"),
        ({"save_every": 0}, "save_every is at least 1"),
        ({"patience": 3}, "wants held_out batches"),
        ({"nonfinite": "random"}, "takes a step of size clip"),
        (
            {"schedules": {"rate": linear_to_zero(1, 2)}},
            "one of lr, weight_decay, .*not for 'rate'",
        ),
    ],
)
def test_refuses(make_trainer, arguments, message):
    with pytest.raises(ConfigError, match=message):
        make_trainer(**arguments)


def test_refuses_on_the_way(make_trainer):
    with pytest.raises(ConfigError, match="say how long"):
        make_trainer().run()
    with pytest.raises(ConfigError, match="threshold is a positive number"):
        make_trainer(clip=-1.0).run(steps=1)
    with pytest.raises(ConfigError, match="no held_out batches"):
        make_trainer().evaluate()
    with pytest.raises(ConfigError, match="no folder to load from"):
        make_trainer(folder=None).load()
    with pytest.raises(DataError, match="the batch of step 1 has nothing to predict"):
        make_trainer(loss_of=lambda model, batch, state: (tensor(0.0), 0, None)).run(steps=1)

    class Nothing(GeneratedBatches):
        def __iter__(self):
            return iter(())

    with pytest.raises(DataError, match="an epoch without a single batch"):
        make_trainer(batches=Nothing(None, 1)).run(steps=1)


# ---------------------------------------------------------------- evaluation


def test_evaluation_carries_the_state_and_leaves_everything_as_it_was(held_out):
    model = nn.SequenceModel(
        nn.Stacked([nn.LSTMCell(4, 6, seed=0), nn.GRUCell(6, 6, seed=0)], 0.5, 0),
        nn.Linear(6, 5, seed=0),
        embed=nn.Embedding(5, 4, seed=0),
    )
    dropout = next(m for _, m in model.named_modules() if isinstance(m, nn.Dropout))
    model.readout.training = False
    found = evaluate(model, held_out)
    assert evaluate(model, held_out) == found  # no dropout, and the same batches again
    assert (held_out.epoch, held_out.position) == (0, 0)
    assert model.training and dropout.training and not model.readout.training

    model.eval()
    inputs, targets = (np.concatenate(parts) for parts in zip(*held_out, strict=True))
    whole, _ = model.loss(inputs, targets)
    assert found == pytest.approx(whole.item() / targets.size, rel=1e-6)
    with pytest.raises(ConfigError, match="at position 1 of an epoch"):
        next(iter(held_out))
        evaluate(model, held_out)


def test_evaluation_builds_no_graph(held_out):
    model = LanguageModel(5, 6, seed=0)

    def spy(model, batch, state):
        loss, count, state = text_loss(model, batch, state)
        assert not loss.requires_grad
        with pytest.raises(Exception, match="nothing to differentiate"):
            grad(loss, model.parameters()[:1])
        return loss, count, state

    with pytest.raises(DataError, match="nothing to predict"):
        evaluate(model, held_out, lambda model, batch, state: (0.0, 0, None))
    assert evaluate(model, held_out, spy) > 0


# ---------------------------------------------------------------- log and progress


def test_the_log_has_what_happened(make_trainer, held_out, tmp_path):
    values = []

    def spy(model, batch, state):
        loss, count, state = text_loss(model, batch, state)
        if model.training:
            values.append((loss.item(), count))
        return loss, count, state

    trainer = make_trainer(loss_of=spy, log_every=4, evaluate_every=6, held_out=held_out)
    trainer.run(steps=13)
    records = read_log(tmp_path / "run" / "log.jsonl")
    assert records == trainer.log.records
    assert [(r["kind"], r["step"]) for r in records] == [
        ("train", 4), ("held_out", 6), ("train", 8), ("train", 12), ("held_out", 12),
    ]  # fmt: skip
    for record in records:
        assert record["bits"] == pytest.approx(record["loss"] / np.log(2))
        if record["kind"] == "train":
            window = values[record["step"] - 4 : record["step"]]
            mean = sum(loss for loss, _ in window) / sum(count for _, count in window)
            assert record["loss"] == pytest.approx(mean)
            assert record["predictions_per_second"] > 0 and record["grad_norm"] > 0
            assert record["lr"] == 0.01
    seconds = [r["seconds"] for r in records]
    assert seconds == sorted(seconds) and seconds[0] > 0


def test_a_line_that_was_cut_off_is_left_out_and_another_is_an_error(make_trainer, tmp_path):
    trainer = make_trainer(log_every=1)
    trainer.run(steps=3)
    path = tmp_path / "run" / "log.jsonl"
    whole = path.read_text()
    path.write_text(whole + '{"kind": "train", "st')
    assert [r["step"] for r in read_log(path)] == [1, 2, 3]
    again = make_trainer(log_every=1)
    again.load()
    again.run(steps=4)
    assert [r["step"] for r in read_log(path)] == [1, 2, 3, 4]
    path.write_text("not JSON\n" + whole)
    with pytest.raises(DataError, match="log.jsonl, line 1, is no record: 'not JSON'"):
        read_log(path)
    with pytest.raises(DataError, match="cannot read the log .*: No such file"):
        read_log(tmp_path / "nothing")


def test_a_progress_bar_where_it_is_wanted(make_trainer, capsys):
    make_trainer("a").run(steps=3)
    assert capsys.readouterr().err == ""  # no terminal
    make_trainer("b", progress=True).run(epochs=1)
    shown = capsys.readouterr().err
    assert "14/14" in shown and "bits" in shown and "step/s" in shown
    make_trainer("c", progress=True, in_bits=False).run(steps=3)
    assert "loss 1." in capsys.readouterr().err
