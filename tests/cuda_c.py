"""CUDA C, run on the host: the text that a GPU would compile, for the part of C that is written.

    functions = parse(text)
    functions["step"].launch((blocks,), (threads,), (array, ..., number))

All threads of a launch go through the text together, each value an array with one element a thread.
That is strict where a C compiler is not:

* an index outside of its array is an IndexError;
* two threads that write one element, or one that reads what another writes, are a RaceError;
* a number is not converted by itself: a double in the arithmetic of floats is a TypeError;
* an int that overflows is an OverflowError.

What it does not show: the rounding of a GPU's functions, and what its compiler makes of the text.
"""

import re
from functools import cache

import numpy as np

from cuda_threads import (
    TYPES,
    Expression,
    Function,
    RaceError,
    Statement,
    binary,
    branch,
    call,
    choice,
    declaration,
    literal,
    load,
    negative,
    store,
)

__all__ = ["TYPES", "Function", "RaceError", "parse"]

PLACES = ("blockIdx", "blockDim", "threadIdx")
TOKEN = re.compile(
    r"\s+|//[^\n]*|(?P<hex>0x[0-9a-f]+(?:LL)?)"
    r"|(?P<real>\d+(?:\.\d*(?:e[+-]?\d+)?|e[+-]?\d+)f?)|(?P<whole>\d+(?:LL)?)"
    r"|(?P<word>[A-Za-z_]\w*)|(?P<mark>\|\||&&|[<>=!]=|[-+*/%<>=!?:;,.(){}\[\]\"])"
)


@cache
def parse(text: str) -> dict[str, Function]:
    """The kernels of a text, by name."""
    parser = _Parser(text)
    functions = {}
    while parser.tokens:
        function = parser.function()
        functions[function.name] = function
    return functions


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        position = 0
        while position < len(text):
            found = TOKEN.match(text, position)
            if found is None:
                raise SyntaxError(f"not a part of this C: {text[position : position + 40]!r}")
            if found.lastgroup:
                self.tokens.append((found.lastgroup, found[0]))
            position = found.end()
        self.tokens.reverse()

    # -- tokens ------------------------------------------------------------------------------------

    def next(self) -> str:
        if not self.tokens:
            raise SyntaxError("the text ends too early")
        return self.tokens.pop()[1]

    def peek(self, *texts: str) -> bool:
        return bool(self.tokens) and self.tokens[-1][1] in texts

    def take(self, *texts: str) -> bool:
        """Take all of these, if they are next."""
        ahead = [text for _, text in self.tokens[: -len(texts) - 1 : -1]]
        if ahead != list(texts):
            return False
        del self.tokens[-len(texts) :]
        return True

    def expect(self, *texts: str) -> None:
        if not self.take(*texts):
            rest = " ".join(text for _, text in self.tokens[:-12:-1])
            raise SyntaxError(f"{' '.join(texts)} is expected before: {rest}")

    def type(self) -> str | None:
        if self.take("long", "long"):
            return "long long"
        return self.next() if self.peek("bool", "int", "float", "double") else None

    # -- statements --------------------------------------------------------------------------------

    def function(self) -> Function:
        self.expect("extern", '"', "C", '"', "__global__", "void")
        name, parameters = self.next(), []
        self.expect("(")
        while not self.take(")"):
            constant, kind = self.take("const"), self.type()
            assert kind is not None
            parameters.append((kind, self.take("*"), constant, self.next()))
            self.take(",")
        return Function(name, parameters, self.block())

    def block(self) -> list[Statement]:
        self.expect("{")
        statements: list[Statement] = []
        while not self.take("}"):
            statements += self.statement()
        return statements

    def statement(self) -> list[Statement]:
        if self.take("if"):
            self.expect("(")
            condition = self.expression()
            self.expect(")")
            return [branch(condition, self.block())]
        if self.take("const"):
            kind, statements = self.type(), []
            assert kind is not None
            while not statements or self.take(","):
                name = self.next()
                self.expect("=")
                statements.append(declaration(name, np.dtype(TYPES[kind]), self.expression()))
            self.expect(";")
            return statements
        name = self.next()
        self.expect("[")
        index = self.expression()
        self.expect("]", "=")
        value = self.expression()
        self.expect(";")
        return [store(name, index, value)]

    # -- expressions -------------------------------------------------------------------------------

    def expression(self) -> Expression:
        condition = self.binary(0)
        if not self.take("?"):
            return condition
        first = self.expression()
        self.expect(":")
        return choice(condition, first, self.expression())

    LEVELS = (("||",), ("&&",), ("==", "!="), ("<", ">", "<=", ">="), ("+", "-"), ("*", "/", "%"))

    def binary(self, level: int) -> Expression:
        if level == len(self.LEVELS):
            return self.unary()
        left = self.binary(level + 1)
        while self.peek(*self.LEVELS[level]):
            left = binary(self.next(), left, self.binary(level + 1))
        return left

    def unary(self) -> Expression:
        if self.take("-"):
            return negative(self.unary())
        if self.take("("):
            kind = self.type()
            if kind is None:
                inside = self.expression()
                self.expect(")")
                return inside
            self.expect(")")
            operand, dtype = self.unary(), np.dtype(TYPES[kind])
            return lambda threads: operand(threads).astype(dtype)
        return self.primary()

    def primary(self) -> Expression:
        kind, text = self.tokens.pop()
        if kind != "word":
            return literal(kind, text)
        if text in PLACES:
            self.expect(".", "x")
        elif text in ("true", "false"):
            return lambda threads: np.full(threads.active.size, text == "true")
        elif self.take("["):
            index = self.expression()
            self.expect("]")
            return load(text, index)
        elif self.take("("):
            operands = [self.expression()]
            while self.take(","):
                operands.append(self.expression())
            self.expect(")")
            return call(text, operands)
        return lambda threads: threads.read(text)
