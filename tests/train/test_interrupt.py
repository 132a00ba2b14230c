"""Ctrl-C: the step is finished, a usable checkpoint is saved, and the run returns."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tinyseq.io import load_checkpoint
from tinyseq.train import read_log, text_loss
from tinyseq.train.interrupt import held_interrupts

ROOT = Path(__file__).parent.parent.parent

RUN = """
import json, signal, sys
import numpy as np
from tinyseq.data import TextBatches
from tinyseq.models import LanguageModel
from tinyseq.optim import Adam
from tinyseq.train import Trainer

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have had it ignored
folder, more = sys.argv[1], int(sys.argv[2])
model = LanguageModel(5, 6, seed=0)
batches = TextBatches(np.arange(300) ** 2 % 5, 4, 5)
trainer = Trainer(model, Adam(model.parameters()), batches, folder=folder, log_every=1)
if more:
    trainer.load()
result = trainer.run(steps=trainer.step + more if more else 10**9)
print(json.dumps([result.stopped, result.step]))
"""


def start(folder, more=0):
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder), str(more)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT to one process alone")
def test_ctrl_c_leaves_a_run_that_goes_on_bit_for_bit(tmp_path, make_trainer):
    process = start(tmp_path)
    deadline = time.monotonic() + 60
    log = tmp_path / "log.jsonl"
    while not (log.exists() and log.read_text().count("\n") > 20):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0 and "Traceback" not in err
    stopped, step = json.loads(out)
    assert stopped == "interrupted"
    assert load_checkpoint(tmp_path / "last.safetensors")[1]["counters"]["step"] == step
    assert [r["step"] for r in read_log(log)] == list(range(1, step + 1))

    process = start(tmp_path, 5)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out) == ["steps", step + 5]
    straight = make_trainer("straight", text=np.arange(300) ** 2 % 5, lr=1e-3)
    straight.run(steps=step + 5)
    arrays, _ = load_checkpoint(tmp_path / "last.safetensors")
    for name, values in straight.model.state_dict().items():
        assert np.array_equal(arrays[f"model.{name}"], values)


def at_step(number, action):
    count = 0

    def loss_of(model, batch, state):
        nonlocal count
        count += 1
        if count == number:
            action()
        return text_loss(model, batch, state)

    return loss_of


def press_ctrl_c():
    signal.raise_signal(signal.SIGINT)


def test_the_step_is_finished_and_the_handler_put_back(make_trainer):
    before = signal.getsignal(signal.SIGINT)
    trainer = make_trainer(loss_of=at_step(4, press_ctrl_c))
    result = trainer.run(steps=20)
    assert (result.stopped, result.step) == ("interrupted", 4)
    assert signal.getsignal(signal.SIGINT) is before
    again = make_trainer()
    again.load()
    assert again.step == 4
    assert trainer.run(steps=20).stopped == "steps"


def test_a_second_ctrl_c_stops_at_once_and_leaves_the_checkpoint_whole(make_trainer, tmp_path):
    def twice():
        press_ctrl_c()
        press_ctrl_c()

    before = signal.getsignal(signal.SIGINT)
    trainer = make_trainer(loss_of=at_step(8, twice), save_every=5)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(steps=20)
    assert signal.getsignal(signal.SIGINT) is before
    assert load_checkpoint(tmp_path / "run" / "last.safetensors")[1]["counters"]["step"] == 5


def test_ctrl_c_while_saving_does_not_cut_the_save_short(make_trainer, tmp_path, monkeypatch):
    whole = os.replace

    def replace(source, target):
        press_ctrl_c()
        whole(source, target)

    trainer = make_trainer(save_every=3)
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(trainer.log, "rewind", lambda step: (tmp_path / "run").mkdir())
    with pytest.raises(KeyboardInterrupt):  # the second save meets the second Ctrl-C
        trainer.run(steps=20)
    assert load_checkpoint(tmp_path / "run" / "last.safetensors")[1]["counters"]["step"] == 3
    assert not list((tmp_path / "run").glob(".*"))


def test_in_a_thread_and_where_it_is_ignored_nothing_is_caught():
    found = []

    def inside():
        with held_interrupts() as interrupt:
            found.append((interrupt.requested, signal.getsignal(signal.SIGINT)))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert found == [(False, before)]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        inside()
    finally:
        signal.signal(signal.SIGINT, before)
    assert found[1] == (False, signal.SIG_IGN)
