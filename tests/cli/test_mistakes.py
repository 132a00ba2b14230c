"""Every mistake of a user is one line on standard error, and exit code 2."""

import os
import subprocess
import sys

import pytest

import tinyseq
from tinyseq.io import save_checkpoint

WRONG_ARGUMENTS = [
    ([], "VERB"),
    (["dance"], "dance"),
    (["train", "--hidden", "many"], "'many'"),
    (["train", "--hidden", "0"], "hidden is at least 1, not 0"),
    (["train", "--hidden", "-3"], "hidden is at least 1, not -3"),
    (["train", "--layers", "0"], "layers is at least 1"),
    (["train", "--batch", "0"], "batch is at least 1"),
    (["train", "--chunk", "-1"], "chunk is at least 1"),
    (["train", "--chunk", "1000000000"], "chunk of 1,000,000,000 steps is longer than the text"),
    (["train", "--steps", "0"], "steps is at least 1"),
    (["train", "--epochs", "0"], "epochs is at least 1"),
    (["train", "--lr", "nan"], "not a number"),
    (["train", "--lr", "-1"], "lr is positive"),
    (["train", "--clip", "0"], "clip is positive"),
    (["train", "--dropout", "1.5"], "dropout lies in [0, 1), not 1.5"),
    (["train", "--dropout", "0.2"], "nothing to drop"),
    (["train", "--seed", "-1"], "whole number"),
    (["train", "--cell", "brain"], "elman, relu, lstm, gru, not 'brain'"),
    (["train", "--text", "no-such-file"], "no-such-file"),
    (["train", "--text", "."], "cannot read the text"),
    (["train", "--resume", "no-such-run"], "no-such-run"),
    (["train", "--resume", "x", "--out", "y"], "not allowed with"),
    (["sample", "no-such-run"], "there is no run no-such-run"),
    (["sample", "."], "there is no checkpoint"),
    (["sample", "x", "--length", "-1"], "'-1'"),
    (["sample", "x", "--temperature", "-1"], "-1 is negative"),
    (["sample", "x", "--temperature", "hot"], "'hot' is not a number"),
    (["sample", "x", "--seed", "-1"], "'-1'"),
    (["draw", "brain", "-o", "a.svg"], "there is no cell 'brain'; there are elman, lstm"),
    (["draw", "lstm"], "-o"),
    (["draw", "lstm", "-o", "a.xyz"], ".svg, .png"),
    (["draw", "lstm", "-o", "a"], ".svg, .png"),
    (["draw", "lstm", "-o", "no-such-folder/a.svg"], "there is no folder no-such-folder"),
    (["draw", "lstm", "-o", "a.svg", "--steps", "0"], "not 0"),
    (["draw", "lstm", "-o", "a.svg", "--steps", "-4"], "not -4"),
    (["draw", "lstm", "-o", "a.svg", "--detail", "everything"], "'everything'"),
    (["draw", "lstm", "-o", "a.svg", "--view", "circuit", "--steps", "1"], "two or more"),
    (["draw", "lstm", "-o", "a.svg", "--view", "circuit", "--gradients"], "--view unrolled"),
    (["draw", "lstm", "-o", "a.svg", "--view", "graphical", "--values", "text"], "--view unrolled"),
    (["draw", "lstm", "-o", "a.svg", "--hidden"], "--view graphical: an unrolled view has no"),
    (["draw", "lstm", "-o", "a.svg", "--view", "graphical", "--detail", "ops"], "leave out"),
    (["draw", "lstm", "-o", "a.svg", "--view", "graphical", "--window", "3,2"], "--window 5"),
    (["draw", "lstm", "-o", "a.svg", "--window", "some"], "'some' is not all"),
    (["draw", "lstm", "-o", "a.svg", "--window", "90-99"], "steps 1 to 4"),
    (["draw", "lstm", "-o", "a.svg", "--highlight", "x(1)"], "expected 2 arguments"),
    (["draw", "lstm", "-o", "a.svg", "--highlight", "x(1)", "z"], "no vertex 'z'"),
    (["draw", "lstm", "-o", "a.svg", "--highlight", "x(2)", "L(1)"], "no way leads"),
    (["draw", "lstm", "-o", "a.svg", "--values", "smell"], "'smell'"),
    (["draw", "lstm", "-o", "a.svg", "--values", "colour", "--gradients"], "one thing as colour"),
    (["draw", "lstm", "-o", "a.svg", "--feedback", "x"], "'x' is not like x=y"),
    (["draw", "lstm", "-o", "a.svg", "--engine", "steam"], "the engine (--engine, engine=) is one"),
    (["draw", "lstm", "-o", "a.svg", "--input", "3,1,3"], "FILE.py:NAME"),
    (["draw", "lstm", "-o", "a.svg", "--input", "3,x"], "not a shape"),
    (["draw", "a.py:b", "-o", "a.svg", "--input", "0,2,3"], "steps must be at least 1: '0,2,3'"),
    (["draw", "no-such.py:model", "-o", "a.svg", "--input", "3,1,3"], "no file no-such.py"),
    (["draw", "no-such.py", "-o", "a.svg"], "which model of the file"),
    (["tour", "--seconds", "0"], "0 is not positive"),
    (["tour", "--seconds", "soon"], "'soon' is not a number"),
    (["tour", "--text", "no-such-file"], "no-such-file"),
]


@pytest.mark.parametrize(
    "argv, hint", WRONG_ARGUMENTS, ids=lambda v: " ".join(v)[:50] if isinstance(v, list) else ""
)
def test_a_mistake_is_one_line(run, argv, hint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*argv)
    assert code == 2
    assert out == []
    assert len(err) == 1 and err[0].startswith("tinyseq: ") and hint in err[0]
    assert list(tmp_path.rglob("*.safetensors")) == []


def test_a_text_that_is_not_utf8(run, tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes(b"caf\xe9 " * 100)
    code, _, err = run("train", "--text", path, "--out", tmp_path / "run")
    assert code == 2 and len(err) == 1 and "not UTF-8: byte 0xe9 at offset 3 (line 1)" in err[0]


def test_a_text_that_is_too_short_for_the_batches(run, tmp_path):
    path = tmp_path / "short.txt"
    path.write_text("ab " * 40)
    code, _, err = run("train", "--text", path, "--batch", 200, "--out", tmp_path / "run")
    assert code == 2 and len(err) == 1 and "too short for 200 streams" in err[0]


def test_more_memory_than_there_is(run, small, tmp_path):
    code, _, err = run("train", *small, "--hidden", 10**12, "--out", tmp_path / "run")
    assert code == 2 and len(err) == 1 and "not enough memory" in err[0]


def test_a_folder_that_cannot_be_made(run, small, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = run("train", *small, "--out", tmp_path / "file")
    assert code == 2 and len(err) == 1 and str(tmp_path / "file") in err[0]


@pytest.mark.parametrize("place", ["file", "file/inside", "/proc/none"])
def test_a_tour_that_cannot_be_kept_is_not_taken(run, small, tmp_path, place):
    (tmp_path / "file").write_text("")
    code, out, err = run("tour", *small[:2], "--out", tmp_path / place)
    assert code == 2 and out == [] and len(err) == 1
    assert f"cannot be kept in {tmp_path / place}" in err[0]


@pytest.fixture(scope="module")
def trained(small, tmp_path_factory):
    from tinyseq.cli import main

    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", *small, "--steps", "5", "--out", str(folder)]) == 0
    return folder


def test_a_folder_that_holds_a_run(run, small, trained):
    before = (trained / "last.safetensors").read_bytes()
    code, _, err = run("train", *small, "--out", trained)
    assert code == 2 and len(err) == 1 and "holds a run" in err[0]
    assert (trained / "last.safetensors").read_bytes() == before


def test_settings_that_go_against_those_of_the_run(run, trained):
    code, _, err = run("train", "--resume", trained, "--hidden", 9, "--lr", 1)
    assert code == 2 and len(err) == 1 and "leave out --hidden, --lr" in err[0]


def test_another_text_than_that_of_the_run(run, trained, tmp_path):
    path = tmp_path / "other.txt"
    path.write_text("quite another text. " * 50)
    code, _, err = run("train", "--resume", trained, "--text", path)
    assert code == 2 and len(err) == 1 and "another text" in err[0]


@pytest.mark.parametrize("prompt, hint", [("dog ☃", "'☃'"), ("", "empty")])
def test_a_prompt_that_cannot_be_read(run, trained, prompt, hint):
    code, out, err = run("sample", trained, "--prompt", prompt)
    assert code == 2 and out == [] and len(err) == 1 and hint in err[0]


@pytest.mark.parametrize("verb", [["sample"], ["train", "--resume"]], ids=" ".join)
@pytest.mark.parametrize("damage", ["cut off", "one bit", "text", "of something else"])
def test_a_checkpoint_that_is_damaged(run, trained, tmp_path, verb, damage):
    content = bytearray((trained / "last.safetensors").read_bytes())
    path = tmp_path / "last.safetensors"
    if damage == "of something else":
        save_checkpoint(path, {}, {"about": {}})
    else:
        content[len(content) // 2] ^= damage == "one bit"
        kept = {"cut off": content[:-7], "one bit": content, "text": b"a story"}[damage]
        path.write_bytes(kept)
    code, out, err = run(*verb, tmp_path)
    assert code == 2 and out == [] and len(err) == 1 and "last.safetensors" in err[0]


def test_python_dash_m_and_the_real_exit_code(tmp_path):
    command = [sys.executable, "-m", "tinyseq"]
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"tinyseq {tinyseq.__version__}\n")
    done = subprocess.run([*command, "sample", "x"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="a pipe that closes early is another error there")
def test_a_reader_that_has_gone(trained):
    command = f"{sys.executable} -m tinyseq sample {trained} --length 9 | true; echo $?"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("0\n", "")


@pytest.mark.parametrize("verb", ["tour", "train", "sample", "draw"])
def test_help_has_an_example(run, verb):
    code, out, _ = run(verb, "--help")
    assert code == 0 and any(line.startswith(f"  tinyseq {verb} ") for line in out)
    assert any(verb in line for line in run("--help")[1])
