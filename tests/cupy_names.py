"""The names that CuPy has, and the parameters of its functions, as a text file.

CuPy imports without a driver but computes only with one, so that its names can be listed anywhere.
``cupy_names.txt`` is that list, kept here so that the tests need no CuPy. A line holds a kind, a
name and what can be said of it::

    function cupy.max (a, axis=..., out=..., keepdims=...)
    ufunc cupy.add accumulate at outer reduce reduceat
    method cupy.ndarray.sum (axis=..., dtype=..., out=..., keepdims=...)

``cupy.random`` is left out on purpose: random numbers are drawn on the host, so that runs on NumPy
and on CuPy see the same ones.

``python tests/cupy_names.py`` writes the file again from the CuPy that is installed.
"""

import ast
import inspect
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

NAMES_FILE = Path(__file__).with_name("cupy_names.txt")
LEFT_OUT = {"annotations", "random", "testing"}


@dataclass(frozen=True)
class Name:
    kind: str  # function, ufunc, class, module, value, method or attribute
    path: str  # "cupy.linalg.norm"
    detail: str  # a function's parameters, a ufunc's methods; "" where nothing is known


@cache
def read_names() -> tuple[str, dict[str, Name]]:
    """The version of CuPy that the file describes, and its names by their path."""
    header, *lines = NAMES_FILE.read_text().splitlines()
    names = [Name(*(line.split(" ", 2) + [""])[:3]) for line in lines]
    return header.removeprefix("# cupy "), {name.path: name for name in names}


def signature(name: Name) -> inspect.Signature | None:
    """The parameters of a function or method; None where CuPy does not tell them."""
    if not name.detail.startswith("("):
        return None
    function = ast.parse(f"def f{name.detail}: ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    given = function.args
    positional = given.posonlyargs + given.args
    required = len(positional) - len(given.defaults)
    Parameter = inspect.Parameter
    parameters = [
        Parameter(
            argument.arg,
            Parameter.POSITIONAL_ONLY
            if i < len(given.posonlyargs)
            else Parameter.POSITIONAL_OR_KEYWORD,
            default=Parameter.empty if i < required else ...,
        )
        for i, argument in enumerate(positional)
    ]
    if given.vararg:
        parameters.append(Parameter(given.vararg.arg, Parameter.VAR_POSITIONAL))
    for argument, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        missing = Parameter.empty if default is None else ...
        parameters.append(Parameter(argument.arg, Parameter.KEYWORD_ONLY, default=missing))
    if given.kwarg:
        parameters.append(Parameter(given.kwarg.arg, Parameter.VAR_KEYWORD))
    return inspect.Signature(parameters)


def describe(cupy: ModuleType) -> list[Name]:
    """The names of an installed CuPy, sorted by path."""
    names = []
    for owner in (cupy, cupy.linalg):
        for attribute in dir(owner):
            if not attribute.startswith("_") and attribute not in LEFT_OUT:
                path = f"{owner.__name__}.{attribute}"
                names.append(_describe_one(cupy, path, getattr(owner, attribute)))
    for attribute in dir(cupy.ndarray):
        if attribute.startswith("__") or not attribute.startswith("_"):
            names.append(_describe_member(attribute, getattr(cupy.ndarray, attribute)))
    return sorted(set(names), key=lambda name: name.path)


def _describe_one(cupy: ModuleType, path: str, value: Any) -> Name:
    if isinstance(value, cupy.ufunc):
        return Name("ufunc", path, " ".join(_ufunc_methods(value)))
    if isinstance(value, type):
        return Name("class", path, "")
    if isinstance(value, ModuleType):
        return Name("module", path, "")
    if callable(value):
        return Name("function", path, _parameters(value))
    return Name("value", path, "")


def _ufunc_methods(ufunc: Any) -> list[str]:
    """The methods that work: every ufunc of CuPy has them all, but most are not implemented."""
    methods = ["outer"] if ufunc.nin == 2 else []
    if ufunc._scatter_op is not None:
        methods.append("at")
    for method, arguments in (("reduce", ()), ("accumulate", ()), ("reduceat", ([0],))):
        try:
            getattr(ufunc, method)(_NoArray(), *arguments)
        except NotImplementedError:
            continue
        except AttributeError:  # it went on to ask the array to compute
            methods.append(method)
    return sorted(methods)


class _NoArray:
    """What has no attribute at all, to see whether a function gets as far as its array."""


def _parameters(function: Any) -> str:
    try:
        given = inspect.signature(function)
    except (TypeError, ValueError):
        return ""
    bare = [
        p.replace(
            annotation=inspect.Parameter.empty,
            default=p.empty if p.default is p.empty else _DOTS,
        )
        for p in given.parameters.values()
    ]
    return str(given.replace(parameters=bare, return_annotation=inspect.Signature.empty))


class _Dots:
    def __repr__(self) -> str:
        return "..."


_DOTS = _Dots()


def _describe_member(attribute: str, member: Any) -> Name:
    """CuPy's methods are compiled; the first line of their docstring holds their parameters."""
    path = f"cupy.ndarray.{attribute}"
    if not callable(member) or isinstance(member, type):
        return Name("attribute", path, "")
    first = (member.__doc__ or "").strip().split("\n")[0]
    found = re.match(rf"\w+\.{re.escape(attribute)}\(self(?:, )?(.*)\)(?: -> \w+)?$", first)
    if attribute.startswith("__") or found is None:
        return Name("method", path, "")
    parts = [_bare_parameter(part) for part in found[1].split(", ") if part]
    return Name("method", path, f"({', '.join(parts)})")


def _bare_parameter(text: str) -> str:
    """``int axis=-1`` without the type of C and with its default as dots: ``axis=...``."""
    declaration, equals, _ = text.partition("=")
    return declaration.split()[-1] + ("=..." if equals else "")


if __name__ == "__main__":
    import cupy

    lines = [f"# cupy {cupy.__version__}"]
    lines += [f"{n.kind} {n.path} {n.detail}".rstrip() for n in describe(cupy)]
    NAMES_FILE.write_text("\n".join(lines) + "\n")
    print(f"{NAMES_FILE}: {len(lines) - 1} names")
