"""A run that is stopped and loaded goes on bit for bit as one that was not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinyseq import nn
from tinyseq.data import TextBatches, tasks
from tinyseq.errors import CheckpointError, DataError
from tinyseq.io import load_checkpoint, save_checkpoint
from tinyseq.models import LanguageModel
from tinyseq.optim import SGD, Adam, AdamW, RMSprop
from tinyseq.random import generator, manual_seed
from tinyseq.train import GeneratedBatches, Trainer, load_weights, task_loss

ROOT = Path(__file__).parent.parent.parent

# Everything that has a state is in it: dropout, an optimizer with averages, schedules, clipping, a
# carried state, evaluations; and the seed of the process is none that the numbers may depend on.
RUN = """
import sys
import numpy as np
from tinyseq import manual_seed, nn
from tinyseq.data import TextBatches
from tinyseq.models import LanguageModel
from tinyseq.optim import AdamW, cosine
from tinyseq.train import Trainer

folder, seed, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
manual_seed(seed)
text = np.random.default_rng(0).integers(5, size=141)
model = LanguageModel(5, 6, cell="lstm", num_layers=2, dropout=0.3)
trainer = Trainer(
    model, AdamW(model.parameters(), 0.01), TextBatches(text, 4, 5), folder=folder, clip=0.05,
    held_out=TextBatches(text[:50], 2, 5), schedules={"lr": cosine(0.01, 30, warmup=5)},
    log_every=3, evaluate_every=4, save_every=7, patience=50, about={"seed": 1},
)
if "load" in sys.argv:
    trainer.load()
trainer.run(steps=steps)
"""


def run(folder, seed, steps, *more):
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(folder), str(seed), str(steps), *more],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def without_times(record):
    times = ("seconds", "predictions_per_second")
    return {
        key: without_times(value) if isinstance(value, dict) else value
        for key, value in record.items()
        if key not in times
    }


def assert_same_run(folder, other):
    for name in ("last", "best"):
        arrays, meta = load_checkpoint(folder / f"{name}.safetensors")
        same_arrays, same_meta = load_checkpoint(other / f"{name}.safetensors")
        assert list(arrays) == list(same_arrays)
        assert [key for key in arrays if not np.array_equal(arrays[key], same_arrays[key])] == []
        assert without_times(meta) == without_times(same_meta)
    logs = [(f / "log.jsonl").read_text().splitlines() for f in (folder, other)]
    first, second = ([without_times(json.loads(line)) for line in log] for log in logs)
    assert first == second and len(first) > 3


@pytest.mark.parametrize("stop", [10, 7, 1])
def test_twenty_steps_are_ten_steps_and_ten_in_a_new_process(tmp_path, stop):
    """An epoch has 7 chunks: 10 is in the middle of one, 7 at its end."""
    run(tmp_path / "straight", 1, 20)
    run(tmp_path / "halves", 1, stop)
    arrays, meta = load_checkpoint(tmp_path / "halves" / "last.safetensors")
    assert meta["counters"]["step"] == stop and meta["about"] == {"seed": 1}
    assert ("state.0" in arrays) == (stop != 7)  # an epoch starts afresh
    run(tmp_path / "halves", 99, 20, "load")
    assert_same_run(tmp_path / "straight", tmp_path / "halves")


def test_the_steps_after_the_last_checkpoint_are_done_again(tmp_path):
    """Killed at step 17, the run goes on from step 14; its log has every step once."""
    run(tmp_path / "straight", 1, 20)
    run(tmp_path / "killed", 1, 14)
    saved = (tmp_path / "killed" / "last.safetensors").read_bytes()
    run(tmp_path / "killed", 99, 17, "load")
    (tmp_path / "killed" / "last.safetensors").write_bytes(saved)
    with open(tmp_path / "killed" / "log.jsonl", "a") as log:
        log.write('{"kind": "tra')
    run(tmp_path / "killed", 98, 20, "load")
    assert_same_run(tmp_path / "straight", tmp_path / "killed")


@pytest.mark.parametrize("cell", ["elman", "relu", "gru", "lstm"])
@pytest.mark.parametrize("optimizer", [SGD, Adam, AdamW, RMSprop])
def test_every_cell_and_optimizer_goes_on(tmp_path, cell, optimizer):
    def trainer(folder):
        model = LanguageModel(5, 6, cell=cell, num_layers=2, dropout=0.2, seed=0)
        extra = {"momentum": 0.9} if optimizer in (SGD, RMSprop) else {}
        return Trainer(
            model,
            optimizer(model.parameters(), lr=0.01, **extra),
            TextBatches(np.arange(99) ** 2 % 5, 4, 5),
            folder=tmp_path / folder,
            clip=0.1,
        )

    straight, first, second = trainer("a"), trainer("b"), trainer("b")
    straight.run(steps=11)
    first.run(steps=6)
    second.load()
    second.run(steps=11)
    for name, values in straight.model.state_dict().items():
        assert np.array_equal(values, second.model.state_dict()[name])


def test_generated_batches_and_the_generators_of_modules_go_on(tmp_path):
    def trainer(folder):
        cells = [nn.GRUCell(2, 4, seed=0), nn.GRUCell(4, 4, seed=1)]
        model = nn.SequenceModel(nn.Stacked(cells, 0.5, seed=2), nn.Linear(4, 1, seed=0), nn.mse)
        batches = GeneratedBatches(lambda rng: tasks.adding(4, 6, rng), 3, seed=5)
        optimizer = Adam(model.parameters())
        return Trainer(model, optimizer, batches, loss_of=task_loss, folder=tmp_path / folder)

    straight, first, second = trainer("a"), trainer("b"), trainer("b")
    straight.run(steps=10)
    first.run(steps=5)
    second.load()
    assert (second.batches.epoch, second.batches.position) == (1, 2)
    second.run(steps=10)
    for name, values in straight.model.state_dict().items():
        assert np.array_equal(values, second.model.state_dict()[name])


def test_the_default_generator_is_part_of_a_run(make_trainer):
    manual_seed(3)
    make_trainer().run(steps=1)
    expected = generator(None).random(4)
    manual_seed(4)
    make_trainer().load()
    assert np.array_equal(generator(None).random(4), expected)


def test_weights_alone(make_trainer, tmp_path):
    trainer = make_trainer(about={"hidden": 6, "text": "é"})
    trainer.run(steps=2)
    model = LanguageModel(5, 6, seed=7)
    path = tmp_path / "run" / "last.safetensors"
    assert load_weights(model, path) == {"hidden": 6, "text": "é"}
    for name, values in trainer.model.state_dict().items():
        assert np.array_equal(values, model.state_dict()[name])
    with pytest.raises(CheckpointError, match="last.safetensors: .*shape: embed.weight"):
        load_weights(LanguageModel(5, 8), path)
    save_checkpoint(path, model.state_dict())
    with pytest.raises(CheckpointError, match="holds no run: give its arrays to model.load_state"):
        load_weights(model, path)
    with pytest.raises(CheckpointError, match="holds weights, but not a run that could go on"):
        make_trainer().load()


def test_a_run_that_does_not_fit_is_refused_with_what_differs(make_trainer, tmp_path):
    make_trainer().run(steps=2)
    for other, message in [
        (
            make_trainer(model=LanguageModel(5, 8)),
            r"shape: embed.weight \(5, 6\) instead of \(5, 8\)",
        ),
        (
            make_trainer(model=LanguageModel(5, 6, "gru")),
            r"cell.weight_ih \(24, 6\) instead of \(18, 6\)",
        ),
        (make_trainer(model=LanguageModel(5, 6, num_layers=2)), "missing: "),
        (make_trainer(text=np.arange(200) % 5), "stream_length was 69 and is 49"),
        (
            make_trainer(batches=TextBatches(np.arange(281) % 5, 4, 6)),
            "chunk_length was 5 and is 6",
        ),
    ]:
        with pytest.raises(CheckpointError, match=f"last.safetensors does not fit .*{message}"):
            other.load()
    trainer = make_trainer()
    trainer.optimizer = SGD(trainer.model.parameters())
    with pytest.raises(CheckpointError, match="does not fit .* state of Adam, not of SGD"):
        trainer.load()
    trainer = make_trainer()
    trainer.model.rng = np.random.default_rng(0)
    with pytest.raises(CheckpointError, match="does not fit .*generators of other names"):
        trainer.load()
    with pytest.raises(CheckpointError, match="no checkpoint .*best.safetensors; .* has last.safe"):
        make_trainer().load("best")
    content = bytearray((tmp_path / "run" / "last.safetensors").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "run" / "last.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="last.safetensors .*damaged"):
        make_trainer().load()


def test_a_carried_state_needs_a_model_that_tells_its_structure(make_trainer):
    class Bare(nn.Module):
        def __init__(self):
            self.inner = LanguageModel(5, 6, seed=0)

        def loss(self, inputs, targets, state, literal):
            return self.inner.loss(inputs, targets, state, literal=literal)

    with pytest.raises(Exception, match=r"cannot be saved: the model has no init_state\(batch\)"):
        make_trainer(model=Bare()).run(steps=3)


def test_generated_batches_count_and_refuse_another_length():
    batches = GeneratedBatches(lambda rng: rng.integers(100), 3, seed=0)
    first = [*batches, *batches]
    assert len(batches) == 3 and len(first) == 6 and batches.epoch == 2
    again = GeneratedBatches(lambda rng: rng.integers(100), 3, seed=0)
    taken = [batch for _, batch in zip(range(2), again, strict=False)]
    state = json.loads(json.dumps(again.state_dict()))
    rest = GeneratedBatches(lambda rng: rng.integers(100), 3, seed=9)
    rest.load_state_dict(state)
    assert taken + [*rest, *rest] == first and rest.position == 0
    with pytest.raises(DataError, match="epochs of 3 batches, these have 4"):
        GeneratedBatches(lambda rng: None, 4).load_state_dict(state)
    with pytest.raises(Exception, match="epoch_length is at least 1, not 0"):
        GeneratedBatches(lambda rng: None, 0)
