"""What a run is: everything that it needs to go on as if it had never stopped.

The weights, what the optimizer remembers, the random generators (the default one and those that
modules hold), the place in the data, the state carried from chunk to chunk, and the counters.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyseq import structure
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import as_array, is_array, namespace, to_numpy
from tinyseq.errors import CheckpointError, ConfigError, TinyseqError
from tinyseq.io.checkpoint import load_checkpoint, save_checkpoint
from tinyseq.nn.module import Module
from tinyseq.random import generator, get_state, set_state

if TYPE_CHECKING:
    from tinyseq.train.loop import Trainer

COUNTERS = ("step", "seconds", "best", "evaluations_since_best")


def save_run(trainer: Trainer, path: Path) -> None:
    """Write a run to a checkpoint.

    Raises:
        CheckpointError: a weight is not finite (nothing is written, so that an older checkpoint
            stays), or the file cannot be written.
        ConfigError: a state is carried whose structure the model cannot tell.
    """
    weights = trainer.model.state_dict()
    bad = [name for name, values in weights.items() if not np.isfinite(to_numpy(values)).all()]
    if bad:
        raise CheckpointError(
            f"{path} is not written, since there is a NaN or an infinity in {', '.join(bad)}"
        )
    if trainer.state is not None and not hasattr(trainer.model, "init_state"):
        raise ConfigError(
            "a state is carried from batch to batch, and cannot be saved: the model has no "
            "init_state(batch) to tell its structure"
        )
    optimizer = trainer.optimizer.state_dict()
    state = None if trainer.state is None else structure.leaves(trainer.state)
    arrays = {f"model.{name}": values for name, values in weights.items()}
    arrays |= {f"optimizer.{name}": v for name, v in optimizer.items() if is_array(v)}
    arrays |= {f"state.{k}": leaf for k, leaf in enumerate(state or []) if leaf is not None}
    meta = {
        "about": trainer.about,
        "counters": {name: getattr(trainer, name) for name in COUNTERS},
        "window": vars(trainer.window),
        "optimizer": {name: v for name, v in optimizer.items() if not is_array(v)},
        "batches": trainer.batches.state_dict(),
        "random": {name: get_state(rng) for name, rng in _generators(trainer.model).items()},
        "state": None if state is None else structure.skeleton(trainer.state),
    }
    save_checkpoint(path, arrays, meta)


def load_run(trainer: Trainer, path: Path) -> None:
    """Put a run where it was when the checkpoint was written.

    Raises:
        CheckpointError: the file is damaged, or of another model, optimizer or data; says which.
    """
    arrays, meta = load_checkpoint(path)
    if "counters" not in meta:
        raise CheckpointError(f"{path} holds weights, but not a run that could go on")
    try:
        trainer.model.load_state_dict(_section(arrays, "model"))
        trainer.optimizer.load_state_dict(meta["optimizer"] | _section(arrays, "optimizer"))
        trainer.batches.load_state_dict(meta["batches"])
        _set_generators(_generators(trainer.model), meta["random"])
        trainer.state = _rebuilt(trainer.model, _section(arrays, "state"), meta["state"])
    except TinyseqError as error:
        raise CheckpointError(
            f"{path} does not fit this run: {error}. Build the run with the settings of the one "
            "that was saved."
        ) from error
    for name in COUNTERS:
        setattr(trainer, name, meta["counters"][name])
    vars(trainer.window).update(meta["window"])


def load_weights(model: Module, path: str | Path) -> dict[str, Any]:
    """Give a model the weights of a run, and return what the run was said to be about.

    Raises:
        CheckpointError: the file is damaged, holds no run, or is of another model.
    """
    arrays, meta = load_checkpoint(path)
    if "about" not in meta:
        raise CheckpointError(f"{path} holds no run: give its arrays to model.load_state_dict")
    try:
        model.load_state_dict(_section(arrays, "model"))
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    return meta["about"]


def _section(arrays: dict[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    """The arrays whose names begin with this one, without it."""
    start = name + "."
    return {key[len(start) :]: array for key, array in arrays.items() if key.startswith(start)}


def _generators(model: Module) -> dict[str, np.random.Generator]:
    """The default generator, and those that modules (and their feeds) hold, by path."""
    found = {"default": generator(None)}
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            rng = getattr(value, "rng", value) if not isinstance(value, Module) else None
            if isinstance(rng, np.random.Generator):
                found[f"{path}.{name}" if path else name] = rng
    return found


def _set_generators(found: dict[str, np.random.Generator], states: dict[str, Any]) -> None:
    if set(found) != set(states):
        raise CheckpointError(
            f"random generators of other names: {', '.join(states)} were saved, this run has "
            f"{', '.join(found)}"
        )
    for name, rng in found.items():
        kind = type(rng.bit_generator).__name__
        if states[name].get("bit_generator") != kind:
            raise CheckpointError(f"the random generator {name} is another one than was saved")
        set_state(rng, states[name])


def _rebuilt(model: Any, saved: dict[str, np.ndarray], skeleton: str | None) -> Any:
    """The carried state, in the structure that the model's own initial state has."""
    if skeleton is None:
        return None
    template = model.init_state(1) if hasattr(model, "init_state") else None
    if structure.skeleton(template) != skeleton:
        raise CheckpointError(
            f"a state {skeleton} was carried, this model has {structure.skeleton(template)}"
        )
    places = iter(range(len(structure.leaves(template))))

    def fill(leaf: Any) -> Any:
        array = saved.get(str(next(places)))
        if array is None:
            return None
        like = leaf.data if isinstance(leaf, Tensor) else as_array(leaf)
        return Tensor(namespace(like).asarray(array))

    return structure.map(fill, template)
