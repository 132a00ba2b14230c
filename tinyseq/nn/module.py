"""Module: something with parameters.

    class Net(nn.Module):
        def __init__(self):
            self.hidden = nn.Linear(3, 5)                  # attributes register by themselves,
            self.layers = [nn.Linear(5, 5), nn.Linear(5, 1)]   # lists and dicts of modules too
        def __call__(self, x): ...

There is no registration and no base constructor to call: a module's parameters are found among its
attributes, in the order in which they were set. A call opens a scope, so that nodes, pictures and
errors know the module's path.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinyseq.autograd.node import Scope, current_scope
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import Array, to_cupy, to_numpy
from tinyseq.errors import CheckpointError, ConfigError
from tinyseq.nn.parameter import Parameter


class Module:
    """The base of everything with parameters."""

    changes = 0  # how often an attribute of a module has been set; compiled loops look at it
    training = True
    scope_label: str | None = None
    __call__: Callable[..., Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__call__" in cls.__dict__:
            cls.__call__ = _in_scope(cls.__dict__["__call__"])  # type: ignore[method-assign]

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        Module.changes += 1
        grown = False
        for path, entry in _entries(name, value):
            if isinstance(entry, Parameter):
                if entry.name is None:
                    entry.leaf.parameter_name = path
            elif all(module is not self for _, module in entry.named_modules()):
                # it is inside, and no link back to what it is inside of
                object.__setattr__(entry, "scope_label", path)
                grown = True
        if grown:
            for path, parameter in self.named_parameters():
                parameter.leaf.parameter_name = path

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly inside, with their names ("layers.0" in a list)."""
        for name, value in vars(self).items():
            for path, entry in _entries(name, value):
                if isinstance(entry, Module):
                    yield path, entry

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all inside, with their paths; each once."""
        seen: set[int] = set()
        stack: list[tuple[str, Module]] = [(prefix, self)]
        while stack:
            path, module = stack.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield path, module
            inside = [(f"{path}.{n}" if path else n, child) for n, child in module.named_children()]
            stack += reversed(inside)

    def named_parameters(self, remove_duplicate: bool = True) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their paths, in the order in which the attributes were set.

        A parameter that is shared is given once, under its first name, or under every name if
        ``remove_duplicate`` is False.
        """
        seen: set[int] = set()
        for path, parameter in self._walk("", ()):
            if id(parameter) not in seen or not remove_duplicate:
                seen.add(id(parameter))
                yield path, parameter

    def _walk(self, prefix: str, above: tuple[int, ...]) -> Iterator[tuple[str, Parameter]]:
        if id(self) in above:
            return
        for name, value in vars(self).items():
            for path, entry in _entries(prefix + name, value):
                if isinstance(entry, Module):
                    yield from entry._walk(path + ".", (*above, id(self)))
                else:
                    yield path, entry

    def parameters(self) -> list[Parameter]:
        """All parameters, each once."""
        return [parameter for _, parameter in self.named_parameters()]

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            if parameter.requires_grad:
                parameter.grad = None

    def state_dict(self) -> dict[str, Array]:
        """A copy of every parameter's values, by name."""
        return {n: p.data.copy() for n, p in self.named_parameters(remove_duplicate=False)}

    def load_state_dict(self, state: dict[str, Any], strict: bool = True) -> None:
        """Take over values by name.

        Args:
            state: arrays by parameter name, as from ``state_dict``; also of another array library.
            strict: refuse missing and extra names; otherwise only shapes must fit.

        Raises:
            CheckpointError: lists every missing, extra and mismatched name; then nothing has been
                changed.
        """
        own = dict(self.named_parameters(remove_duplicate=False))
        given = {
            name: to_numpy(values.data if isinstance(values, Tensor) else values)
            for name, values in state.items()
        }
        missing = [name for name in own if name not in given]
        extra = [name for name in given if name not in own]
        known = [name for name in given if name in own]
        odd = [
            f"{name} {given[name].shape} instead of {own[name].shape}"
            for name in known
            if given[name].shape != own[name].shape
        ]
        strange = [f"{n} {given[n].dtype}" for n in known if given[n].dtype.kind not in "biuf"]
        faults = [("missing", missing), ("extra", extra)] if strict else []
        faults += [("shape", odd), ("no real numbers", strange)]
        text = "; ".join(f"{what}: {', '.join(map(str, n))}" for what, n in faults if n)
        if text:
            raise CheckpointError(f"these values are not for this {type(self).__name__}: {text}")
        for name in known:
            own[name].assign(parameter_like(own[name], given[name]))

    def train(self, training: bool = True) -> Module:
        """Switch this module and all inside to training (dropout works) or evaluation."""
        for _, module in self.named_modules():
            module.training = training
        return self

    def eval(self) -> Module:
        """Switch to evaluation: ``train(False)``."""
        return self.train(False)

    def to(self, target: Any) -> Module:
        """Move the parameters: "numpy", "cupy", or a floating-point dtype; gives the module back.

        Raises:
            BackendError: "cupy" where there is no GPU.
            ConfigError: anything else.
        """
        try:
            dtype = None if target in ("numpy", "cupy") else np.dtype(target)
        except TypeError:
            dtype = np.dtype(bool)
        if target is None or (dtype is not None and dtype.kind != "f"):
            raise ConfigError(f"to: 'numpy', 'cupy' or a floating-point dtype, not {target!r}")
        for parameter in self.parameters():
            if target == "numpy":
                parameter.move(to_numpy(parameter.data).copy())
            elif target == "cupy":
                parameter.move(to_cupy(parameter.data))
            else:
                parameter.move(parameter.data.astype(dtype))
        return self

    def __repr__(self) -> str:
        inside = ", ".join(f"{n}={tuple(p.shape)}" for n, p in self.named_parameters())
        return f"{type(self).__name__}({inside})"


def parameter_like(parameter: Parameter, host: Array) -> Array:
    """A host array in the array library of the parameter."""
    return host if isinstance(parameter._store, type(host)) else to_cupy(host)


def _entries(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The parameters and modules in an attribute: itself, or the entries of lists and dicts."""
    if isinstance(value, Parameter | Module):
        yield name, value
    elif isinstance(value, list | tuple):
        for k, entry in enumerate(value):
            yield from _entries(f"{name}.{k}", entry)
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield from _entries(f"{name}.{key}", entry)


def _in_scope(call: Any) -> Any:
    """The call of a module, inside a scope of its own; a call by ``super()`` stays in the first."""

    @functools.wraps(call)
    def scoped(self: Module, *args: Any, **kwargs: Any) -> Any:
        outer = current_scope.get()
        if outer is not None and outer.owner is self:
            return call(self, *args, **kwargs)
        scope = Scope(outer, self.scope_label or type(self).__name__, None, self)
        token = current_scope.set(scope)
        try:
            return call(self, *args, **kwargs)
        finally:
            current_scope.reset(token)

    return scoped
