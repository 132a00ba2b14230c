"""The tour: a page with all its parts, that needs nothing but its own folder."""

import re
import signal
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from tinyseq import draw, nn
from tinyseq.data import NgramRow, ngram_table
from tinyseq.models import LanguageModel
from tinyseq.tour import take_tour
from tinyseq.tour.page import PICTURES, duration, html, printable, times, verdict
from tinyseq.tour.pictures import last_loss
from tinyseq.train import Trainer
from tinyseq.train.text import load_writer

VOID = {"meta", "img", "link", "br", "hr"}
TAGS = set(
    "html head meta title style body main header section p h1 h2 em dl div dt dd figure img "
    "figcaption ul li span i b pre mark table tr th td code footer".split()
)


class Page(HTMLParser):
    """Refuses tags that do not match, and gathers what the page refers to."""

    def __init__(self, source):
        super().__init__()
        self.open, self.tags, self.images, self.ids, self.references = [], set(), [], [], []
        self.words = {}
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        assert len(known) == len(attributes)
        self.tags.add(tag)
        self.references += [known[k] for k in ("src", "href", "srcset", "action") if k in known]
        self.ids += [known["id"]] if "id" in known else []
        self.images += [known] if tag == "img" else []
        assert not any(name.startswith("on") for name in known)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag

    def handle_data(self, data):
        self.words[self.open[-1] if self.open else ""] = (
            self.words.get(self.open[-1] if self.open else "", "") + data
        )


@pytest.fixture(scope="module")
def toured(text_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tours") / "a <tour>"
    said = []
    found = take_tour(folder, text_file, seed=1, seconds=3, progress=False, say=said.append)
    return folder, found, said


def test_the_page_has_all_its_parts(toured, text_file):
    folder, found, _ = toured
    source = (folder / "index.html").read_text(encoding="utf-8")
    page = Page(source)
    assert source.startswith("<!DOCTYPE html>")
    assert page.ids == ["model", "learning", "gradient", "writing", "facts"]
    assert [image["src"] for image in page.images] == [f"{name}.svg" for name in PICTURES]
    assert all(image["alt"] and int(image["width"]) > 100 for image in page.images)
    assert found.corpus.sha256 in page.words["td"] and "seconds" in page.words["td"]
    assert f"{found.bits:.3f}" in page.words["dd"] and f"{found.best.bits:.3f}" in page.words["dd"]
    assert printable(found.sample).strip() in page.words["pre"] and len(found.sample) == 700
    assert page.words["title"] == f"tinyseq tour: {text_file.name}"


def test_the_page_needs_nothing_but_its_folder(toured):
    folder, _, _ = toured
    page = Page((folder / "index.html").read_text(encoding="utf-8"))
    assert page.references and all((folder / name).is_file() for name in page.references)
    assert all("/" not in name and ":" not in name for name in page.references)
    source = (folder / "index.html").read_text(encoding="utf-8")
    assert "http:" not in source and "https:" not in source and "url(" not in source
    for name in PICTURES:
        for element in ElementTree.parse(folder / f"{name}.svg").getroot().iter():
            for attribute, value in element.attrib.items():
                if attribute.rpartition("}")[2] in ("href", "src"):
                    assert value.startswith("#"), (name, value)
                assert not re.search(r"url\((?!#)", value), (name, value)


def test_no_text_becomes_markup(toured):
    folder, found, _ = toured
    page = Page((folder / "index.html").read_text(encoding="utf-8"))
    assert page.tags <= TAGS  # no <script>, and no <i> or <b> but the page's own
    hostile = replace(
        found, sample="<script>x</script>\x00&amp;", prompt="$title <b>", snippet="<&>"
    )
    page = Page(html(hostile, folder))
    assert page.tags <= TAGS
    assert page.words["pre"].startswith("<script>x</script>\ufffd&amp;")
    assert page.words["mark"] == "$title <b>"


def test_the_numbers_are_those_of_the_run(toured, text_file):
    folder, found, said = toured
    text = text_file.read_text(encoding="utf-8")
    symbols = sorted(set(text))
    ids = np.array([symbols.index(c) for c in text])
    cut = round(0.9 * len(ids))
    rows = ngram_table(ids[:cut], ids[cut:], [row.order for row in found.ngrams], len(symbols))
    assert [row.bits for row in rows] == [row.bits for row in found.ngrams]
    assert found.train_characters == cut and found.symbols == len(symbols)

    writer = load_writer(folder / "run")
    logits, _ = writer.model(ids[cut:-1, None])
    losses = nn.cross_entropy(logits, ids[cut + 1 :, None], "mean")
    # The run measures in eight streams, which all start without context.
    assert found.bits == pytest.approx(losses.item() / np.log(2), abs=0.25)
    assert found.bits < rows[0].bits
    assert any(f"{found.bits:.3f}" in line for line in said)


def test_the_pictures_show_the_characters_that_were_read(toured):
    folder, found, _ = toured
    assert len(found.snippet) == 9 and re.fullmatch(r"\w+ \w+", found.snippet)
    words = list(ElementTree.parse(folder / "unrolled.svg").getroot().itertext())
    shown = [word.strip() for word in words if word.strip() in set(found.snippet) | {"␣"}]
    visible = found.snippet.replace(" ", "␣")
    for character in set(visible) - set("xyhcoLEUVW"):
        expected = visible[:-1].count(character) + visible[1:].count(character)
        assert shown.count(character) == expected, character


def test_it_says_how_it_was_trained(toured, text_file, tmp_path):
    folder, _, said = toured
    (speed,) = (line for line in said if line.startswith("compiled (numpy)"))
    assert "times as fast as operation by operation here" in speed
    assert speed in Page((folder / "index.html").read_text(encoding="utf-8")).words["td"]
    said = []
    take_tour(tmp_path, text_file, seconds=0.3, progress=False, say=said.append, literal=True)
    assert "not compiled: operation by operation" in said
    assert "not compiled" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_a_second_tour_takes_the_place_of_the_first(toured, text_file):
    folder, found, _ = toured
    kept = folder / "run" / "notes.txt"
    kept.write_text("mine")
    again = take_tour(folder, text_file, seed=2, seconds=0.5, progress=False, say=lambda line: None)
    assert again.sample != found.sample
    assert again.sample[:20] in Page((folder / "index.html").read_text("utf-8")).words["pre"]
    assert kept.read_text() == "mine"


def test_the_tour_from_the_command_line(run, text_file, tmp_path):
    folder = tmp_path / "tour"
    code, out, err = run("tour", "--text", text_file, "--seconds", 0.3, "--out", folder)
    assert (code, err) == (0, [])
    assert out[-1] == f"the page: {(folder / 'index.html').resolve()}"
    assert (folder / "index.html").is_file()
    assert run("sample", folder / "run", "--length", 5)[0] == 0


def test_ctrl_c_leaves_no_page(run, text_file, tmp_path, monkeypatch):
    after_step = Trainer._after_step

    def press_ctrl_c(trainer):
        after_step(trainer)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Trainer, "_after_step", press_ctrl_c)
    code, out, _ = run("tour", "--text", text_file, "--out", tmp_path)
    assert code == 130 and str(tmp_path / "run") in out[-1]
    assert not (tmp_path / "index.html").exists()
    assert load_writer(tmp_path / "run").write(length=3, seed=0)


def test_the_last_loss_is_that_of_the_last_step_of_all_pieces():
    model = LanguageModel(7, 5, seed=0)
    pieces = np.random.default_rng(0).integers(7, size=(6, 3))
    outputs, _ = model(pieces[:-1])
    expected = nn.cross_entropy(outputs[-1], pieces[-1])
    loss = last_loss(model, pieces)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    graph = draw.unrolled(loss, gradients=True).graph
    assert [v.id for v in graph.vertices if v.label == "L"] == ["L"]
    grads = {v.id: v.grad for v in graph.vertices}
    assert all(grads[f"{state}({t})"] > 0 for state in "hc" for t in range(1, 6))


def test_words_for_what_was_found(toured):
    found = replace(
        toured[1], bits=1.5, ngrams=[NgramRow(1, 4.0, 9), NgramRow(3, 2.5, 9), NgramRow(5, 1.9, 9)]
    )
    assert "fewer than the best table" in verdict(found)
    assert "not yet" in verdict(replace(found, bits=2.0))
    assert "wants more time" in verdict(replace(found, bits=3.0))
    assert [duration(s) for s in (0.6, 1.4, 75.2, 150)] == [
        *("1 second", "1 second", "75 seconds", "2 minutes and 30 seconds"),
    ]
    assert [times(n) for n in (0.5, 1.0, 2.71, 12.0)] == [
        *("part of the way", "once", "2.7 times", "12 times"),
    ]


@pytest.mark.parametrize(
    "text", ["hello world, it is me. " * 5, "a" * 120, "吾輩は猫である。\n" * 20]
)
def test_texts_at_the_edge(run, tmp_path, text):
    path = tmp_path / "text.txt"
    path.write_text(text, encoding="utf-8")
    code, _, err = run("tour", "--text", path, "--seconds", 0.3, "--out", tmp_path / "tour")
    assert (code, err) == (0, [])
    assert Page((tmp_path / "tour" / "index.html").read_text(encoding="utf-8")).ids
