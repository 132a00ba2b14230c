"""Trainer: the loop around a model, an optimizer and batches.

    trainer = Trainer(model, Adam(model.parameters(), 2e-3), TextBatches(train, 32, 64),
                      held_out=TextBatches(rest, 32, 64), folder="run", clip=1.0)
    trainer.load()                          # only to go on with a run that was saved there
    result = trainer.run(epochs=10)

The folder gets ``log.jsonl``, ``last.safetensors`` (every ``save_every`` steps and at the end) and
``best.safetensors`` (the best evaluation so far). A run that is loaded goes on bit for bit as if it
had not stopped. Ctrl-C finishes the step, saves, and returns; a second one stops at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, log
from pathlib import Path
from sys import float_info
from time import perf_counter
from typing import Any

from tinyseq import structure
from tinyseq.autograd.engine import backward
from tinyseq.autograd.tensor import Tensor
from tinyseq.errors import ConfigError, DataError, NonFiniteError
from tinyseq.nn.module import Module
from tinyseq.ops import mul
from tinyseq.optim import Optimizer, Schedule, clip_grad_norm
from tinyseq.train.batches import Batches, endless
from tinyseq.train.evaluate import LossOf, evaluate, text_loss
from tinyseq.train.interrupt import Interrupt, held_interrupts
from tinyseq.train.log import Log
from tinyseq.train.progress import loss_text, progress_bar
from tinyseq.train.snapshot import load_run, save_run


@dataclass(frozen=True)
class Result:
    """Where a run stands.

    Attributes:
        stopped: why: "steps", "epochs", "time limit", "early stopping" or "interrupted".
        step, epoch, seconds: how many of them are done, counted from the run's first step.
        best: the lowest held-out loss (None without an evaluation), in nats for each prediction.
    """

    stopped: str
    step: int
    epoch: int
    seconds: float
    best: float | None


@dataclass
class Window:
    """What has added up since the last record of the log."""

    loss: float = 0.0
    predictions: int = 0
    seconds: float = 0.0

    @property
    def mean(self) -> float:
        """The loss of a prediction."""
        return self.loss / self.predictions


class Trainer:
    """Trains a model and keeps what is needed to go on.

    The gradient is that of the mean loss of a prediction, so that learning rates and thresholds do
    not depend on the size of a batch or the length of a chunk.

    Args:
        model: a module.
        optimizer: of its parameters.
        batches: an epoch of training data to iterate over; see ``Batches``.
        loss_of: ``loss_of(model, batch, state) -> (sum of losses, number of predictions, state)``.
            The state is carried to the next batch, detached; it is None at the start of an epoch.
        held_out: batches for the evaluations.
        folder: for log and checkpoints; None keeps the log in memory and saves nothing.
        clip: threshold for the joint norm of the gradients; None does not clip.
        nonfinite: what to do about a gradient that is not finite: "error", "skip", or "random",
            a step of size ``clip``; see ``tinyseq.optim.clip``.
        schedules: settings of the optimizer as functions of the step, ``{"lr": cosine(...)}``.
        log_every: steps between records of the log.
        evaluate_every: steps between evaluations; None evaluates at the end of every epoch.
        save_every: steps between checkpoints.
        patience: stop after so many evaluations in a row that are not the best so far.
        about: settings that go into the checkpoints, for whoever loads them (plain data).
        in_bits: the loss is a cross entropy in nats, to be logged in bits as well.
        progress: a progress bar; by default where standard error is a terminal.

    Attributes:
        step: how many steps are done.
        state: what is carried to the next batch.
        log: the ``Log``.

    Raises:
        ConfigError: arguments that do not go together.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        batches: Batches,
        *,
        loss_of: LossOf = text_loss,
        held_out: Batches | None = None,
        folder: str | Path | None = None,
        clip: float | None = None,
        nonfinite: str = "error",
        schedules: Mapping[str, Schedule] | None = None,
        log_every: int = 50,
        evaluate_every: int | None = None,
        save_every: int = 500,
        patience: int | None = None,
        about: dict[str, Any] | None = None,
        in_bits: bool = True,
        progress: bool | None = None,
    ) -> None:
        for name, every in [("log", log_every), ("evaluate", evaluate_every), ("save", save_every)]:
            if every is not None and every < 1:
                raise ConfigError(f"Trainer: {name}_every is at least 1, not {every}")
        if patience is not None and (patience < 1 or held_out is None):
            raise ConfigError("Trainer: patience is at least 1, and wants held_out batches")
        if nonfinite == "random" and clip is None:
            raise ConfigError("Trainer: nonfinite='random' takes a step of size clip: give it")
        for name in schedules or {}:
            if name not in optimizer.limits:
                known = ", ".join(optimizer.limits)
                raise ConfigError(f"Trainer: a schedule is for one of {known}, not for {name!r}")
        self.model, self.optimizer, self.batches = model, optimizer, batches
        self.loss_of, self.held_out = loss_of, held_out
        self.folder = None if folder is None else Path(folder)
        self.clip, self.nonfinite = clip, nonfinite
        self.schedules = dict(schedules or {})
        self.log_every, self.evaluate_every, self.save_every = log_every, evaluate_every, save_every
        self.patience = patience
        self.about = about or {}
        self.in_bits, self.progress = in_bits, progress
        self.log = Log(self.folder and self.folder / "log.jsonl")
        self.step = 0
        self.seconds = 0.0
        self.state: Any = None
        self.best: float | None = None
        self.evaluations_since_best = 0
        self.window = Window()
        self._opened = False

    def run(
        self,
        steps: int | None = None,
        epochs: int | None = None,
        time_limit: float | None = None,
    ) -> Result:
        """Train until one of the limits is met; can be called again to train on.

        Args:
            steps, epochs: in total, counted from the run's first step.
            time_limit: seconds of this call.

        Raises:
            ConfigError: no limit at all; or the folder holds a run that has not been loaded.
            NonFiniteError: the loss or a gradient is not finite. Weights and checkpoints are those
                of before this step.
            CheckpointError: a checkpoint cannot be written.
        """
        if steps is None and epochs is None and time_limit is None:
            raise ConfigError("Trainer.run: say how long: steps=, epochs= or time_limit=")
        self._open_folder()
        self.model.train()
        batches = endless(self.batches)
        began, before = perf_counter(), self.seconds
        deadline = None if time_limit is None else began + time_limit
        bar = progress_bar(self.batches, self.step, steps, epochs, self.progress)
        with bar, held_interrupts() as interrupt:
            while not (stopped := self._reason_to_stop(interrupt, steps, epochs, deadline)):
                self._one_step(next(batches))
                self.seconds = before + perf_counter() - began
                bar.set_postfix_str(loss_text(self.window.mean, self.in_bits), refresh=False)
                bar.update()
                self._after_step()
            self.save()
        return Result(stopped, self.step, self.batches.epoch, self.seconds, self.best)

    def save(self, name: str = "last") -> None:
        """Write the run to ``name``.safetensors in the folder, if there is one."""
        if self.folder is not None:
            save_run(self, self.folder / f"{name}.safetensors")

    def load(self, name: str = "last") -> None:
        """Go on from ``name``.safetensors in the folder; the log is cut back to its step.

        Raises:
            ConfigError: the trainer has no folder.
            CheckpointError: no such file, or damaged, or of another model, optimizer or data.
        """
        if self.folder is None:
            raise ConfigError("Trainer.load: this trainer has no folder to load from")
        load_run(self, self.folder / f"{name}.safetensors")
        self.log.rewind(self.step)
        self._opened = True

    def evaluate(self) -> float:
        """The held-out loss of a prediction; logged, and saved as "best" if it is."""
        if self.held_out is None:
            raise ConfigError("Trainer.evaluate: this trainer has no held_out batches")
        loss = evaluate(self.model, self.held_out, self.loss_of)
        self.log.write(self._record("held_out", loss))
        if self.best is None or loss < self.best:
            self.best, self.evaluations_since_best = loss, 0
            self.save("best")
        else:
            self.evaluations_since_best += 1
        return loss

    def _reason_to_stop(
        self, interrupt: Interrupt, steps: int | None, epochs: int | None, deadline: float | None
    ) -> str | None:
        if interrupt.requested:
            return "interrupted"
        if steps is not None and self.step >= steps:
            return "steps"
        if epochs is not None and self.batches.epoch >= epochs:
            return "epochs"
        if deadline is not None and perf_counter() >= deadline:
            return "time limit"
        if self.patience is not None and self.evaluations_since_best >= self.patience:
            return "early stopping"
        return None

    def _one_step(self, batch: Any) -> None:
        """One update. The graph is gone when it returns, before the next one is built."""
        began = perf_counter()
        for name, schedule in self.schedules.items():
            setattr(self.optimizer, name, schedule(self.step))
        loss, predictions, state = self.loss_of(self.model, batch, self.state)
        if predictions < 1:
            raise DataError(f"the batch of step {self.step + 1} has nothing to predict")
        value = loss.item()
        if not isfinite(value):
            raise self._diverged(
                f"the loss is {value}. Take a smaller learning rate (now {self.optimizer.lr:g}) or "
                f"threshold (clip={self.clip}), or find the operation with ts.detect_nonfinite()."
            )
        self.optimizer.zero_grad()
        backward(mul(loss, 1 / predictions))
        self.grad_norm = self._clipped()
        self.optimizer.step()
        self.state = structure.map(_detached, state)
        self.step += 1
        self.window.loss += value
        self.window.predictions += predictions
        self.window.seconds += perf_counter() - began

    def _clipped(self) -> float:
        try:
            limit = float_info.max if self.clip is None else self.clip
            return clip_grad_norm(self.optimizer.params, limit, self.nonfinite)
        except NonFiniteError as error:
            raise self._diverged(str(error)) from None

    def _diverged(self, what: str) -> NonFiniteError:
        last = self.folder and self.folder / "last.safetensors"
        kept = f" The last checkpoint is {last}." if last and last.exists() else ""
        return NonFiniteError(f"step {self.step + 1}: {what}{kept}")

    def _after_step(self) -> None:
        epoch_is_over = self.batches.position == 0
        if epoch_is_over:
            self.state = None
        if self.step % self.log_every == 0:
            self.log.write(self._record("train", self.window.mean))
            self.window = Window()
        due = self.step % self.evaluate_every == 0 if self.evaluate_every else epoch_is_over
        if self.held_out is not None and due:
            self.evaluate()
        if self.step % self.save_every == 0:
            self.save()

    def _record(self, kind: str, loss: float) -> dict[str, Any]:
        record = {"kind": kind, "step": self.step, "epoch": self.batches.epoch, "loss": loss}
        if self.in_bits:
            record["bits"] = loss / log(2)
        if kind == "train":
            record["grad_norm"] = self.grad_norm
            record["lr"] = self.optimizer.lr
            record["predictions_per_second"] = self.window.predictions / self.window.seconds
        return record | {"seconds": self.seconds}

    def _open_folder(self) -> None:
        if self._opened or self.folder is None:
            return
        if any((self.folder / f"{name}.safetensors").exists() for name in ("last", "best")):
            raise ConfigError(
                f"{self.folder} holds a run: call load() to go on with it, or take another folder"
            )
        self.log.rewind(0)
        self._opened = True


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value
