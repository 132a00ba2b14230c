"""carry: the cotangent that a step hands back, in parts, so that no kernel has to add them up.

The step before receives  g' = e + d W,  of which a kernel makes e and d, and cuBLAS, after it, the
product. To add the two would take a second kernel. So both are handed back as they are, and the
kernel of the step before, which reads them anyway, adds them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

from tinyseq.compile.cuda.values import ADD, is_product
from tinyseq.compile.program import Program, Value, in_order


def in_parts(program: Program) -> tuple[Program, list[int]]:
    """The Program with a carried cotangent of its own for every product that is a part of one.

    Returns:
        the Program, whose ``seeds_state`` and ``state_grads`` go on behind those of the states;
        and for each of these further ones the number of the state that it belongs to.
    """
    seeds, grads = list(program.seeds_state), list(program.state_grads)
    owners: list[int] = []
    sums: dict[int, Value] = {}
    for k, (seed, grad) in enumerate(zip(program.seeds_state, program.state_grads, strict=True)):
        terms = [] if grad is None else _terms(grad)
        products = [v for v in terms if is_product(v)]
        rest = [v for v in terms if not is_product(v)]
        if len(terms) < 2 or not products:
            continue
        grads[k] = _sum(rest) if rest else products.pop(0)
        parts = [replace(seed, index=len(seeds) + n, label=None) for n in range(len(products))]
        seeds += parts
        grads += products
        owners += [k] * len(parts)
        sums[id(seed)] = _sum([seed, *parts])
    changed = _reading(replace(program, seeds_state=seeds, state_grads=grads), sums)
    return replace(changed, seeds_state=seeds), owners


def _terms(value: Value) -> list[Value]:
    """What a value is the sum of."""
    terms, stack = [], [value]
    while stack:
        v = stack.pop()
        if v.op == "add" and all(u.shape == v.shape and u.dtype == v.dtype for u in v.inputs):
            stack += v.inputs
        else:
            terms.append(v)
    return terms


def _sum(terms: list[Value]) -> Value:
    return reduce(lambda a, b: replace(a, kind="result", primitive=ADD, inputs=(a, b), params={},
                                       label=None), terms)  # fmt: skip


def _reading(program: Program, sums: dict[int, Value]) -> Program:
    """The Program in which some values are read in place of others."""
    new: dict[int, Value] = {}
    for value in in_order(program.results()):
        made = replace(value, inputs=tuple(new[id(v)] for v in value.inputs))
        new[id(value)] = sums.get(id(value), made if value.inputs else value)
    return program.replaced(new)
