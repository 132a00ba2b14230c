"""The pictures of the tour."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinyseq import structure
from tinyseq.autograd.engine import grad
from tinyseq.autograd.tensor import Tensor, label
from tinyseq.data import NgramRow
from tinyseq.models import LanguageModel
from tinyseq.nn import cross_entropy
from tinyseq.recurrence import unroll
from tinyseq.train.text import TextRun

SNIPPET = 8  # steps of the unrolled pictures
REACH, SEQUENCES = 40, 64  # steps and pieces of text of the gradient's plot
STATE_COLOURS = {"h": "#1f5fa8", "c": "#b3402a"}
INK, QUIET = "#1d1c1a", "#8a857b"


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
    last = draw.unrolled(_last_loss(run.model, ids), gradients=True, text={"x": read})
    last.save(folder / "gradient_unrolled.svg")
    return characters


def _last_loss(model: LanguageModel, ids: np.ndarray) -> Tensor:
    """The loss of the last step alone (book, figure 10.5); ids are (T + 1, 1)."""

    assert model.embed is not None and model.readout is not None
    embed, cell = model.embed, model.cell

    def step(x: Any, state: Any) -> tuple[Any, Any]:
        return cell(embed(x), state)

    hs, _ = unroll(step, ids[:-1], model.init_state(1), as_list=True)
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
    figure, axis = _plot()
    trained = [record for record in run.trainer.log.records if record["kind"] == "train"]
    held_out = run.evaluations()
    end = held_out[-1]["step"]
    best = min(ngrams, key=lambda row: row.bits)
    for row in {row.order: row for row in (*ngrams[1:3], best)}.values():
        axis.axhline(row.bits, color="#b9b3a5", linewidth=1, zorder=0)
        where = {"transform": axis.get_yaxis_transform(), "va": "center", "color": QUIET}
        axis.text(1.015, row.bits, f"order {row.order}", **where)
    if trained:
        axis.plot(*_curve(trained), color="#6fa3d8", label="training text")
    axis.plot(*_curve(held_out), "o-", markersize=4, color="#1f5fa8", label="held-out text")
    axis.set(xlabel="updates", ylabel="bits a character", xlim=(0, 1.01 * end))
    axis.legend(frameon=False, loc="upper right")
    _save(figure, path)


def _curve(records: list[dict[str, Any]]) -> tuple[list[int], list[float]]:
    return [record["step"] for record in records], [record["bits"] for record in records]


def save_gradient(run: TextRun, path: Path) -> int:
    """The norm of the gradient of the last step's loss by the states of all steps.

    Returns over how many pieces of text the median was taken.
    """
    ids = run.held_out_ids
    steps = min(REACH, len(ids) - 1)
    count = min(SEQUENCES, len(ids) // (steps + 1))
    starts = np.linspace(0, len(ids) - steps - 1, count).astype(int)
    pieces = ids[starts[None, :] + np.arange(steps + 1)[:, None]]
    figure, axis = _plot()
    times = range(1, steps + 1)
    models = [(run.untrained(), ":", "before training"), (run.model, "-", "trained")]
    for model, style, which in models:
        for name, norms in gradient_norms(model, pieces).items():
            middle = np.median(norms, axis=1)
            colour = STATE_COLOURS.get(name, INK)
            axis.semilogy(times, np.where(middle > 0, middle, np.nan), style, color=colour)
            axis.plot([], [], style, color=colour, label=f"{name}, {which}")
    axis.set(xlabel="step $t$", ylabel="norm of the gradient", xlim=(1, steps))
    axis.legend(frameon=False, loc="upper left")
    _save(figure, path)
    return count


def gradient_norms(model: LanguageModel, pieces: np.ndarray) -> dict[str, np.ndarray]:
    """The norm of dL(T)/ds(t) for each state s, step t and piece of text, as (T, N) by name of s.

    ``pieces`` is (T + 1, N): T inputs, each with the next one as its target.
    """
    state = model.init_state(pieces.shape[1])
    states = []
    for x in pieces[:-1]:
        o, state = model.step(x, state)
        states += structure.leaves(state)
    gradients = grad(cross_entropy(o, pieces[-1]), states)
    names = structure.names(state, "h")
    norms = [np.linalg.norm(g, axis=1) for g in gradients]
    return {name: np.array(norms[k :: len(names)]) for k, name in enumerate(names)}


def _plot() -> tuple[Any, Any]:
    """A figure and its axes, in the look of the page; no window is opened."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 3.2), layout="constrained")
    axis = figure.add_subplot()
    axis.spines[["top", "right"]].set_visible(False)
    return figure, axis


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, transparent=True)
