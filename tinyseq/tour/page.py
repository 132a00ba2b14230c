"""The page of the tour: from what was found to one HTML file beside its pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from math import log2
from pathlib import Path
from string import Template

import tinyseq
from tinyseq.data import Corpus, NgramRow
from tinyseq.draw.text import visible

TRIGRAM = 3
PICTURES = {
    "circuit": "The circuit of the model: one node for each variable, and delays of one step",
    "unrolled": "The unrolled graph: a column for each character",
    "loss": "Bits a character during training, beside those of the tables of counts",
    "gradient": "The norm of the gradient at every step, on a logarithmic scale",
    "gradient_unrolled": "The unrolled graph, coloured by the norm of the gradient",
}


@dataclass(frozen=True)
class Findings:
    """What the tour has to tell.

    Attributes:
        corpus: the text.
        train_characters, symbols: how many were learned from; how many different ones there are.
        cell, model: the model in a word and in a sentence.
        passes, seconds: how often it went through the text, and how long that took.
        bits: of the model, for a character of the held-out text.
        ngrams: what tables of counts need for the same.
        snippet: the characters of the pictures.
        sequences: over how many pieces of text the gradients were taken.
        prompt, sample, temperature: what was written, and how.
        facts: a table of the rest.
        run_folder, commands: where the model is, and what to do with it.
    """

    corpus: Corpus
    train_characters: int
    symbols: int
    cell: str
    model: str
    passes: float
    seconds: float
    bits: float
    ngrams: Sequence[NgramRow]
    snippet: str
    sequences: int
    prompt: str
    sample: str
    temperature: float
    facts: Mapping[str, str]
    run_folder: str
    commands: Sequence[str]

    @property
    def best(self) -> NgramRow:
        """The best table of counts."""
        return min(self.ngrams, key=lambda row: row.bits)

    @property
    def trigram(self) -> NgramRow:
        """The table of the last two characters."""
        return next(row for row in self.ngrams if row.order == TRIGRAM)


def html(found: Findings, folder: Path) -> str:
    """The page of a folder that has the pictures already; every text in it is escaped."""
    texts = {
        "title": f"tinyseq tour: {found.corpus.name}",
        "time": duration(found.seconds),
        "model": found.model,
        "cell": found.cell,
        "train_characters": f"{found.train_characters:,}",
        "text_name": found.corpus.name,
        "verdict": verdict(found),
        "bits": f"{found.bits:.3f}",
        "best_order": str(found.best.order),
        "best_bits": f"{found.best.bits:.3f}",
        "trigram_bits": f"{found.trigram.bits:.3f}",
        "blind_bits": f"{log2(found.symbols):.3f}",
        "symbols": str(found.symbols),
        "passes": times(found.passes),
        "read": visible(found.snippet[:-1]),
        "right": visible(found.snippet[-1]),
        "sequences": str(found.sequences),
        "temperature": f"{found.temperature:g}",
        "prompt": found.prompt,
        "sample": found.sample,
        "run_folder": found.run_folder,
        "commands": "\n".join(found.commands),
        "version": tinyseq.__version__,
    }
    parts = {name: escape(printable(text)) for name, text in texts.items()}
    parts["style"] = _resource("style.css")
    parts["bars"] = _bars(found)
    parts |= {name: _picture(folder / f"{name}.svg", alt) for name, alt in PICTURES.items()}
    parts["facts"] = "\n".join(
        f"<tr><th>{escape(name)}</th><td>{escape(printable(text))}</td></tr>"
        for name, text in found.facts.items()
    )
    return Template(_resource("page.html")).substitute(parts)


def verdict(found: Findings) -> str:
    """How the model compares, in a sentence."""
    needs = f"On text that it had never seen it needs {found.bits:.3f} bits a character"
    if found.bits < found.best.bits:
        return f"{needs}, fewer than the best table of counts."
    table = "a table of the last two characters"
    if found.bits < found.trigram.bits:
        return f"{needs}, fewer than {table}, but not yet than the best table."
    return f"{needs}, more than {table}: it wants more time or more text."


def duration(seconds: float) -> str:
    """Seconds in words."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} second{'s' * (whole != 1)}"
    return f"{whole // 60} minutes and {whole % 60} seconds"


def times(count: float) -> str:
    """How often, in words."""
    if count < 0.95:
        return "part of the way"
    return "once" if count < 1.05 else f"{count:.1f}".removesuffix(".0") + " times"


def printable(text: str) -> str:
    """A text without the control characters that HTML does not allow."""
    return "".join(c if c in "\n\t" or c.isprintable() or c == "\xad" else "\ufffd" for c in text)


def _bars(found: Findings) -> str:
    """A line for each model: its name, a bar, and its bits."""
    rows = [(f"order {row.order}", row.bits, "") for row in found.ngrams]
    rows.append((found.cell, found.bits, ' class="ours"'))
    longest = max(bits for _, bits, _ in rows) or 1
    return "\n".join(
        f"<li{mark}><span>{escape(name)}</span>"
        f'<i style="width:{100 * bits / longest:.1f}%"></i><b>{bits:.3f}</b></li>'
        for name, bits, mark in rows
    )


def _picture(path: Path, alt: str) -> str:
    """A picture with its size, so that pictures side by side have one scale."""
    svg = path.read_text(encoding="utf-8")
    size = re.search(r'<svg[^>]*?width="([\d.]+)pt"[^>]*?height="([\d.]+)pt"', svg)
    assert size is not None, path
    width, height = (round(float(points) * 4 / 3) for points in size.groups())
    return f'<img src="{path.name}" width="{width}" height="{height}" alt="{escape(alt)}">'


def _resource(name: str) -> str:
    return files("tinyseq.tour").joinpath(name).read_text(encoding="utf-8")
