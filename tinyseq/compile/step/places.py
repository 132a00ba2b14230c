"""places: where a step may find what it is not given.

A step reads attributes of its modules, and variables that its functions find around them: in the
scope of a function, in its file, in a class, in another file. ``places`` are those that it could
read, by the names in its code; ``entries`` is what a value holds that is found there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dis import get_instructions
from functools import lru_cache, partial
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from tinyseq import structure
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import is_array
from tinyseq.nn.module import Module
from tinyseq.nn.parameter import Parameter

LIBRARY = __name__.partition(".")[0]
# whose functions and classes do not change, and read nothing of the user's
SETTLED = {LIBRARY, "numpy", "scipy", "cupy", "numba", "builtins", *sys.stdlib_module_names}
# the methods of an object that are called without being named
CALLED = {"__call__", "__getattr__", "__getitem__", "__iter__", "__len__", "__float__"}
CALLED |= {f"__{r}{op}__" for r in ("", "r") for op in ("add", "sub", "mul", "truediv", "matmul")}
CODE = (FunctionType, BuiltinFunctionType, np.ufunc, type, ModuleType)
WRAPPERS = (property, staticmethod, classmethod, partial, MethodType)

Place = tuple[str, Any, Any]  # the path, a mapping and the key in it; or a closure's cell and None


def places(modules: list[tuple[str, Module]], feed: Any) -> tuple[list[Place], frozenset[str]]:
    """The places where a step with these modules and this feed may look, and the names it uses."""
    search = _Search()
    for path, module in modules:
        search.owner(path, module)
    if feed is not None:
        search.owner("feed", feed)
    return search.finished(), frozenset(search.names)


class _Search:
    """Goes from function to function, by what their code says that they read."""

    def __init__(self) -> None:
        self.found: list[Place] = []
        self.names = set(CALLED)  # of the attributes that are read somewhere
        self.known: dict[int, Any] = {}  # what has been looked at, by its id
        self.spaces: list[tuple[str, Mapping[str, Any], bool]] = []  # attributes; if places, too
        self.functions: list[tuple[str, Any]] = []  # that are still to be looked at
        self.packages: set[str] = set()  # in which the modules are written, installed or not

    def owner(self, path: str, owner: Any) -> None:
        """A module or feed; that one of its attributes is set anew is seen without this."""
        self.packages |= {package_of(base) for base in type(owner).__mro__} - SETTLED
        for name, value in vars(owner).items():
            container = structure.is_container(value)
            if container and all(
                isinstance(entry, Module | Parameter) for entry in structure.leaves(value)
            ):
                continue
            array = is_array_or_tensor(value) and not isinstance(value, Parameter)
            if array or container or has_attributes(value) or isinstance(value, (*WRAPPERS, set)):
                self.found.append((f"{path}.{name}".lstrip("."), vars(owner), name))
            self.follow(name, value)
        for base in type(owner).__mro__:  # whose methods the library may call
            if not self.settled(base):
                for name, value in vars(base).items():
                    if isinstance(value, (FunctionType, *WRAPPERS)):
                        self.follow(name, value)
        self.kind(type(owner))

    def finished(self) -> list[Place]:
        """All places, when every name leads only to what is known."""
        count = -1
        while count != len(self.known):
            count = len(self.known)
            while self.functions:
                self.function(*self.functions.pop())
            for path, space, _ in list(self.spaces):
                for name in sorted(self.names & space.keys()):
                    self.follow(f"{path}.{name}", space[name])
        for path, space, fixed in self.spaces:
            if fixed:
                read = sorted(self.names & space.keys())
                self.found += [(f"{path}.{name}", space, name) for name in read]
        return self.found

    def kind(self, kind: type) -> None:
        """A class that is the user's, with what it holds."""
        for base in kind.__mro__:
            if not self.settled(base) and self.is_new(base):
                self.spaces.append((base.__qualname__, vars(base), True))

    def follow(self, path: str, value: Any) -> None:
        """What a value leads to, if a step reads it."""
        if isinstance(value, structure.CONTAINERS):
            for entry in structure.leaves(value):
                self.follow(path, entry)
        elif isinstance(value, WRAPPERS):
            for part in parts(value):
                self.follow(path, part)
        elif isinstance(value, FunctionType) or wrapped(value) is not None:
            self.functions.append((path, value))
        elif isinstance(value, type):
            self.kind(value)
        elif isinstance(value, ModuleType):
            if not self.settled(value) and self.is_new(value):
                self.spaces.append((value.__name__, vars(value), True))
        elif has_attributes(value) and self.is_new(value):
            self.spaces.append((path, attributes(value), False))
            self.kind(type(value))

    def settled(self, thing: Any) -> bool:
        """Whether it is code that does not change and reads nothing of the user's."""
        if not isinstance(thing, CODE):
            return False
        package = package_of(thing)
        return package not in self.packages and installed(package)

    def is_new(self, thing: Any) -> bool:
        """Whether it has not been looked at; from now on it has."""
        if id(thing) in self.known:
            return False
        self.known[id(thing)] = thing
        return True

    def function(self, path: str, function: Any) -> None:
        """What a function finds around it, and one that a decorator has wrapped."""
        if self.settled(function) or not self.is_new(function):
            return
        self.follow(path, wrapped(function))
        if not isinstance(function, FunctionType):
            return
        variables, names = read_by(function.__code__)
        self.names |= names
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        around = function.__globals__
        found: list[Place] = [(name, cell, None) for name, cell in cells]
        found += [(name, around, name) for name in sorted(variables & around.keys())]
        for name, holder, key in found:
            try:
                value = at(holder, key)
            except ValueError:  # a variable that has no value yet
                continue
            if not isinstance(value, ModuleType | Module) and not self.settled(value):
                self.found.append((f"{function.__qualname__}: {name}", holder, key))
            self.follow(name, value)


@lru_cache(maxsize=4096)
def read_by(code: CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """The global variables that a function reads, and the names of attributes, in its text."""
    variables = {i.argval for i in get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):  # of a function inside, or a comprehension
            inner, of_inner = read_by(constant)
            variables |= inner
            names |= of_inner
        elif isinstance(constant, str):  # for getattr
            names.add(constant)
    return frozenset(variables), frozenset(names)


def at(holder: Any, key: Any) -> Any:
    """What is in a place now; ValueError for a variable of a closure that has no value."""
    return holder.cell_contents if key is None else holder.get(key)


def package_of(thing: Any) -> str:
    """The package in which a function or class is written, or that a module of Python's is in."""
    name = thing.__name__ if isinstance(thing, ModuleType) else getattr(thing, "__module__", None)
    return str(name or "builtins").partition(".")[0]


@lru_cache(maxsize=1024)
def installed(package: str) -> bool:
    """Whether a package is one of those that are installed, not written by the user."""
    file = getattr(sys.modules.get(package), "__file__", None) or ""
    return package in SETTLED or not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)


def wrapped(value: Any) -> Any:
    """The function inside of one that a decorator has made; None if it is none."""
    return getattr(value, "__dict__", {}).get("__wrapped__")


def parts(value: Any) -> list[Any]:
    """What a property, a method or a partial function is made of."""
    if isinstance(value, property):
        return [value.fget]
    if isinstance(value, partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, MethodType):
        return [value.__func__, value.__self__]
    return [value.__func__]


def is_array_or_tensor(value: Any) -> bool:
    """Whether it is what a loop can be given."""
    return isinstance(value, Tensor) or is_array(value)


def has_attributes(value: Any) -> bool:
    """Whether it is an object of the user's with attributes that a step may read."""
    kind = type(value)
    if isinstance(value, Module | Tensor | FunctionType | ModuleType | type) or is_array(value):
        return False
    if kind.__module__.partition(".")[0] in (LIBRARY, "numpy", "cupy", "builtins"):
        return False
    return hasattr(value, "__dict__") or hasattr(kind, "__slots__")


def attributes(value: Any) -> Mapping[str, Any]:
    """The attributes of an object, by their names."""
    declared = [getattr(kind, "__slots__", ()) for kind in type(value).__mro__]
    slots = [name for names in declared for name in ([names] if isinstance(names, str) else names)]
    held = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    return held | vars(value) if hasattr(value, "__dict__") else held


def entries(path: str, value: Any, names: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """The value, or what is in it, with a path for each: attributes only of these names."""
    stack: list[tuple[str, Any, tuple[int, ...]]] = [(path, value, ())]
    while stack:
        path, value, above = stack.pop()
        if id(value) in above:
            continue
        inside: Any = None
        if isinstance(value, dict):
            keys = [key if isinstance(key, str) else f"[{key!r}]" for key in value]
            inside = zip(keys, value.values(), strict=True)
        elif isinstance(value, tuple | list):
            inside = enumerate(value)
        elif isinstance(value, WRAPPERS):
            inside = enumerate(parts(value))
        elif has_attributes(value):
            held = attributes(value)
            inside = [(name, held[name]) for name in sorted(names & held.keys())]
            yield path, value
        if inside is None:
            yield path, value
            continue
        above = (*above, id(value))
        stack += reversed([(f"{path}.{name}", entry, above) for name, entry in inside])
