"""Training: a loop that logs, evaluates, stops, saves, and continues bit for bit."""

from tinyseq.train.batches import Batches, GeneratedBatches
from tinyseq.train.evaluate import evaluate, task_loss, text_loss
from tinyseq.train.log import Log, read_log
from tinyseq.train.loop import Result, Trainer
from tinyseq.train.snapshot import load_weights
from tinyseq.train.text import Settings, TextRun, load_writer

__all__ = [
    "Batches",
    "GeneratedBatches",
    "Log",
    "Result",
    "Settings",
    "TextRun",
    "Trainer",
    "evaluate",
    "load_weights",
    "load_writer",
    "read_log",
    "task_loss",
    "text_loss",
]
