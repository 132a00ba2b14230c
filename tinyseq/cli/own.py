"""A model from a user's own file, run once on random numbers, for ``tinyseq draw FILE.py:NAME``."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tinyseq import nn
from tinyseq.autograd.primitive import no_grad
from tinyseq.autograd.tensor import Tensor
from tinyseq.cli.scheduled import schedule_of
from tinyseq.errors import ConfigError, TinyseqError
from tinyseq.recurrence import unroll


def is_own(what: str) -> bool:
    """Whether this names something in a file, and not one of the examples."""
    return ".py" in what


@contextmanager
def own_run(
    what: str, shape: Sequence[int] | None, seed: int, scheduled: bool = False
) -> Iterator[tuple[Any, Any]]:
    """What one run of a user's model computed, for the time in which it is drawn; its schedule.

    A cell is unrolled over random inputs, a layer is called with them, and a SequenceModel gives
    its loss with random targets. A function is called, with the inputs if it takes an argument;
    what it returns is drawn.

    Args:
        what: ``path/to/file.py:name``; the name may have dots.
        shape: of the inputs, the first axis being time; of a function without arguments, None.
        seed: for the inputs and targets.
        scheduled: compile it, too, for the schedule, which is None otherwise.

    Raises:
        ConfigError: there is no such file, name or model, or the user's code raised an error; says
            in which line of the file. A schedule of what is no cell or SequenceModel.
    """
    name, colon, attribute = what.rpartition(":")
    path = Path(name if colon else what)
    if not colon or not attribute:
        raise ConfigError(f"say which model of the file to draw: {path}:model")
    if not path.is_file():
        raise ConfigError(f"there is no file {path}")
    path = path.resolve()
    with _imported(path) as module:
        model = _found(module, attribute, path)
        with _blamed(path):
            outputs = _outputs(model, attribute, shape, np.random.default_rng(seed))
            schedule = None
            if scheduled:
                xs = _inputs(model, attribute, shape, np.random.default_rng(seed))
                schedule = schedule_of(model, xs)
        yield outputs, schedule


@contextmanager
def _imported(path: Path) -> Iterator[ModuleType]:
    """The file as a module of its own; what lies beside it can be imported from it."""
    name = f"_own_{re.sub(r'[^0-9a-zA-Z_]', '_', path.stem)}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and the like look their module up
    sys.path.insert(0, str(path.parent))
    try:
        with _blamed(path):
            spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(path.parent))
        sys.modules.pop(name, None)


@contextmanager
def _blamed(path: Path) -> Iterator[None]:
    """Tell an error of the user's code as one line, with the place in the file."""
    try:
        yield
    except (Exception, SystemExit) as error:
        if isinstance(error, SyntaxError) and error.filename:
            place = f"{Path(error.filename).name}, line {error.lineno}"
            raise ConfigError(f"{place}: {type(error).__name__}: {error.msg}") from error
        frames = traceback.extract_tb(error.__traceback__)
        inside = [f for f in frames if Path(f.filename).parent == path.parent]
        if not inside and isinstance(error, TinyseqError):
            raise
        here = [f for f in inside if Path(f.filename) == path] or inside
        place = f"{Path(here[-1].filename).name}, line {here[-1].lineno}" if here else path.name
        raise ConfigError(f"{place}: {type(error).__name__}: {error}") from error


def _found(module: ModuleType, attribute: str, path: Path) -> Any:
    """The object of a name in the file."""
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            there = [
                name
                for name, value in vars(module).items()
                if isinstance(value, nn.Module)
                or (inspect.isfunction(value) and value.__module__ == module.__name__)
            ]
            known = f"; there are {', '.join(there)}" if there else ""
            raise ConfigError(f"{path.name} has no {attribute}{known}")
        found = getattr(found, part)
    if isinstance(found, type):
        raise ConfigError(
            f"{attribute} is a class: make a model of it in {path.name}, with its sizes, and name "
            "that"
        )
    if not callable(found):
        raise ConfigError(
            f"{attribute} is a {type(found).__name__}: name a cell, a layer, a SequenceModel, or "
            "a function that returns a loss"
        )
    return found


def _outputs(model: Any, name: str, shape: Sequence[int] | None, rng: np.random.Generator) -> Any:
    """What a run of the model computes."""
    if not isinstance(model, nn.Module) and not hasattr(model, "init_state"):
        found = model(_inputs(model, name, shape, rng)) if _wants_inputs(model) else model()
        first = found[0] if isinstance(found, tuple) and found else found
        alone = isinstance(first, Tensor) and first.size == 1
        return first if alone else found  # SequenceModel.loss gives its state beside the loss
    xs = _inputs(model, name, shape, rng)
    if isinstance(model, nn.SequenceModel):
        with no_grad():
            outputs = model(xs)[0]
        return model.loss(xs, _targets(model, outputs.data, rng))[0]
    if hasattr(model, "init_state"):
        return unroll(model, xs, as_list=True)[0]
    return model(xs)


def _wants_inputs(function: Callable[..., Any]) -> bool:
    """Whether a function has an argument without a default."""
    return any(
        p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        for p in inspect.signature(function).parameters.values()
    )


def _inputs(
    model: Any, name: str, shape: Sequence[int] | None, rng: np.random.Generator
) -> np.ndarray:
    """Random numbers in the dtype of the parameters; random tokens for an embedding."""
    if shape is None:
        raise ConfigError(f"{name} reads an input: say its shape, --input steps,batch,size")
    table = _table(model)
    if table is not None:
        return rng.integers(len(table), size=shape)
    parameters = model.parameters() if isinstance(model, nn.Module) else []
    dtype = parameters[0].dtype if parameters else np.float32
    return rng.standard_normal(shape).astype(dtype)


def _table(model: Any) -> Any:
    """The weights of the embedding that reads the inputs, if there is one."""
    first = model if isinstance(model, nn.Embedding) else getattr(model, "embed", None)
    return first.weight.data if isinstance(first, nn.Embedding) else None


def _targets(model: nn.SequenceModel, outputs: Any, rng: np.random.Generator) -> np.ndarray:
    """Random targets: classes for the cross-entropy, numbers of the outputs' shape otherwise."""
    if model.step_loss is nn.cross_entropy:
        return rng.integers(outputs.shape[-1], size=outputs.shape[:-1])
    return rng.standard_normal(outputs.shape).astype(outputs.dtype)
