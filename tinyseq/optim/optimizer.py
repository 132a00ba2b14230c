"""Optimizer: from gradients to new values.

    optimizer = Adam(model.parameters(), lr=1e-3)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()

An optimizer is a table of its settings and one rule, ``update``: from the values, the gradient and
what is remembered of earlier steps to the new values. Settings are attributes, to be changed at any
time: ``optimizer.lr = 0.1``.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any, ClassVar

import numpy as np

from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import Array, is_array, namespace, to_numpy
from tinyseq.errors import BackendError, CheckpointError, ConfigError, DTypeError
from tinyseq.nn.module import parameter_like
from tinyseq.nn.parameter import Parameter

Memory = dict[str, Any]  # of one parameter: arrays like it, and plain numbers

_STEPS_BETWEEN_FLUSHES = 128
_HEADS_FOR_DENORMAL = {np.dtype(np.float32): 1e-30, np.dtype(np.float64): 1e-290}


class Optimizer:
    """The base of all optimizers.

    Args:
        params: the parameters, as from ``module.parameters()``. One without a gradient is passed
            over by ``step``.
        settings: what ``limits`` names, and switches (bool).

    Raises:
        ConfigError: no parameters, one parameter twice, or a setting outside its range.
        DTypeError: something that is no Parameter, or a setting that is no number.
    """

    # A setting lies in [0, limit).
    limits: ClassVar[dict[str, float]] = {"lr": inf, "weight_decay": inf}
    lr: float
    weight_decay: float

    def __init__(self, params: Iterable[Parameter], **settings: float | bool) -> None:
        self.params = _checked(params)
        self.steps = 0
        self._memories: list[Memory] = [{} for _ in self.params]
        self._settings = list(settings)
        for name, value in settings.items():
            setattr(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.limits:
            value = self._number(name, value)
        object.__setattr__(self, name, value)

    def update(self, values: Array, g: Array, memory: Memory) -> Array:
        """The new values of one parameter; ``memory`` is the parameter's own and may be changed."""
        raise NotImplementedError

    def step(self) -> None:
        """Update every parameter that has a gradient. Never waits for the GPU.

        Raises:
            BackendError: a gradient, or what is remembered, lives in another array library or has
                another dtype than the parameter, since that was moved.
        """
        self.steps += 1
        for parameter, memory in zip(self.params, self._memories, strict=True):
            g = parameter.grad
            if g is None:
                continue
            g = g.data if isinstance(g, Tensor) else g
            values = parameter.data
            namespace(values, g)
            for kept in filter(is_array, memory.values()):
                if kept.dtype != values.dtype or type(kept) is not type(values):
                    raise BackendError(
                        f"{parameter.name or 'a parameter'} was moved after the optimizer's first "
                        "step: move the optimizer after it by "
                        "optimizer.load_state_dict(optimizer.state_dict())"
                    )
            if g.dtype != values.dtype:
                g = g.astype(values.dtype)
            parameter.assign(self.update(values, g, memory))
            if self.steps % _STEPS_BETWEEN_FLUSHES == 0:
                _flush(memory)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.params:
            if parameter.requires_grad:
                parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """The settings and what is remembered: a flat dict of plain values and copied arrays.

        What belongs to a parameter has its name in front (its position, where names are not
        unique).
        """
        state: dict[str, Any] = {"optimizer": type(self).__name__, "steps": self.steps}
        state |= {name: getattr(self, name) for name in self._settings}
        for key, memory in zip(self._keys(), self._memories, strict=True):
            for entry, value in memory.items():
                state[f"{key}.{entry}"] = value.copy() if is_array(value) else value
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state_dict()`` was called; arrays of another library are moved.

        Raises:
            CheckpointError: of another optimizer, or for other parameters; nothing is changed then.
        """
        kind = state.get("optimizer")
        if kind != type(self).__name__:
            raise CheckpointError(f"this is the state of {kind}, not of {type(self).__name__}")
        plain = ["optimizer", "steps", *self._settings]
        faults = [f"missing: {name}" for name in plain if name not in state]
        places = dict(zip(self._keys(), range(len(self.params)), strict=True))
        memories: list[Memory] = [{} for _ in self.params]
        for name, value in state.items():
            if name in plain:
                continue
            key, _, entry = name.rpartition(".")
            if key not in places:
                faults.append(f"extra: {name}")
                continue
            parameter = self.params[places[key]]
            if hasattr(value, "shape"):
                if tuple(value.shape) != parameter.shape:
                    faults.append(
                        f"shape: {name} {tuple(value.shape)} instead of {parameter.shape}"
                    )
                    continue
                host = np.array(to_numpy(value), dtype=parameter.dtype)
                value = parameter_like(parameter, host)
            memories[places[key]][entry] = value
        if faults:
            raise CheckpointError(
                f"this state is not for the parameters of this {kind}: {'; '.join(faults)}"
            )
        for name in self._settings:
            setattr(self, name, state[name])
        self.steps = state["steps"]
        self._memories = memories

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={getattr(self, name)}" for name in self._settings)
        return f"{type(self).__name__}({len(self.params)} parameters, {settings})"

    def _keys(self) -> list[str]:
        names = [parameter.name for parameter in self.params]
        unique = len(set(names)) == len(names) and None not in names
        return [str(name if unique else k) for k, name in enumerate(names)]

    def _number(self, name: str, value: Any) -> float:
        try:
            number = float(value)  # a NumPy float64 would turn float32 arithmetic into float64
        except (TypeError, ValueError):
            kind = type(self).__name__
            raise DTypeError(f"{kind}: {name} is a number, not {value!r:.80}") from None
        if not 0 <= number < self.limits[name]:
            raise ConfigError(
                f"{type(self).__name__}: {name} lies in [0, {self.limits[name]:g}), not {number:g}"
            )
        return number


def _checked(params: Iterable[Parameter]) -> list[Parameter]:
    if isinstance(params, Tensor):
        raise DTypeError("an optimizer takes a list of parameters: pass [parameter]")
    found = list(params)
    if not found:
        raise ConfigError("an optimizer without parameters: the list is empty")
    for k, parameter in enumerate(found):
        if not isinstance(parameter, Parameter):
            raise DTypeError(
                f"an optimizer changes nn.Parameter objects, entry {k} is a "
                f"{type(parameter).__name__}: pass module.parameters()"
            )
    if len({id(parameter) for parameter in found}) != len(found):
        twice = next(p for k, p in enumerate(found) if any(p is q for q in found[:k]))
        raise ConfigError(f"{twice.name or 'a parameter'} is twice in the list: give each once")
    return found


def slot(memory: Memory, name: str, like: Array) -> Array:
    """An array that is remembered under this name; zeros at first."""
    if name not in memory:
        memory[name] = namespace(like).zeros_like(like)
    return memory[name]


def _flush(memory: Memory) -> None:
    """Set to zero what heads for denormal numbers, with which many CPUs are 10 to 90 times slower.

    An average whose gradients have become zero shrinks by a factor a step, and ends as a denormal
    number for good: rounding to nearest keeps 0.9 times the smallest one where it is.
    """
    for array in memory.values():
        limit = _HEADS_FOR_DENORMAL.get(array.dtype) if type(array) is np.ndarray else None
        if limit is not None:
            array[np.abs(array) < limit] = 0
