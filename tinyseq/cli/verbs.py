"""What each verb does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tinyseq.cli.examples import example_loss
from tinyseq.errors import ConfigError
from tinyseq.train.text import Settings, TextRun, load_writer
from tinyseq.train.threads import one_blas_thread

INTERRUPTED = 130


def tour(out: str, text: str | None, seed: int, seconds: float, progress: bool | None) -> int:
    """Train, draw, write the page, and say where it is."""
    from tinyseq.tour import take_tour

    with one_blas_thread():
        findings = take_tour(out, text, seed, seconds, progress, say=print)
    return INTERRUPTED if findings is None else 0


def train(
    text: str | None,
    out: str | None,
    resume: str | None,
    progress: bool | None,
    **chosen: Any,
) -> int:
    """Start a run or go on with one."""
    chosen = {name: value for name, value in chosen.items() if value is not None}
    if resume is None:
        folder = Path(out or "tinyseq-run")
        run = TextRun(text, Settings(**chosen), folder, progress=progress)
    else:
        folder = Path(resume)
        if chosen:
            raise ConfigError(
                f"--resume goes on with the settings of the run: leave out --{', --'.join(chosen)}"
            )
        run = TextRun.resumed(folder, text, progress)
    print(run.corpus)
    print(f"{run.describe()}; {run.total_steps:,} updates, {run.trainer.step:,} of them done")
    with one_blas_thread():
        result = run.train()
    if result.stopped == "interrupted":
        print(
            f"tinyseq: stopped after update {result.step:,}; all of it is in {folder}. Go on with: "
            f"tinyseq train --resume {folder}",
            file=sys.stderr,
        )
        return INTERRUPTED
    return 0


def sample(run: str, length: int, temperature: float, prompt: str | None, seed: int | None) -> int:
    """Print a prompt and what the model writes after it."""
    written = load_writer(run).write(prompt, length, temperature, seed)
    text = (prompt or "") + written
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding))
    return 0


def draw(cell: str, steps: int, view: str, gradients: bool, out: str) -> int:
    """Run an example and save its picture."""
    from tinyseq import draw as pictures

    loss = example_loss(cell, steps)
    if view == "circuit":
        picture = pictures.circuit(loss)
    else:
        picture = pictures.unrolled(loss, gradients=gradients)
    picture.save(out)
    print(out)
    return 0
