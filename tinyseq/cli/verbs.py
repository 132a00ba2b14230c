"""What each verb does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tinyseq import draw as pictures
from tinyseq.bench import short_races, short_table, versions
from tinyseq.cli.examples import example_loss, example_schedule
from tinyseq.cli.own import is_own, own_run
from tinyseq.data import ngram_table
from tinyseq.errors import ConfigError
from tinyseq.threads import one_thread
from tinyseq.tour import ORDERS, save_loss, take_tour
from tinyseq.train.text import Settings, TextRun, load_writer

INTERRUPTED = 130


def tour(
    out: str, text: str | None, seed: int, seconds: float, progress: bool | None, literal: bool
) -> int:
    """Train, draw, write the page, and say where it is."""
    with one_thread():
        found = take_tour(out, text, seed, seconds, progress, literal=literal)
    if found is None:
        return INTERRUPTED
    print(f"the page: {Path(out, 'index.html').resolve()}")
    return 0


def train(
    text: str | None,
    out: str | None,
    resume: str | None,
    progress: bool | None,
    literal: bool,
    **chosen: Any,
) -> int:
    """Start a run or go on with one."""
    chosen = {name: value for name, value in chosen.items() if value is not None}
    if resume is None:
        folder = Path(out or "run")
        chosen |= {"emitter": None} if literal else {}
        run = TextRun(text, Settings(**chosen), folder, progress=progress)
    else:
        folder = Path(resume)
        if chosen or literal:
            given = ", --".join([*chosen, *["literal"] * literal])
            raise ConfigError(f"--resume goes on with the settings of the run: leave out --{given}")
        run = TextRun.resumed(folder, text, progress)
    print(run.corpus)
    print(f"{run.describe()}; {run.total_steps:,} updates, {run.trainer.step:,} of them done")
    with one_thread():
        print(run.speed(), flush=True)
        result = run.train()
    if result.stopped == "interrupted":
        print(
            f"tinyseq: stopped after update {result.step:,}; all of it is in {folder}. Go on with: "
            f"tinyseq train --resume {folder}",
            file=sys.stderr,
        )
        return INTERRUPTED
    ngrams = ngram_table(run.train_ids, run.held_out_ids, ORDERS, len(run.vocabulary))
    save_loss(run, ngrams, folder / "loss.svg")
    best = min(ngrams, key=lambda row: row.bits)
    print(
        f"{run.bits:.3f} bits a character on held-out text after {result.seconds:.0f} seconds; the "
        f"best table of counts, of order {best.order}, needs {best.bits:.3f}"
    )
    print(f"the run is in {folder}; let it write: tinyseq sample {folder} --temperature 0.7")
    return 0


def sample(run: str, length: int, temperature: float, prompt: str | None, seed: int | None) -> int:
    """Print a prompt and what the model writes after it."""
    written = load_writer(run).write(prompt, length, temperature, seed)
    text = (prompt or "") + written
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding))
    return 0


def draw(
    cell: str,
    steps: int | None,
    input: Sequence[int] | None,
    seed: int,
    view: str,
    out: str,
    engine: str | None,
    **chosen: Any,
) -> int:
    """Run an example, or a model of the user's, and save its picture."""
    options = {name: value for name, value in chosen.items() if value not in (None, False)}
    _check_options(view, options)
    scheduled = bool(options.pop("schedule", False))
    options |= {"detail": "ops"} if scheduled else {}
    if is_own(cell):
        if steps is not None:
            raise ConfigError("--steps is for the examples: say --input steps,batch,size")
        with own_run(cell, input, seed, scheduled) as (outputs, schedule):
            options |= {"schedule": schedule} if scheduled else {}
            print(_picture(outputs, view, options).save(out, engine))
        return 0
    if input is not None:
        raise ConfigError("--input is for a model of your own: FILE.py:NAME; say --steps here")
    steps = 4 if steps is None else steps
    loss = example_loss(cell, steps, seed)
    options |= {"schedule": example_schedule(cell, steps, seed)} if scheduled else {}
    print(_picture(loss, view, options).save(out, engine))
    return 0


def bench(seconds: float) -> int:
    """Race the compiled loop against the libraries that are installed."""
    print(versions(("numpy", "numba", "torch", "jax")))
    print("forward and backward with all gradients, float32, one thread; every gradient is checked")
    print(f"{'':34}{'ms (quartiles)':>24}{'compiled takes':>18}")
    with one_thread():
        for race in short_races(seconds):
            print(short_table(race), flush=True)
    return 0


VIEWS: dict[str, tuple[Callable[..., pictures.Picture], set[str]]] = {
    "circuit": (pictures.circuit, {"detail", "schedule"}),
    "unrolled": (
        pictures.unrolled,
        {"detail", "gradients", "values", "highlight", "window"},
    ),
    "graphical": (pictures.graphical_model, {"hidden", "feedback", "window"}),
}


def _check_options(view: str, options: Mapping[str, Any]) -> None:
    """Refuse what a view cannot show, and say which one can."""
    for name in options.keys() - VIEWS[view][1] - {"detail"}:
        this = f"an {view}" if view == "unrolled" else f"a {view}"
        others = " or ".join(v for v, (_, known) in VIEWS.items() if name in known)
        raise ConfigError(f"--{name} needs --view {others}: {this} view has no such thing")
    if "schedule" in options and options.get("detail", "ops") != "ops":
        raise ConfigError("--schedule colours operations: leave out --detail")
    if view == "graphical" and options.get("detail", "variables") != "variables":
        raise ConfigError("--view graphical shows variables: leave out --detail")


def _picture(outputs: Any, view: str, options: dict[str, Any]) -> pictures.Picture:
    make, known = VIEWS[view]
    options = {name: value for name, value in options.items() if name in known}
    if view == "graphical" and "window" in options:
        if not isinstance(options["window"], int):
            raise ConfigError("--window of a graphical view is how many steps to show: --window 5")
    elif isinstance(options.get("window"), int):
        options["window"] = (options["window"], 0)
    return make(outputs, **options)
