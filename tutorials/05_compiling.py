# %% [markdown]
# # 5. From the literal loop to the fast one
#
# **Where does the time of a recurrent network go, and how much of it has to be spent?**
#
# A cell is written as its equations, one step, and `unroll` takes this step again and again. That
# is easy to read and to draw, and it is slow in a way that can be measured. Here we measure it,
# then let `ts.compile` write a better loop from the same step, and read that loop line by line.
# Nothing in it is secret: it is what one would write by hand, if one had the patience.
#
# Run it with `python tutorials/05_compiling.py`; the pictures go to `tutorials/out/`.

# %%
import os
from itertools import takewhile
from pathlib import Path
from time import process_time  # of this program's own work, whatever else the machine does

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before NumPy: products this small gain nothing by more

import numpy as np

import tinyseq as ts
from tinyseq import bench, draw, nn, ops
from tinyseq.bench import ours, peers
from tinyseq.errors import CompileError, GraphError

out = Path(os.environ.get("TUTORIAL_OUT") or Path(globals().get("__file__", ".")).parent / "out")
out.mkdir(parents=True, exist_ok=True)

STEPS, BATCH, SIZE = 100, 16, 64
rng = np.random.default_rng(0)
xs = rng.standard_normal((STEPS, BATCH, SIZE), np.float32)
cell = nn.LSTMCell(SIZE, SIZE, seed=0)


def gradients(cell):
    """One pass forward and backward: what training does all day."""
    cell.zero_grad()
    hs, _ = ts.unroll(cell, xs)
    (hs * hs).sum().backward()
    return {name: parameter.grad for name, parameter in cell.named_parameters()}


def milliseconds(function, *arguments, rounds=7):
    """The median of some rounds."""
    times = []
    for _ in range(rounds):
        start = process_time()
        function(*arguments)
        times.append(1e3 * (process_time() - start))
    return float(np.median(times))


gradients(cell)
literal = milliseconds(gradients, cell)
print(f"operation by operation: {literal:.1f} ms")

# %% [markdown]
# ## Where the time goes
#
# What must be done is multiplying: the arithmetic of an LSTM is in its matrix products, and the rest
# is a few numbers for each unit. So first: how long do the products take, when nothing else is done?
# A step has two forward ($U x$ and $W h$), and four backward: two for the gradients by the matrices,
# one for the gradient by $h$, and one for that by $x$, if somebody asks for it. Here nobody does.

# %%
U, W = cell.weight_ih.data, cell.weight_hh.data
a = rng.standard_normal((BATCH, 4 * SIZE), np.float32)


def products_of_the_steps():
    """The five products of every step, one after the other."""
    for x in xs:
        x @ U.T
        x @ W.T  # as large as h
        a @ W
        a.T @ x
        a.T @ x


products = milliseconds(products_of_the_steps)
graph = ts.unroll(cell, xs[:2])[0]
in_a_step = len([v for v in draw.unrolled(graph, "ops").graph.vertices if v.time == 2])
print(f"the products alone: {products:.1f} ms, {products / literal:.0%} of the time")
print(f"operations in a step: {in_a_step}; in the run: {in_a_step * STEPS:,}")

# %% [markdown]
# The rest goes into what comes with every one of these thousands of operations: Python calls a
# function, NumPy makes a new array for the result, the tape makes a node, and backward the same once
# more. What does that cost where there is nothing to compute?

# %%
one = ts.tensor(np.ones((1, 1), np.float32), requires_grad=True)


def a_thousand_operations():
    y = one
    for _ in range(1000):
        y = ops.tanh(y)
    y.sum().backward()


each = milliseconds(a_thousand_operations)  # ms for a thousand is microseconds for one
print(f"an operation on one number, forward and backward: {each:.1f} us")
print(f"for all operations of the run: {each * in_a_step * STEPS / 1e3:.1f} ms")

# %% [markdown]
# And the products themselves: sixteen rows at a time keep a processor waiting for the matrix. The
# inputs are all known before the first step, so $U x$ can be one product for all steps:

# %%
flat = xs.reshape(STEPS * BATCH, SIZE)
apart = milliseconds(lambda: [x @ U.T for x in xs])
together = milliseconds(lambda: flat @ U.T)
print(f"U x, {STEPS} products: {apart:.2f} ms; one product: {together:.2f} ms")

# %% [markdown]
# ## The same numbers from another loop
#
# `ts.compile` gives a cell back that is used like the first one, with the same parameters. It takes
# one step of the original, records it, and applies the derivative rules to the record: now it has
# the step and its derivative as two short programs, and can rewrite them before they run at all.

# %%
fast = ts.compile(cell)
start = process_time()
found = gradients(fast)
first_call = 1e3 * (process_time() - start)
found = {name: g.copy() for name, g in found.items()}
for name, expected in gradients(cell).items():
    np.testing.assert_allclose(found[name], expected, rtol=1e-3, atol=1e-3)
compiled = milliseconds(gradients, fast)
print(f"compiled: {compiled:.1f} ms instead of {literal:.1f}; the first call took {first_call:.0f}")
assert compiled < literal

# %% [markdown]
# ## The schedule
#
# The main question is asked of every value: does it have to wait for the step before? What depends
# on the inputs alone need not, and moves in front of the loop, where it is done for all steps at
# once. What the next state does not need moves behind it. The same is asked backward, of the
# gradient that is carried from step to step. `explain` tells for every value where it went, and why.

# %%
print(fast.explain())
explained = fast.explain().splitlines()

# %% [markdown]
# Read "forward, before": the product with $U$, once for all. "loop": the product with $W$, the
# gates and the two states. "backward, after": the gradients by $U$ and by $W$. In the literal
# backward pass each of them is a sum over the steps, $\sum_t \delta^{(t)} h^{(t-1)\top}$; with all
# $\delta^{(t)}$ under each other this sum is *one* product of two tall matrices. That is what
# kernels tuned by hand do, and here it follows from the question alone.
#
# The circuit shows the same. It is drawn from a run of the original cell, operation by operation,
# and coloured by the schedule. The blue arrows are $U x$, all steps at once before the loop; the
# products with $W$ and everything behind them wait for the step before:

# %%
hs, _ = ts.unroll(cell, xs[:3])
picture = draw.circuit(hs, detail="ops", schedule=fast.schedule)
picture.save(out / "05_schedule.svg")
picture

# %% [markdown]
# ## The source
#
# What runs is text, made for these shapes. The LSTM's is two pages; that of the Elman cell,
# $h' = \tanh(U x + W h + b)$, has all that matters.

# %%
elman = nn.ElmanCell(3, 4, seed=0)
small = ts.compile(elman)
hs, _ = ts.unroll(small, np.ones((5, 2, 3), np.float32))
hs.sum().backward()
print(small.source)

# %% [markdown]
# From the top:
#
# * `build` makes the memory, once: arrays with room for many steps, and beside each a list of its
#   slices (with an underscore at the end), since taking a slice costs as much as a small operation.
#   The passes write into this memory again and again; while a graph still needs it, another pass
#   gets its own.
# * A `T` at the end of a name, or `.T`, is a transposed array: inside of the loop the sequences of
#   the batch lie along the last axis, so that the numbers of a gate lie together, and $W h$ is
#   a product of `W` as it is.
# * `once`: the two biases are added, before any step.
# * `for lo in range(...)`: the steps are done in chunks that fit into the processor's cache; these
#   five are one. `for all steps of the chunk at once`: $U x$, and the bias.
# * `step by step`: three lines are left of the step: the product with $W$, one sum, and tanh. Every
#   line names its result as the last argument, so nothing is allocated. The state of step $t$ is
#   written where the array of all states has its row $t+1$: nothing is stacked afterwards.
# * `backward` takes the chunks from the last to the first. First $1 - h^2$, the derivative of tanh,
#   for all steps of the chunk; then the loop that carries `g_h`; then the gradients of the
#   parameters, `d_U`, `d_W` and `d_b`, in one product or sum for each chunk.
# * `flush_tiny`: a vanishing gradient ends as numbers so small that processors compute with them
#   a hundred times slower. Every eighth step they become zero.

# %%
lines = small.source.splitlines()
first = next(k for k, line in enumerate(lines) if line.strip().startswith("for t in "))
indent = lines[first][: -len(lines[first].lstrip())] + "    "
in_the_loop = list(takewhile(lambda line: line.startswith(indent), lines[first + 1 :]))
print(f"lines in the loop of the forward pass: {len(in_the_loop)}")
assert 1 <= len(in_the_loop) <= 3

# %% [markdown]
# ## How much faster?
#
# It depends on how much of the time was not arithmetic. So a table of sizes, on this machine, now.
# Each contender's gradients are compared with the first one's before it is timed, and they run in
# turn. What is left in the loop above is a call of NumPy for every line, and a new pass through
# memory. `ts.compile(cell, emitter="numba")` writes the same schedule as a loop in machine code, all
# lines of a gate in one pass; it takes part if Numba is installed (`pip install '.[fast]'`), and so
# does PyTorch. `tinyseq bench` and `python -m benchmarks` have more contenders and more patience.

# %%
contenders = {
    "unrolled": ours.unrolled(),
    "compiled": ours.compiled(),
    "with Numba": ours.compiled(emitter="numba"),
    "torch, loop": peers.torch_loop(),
    "torch.nn": peers.torch_nn,
}
sizes = [(100, 1, 16), (100, 16, 64), (30, 32, 256)]
races = [bench.compete(bench.Workload("LSTM", *size), contenders, 0.5) for size in sizes]
print(f"{'LSTM, ms':20}" + "".join(f"{name:>14}" for name in contenders))
for size, race in zip(sizes, races, strict=True):
    times = [f"{1e3 * race.median(n):.3g}" if n in race.seconds else "-" for n in contenders]
    title = "T{} B{} H{}".format(*size)
    print(f"{title:20}" + "".join(f"{time:>14}" for time in times))
gains = [race.median("unrolled") / race.median("compiled") for race in races]
print("compiled is faster than unrolled by", ", ".join(f"{gain:.1f}" for gain in gains))

# %%
from matplotlib import pyplot as plt

figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
names = [name for name in contenders if all(name in race.seconds for race in races)]
for k, name in enumerate(names):
    shares = [race.median(name) / race.median("unrolled") for race in races]
    axes.bar(np.arange(len(sizes)) + 0.17 * k, shares, 0.17, label=name)
axes.set_xticks(np.arange(len(sizes)) + 0.085 * (len(names) - 1))
axes.set_xticklabels("T{} B{} H{}".format(*size) for size in sizes)
axes.set_ylabel("time, unrolled = 1")
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
figure.savefig(out / "05_times.svg")

# %% [markdown]
# Small networks gain most: with one sequence and 16 units there is next to no arithmetic, and the
# loop of an interpreter is all there is. Large ones gain least: their time is in the products.
#
# ## A cell of your own
#
# A vendor's kernel exists for three cells. Whoever has another idea pays for it with the speed of a
# literal loop, in every library; so ideas are compared with cells that were tuned for years. Here is
# a cell that no library has: a unit's state is an angle $p$ that is forgotten and pushed, and what
# the others see of it is its sine. Ten lines:


# %%
class PhaseCell(nn.Cell):
    def __init__(self, input_size, hidden_size):
        self.hidden_size = hidden_size
        self.U = nn.Parameter(nn.init.xavier((2 * hidden_size, input_size), seed=0), "U")
        self.W = nn.Parameter(nn.init.xavier((2 * hidden_size, hidden_size), seed=1), "W")

    def __call__(self, x, p):
        f, n = ops.split(ops.linear(x, self.U) + ops.linear(ops.sin(p), self.W), 2, -1)
        p = ops.sigmoid(f) * p + ops.tanh(n)
        return ops.sin(p), p


mine = PhaseCell(SIZE, SIZE)
my_fast = ts.compile(mine)
expected = gradients(mine)
expected = {name: g.copy() for name, g in expected.items()}
for name, g in gradients(my_fast).items():
    np.testing.assert_allclose(g, expected[name], rtol=1e-3, atol=1e-3)
times = [milliseconds(gradients, c) for c in (mine, my_fast)]
print("unrolled {:.1f} ms, compiled {:.1f} ms, the same gradients".format(*times))
assert times[1] < times[0]

# %%
hs, _ = ts.unroll(mine, xs[:3])
draw.circuit(hs, detail="ops", schedule=my_fast.schedule).save(out / "05_phase_cell.svg")

# %% [markdown]
# The state is called $h$ in the picture, as it has no name of its own. The sine of the output is dark:
# the next step does not read it, so it is done for all steps behind the loop.
#
# The backward loop of this cell was never written by anyone. It follows from the rules of `sin`,
# `sigmoid`, `tanh`, and of the product, each one line beside its operation; and the schedule is
# found as for the LSTM.
#
# ## Less memory for more time
#
# Backward needs what forward computed, of every step. For long sequences that is what fills the
# memory. With `checkpoint_every` only some states are kept, and what lies between is computed again.

# %%
saving = ts.compile(cell, checkpoint_every="sqrt")
kept = {name: g.copy() for name, g in gradients(saving).items()}
for name, g in found.items():
    np.testing.assert_allclose(kept[name], g, rtol=1e-3, atol=1e-3)
print(f"with checkpoints: {milliseconds(gradients, saving):.1f} ms instead of {compiled:.1f}")
print(explained[-2])

# %% [markdown]
# ## What fails, and why
#
# **A step that decides by values.** The step is taken once and its record becomes the loop. If
# Python chooses with `if` by what is in an array, the record holds one of the two ways only. So a step
# that is compiled may not look at what its Tensors hold; `ops.where` computes both ways and chooses
# for each number. What comes from elsewhere, from a random generator or an attribute, is found out by
# taking the step twice, with other numbers, and refusing what is not the same both times.


# %%
class Moody(nn.ElmanCell):
    def __call__(self, x, h):
        y, h = super().__call__(x, h)
        return (y, h) if x.data.sum() > 0 else (y, -h)


try:
    ts.unroll(ts.compile(Moody(3, 4, seed=0)), np.ones((5, 2, 3), np.float32))
except CompileError as error:
    print(error)
else:
    raise AssertionError("a loop that decides by values would be wrong")

# %% [markdown]
# **The second derivative.** The loop's backward pass is text, not a graph, so there is nothing to
# differentiate once more. The original cell does that.

# %%
hs, _ = ts.unroll(small, np.ones((5, 2, 3), np.float32))
try:
    ts.grad(hs.sum(), [elman.weight_hh], create_graph=True)
except GraphError as error:
    print(error)
else:
    raise AssertionError("no graph was recorded of the backward pass")

# %% [markdown]
# **New shapes.** The loop is written for its shapes. A sequence of another length gets another loop,
# and its first call pays for the writing. Pad batches to a few lengths, and give `lengths=`.
#
# **Rounding.** One product over a hundred steps adds in another order than a hundred products. The
# numbers agree up to rounding and not bit for bit, and a long training comes out at another, equally
# good place.
#
# **Pictures.** A compiled run is one node on the tape, so there is nothing to draw inside. Draw a
# run of the original.
#
# `tinyseq train` and `tinyseq tour` compile by themselves and say what it gains;
# [benchmarks](../benchmarks/RESULTS.md) has the tables against other libraries. The other tutorials
# are listed in [README.md](README.md).
