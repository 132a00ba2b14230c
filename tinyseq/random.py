"""Random numbers: one generator on the host, so that NumPy and CuPy runs draw the same ones.

ts.manual_seed(0)                # for everything that is not given a generator of its own
rng = generator(None)            # that one; generator(7) is a fresh one, seeded with 7
state = get_state(rng); set_state(rng, state)     # for runs that continue bit for bit
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.errors import DTypeError

_default = np.random.default_rng()  # a PCG64, as every generator that NumPy makes by default

Seed = int | np.random.Generator | None


def manual_seed(seed: int) -> None:
    """Seed the generator that is used where none is given."""
    # in place: whoever took the default generator before, a dropout layer say, draws from it still
    _default.bit_generator.state = np.random.default_rng(seed).bit_generator.state


def generator(seed: Seed = None) -> np.random.Generator:
    """The generator itself if one is given, a new one for a number, the default one for None."""
    if isinstance(seed, np.random.Generator):
        return seed
    if seed is None:
        return _default
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise DTypeError(f"a seed is an integer or a numpy.random.Generator, not {seed!r}")
    return np.random.default_rng(seed)


def get_state(rng: np.random.Generator) -> dict[str, Any]:
    """The state of a generator, as plain data that JSON can hold."""
    return rng.bit_generator.state  # type: ignore[return-value]


def set_state(rng: np.random.Generator, state: dict[str, Any]) -> None:
    """Put a generator back into a state from ``get_state``."""
    rng.bit_generator.state = state
