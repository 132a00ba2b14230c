"""The tour, stage by stage: tables of counts, training, pictures, writing, the page."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np

import tinyseq
from tinyseq.data import ngram_table
from tinyseq.errors import ConfigError
from tinyseq.tour.page import Findings, duration, html
from tinyseq.tour.pictures import save_diagrams, save_gradient, save_loss
from tinyseq.train.text import Settings, TextRun

ORDERS = (1, 2, 3, 4, 5, 6, 8)
SAMPLE_LENGTH, TEMPERATURE, PROMPT = 700, 0.7, "The "


def take_tour(
    folder: str | Path,
    text: str | Path | None = None,
    seed: int = 0,
    seconds: float = 90,
    progress: bool | None = None,
    say: Callable[[str], None] = print,
    literal: bool = False,
) -> Findings | None:
    """Train a language model and leave a page about it in a folder.

    Args:
        folder: gets ``index.html``, its pictures, and the trained model in ``run``; what an earlier
            tour left there is replaced.
        text: a UTF-8 file; None takes the text that Python brings along.
        seed: for the initial values and for the sample.
        seconds: train no longer than that.
        progress: a progress bar; by default where standard error is a terminal.
        say: called with a line of text now and then.
        literal: train operation by operation, not compiled. The pictures are drawn from runs
            operation by operation in any case.

    Returns:
        What was found; None if Ctrl-C was pressed, and then there is no page.

    Raises:
        ConfigError: a folder that cannot be made.
        DataError: a text that cannot be used.
        DrawError: Graphviz does not run.
    """
    folder = Path(folder)
    run_folder = folder / "run"
    _make_empty(run_folder)
    settings = Settings(seed=seed, emitter=None) if literal else Settings(seed=seed)
    run = TextRun(text, settings, run_folder, seconds, progress)
    say(str(run.corpus))

    ngrams = ngram_table(run.train_ids, run.held_out_ids, ORDERS, len(run.vocabulary))
    best = min(ngrams, key=lambda row: row.bits)
    say(f"the best table of counts, of order {best.order}: {best.bits:.3f} bits a character")

    speed = run.speed()
    say(f"{run.describe()}: training for at most {duration(seconds)}")
    say(speed)
    result = run.train()
    if result.stopped == "interrupted":
        say(f"stopped after update {result.step:,}: no page; the model so far is in {run_folder}")
        return None
    say(f"{run.settings.cell.upper()}: {run.bits:.3f} bits a character")

    snippet = save_diagrams(run, folder)
    save_loss(run, ngrams, folder / "loss.svg")
    sequences = save_gradient(run, folder / "gradient.svg")

    prompt = PROMPT if all(c in run.vocabulary for c in PROMPT) else run.corpus.text[0]
    sample = run.writer().write(prompt, SAMPLE_LENGTH, TEMPERATURE, seed)
    found = Findings(
        corpus=run.corpus,
        train_characters=len(run.train_ids),
        symbols=len(run.vocabulary),
        cell=run.settings.cell.upper(),
        model=f"an {run.settings.cell.upper()} with {run.settings.hidden} units",
        passes=run.passes,
        seconds=result.seconds,
        bits=run.bits,
        ngrams=ngrams,
        snippet=snippet,
        sequences=sequences,
        prompt=prompt,
        sample=sample,
        temperature=TEMPERATURE,
        facts=_facts(run, result.step, result.seconds, seed, speed),
        run_folder=str(run_folder),
        commands=[shlex.join(command) for command in _commands(run_folder, text, prompt)],
    )
    (folder / "index.html").write_text(html(found, folder), encoding="utf-8")
    return found


def _commands(run_folder: Path, text: str | Path | None, prompt: str) -> list[list[str]]:
    """What to do with the model, and how to get a better one."""
    sample = ["tinyseq", "sample", str(run_folder), "--prompt", prompt, "--length", "1000"]
    larger = "tinyseq train --hidden 192 --layers 2 --dropout 0.2 --out larger".split()
    return [sample, larger + ([] if text is None else ["--text", str(text)])]


def _make_empty(folder: Path) -> None:
    """Make the folder of the run; of what is there remove the run of an earlier tour alone."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the tour cannot be kept in {folder.parent}: no folder can be made there "
            f"({error.strerror})"
        ) from None
    for name in ("best.safetensors", "last.safetensors", "log.jsonl", "config.json"):
        (folder / name).unlink(missing_ok=True)


def _facts(run: TextRun, updates: int, seconds: float, seed: int, speed: str) -> dict[str, str]:
    s = run.settings
    trained, held_out = len(run.train_ids), len(run.held_out_ids)
    return {
        "Text": f"{run.corpus.name}, {len(run.corpus.text):,} characters",
        "sha256 of the text": run.corpus.sha256,
        "Learned from": f"the first {trained:,} characters",
        "Held out": f"the last {held_out:,}",
        "Model": run.describe(),
        "Training": f"{updates:,} updates of {s.batch} × {s.chunk} characters, "
        f"{run.passes:.1f} passes, {seconds:.0f} seconds",
        "Its loop": speed,
        "Optimizer": f"Adam, learning rate from {s.lr:g} to 0, gradients clipped at {s.clip:g}",
        "Seed": str(seed),
        "Ran on": f"Python {platform.python_version()}, NumPy {np.__version__}, "
        f"tinyseq {tinyseq.__version__}, {os.cpu_count()} cores",
    }
