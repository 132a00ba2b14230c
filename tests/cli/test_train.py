"""tinyseq train and tinyseq sample: what they leave behind, and how a run goes on."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tinyseq.io import load_checkpoint, save_checkpoint
from tinyseq.train import Trainer, read_log
from tinyseq.train.text import Settings, TextRun, load_writer


def arrays_of(folder, name="last"):
    return load_checkpoint(folder / f"{name}.safetensors")[0]


def test_train_leaves_a_run(run, small, text_file, tmp_path):
    folder = tmp_path / "run"
    code, out, err = run("train", *small, "--steps", 60, "--out", folder)
    assert (code, err) == (0, [])
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "best.safetensors",
        "config.json",
        "last.safetensors",
        "log.jsonl",
        "loss.svg",
    }
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    text = text_file.read_text(encoding="utf-8")
    assert config["settings"]["hidden"] == 12 and config["settings"]["steps"] == 60
    assert set(config["vocabulary"]["symbols"]) == set(text)
    assert config["text"]["characters"] == len(text)
    records = read_log(folder / "log.jsonl")
    assert records[-1]["kind"] == "held_out" and records[-1]["step"] == 60
    assert f"{records[-1]['bits']:.3f} bits" in "\n".join(out)
    assert b"<svg" in (folder / "loss.svg").read_bytes()


def test_settings_reach_the_model(run, small, tmp_path):
    more = ["--cell", "gru", "--layers", 2, "--embedding", 7, "--seed", 3, "--steps", 2]
    assert run("train", *small, *more, "--out", tmp_path)[0] == 0
    arrays = arrays_of(tmp_path)
    assert arrays["model.embed.weight"].shape[1] == 7
    assert arrays["model.cell.cells.1.weight_hh"].shape == (36, 12)
    other = TextRun(small[1], Settings(cell="gru", layers=2, hidden=12, embedding=7, seed=3))
    assert not np.array_equal(
        other.model.state_dict()["readout.weight"], arrays["model.readout.weight"]
    )
    assert other.untrained().state_dict().keys() == other.model.state_dict().keys()


def test_ctrl_c_says_what_was_saved_and_the_run_goes_on_bit_for_bit(
    run, small, tmp_path, monkeypatch
):
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    settings = [*small, "--layers", 2, "--dropout", 0.3, "--steps", 150]
    assert run("train", *settings, "--out", whole)[0] == 0

    after_step = Trainer._after_step

    def press_ctrl_c(trainer):
        after_step(trainer)
        if trainer.step == 70:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_after_step", press_ctrl_c)
        code, _, err = run("train", *settings, "--out", parted)
    assert code == 130
    assert len(err) == 1 and "update 70" in err[0] and f"train --resume {parted}" in err[0]
    assert not (parted / "loss.svg").exists()

    code, out, _ = run("train", "--resume", parted)
    assert code == 0 and any("150 updates, 70 of them done" in line for line in out)
    expected, found = arrays_of(whole), arrays_of(parted)
    assert expected.keys() == found.keys() and len(expected) > 10
    for name, values in expected.items():
        assert np.array_equal(values, found[name]), name
    bits = [[r["bits"] for r in read_log(f / "log.jsonl")] for f in (whole, parted)]
    assert bits[0] == bits[1]


def test_a_run_that_is_complete_stays_as_it_is(run, small, tmp_path):
    assert run("train", *small, "--steps", 5, "--out", tmp_path)[0] == 0
    before = arrays_of(tmp_path)
    assert run("train", "--resume", tmp_path)[0] == 0
    assert all(np.array_equal(values, before[name]) for name, values in arrays_of(tmp_path).items())


def test_a_real_ctrl_c(small, tmp_path):
    command = [sys.executable, "-m", "tinyseq", "train", *small, "--steps", "1000000"]
    process = subprocess.Popen(
        [*command, "--out", tmp_path / "run"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        log, deadline = tmp_path / "run" / "log.jsonl", time.monotonic() + 60
        while not (log.exists() and log.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == 130
    assert err.count("\n") == 1 and "--resume" in err
    assert load_writer(tmp_path / "run").write(length=3, seed=0)


def test_sample_is_the_best_model_and_the_seed_decides(run, small, tmp_path):
    assert run("train", *small, "--steps", 40, "--out", tmp_path)[0] == 0
    argv = ["--prompt", "the ", "--length", 60]
    first, again, other = (
        run("sample", tmp_path, *argv, "--seed", seed)[1] for seed in ("1", "1", "2")
    )
    assert first == again != other
    text = "\n".join(first)
    assert text.startswith("the ") and len(text) == 64
    writer = load_writer(tmp_path / "best.safetensors")
    assert text == "the " + writer.write("the ", 60, 1.0, 1)
    cold = [run("sample", tmp_path, *argv, "--temperature", 0)[1] for _ in range(2)]
    assert cold[0] == cold[1]


def test_the_best_model_is_taken_before_the_last(small, tmp_path):
    text_run = TextRun(small[1], Settings(hidden=4, batch=4, chunk=10, steps=3), tmp_path)
    text_run.train()
    text_run.model.readout.bias.assign(np.full(text_run.model.readout.bias.shape, 7.0))
    text_run.trainer.save("last")
    assert not (load_writer(tmp_path).model.readout.bias.data == 7).any()
    (tmp_path / "best.safetensors").unlink()
    assert (load_writer(tmp_path).model.readout.bias.data == 7).all()


def test_the_learning_rate_falls_with_the_steps_or_with_the_time(small):
    text_run = TextRun(small[1], Settings(steps=100, batch=4, lr=0.1), seconds=10)
    lr = text_run.trainer.schedules["lr"]
    assert lr(0) == pytest.approx(0.1) and lr(50) == pytest.approx(0.05)
    text_run.trainer.seconds = 7.5
    assert lr(50) == pytest.approx(0.025) and lr(90) == pytest.approx(0.01)
    text_run.trainer.seconds = 11.0
    assert lr(50) == 0.0


def test_how_many_updates_by_default():
    assert Settings().total_steps(200) == 2400
    assert Settings().total_steps(2) == 1000
    assert Settings(epochs=3).total_steps(200) == 600
    assert Settings(steps=7).total_steps(200) == 7
    assert Settings(steps=7, epochs=1).total_steps(5) == 5


def test_compiled_and_literal_learn_the_same_but_for_rounding(run, small, tmp_path):
    """With dropout: both draw the same random numbers."""
    settings = [*small, "--layers", 2, "--dropout", 0.3, "--steps", 20, "--seed", 0]
    said = {}
    for name, option in [("compiled", []), ("literal", ["--literal"])]:
        code, said[name], err = run("train", *settings, *option, "--out", tmp_path / name)
        assert (code, err) == (0, [])
    assert any(
        line.startswith("compiled (numpy): ") and "times as fast" in line
        for line in said["compiled"]
    )
    assert "not compiled: operation by operation" in said["literal"]
    compiled, literal = arrays_of(tmp_path / "compiled"), arrays_of(tmp_path / "literal")
    assert compiled.keys() == literal.keys()
    for name, values in literal.items():
        np.testing.assert_allclose(compiled[name], values, atol=1e-3, err_msg=name)
    emitters = {
        name: json.loads((tmp_path / name / "config.json").read_text())["settings"]["emitter"]
        for name in said
    }
    assert emitters == {"compiled": "numpy", "literal": None}


def test_the_speed_leaves_nothing_behind(small):
    """No gradients, no random numbers drawn, and the model is trained as before."""
    text_run = TextRun(small[1], Settings(layers=2, dropout=0.5, hidden=6, batch=2, chunk=5))
    text_run.model.train()
    dropout = text_run.model.cell.dropout
    before = dropout.rng.bit_generator.state
    assert "times as fast" in text_run.speed()
    assert dropout.rng.bit_generator.state == before
    assert dropout.training and text_run.model.training
    assert all(p.grad is None for p in text_run.model.parameters())


def test_a_run_goes_on_in_the_way_in_which_it_began(run, small, tmp_path):
    settings = Settings(hidden=12, batch=4, chunk=10, steps=4, emitter=None)
    TextRun(small[1], settings, tmp_path).train()
    resumed = TextRun.resumed(tmp_path)
    assert resumed.settings.emitter is None and resumed.fast is resumed.model
    path = tmp_path / "last.safetensors"
    arrays, meta = load_checkpoint(path)
    del meta["about"]["settings"]["emitter"]  # as before there was a compiler
    save_checkpoint(path, arrays, meta)
    assert TextRun.resumed(tmp_path).settings.emitter is None
    code, _, err = run("train", "--resume", tmp_path, "--literal")
    assert code == 2 and len(err) == 1 and "leave out --literal" in err[0]
