"""The generated tasks: what is stated about them, checked on what they draw.

Chance levels are checked by simulation: the estimate must lie within four standard errors.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyseq.data import tasks
from tinyseq.errors import ConfigError, DTypeError

MANY = 40_000

# One line a task: its name, the function, its arguments, the shortest length.
TASKS = [
    ("adding/hochreiter", tasks.adding, {"variant": "hochreiter"}, 22),
    ("adding/martens", tasks.adding, {"variant": "martens"}, 10),
    ("adding/le", tasks.adding, {"variant": "le"}, 2),
    ("multiplication/hochreiter", tasks.multiplication, {"variant": "hochreiter"}, 22),
    ("multiplication/martens", tasks.multiplication, {"variant": "martens"}, 10),
    ("multiplication/le", tasks.multiplication, {"variant": "le"}, 2),
    ("temporal_order/pascanu/2 bits", tasks.temporal_order, {"variant": "pascanu"}, 10),
    ("temporal_order/pascanu/3 bits", tasks.temporal_order, {"variant": "pascanu", "bits": 3}, 10),
    ("temporal_order/hochreiter/2 bits", tasks.temporal_order, {"variant": "hochreiter"}, 10),
    (
        "temporal_order/hochreiter/3 bits",
        tasks.temporal_order,
        {"variant": "hochreiter", "bits": 3},
        10,
    ),
    ("copy_memory/arjovsky", tasks.copy_memory, {"variant": "arjovsky"}, 1),
    ("copy_memory/pascanu", tasks.copy_memory, {"variant": "pascanu"}, 1),
    ("copy_memory/pascanu-5bit", tasks.copy_memory, {"variant": "pascanu-5bit"}, 1),
    ("permutation", tasks.permutation, {}, 2),
    ("binary_addition", tasks.binary_addition, {}, 1),
    ("parity/running", tasks.parity, {"variant": "running"}, 1),
    ("parity/final", tasks.parity, {"variant": "final"}, 1),
    ("latch/silent", tasks.latch, {"variant": "silent"}, 2),
    ("latch/noise", tasks.latch, {"variant": "noise"}, 2),
    ("channel", tasks.channel, {}, 1),
    ("echo", tasks.echo, {}, 4),
    ("cyclic_grammar", tasks.cyclic_grammar, {}, 1),
]
every_task = pytest.mark.parametrize(
    ("name", "task", "arguments", "shortest"), TASKS, ids=[row[0] for row in TASKS]
)
sizes = given(st.integers(1, 5), st.integers(0, 60), st.integers(0, 2**32 - 1))


def rng(seed=0):
    return np.random.default_rng(seed)


def ids_of(batch):
    """The ids (T, N) of one-hot inputs, which are checked to be one-hot."""
    assert np.isin(batch.inputs, (0, 1)).all() and (batch.inputs.sum(axis=2) == 1).all()
    return batch.inputs.argmax(axis=2)


def is_near(sample, expected):
    """Whether the mean of independent numbers is within four standard errors of ``expected``."""
    sample = np.asarray(sample, dtype=float)
    return abs(sample.mean() - expected) < 4 * sample.std() / math.sqrt(sample.size)


# ---------------------------------------------------------------- the contract of all tasks


@every_task
@sizes
def test_a_batch_is_what_it_says(name, task, arguments, shortest, n, extra, seed):
    batch = task(n, shortest + extra, rng(seed), **arguments)
    steps = len(batch.inputs)
    assert batch.name == name
    assert batch.inputs.dtype == np.float32 and batch.inputs.shape[1] == n
    assert np.isfinite(batch.inputs).all()
    assert batch.mask.dtype == bool and batch.mask.shape == (steps, n)
    assert batch.mask.any(axis=0).all()  # every sequence has a target
    assert 0 <= batch.best < batch.baseline or steps == 1
    if batch.kind == "classification":
        assert batch.targets.shape == (steps, n) and batch.targets.dtype == np.int64
        wanted = batch.targets[batch.mask]
        assert (wanted >= 0).all() and (wanted < batch.classes).all()
        assert (batch.targets[~batch.mask] == tasks.IGNORE).all()
        assert 0 < batch.chance < 1
    else:
        assert batch.targets.shape == (steps, n, 1) and batch.targets.dtype == np.float32
        assert (batch.mask == ~np.isnan(batch.targets[..., 0])).all()
        assert batch.classes == 1 and batch.chance is None
    assert name in repr(batch)


@every_task
def test_the_generator_decides_and_the_dtype_does_not(name, task, arguments, shortest):
    single = task(3, shortest + 30, rng(1), **arguments)
    double = task(3, shortest + 30, rng(1), dtype=np.float64, **arguments)
    other = task(3, shortest + 30, rng(2), **arguments)
    assert double.inputs.dtype == np.float64
    np.testing.assert_allclose(single.inputs, double.inputs, rtol=1e-6)
    np.testing.assert_allclose(single.targets, double.targets, rtol=1e-6, atol=1e-7)
    assert not np.array_equal(single.inputs, other.inputs)


@every_task
def test_too_short_is_an_error_that_says_how_long(name, task, arguments, shortest):
    message = f"{name.split('/')[0]} needs a length of at least {shortest}, not {shortest - 1}: "
    with pytest.raises(ConfigError, match=message):
        task(2, shortest - 1, rng(), **arguments)


@every_task
def test_bad_arguments_are_errors(name, task, arguments, shortest):
    with pytest.raises(DTypeError, match="must be a numpy.random.Generator, but is int; pass"):
        task(2, shortest, 0, **arguments)
    with pytest.raises(DTypeError, match="but is RandomState; pass"):
        task(2, shortest, np.random.RandomState(0), **arguments)
    with pytest.raises(ConfigError, match="batch must be at least 1, but is 0"):
        task(0, shortest, rng(), **arguments)
    with pytest.raises(DTypeError, match="length must be a whole number, but is 25.0"):
        task(2, 25.0, rng(), **arguments)
    with pytest.raises(DTypeError, match="dtype cannot be int64"):
        task(2, shortest, rng(), dtype=np.int64, **arguments)
    if "variant" in arguments:
        with pytest.raises(ConfigError, match=f"'mine'; known are .*{arguments['variant']}"):
            task(2, shortest, rng(), variant="mine")


# ---------------------------------------------------------------- adding and multiplication


def marked(batch):
    """Where the markers of each sequence are, and the values there."""
    marks = batch.inputs[..., 1] == 1
    return marks, [batch.inputs[marks[:, n], n, 0] for n in range(marks.shape[1])]


@pytest.mark.parametrize(
    ("variant", "target"),
    [
        ("hochreiter", lambda values: 0.5 + values.sum() / 4),
        ("martens", lambda values: values.sum() / 2),
        ("le", lambda values: values.sum()),
    ],
)
def test_adding_targets_are_the_formula(variant, target):
    batch = tasks.adding(500, 60, rng(), variant, dtype=np.float64)
    _, values = marked(batch)
    np.testing.assert_allclose(batch.targets[-1, :, 0], [target(v) for v in values], rtol=1e-12)
    assert batch.mask.sum(axis=0).tolist() == [1] * 500 and batch.mask[-1].all()


@pytest.mark.parametrize("variant", ["hochreiter", "martens", "le"])
def test_multiplication_targets_are_the_product(variant):
    batch = tasks.multiplication(500, 60, rng(), variant, dtype=np.float64)
    _, values = marked(batch)
    np.testing.assert_allclose(batch.targets[-1, :, 0], [v.prod() for v in values], rtol=1e-12)


@pytest.mark.parametrize(
    ("task", "variant", "baseline"),
    [
        (tasks.adding, "martens", 1 / 24),
        (tasks.adding, "le", 1 / 6),
        (tasks.multiplication, "martens", 7 / 144),
        (tasks.multiplication, "le", 7 / 144),
        (tasks.adding, "hochreiter", None),
        (tasks.multiplication, "hochreiter", None),
    ],
)
def test_the_baseline_is_the_error_of_the_best_constant(task, variant, baseline):
    batch = task(MANY, 22, rng(3), variant, dtype=np.float64)
    values = batch.targets[-1, :, 0]
    if baseline is not None:
        assert batch.baseline == pytest.approx(baseline)
    assert is_near((values - values.mean()) ** 2, batch.baseline)


def test_adding_le_markers_and_values():
    marks, _ = marked(tasks.adding(5000, 11, rng(), "le"))
    assert marks.shape[0] == 11
    assert (marks[:5].sum(axis=0) == 1).all() and (marks[5:].sum(axis=0) == 1).all()
    assert marks.any(axis=1).all()  # every step is drawn sometimes
    values = tasks.adding(5000, 11, rng(), "le").inputs[..., 0]
    assert 0 <= values.min() < 0.001 and 0.999 < values.max() <= 1


@pytest.mark.parametrize("seed", range(12))
def test_adding_martens_markers_and_lengths(seed):
    batch = tasks.adding(5000, 100, rng(seed), "martens")
    marks, _ = marked(batch)
    steps = len(marks)
    assert 100 <= steps < 110
    tenth, half = steps // 10, steps // 10 + 4 * steps // 10
    assert (marks[:tenth].sum(axis=0) == 1).all() and (marks[tenth:half].sum(axis=0) == 1).all()
    assert marks[:half].any(axis=1).all() and not marks[half:].any()
    assert 0 <= batch.inputs[..., 0].min()


@pytest.mark.parametrize("seed", range(12))
def test_adding_hochreiter_markers_and_lengths(seed):
    batch = tasks.adding(8000, 100, rng(seed), "hochreiter")
    marks, _ = marked(batch)
    assert 100 <= len(marks) <= 110
    assert (batch.inputs[[0, -1], :, 1] == -1).all()
    assert (batch.inputs[1:-1, :, 1] >= 0).all()
    assert marks[1:49].any(axis=1).all() and not marks[49:].any()  # the first 100 / 2 - 1 steps
    count = marks.sum(axis=0)
    assert set(count) == {1, 2}
    assert (marks[1:10].sum(axis=0) >= count - 1).all()  # at least one is in the first ten
    assert is_near(count == 1, 1 / 10 + 9 / 10 / 48)  # the first step was drawn
    assert -1 <= batch.inputs[..., 0].min() < -0.999


def test_lengths_of_the_random_variants_cover_their_range():
    hochreiter = {len(tasks.adding(1, 30, rng(s), "hochreiter").inputs) for s in range(99)}
    martens = {len(tasks.adding(1, 30, rng(s), "martens").inputs) for s in range(99)}
    assert hochreiter == {30, 31, 32, 33} and martens == {30, 31, 32}


# ---------------------------------------------------------------- temporal order, permutation


@pytest.mark.parametrize(
    ("variant", "bits", "windows"),
    [
        ("pascanu", 2, [(10, 19), (50, 59)]),
        ("pascanu", 3, [(10, 19), (30, 39), (60, 69)]),
        ("hochreiter", 2, [(10, 20), (50, 60)]),
        ("hochreiter", 3, [(10, 20), (33, 43), (66, 76)]),
    ],
)
def test_temporal_order_windows_classes_and_chance(variant, bits, windows):
    batch = tasks.temporal_order(4000, 100, rng(), variant, bits)
    ids = ids_of(batch)
    special = ids < 2
    assert (special.sum(axis=0) == bits).all()
    for low, high in windows:
        inside = special[low : high + 1]
        assert (inside.sum(axis=0) == 1).all() and inside.any(axis=1).all()
    symbols = ids.T[special.T].reshape(-1, bits)  # in order of time
    assert np.array_equal(batch.targets[-1], symbols @ 2 ** np.arange(bits))
    assert batch.mask[-1].all() and not batch.mask[:-1].any()
    for target in range(2**bits):
        assert is_near(batch.targets[-1] == target, batch.chance)
    assert batch.chance == 1 / 2**bits and batch.baseline == pytest.approx(bits * math.log(2))
    if variant == "hochreiter":
        assert 100 <= len(ids) <= 110
        assert (ids[0] == 6).all() and (ids[-1] == 7).all() and (ids[1:-1] < 6).all()
    else:
        assert len(ids) == 100 and (ids < 6).all()


def test_permutation_asks_for_the_first_symbol():
    batch = tasks.permutation(4000, 30, rng())
    ids = ids_of(batch)
    assert batch.inputs.shape == (30, 4000, 100) and batch.classes == 100
    assert np.array_equal(batch.targets[-1], ids[0])
    assert (ids[1:] >= 2).all() and set(ids[1:].ravel()) == set(range(2, 100))
    assert is_near(ids[0], 1 / 2) and batch.baseline == pytest.approx(math.log(2))


# ---------------------------------------------------------------- copy memory


@pytest.mark.parametrize(
    ("variant", "symbols", "count", "delimiter"),
    [("arjovsky", 8, 10, 9), ("pascanu", 5, 10, 10), ("pascanu-5bit", 2, 5, 5)],
)
def test_copy_memory_layout(variant, symbols, count, delimiter):
    length = 30
    batch = tasks.copy_memory(500, length, rng(), variant)
    ids, blank = ids_of(batch), symbols
    assert batch.inputs.shape == (length + 2 * count, 500, symbols + 2)
    assert (ids[:count] < symbols).all() and set(ids[:count].ravel()) == set(range(symbols))
    assert (ids[length + delimiter] == symbols + 1).all()
    rest = np.delete(ids[count:], length + delimiter - count, axis=0)
    assert (rest == blank).all()
    assert np.array_equal(batch.targets[-count:], ids[:count])
    assert (batch.targets[:-count] == blank).all() and batch.mask.all()


@pytest.mark.parametrize("length", [1, 20, 100])
@pytest.mark.parametrize(
    ("variant", "symbols", "count"),
    [("arjovsky", 8, 10), ("pascanu", 5, 10), ("pascanu-5bit", 2, 5)],
)
def test_copy_memory_baseline_is_the_memoryless_predictor(variant, symbols, count, length):
    batch = tasks.copy_memory(2000, length, rng(1), variant)
    p = np.zeros((*batch.targets.shape, batch.classes))
    p[:-count, :, symbols] = 1  # blank until the answer is due,
    p[-count:, :, :symbols] = 1 / symbols  # then any symbol
    given_to_target = np.take_along_axis(p, batch.targets[..., None], axis=2)[..., 0]
    with np.errstate(divide="raise"):  # it never rules a target out
        cross_entropy = -np.log(given_to_target).mean()
    assert cross_entropy == pytest.approx(batch.baseline, rel=1e-12)
    answers = np.full(batch.targets.shape, symbols)
    answers[-count:] = 0
    assert is_near((answers == batch.targets).mean(axis=0), batch.chance)
    if variant == "arjovsky":
        assert batch.baseline == pytest.approx(10 * math.log(8) / (length + 20), rel=1e-12)


# ---------------------------------------------------------------- streams


@pytest.mark.parametrize("delay", [0, 1, 2, 5])
def test_binary_addition_agrees_with_python(delay):
    batch = tasks.binary_addition(200, 40, rng(), delay)
    assert len(batch.inputs) == 40 + 1 + delay
    assert not batch.mask[:delay].any() and batch.mask[delay:].all()

    def number(bits):
        return sum(int(bit) << k for k, bit in enumerate(bits))

    for n in range(200):
        a, b = (number(batch.inputs[:, n, i]) for i in (0, 1))
        assert number(batch.targets[delay:, n]) == a + b


def test_binary_addition_without_memory():
    # Without delay, the xor of the two bits is right when there is no carry.
    batch = tasks.binary_addition(MANY, 6, rng(), delay=0)
    guess = batch.inputs.sum(axis=2) % 2
    for k in range(7):
        right = guess[k] == batch.targets[k]
        assert right.all() if k == 0 else is_near(right, 1 / 2 + 2.0 ** -(k + 1))


def test_parity_counts_ones():
    running = tasks.parity(300, 25, rng(), "running")
    final = tasks.parity(300, 25, rng(), "final")
    bits = running.inputs[..., 0].astype(int)
    assert np.array_equal(running.inputs, final.inputs) and set(bits.ravel()) == {0, 1}
    before = np.vstack([np.zeros((1, 300), int), running.targets[:-1]])
    assert np.array_equal(running.targets, bits ^ before)
    assert np.array_equal(final.targets[-1], bits.sum(axis=0) % 2)
    assert running.mask.all() and final.mask.sum() == 300
    assert is_near(running.targets[-1], 1 / 2)


def test_latch_tells_the_bit_at_the_first_step_only():
    batch = tasks.latch(MANY, 10, rng(), "noise")
    bit = batch.inputs[0, :, 0] > 0
    assert np.array_equal(np.abs(batch.inputs[0, :, 0]), np.ones(MANY))
    assert np.array_equal(batch.targets[-1], bit) and not batch.targets[:-1].any()
    assert (batch.inputs[-1, :, 1] == 1).all() and not batch.inputs[:-1, :, 1].any()
    assert is_near(bit, 1 / 2)
    for step in batch.inputs[1:, :, 0].astype(float):
        assert is_near(step, 0) and is_near(step**2, 0.04)
        assert abs(np.corrcoef(step, bit)[0, 1]) < 4 / math.sqrt(MANY)
    assert not tasks.latch(50, 10, rng(), "silent").inputs[1:, :, 0].any()
    assert batch.baseline == pytest.approx(math.log(2) / 10)


@pytest.mark.parametrize("symbols", [2, 5])
def test_channel_hides_one_offset_a_sequence(symbols):
    batch = tasks.channel(MANY, 6, rng(), symbols)
    offset = (batch.targets - ids_of(batch)) % symbols
    assert (offset == offset[0]).all()  # so that the first output tells the rest: best = ln K / T
    for value in range(symbols):
        assert is_near(offset[0] == value, 1 / symbols)
        # Without the earlier outputs, the inputs tell nothing about an output.
        shown = ids_of(batch)[3] == 0
        assert is_near(batch.targets[3][shown] == value, batch.chance)
    assert batch.best * 6 == pytest.approx(batch.baseline) == pytest.approx(math.log(symbols))


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_echo_repeats(delay):
    batch = tasks.echo(2000, 12, rng(), delay, symbols=4)
    ids = ids_of(batch)
    assert np.array_equal(batch.targets[delay:], ids[: 12 - delay])
    assert not batch.mask[:delay].any() and batch.mask[delay:].all()
    for value in range(4):
        assert is_near(batch.targets[delay] == value, batch.chance)


@pytest.mark.parametrize(("symbols", "noise"), [(5, 0.1), (3, 0.5), (4, 0.9), (2, 0.3)])
def test_cyclic_grammar_levels(symbols, noise):
    batch = tasks.cyclic_grammar(MANY, 2, rng(), symbols, noise)
    shown = ids_of(batch)
    assert np.array_equal(batch.targets[0], shown[1])
    step = (batch.targets[0] - shown[0] - 1) % symbols
    share = np.bincount(step, minlength=symbols) / MANY
    assert is_near(step == share.argmax(), batch.chance)
    # An entropy that is estimated from counts is low by about (K - 1) / 2n.
    entropy = -(share * np.log(share)).sum() + (symbols - 1) / (2 * MANY)
    spread = np.log(share)[step].std() / math.sqrt(MANY)
    assert abs(entropy - batch.baseline) < 4 * spread + 1e-4
    assert is_near(shown[0] == 0, 1 / symbols)


def test_cyclic_grammar_keeps_its_phase_through_the_noise():
    batch = tasks.cyclic_grammar(MANY, 30, rng(), symbols=5, noise=0.1)
    ids = np.vstack([ids_of(batch), batch.targets[-1:]])
    turned = (ids - np.arange(31)[:, None]) % 5
    phase = np.array([np.bincount(column, minlength=5).argmax() for column in turned.T])
    right = turned == phase
    assert is_near(right.mean(axis=0), 0.9)
    # Knowing the phase, a symbol costs what ``best`` says.
    cost = np.where(right, -math.log(0.9), -math.log(0.1 / 4))
    assert is_near(cost.mean(axis=0), batch.best)


def test_cyclic_grammar_without_noise_is_a_cycle():
    batch = tasks.cyclic_grammar(4, 9, rng(), symbols=3, noise=0)
    assert np.array_equal(batch.targets, (ids_of(batch) + 1) % 3)
    assert batch.baseline == batch.best == 0 and batch.chance == 1


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: tasks.temporal_order(2, 50, rng(), bits=4), "number of bits 4; known are 2, 3"),
        (lambda: tasks.permutation(2, 5, rng(), symbols=2), "symbols must be at least 3"),
        (lambda: tasks.binary_addition(2, 5, rng(), delay=-1), "delay must be at least 0"),
        (lambda: tasks.channel(2, 5, rng(), symbols=1), "symbols must be at least 2"),
        (lambda: tasks.echo(2, 5, rng(), symbols=1), "symbols must be at least 2"),
        (lambda: tasks.echo(2, 5, rng(), delay=5), "at least 6, not 5: the first echo comes"),
        (lambda: tasks.cyclic_grammar(2, 5, rng(), symbols=1), "symbols must be at least 2"),
        (lambda: tasks.cyclic_grammar(2, 5, rng(), noise=1), "noise is a probability below 1"),
        (lambda: tasks.cyclic_grammar(2, 5, rng(), noise=math.nan), "noise is a probability"),
    ],
)
def test_arguments_outside_their_range(act, message):
    with pytest.raises(ConfigError, match=message):
        act()
