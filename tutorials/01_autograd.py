# %% [markdown]
# # 1. Autograd from scratch
#
# **How can a program know the derivative of what it has just computed?**
#
# We write a small automatic differentiator, about sixty lines, then do the same with tinyseq and
# get the same numbers. Run this file with `python tutorials/01_autograd.py`; its pictures go to
# `tutorials/out/`.

# %%
import itertools
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import tinyseq as ts
from tinyseq import draw

out = Path(os.environ.get("TUTORIAL_OUT") or Path(globals().get("__file__", ".")).parent / "out")
out.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# ## A value that remembers
#
# A program is a list of simple operations, and each has a derivative that fits on one line. The
# chain rule does the rest, if we still know which operation made which value. So a `Value` keeps
#
# * `data`, the array;
# * `parents`, the values it was made from;
# * `rule`, which takes the gradient by this value and gives the gradients by its parents;
# * `order`, a number that grows with every value made.

# %%
number = itertools.count()


class Value:
    """An array that remembers how it was made."""

    def __init__(self, data, parents=(), rule=None):
        self.data = np.asarray(data, float)
        self.parents = parents
        self.rule = rule
        self.order = next(number)

    def __add__(self, other):
        return add(self, other)

    def __mul__(self, other):
        return mul(self, other)

    def __matmul__(self, other):
        return matmul(self, other)


# %% [markdown]
# ## One line of calculus for each operation
#
# Let $g$ be the gradient of the final result by the value that an operation made: the same shape
# as that value, and it says how much the result moves when the value does. The rule carries $g$
# one operation back:
#
# | operation | gradient by $a$ | by $b$ |
# |---|---|---|
# | $a + b$ | $g$ | $g$ |
# | $a \cdot b$ | $g \cdot b$ | $g \cdot a$ |
# | $a\,b$ (matrices) | $g\,b^\top$ | $a^\top g$ |
# | $y = \tanh a$ | $g\,(1 - y^2)$ | |
# | $\sum a$ | $g$, copied to every element | |


# %%
def add(a, b):
    return Value(a.data + b.data, (a, b), lambda g: (like(g, a), like(g, b)))


def mul(a, b):
    return Value(a.data * b.data, (a, b), lambda g: (like(g * b.data, a), like(g * a.data, b)))


def matmul(a, b):
    return Value(a.data @ b.data, (a, b), lambda g: (g @ b.data.T, a.data.T @ g))


def tanh(a):
    y = np.tanh(a.data)
    return Value(y, (a,), lambda g: (g * (1 - y * y),))


def total(a):
    return Value(a.data.sum(), (a,), lambda g: (np.broadcast_to(g, a.data.shape),))


def like(g, a):
    """Where NumPy copied `a` along an axis to make the shapes fit, add the copies' gradients up."""
    g = g.sum(tuple(range(g.ndim - a.data.ndim)))
    stretched = tuple(k for k, n in enumerate(a.data.shape) if n == 1 and g.shape[k] > 1)
    return g.sum(stretched, keepdims=True) if stretched else g


# %% [markdown]
# ## The walk back
#
# A value can be used several times. Its gradient is the **sum** of what comes back from every use,
# so it must not be passed on before all of them have reported. What order is safe? A value is
# always made after its parents. If we walk from the largest `order` to the smallest, every user of
# a value comes before the value itself. No sorting of graphs is needed, and no recursion.


# %%
def gradient(result, inputs):
    """The derivative of `result`, a single number, by each of the inputs."""
    found, waiting = {result}, [result]
    while waiting:  # gather what the result was made from
        for parent in waiting.pop().parents:
            if parent not in found:
                found.add(parent)
                waiting.append(parent)
    gradients = {result: np.ones(())}
    for value in sorted(found, key=lambda value: -value.order):
        if value.rule is not None:
            for parent, g in zip(value.parents, value.rule(gradients[value]), strict=True):
                gradients[parent] = gradients.get(parent, 0) + g
    return [gradients[value] for value in inputs]


# %% [markdown]
# That is all of it. The first test is a value with two uses: $z = x y + x$, so
# $\partial z / \partial x = y + 1$.

# %%
x, y = Value(3.0), Value(4.0)
z = x * y + x
print("dz/dx, dz/dy =", *gradient(z, [x, y]))

# %% [markdown]
# ## A recurrence, twice
#
# Now something closer to our subject: two steps of a recurrent network,
# $h^{(t)} = \tanh(b + x^{(t)} U + h^{(t-1)} W)$, and the sum of the squares of the last state as
# the loss. The code is the same for our `Value` and for tinyseq's `Tensor`; only the functions
# and the way to make a value differ. `label` gives a value its name in the picture.

# %%
rng = np.random.default_rng(0)
arrays = {
    "U": rng.normal(size=(3, 4)),
    "W": rng.normal(size=(4, 4)) / 2,
    "b": rng.normal(size=4),
    "x1": rng.normal(size=(2, 3)),
    "x2": rng.normal(size=(2, 3)),
}


def two_steps(p, tanh, total, label=lambda value, name: value):
    h1 = label(tanh(p["b"] + p["x1"] @ p["U"]), "h1")
    h2 = label(tanh(p["b"] + p["x2"] @ p["U"] + h1 @ p["W"]), "h2")
    return label(total(h2 * h2), "L")


ours = {name: Value(array) for name, array in arrays.items()}
our_loss = two_steps(ours, tanh, total)
our_gradients = gradient(our_loss, list(ours.values()))

theirs = {name: ts.nn.Parameter(array, name) for name, array in arrays.items() if name in "UWb"}
for name in ("x1", "x2"):
    theirs[name] = ts.label(ts.tensor(arrays[name], requires_grad=True), name)
loss = two_steps(theirs, ts.ops.tanh, ts.ops.sum, ts.label)
gradients = ts.grad(loss, list(theirs.values()), retain_graph=True)

for name, a, b in zip(arrays, our_gradients, gradients, strict=True):
    difference = np.abs(a - b).max()
    print(f"dL/d{name:2}  shape {a.shape!s:6}  ours - tinyseq: {difference:.1e}")
    assert difference < 1e-12

# %% [markdown]
# The picture is drawn from the run, not from the code: the labelled values, an arrow wherever one
# was computed from another, and on it the parameters that were met on the way.

# %%
picture = draw.unrolled(loss)
picture.save(out / "01_two_steps.svg")
picture

# %% [markdown]
# ## Is it the derivative?
#
# Two programs can agree and both be wrong. A derivative is a limit, so we can also measure it:
# move one element of $W$ by a small $\epsilon$ in both directions and look at the loss.


# %%
def loss_with(w):
    return two_steps({**ours, "W": Value(w)}, tanh, total).data


epsilon, measured = 1e-6, np.zeros_like(arrays["W"])
for index in np.ndindex(measured.shape):
    step = np.zeros_like(measured)
    step[index] = epsilon
    up, down = loss_with(arrays["W"] + step), loss_with(arrays["W"] - step)
    measured[index] = (up - down) / (2 * epsilon)
print(f"dL/dW, measured - computed: {np.abs(measured - our_gradients[1]).max():.1e}")
assert np.abs(measured - our_gradients[1]).max() < 1e-8

# %% [markdown]
# The measured derivative cost 32 runs of the program, two for each element. The walk back gave the
# derivatives by *all* elements of all inputs for about the price of two runs. That is why networks
# are trained by walking back.
#
# ## What a long chain does to a derivative
#
# Let us repeat one operation, $h \leftarrow \tanh(w h)$, and draw the result and its derivative by
# the start $h_0$. Every step multiplies the derivative by $w (1 - h^2)$.

# %%
starts = np.linspace(-2, 2, 401)
figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.2), layout="constrained")
for steps, colour in zip((1, 3, 6, 12), ("#9ecae1", "#4292c6", "#08519c", "#08182f"), strict=True):
    h0 = Value(starts)
    h = h0
    for _ in range(steps):
        h = tanh(Value(1.6) * h)
    (slope,) = gradient(total(h), [h0])
    axes[0].plot(starts, h.data, color=colour, label=f"{steps} step" + "s" * (steps > 1))
    axes[1].plot(starts, slope, color=colour)
axes[0].set(title=r"$h$ after some steps of $h \leftarrow \tanh(1.6\,h)$", xlabel="$h_0$")
axes[1].set(title="its derivative by $h_0$", xlabel="$h_0$", yscale="log", ylim=(1e-8, 1e3))
axes[0].legend(frameon=False)
for axis in axes:
    axis.spines[["top", "right"]].set_visible(False)
figure.savefig(out / "01_repeated.svg")

# %% [markdown]
# Twelve steps are enough for a cliff: at the middle the derivative is almost 300, and everywhere
# else it is nearly zero. Both ends of this have names, *exploding* and *vanishing* gradients, and
# they are the main difficulty of recurrent networks. The tape is right; it is the function that is
# so steep here and so flat there.
#
# ## What fails, and why
#
# **Recursion.** Many small differentiators sort the graph by a function that calls itself on the
# parents. Python stops that at a depth of 1000. A recurrence over 1000 steps is not a rare thing.


# %%
def depth(value):
    return 1 + max(map(depth, value.parents), default=0)


start = value = Value(0.5)
for _ in range(20_000):
    value = value + start
try:
    depth(value)
    raise AssertionError("recursion went deeper than expected")
except RecursionError:
    print("recursive walk: RecursionError;  ours:", *gradient(value, [start]))

# %% [markdown]
# **Changing an array in place.** A rule of our tape reads `b.data` when we walk back. If somebody
# has written to that array since, the gradient is wrong and nothing tells us. tinyseq's parameters
# are read-only arrays; they are changed by `assign`, and a graph made before is then refused.

# %%
a, b = Value(2.0), Value(5.0)
product = a * b
b.data[...] = 100.0
print("d(ab)/da should be 5, our tape says", *gradient(product, [a]))

weight = ts.nn.Parameter(np.array(5.0), "w")
product = ts.tensor(2.0, requires_grad=True) * weight
weight.assign(np.array(100.0))
try:
    product.backward()
    raise AssertionError("a stale graph was differentiated")
except ts.errors.GraphError as error:
    print("tinyseq says:", error)

# %% [markdown]
# **The derivative of a derivative.** Our rules compute with plain arrays, so the walk back leaves
# no trace, and its result cannot be differentiated again. tinyseq writes every rule in its own
# operations: given plain arrays it computes, given Tensors it also records.

# %%
x = ts.tensor(0.7, requires_grad=True)
first = ts.grad(ts.ops.tanh(x), x, create_graph=True)
second = ts.grad(first, x)
t = np.tanh(0.7)
print(f"tanh''(0.7) = {float(second):.12f}, by the formula {-2 * t * (1 - t * t):.12f}")
assert abs(second + 2 * t * (1 - t * t)) < 1e-12

# %% [markdown]
# Left out as well: more operations, choosing what to keep for the walk back and when to let it go,
# 32-bit numbers, GPUs. The files `tinyseq/autograd/node.py`, `primitive.py` and `engine.py` are
# the grown-up version of this page, and follow the same plan.
#
# Next: [02_unfolding.py](02_unfolding.py), where the same parameter is used at every step.
