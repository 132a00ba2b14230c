"""The parse tree of a Python expression.

tree, tokens = expression_tree("2 * (x + y)")     # tokens: 2, *, x, +, y
"""

from __future__ import annotations

import ast
from typing import Any

from tinyseq.errors import DataError
from tinyseq.recurrence.tree import Tree, added_node


def expression_tree(source: str) -> tuple[Tree, list[str]]:
    """The binary parse tree of a Python expression, and the tokens that its leaves read.

    Operators are leaves, too, so that the leaves from left to right read as the source does: the
    tree of ``a * b`` is ``(a, (*, b))``. Parentheses are not in it, they are its shape.

    Raises:
        DataError: a text that Python does not parse as an expression.
    """
    try:
        body = ast.parse(source.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise DataError(
            f"expression_tree: {source!r:.60} is no Python expression: {error}"
        ) from None
    tokens: list[str] = []
    children: list[list[int]] = []
    inputs: list[int | None] = []
    stack: list[tuple[list[Any], int | None]] = [([body], None)]
    while stack:
        parts, parent = stack.pop()
        number = added_node(children, inputs, parent)
        if len(parts) == 1 and isinstance(parts[0], ast.AST):
            parts = _parts(parts[0])
        if len(parts) == 1 and not isinstance(parts[0], ast.AST):
            inputs[number] = len(tokens)
            tokens.append(parts[0])
        else:
            stack += [(parts[1:], number), (parts[:1], number)]
    return Tree(children, inputs), tokens


_SYMBOLS = {
    "Add": "+", "Sub": "-", "Mult": "*", "Div": "/", "FloorDiv": "//", "Mod": "%", "Pow": "**",
    "MatMult": "@", "LShift": "<<", "RShift": ">>", "BitOr": "|", "BitXor": "^", "BitAnd": "&",
    "UAdd": "+", "USub": "-", "Not": "not", "Invert": "~", "And": "and", "Or": "or", "Eq": "==",
    "NotEq": "!=", "Lt": "<", "LtE": "<=", "Gt": ">", "GtE": ">=", "Is": "is", "IsNot": "is not",
    "In": "in", "NotIn": "not in",
}  # fmt: skip


def _parts(node: ast.AST) -> list[Any]:
    """What an expression consists of, from left to right: tokens and expressions."""
    match node:
        case ast.Name(id=token):
            return [token]
        case ast.Constant(value=value):
            return [repr(value)]
        case ast.BinOp(left=left, op=op, right=right):
            return [left, _SYMBOLS[type(op).__name__], right]
        case ast.UnaryOp(op=op, operand=operand):
            return [_SYMBOLS[type(op).__name__], operand]
        case ast.BoolOp(op=op, values=values):
            word = _SYMBOLS[type(op).__name__]
            return [part for value in values for part in (word, value)][1:]
        case ast.Compare(left=left, ops=ops, comparators=others):
            pairs = zip(ops, others, strict=True)
            return [left, *(p for op, e in pairs for p in (_SYMBOLS[type(op).__name__], e))]
        case ast.Call(func=func, args=args, keywords=keywords):
            return [func, "()", *args, *keywords]
        case ast.keyword(arg=name, value=value):
            return [name or "**", value]
        case ast.Attribute(value=value, attr=name):
            return [value, ".", name]
        case ast.Subscript(value=value, slice=inside):
            return [value, "[]", inside]
        case ast.IfExp(test=test, body=body, orelse=otherwise):
            return [body, "if", test, "else", otherwise]
    inner = [n for n in ast.iter_child_nodes(node) if not isinstance(n, ast.expr_context)]
    return [type(node).__name__, *inner]
