"""A language model of one text, kept in a folder: what ``tinyseq train`` and the tour run.

    run = TextRun("book.txt", Settings(cell="gru"), "run")
    run.train()
    run = TextRun.resumed("run")            # after an interruption: goes on bit for bit
    writer = load_writer("run")             # anywhere, without the text
    print(writer.write("The ", 300))

The folder has ``config.json`` (settings, text and vocabulary, to be read by people), ``log.jsonl``,
``last.safetensors`` and ``best.safetensors``. A checkpoint needs none of the other files.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyseq.compile import compile
from tinyseq.data import TextBatches, Vocabulary, load_text, split
from tinyseq.errors import CheckpointError, ConfigError, DataError
from tinyseq.io import load_checkpoint
from tinyseq.models import LanguageModel
from tinyseq.optim import Adam, linear_to_zero
from tinyseq.random import Seed
from tinyseq.train.evaluate import text_loss
from tinyseq.train.loop import Result, Trainer
from tinyseq.train.settings import Settings
from tinyseq.train.snapshot import load_weights
from tinyseq.train.speed import measured

HELD_OUT = 0.1
# Held-out text is read in so many streams at once: fast, and each starts without context only once.
EVALUATION_STREAMS, EVALUATION_CHUNK = 8, 512


class TextRun:
    """The training of a language model on the first nine tenths of a text; the rest is held out.

    Args:
        text: a UTF-8 file; None takes the text that Python brings along.
        settings: how to build and train the model.
        folder: where to keep it; None keeps nothing.
        seconds: train no longer than that. The learning rate then falls with the time, if that is
            what ends the training.
        progress: a progress bar; by default where standard error is a terminal.

    Attributes:
        corpus, vocabulary, model, trainer: as named.
        fast: the model as it is trained: compiled, with the same parameters.
        train_ids, held_out_ids: the two parts of the text.
        total_steps: how many updates there are to be.

    Raises:
        DataError: a text that is too short for the batches or for a chunk.
        ConfigError: settings out of range; or the folder holds a run.
    """

    def __init__(
        self,
        text: str | Path | None = None,
        settings: Settings | None = None,
        folder: str | Path | None = None,
        seconds: float | None = None,
        progress: bool | None = None,
        resume: bool = False,
    ) -> None:
        self.settings = settings = settings or Settings()
        self.path = None if text is None else str(Path(text).resolve())
        self.corpus = load_text(text)
        self.seconds = seconds
        self.folder = None if folder is None else Path(folder)
        if self.folder is not None and not resume and _checkpoints(self.folder):
            raise ConfigError(f"{folder} holds a run: resume it, or take another folder")
        self.vocabulary = Vocabulary.from_text(self.corpus.text)
        self.train_ids, self.held_out_ids = split(
            self.vocabulary.encode(self.corpus.text), (1 - HELD_OUT, HELD_OUT)
        )
        if settings.chunk > len(self.train_ids):
            raise DataError(
                f"a chunk of {settings.chunk:,} steps is longer than the text to learn from, "
                f"{len(self.train_ids):,} characters"
            )
        self.model = _build(settings, len(self.vocabulary))
        self.fast = self.model
        if settings.emitter is not None:
            self.fast = compile(self.model, settings.emitter)
        self.batches = TextBatches(self.train_ids, settings.batch, settings.chunk)
        self.total_steps = settings.total_steps(len(self.batches))
        self.trainer = Trainer(
            self.model,
            Adam(self.model.parameters(), settings.lr),
            self.batches,
            loss_of=lambda model, batch, state: text_loss(self.fast, batch, state),
            held_out=TextBatches(self.held_out_ids, EVALUATION_STREAMS, EVALUATION_CHUNK),
            folder=folder,
            clip=settings.clip,
            schedules={"lr": self._learning_rate()},
            about=self._about(),
            progress=progress,
        )

    @classmethod
    def resumed(
        cls, folder: str | Path, text: str | Path | None = None, progress: bool | None = None
    ) -> TextRun:
        """A run as it was when its last checkpoint was written.

        Args:
            folder: that of the run.
            text: where the text is now, if it was moved.
            progress: as above.

        Raises:
            CheckpointError: no checkpoint, or a damaged one; or it is the run of another text.
            DataError: the text is not where it was.
        """
        about = _read_about(Path(folder) / "last.safetensors")
        known = about["text"]
        run = cls(
            known["path"] if text is None else text,
            Settings(**({"emitter": None} | about["settings"])),  # older runs were not compiled
            folder,
            progress=progress,
            resume=True,
        )
        if run.corpus.sha256 != known["sha256"]:
            raise CheckpointError(
                f"{folder} is a run on another text: {known['name']} with sha256 "
                f"{known['sha256'][:12]}, and this is {run.corpus}"
            )
        run.trainer.load()
        return run

    def train(self) -> Result:
        """Train to the end, or until the time is over or Ctrl-C is pressed."""
        if self.folder is not None and self.trainer.step == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            config = json.dumps(self._about(), indent=2, ensure_ascii=False)
            (self.folder / "config.json").write_text(config + "\n", encoding="utf-8")
        result = self.trainer.run(steps=self.total_steps, time_limit=self.seconds)
        evaluated = [r for r in self.trainer.log.records if r["kind"] == "held_out"]
        if result.stopped != "interrupted" and (
            not evaluated or evaluated[-1]["step"] != result.step
        ):
            self.trainer.evaluate()
        return result

    @property
    def bits(self) -> float:
        """Bits a character on the held-out text, of the last evaluation."""
        return self.evaluations()[-1]["bits"]

    @property
    def passes(self) -> float:
        """How often the training has gone through its text."""
        return self.batches.epoch + self.batches.position / len(self.batches)

    def evaluations(self) -> list[dict[str, Any]]:
        """The records of the log that are evaluations."""
        return [record for record in self.trainer.log.records if record["kind"] == "held_out"]

    def untrained(self) -> LanguageModel:
        """The model as it was before the first update."""
        return _build(self.settings, len(self.vocabulary))

    def describe(self) -> str:
        """The model in a few words."""
        s = self.settings
        count = sum(parameter.size for parameter in self.model.parameters())
        layers = f"{s.layers} layers of " if s.layers > 1 else ""
        return f"{s.cell.upper()}, {layers}{s.hidden} units, {count:,} parameters"

    def speed(self) -> str:
        """How the model is trained, and what compiling gains on this machine, measured."""
        s = self.settings
        if s.emitter is None:
            return "not compiled: operation by operation"
        steps = min(s.chunk, self.batches.stream_length)
        ids = np.resize(self.train_ids, (steps + 1, s.batch))
        return str(measured(s.emitter, self.model, self.fast, ids[:-1], ids[1:]))

    def writer(self) -> Writer:
        """The model and its vocabulary."""
        return Writer(self.model, self.vocabulary)

    def _learning_rate(self) -> Callable[[int], float]:
        by_step = linear_to_zero(self.settings.lr, self.total_steps)
        if self.seconds is None:
            return by_step
        limit = self.seconds
        return lambda step: min(
            by_step(step), self.settings.lr * max(1 - self.trainer.seconds / limit, 0.0)
        )

    def _about(self) -> dict[str, Any]:
        return {
            "settings": asdict(self.settings),
            "text": {
                "name": self.corpus.name,
                "path": self.path,
                "sha256": self.corpus.sha256,
                "characters": len(self.corpus.text),
            },
            "vocabulary": self.vocabulary.to_dict(),
        }


@dataclass(frozen=True)
class Writer:
    """A trained language model that reads and writes characters."""

    model: LanguageModel
    vocabulary: Vocabulary

    def write(
        self,
        prompt: str | None = None,
        length: int = 300,
        temperature: float = 1.0,
        seed: Seed = None,
    ) -> str:
        """So many characters after the prompt, which is not repeated; see ``generate``.

        Without a prompt, what follows the end of a line.

        Raises:
            DataError: the prompt is empty, or has a character that the model does not know.
            ConfigError: a negative temperature.
        """
        if prompt is None:
            prompt = "\n" if "\n" in self.vocabulary else self.vocabulary.symbols[0]
        unknown = [character for character in prompt if character not in self.vocabulary]
        if unknown or not prompt:
            what = (
                f"{unknown[0]!r} is not in the text that was learned" if unknown else "it is empty"
            )
            raise DataError(f"the prompt {prompt[:40]!r} cannot be read: {what}")
        tokens = self.vocabulary.encode(prompt).tolist()
        return self.vocabulary.decode(self.model.generate(tokens, length, temperature, seed))


def load_writer(path: str | Path) -> Writer:
    """The model of a run: the best one in a folder, or that of one checkpoint file.

    Raises:
        CheckpointError: no checkpoint there, or one that is damaged or of something else.
    """
    path = Path(path)
    if not path.exists():
        raise CheckpointError(f"there is no run {path}: no such file or folder")
    if path.is_dir():
        path = (_checkpoints(path) or [path / "last.safetensors"])[0]
    about = _read_about(path)
    vocabulary = Vocabulary.from_dict(about["vocabulary"])
    model = _build(Settings(**about["settings"]), len(vocabulary))
    load_weights(model, path)
    return Writer(model, vocabulary)


def _build(settings: Settings, vocabulary_size: int) -> LanguageModel:
    return LanguageModel(
        vocabulary_size,
        settings.hidden,
        settings.cell,
        settings.layers,
        settings.embedding,
        settings.dropout,
        settings.seed,
    )


def _checkpoints(folder: Path) -> list[Path]:
    """Those that there are, the best one first."""
    found = [folder / f"{name}.safetensors" for name in ("best", "last")]
    return [path for path in found if path.exists()]


def _read_about(path: Path) -> dict[str, Any]:
    about = load_checkpoint(path)[1].get("about", {})
    if not {"settings", "text", "vocabulary"} <= set(about):
        raise CheckpointError(f"{path} is not of a language model trained on a text")
    return about
