"""Data: text and its vocabulary, batches, generated tasks, and n-gram baselines. NumPy only."""

from tinyseq.data import tasks
from tinyseq.data.batching import TextBatches, pad
from tinyseq.data.ngram import NgramRow, WittenBell, ngram_table
from tinyseq.data.text import Corpus, Vocabulary, load_text, split

__all__ = [
    "Corpus",
    "NgramRow",
    "TextBatches",
    "Vocabulary",
    "WittenBell",
    "load_text",
    "ngram_table",
    "pad",
    "split",
    "tasks",
]
