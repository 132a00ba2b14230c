"""The pictures of the tour."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinyseq.autograd.tensor import Tensor, label
from tinyseq.data import NgramRow
from tinyseq.models import LanguageModel
from tinyseq.nn import cross_entropy
from tinyseq.recurrence import unroll
from tinyseq.train.text import TextRun

SNIPPET = 8  # steps of the unrolled pictures
REACH, SEQUENCES = 40, 64  # steps and pieces of text of the gradient's plot


def save_diagrams(run: TextRun, folder: Path) -> str:
    """Circuit, unrolled graph, and the latter with the gradient of its last loss as colour.

    Returns the characters that they show.
    """
    from tinyseq import draw

    text = run.vocabulary.decode(run.held_out_ids)
    ids = run.held_out_ids[_start(text) :][: SNIPPET + 1, None]
    characters = run.vocabulary.decode(ids[:, 0])
    read, asked_for = characters[:-1], characters[1:]
    loss, _ = run.model.loss(ids[:-1], ids[1:])
    draw.circuit(loss).save(folder / "circuit.svg")
    draw.unrolled(loss, text={"x": read, "y": asked_for}).save(folder / "unrolled.svg")
    last = draw.unrolled(last_loss(run.model, ids), gradients=True, text={"x": read})
    last.save(folder / "gradient_unrolled.svg")
    return characters


def last_loss(model: LanguageModel, ids: np.ndarray) -> Tensor:
    """The loss of the last step alone (book, figure 10.5); ids are (T + 1, N)."""
    assert model.embed is not None and model.readout is not None
    embed, cell = model.embed, model.cell

    def step(x: Any, state: Any) -> tuple[Any, Any]:
        return cell(embed(x), state)

    hs, _ = unroll(step, ids[:-1], model.init_state(ids.shape[1]), as_list=True)
    o = label(model.readout(hs[-1]), "o")
    return label(cross_entropy(o, label(ids[-1], "y")), "L")


def _start(text: str) -> int:
    """Where two plain words begin that fill the picture; 0 if nowhere."""
    for match in re.finditer(r"\b[^\W\d_]", text):
        piece = text[match.start() :][: SNIPPET + 1]
        if len(piece) > SNIPPET and re.fullmatch(r"[^\W\d_]+ [^\W\d_]+", piece):
            return match.start()
    return 0


def save_loss(run: TextRun, ngrams: Sequence[NgramRow], path: Path) -> None:
    """Bits a character during training, beside what the tables of counts need."""
    from tinyseq import draw

    trained = [record for record in run.trainer.log.records if record["kind"] == "train"]
    best = min(ngrams, key=lambda row: row.bits)
    curves = {"training text": _curve(trained), "held-out text": _curve(run.evaluations())}
    figure = draw.loss_curve(
        {name: curve for name, curve in curves.items() if curve},
        {f"order {row.order}": row.bits for row in (*ngrams[1:3], best)},
        y_label="bits a character",
    )
    figure.savefig(path, transparent=True)


def _curve(records: list[dict[str, Any]]) -> dict[int, float]:
    return {record["step"]: record["bits"] for record in records}


def save_gradient(run: TextRun, path: Path) -> int:
    """The norm of the gradient of the last step's loss with respect to the states of all steps.

    Returns over how many pieces of text it was taken.
    """
    from tinyseq import draw

    ids = run.held_out_ids
    steps = min(REACH, len(ids) - 1)
    count = min(SEQUENCES, len(ids) // (steps + 1))
    starts = np.linspace(0, len(ids) - steps - 1, count).astype(int)
    pieces = ids[starts[None, :] + np.arange(steps + 1)[:, None]]
    models = {"trained": run.model, "before training": run.untrained()}
    losses = {which: last_loss(model, pieces) for which, model in models.items()}
    draw.gradient_flow(losses).savefig(path, transparent=True)
    return count
