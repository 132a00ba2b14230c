"""Arguments, and what becomes of a mistake: one line, and exit code 2."""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import tinyseq
from tinyseq.cli import verbs
from tinyseq.cli.examples import EXAMPLES
from tinyseq.errors import TinyseqError
from tinyseq.models.language_model import CELLS
from tinyseq.train.text import Settings

INTERRUPTED, MISTAKE, CLOSED_PIPE = 130, 2, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code: 0, 2 for a mistake, 130 for Ctrl-C."""
    try:
        arguments = vars(_parser().parse_args(argv))
        verb = arguments.pop("verb")
        code = verb(**arguments)
        sys.stdout.flush()  # here, where a reader that has gone is no accident
        return code
    except SystemExit as done:  # --help, --version, and what the parser refuses
        return done.code if isinstance(done.code, int) else MISTAKE
    except KeyboardInterrupt:
        return _fail("stopped at once by Ctrl-C; what was saved before is whole", INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has gone, as in `tinyseq sample run | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    except MemoryError as error:
        return _fail(f"not enough memory: {error or 'take smaller sizes'}")
    except TinyseqError as error:
        return _fail(str(error))
    except OSError as error:
        name = f": {error.filename}" if error.filename else ""
        return _fail(f"{error.strerror or error}{name}")


def _fail(message: str, code: int = MISTAKE) -> int:
    print("tinyseq:", " ".join(message.split()), file=sys.stderr)
    return code


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        sys.exit(_fail(f"{message} (see {self.prog} --help)"))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tinyseq",
        description="Recurrent networks: trained, drawn and explained.",
        epilog="tinyseq VERB --help tells more about each, with an example.",
    )
    parser.add_argument("--version", action="version", version=f"tinyseq {tinyseq.__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="VERB")

    def add(name: str, verb: Callable[..., int], summary: str, examples: str) -> _Parser:
        added = subparsers.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog=examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(verb=verb)
        return added

    tour = add(
        "tour",
        verbs.tour,
        "train a small language model and leave a page that shows all of it",
        "example:\n  tinyseq tour --out tour --text book.txt",
    )
    tour.add_argument("--out", default="tour", help="the folder (default: %(default)s)")
    tour.add_argument("--text", metavar="FILE", help="a UTF-8 text (default: Python's own manual)")
    tour.add_argument("--seed", type=_natural, default=0, help="(default: %(default)s)")
    tour.add_argument(
        "--seconds",
        type=_positive,
        default=90,
        metavar="N",
        help="train no longer than that (default: %(default)s)",
    )
    _add_literal(tour)
    _add_progress(tour)

    train = add(
        "train",
        verbs.train,
        "train a language model on a text, or go on with an interrupted run",
        "examples:\n"
        "  tinyseq train --text book.txt --cell gru --hidden 256 --out run\n"
        "  tinyseq train --resume run",
    )
    train.add_argument("--text", metavar="FILE", help="a UTF-8 text (default: Python's own manual)")
    folder = train.add_mutually_exclusive_group()
    folder.add_argument("--out", metavar="DIR", help="a new folder (default: run)")
    folder.add_argument("--resume", metavar="DIR", help="go on with this run, bit for bit")
    options: list[tuple[str, Callable[[str], Any], str]] = [
        ("cell", str, f"{', '.join(CELLS)} (default: lstm)"),
        ("hidden", int, "units of a layer"),
        ("layers", int, "cells on top of each other"),
        ("embedding", int, "size of the vectors that stand for characters (default: as hidden)"),
        ("dropout", _number, "between layers"),
        ("batch", int, "streams of text at once"),
        ("chunk", int, "steps through which the gradient flows back"),
        ("epochs", int, "times through the text (default: 12, but at least 1000 updates)"),
        ("steps", int, "updates"),
        ("lr", _number, "learning rate at the start; it falls to zero in a line"),
        ("clip", _number, "largest joint norm of the gradients"),
        ("seed", _natural, "for the initial values"),
    ]
    for name, kind, summary in options:
        default = getattr(Settings, name)
        known = "" if default is None or "default" in summary else f" (default: {default})"
        train.add_argument(f"--{name}", type=kind, metavar="N", help=summary + known)
    loop = train.add_mutually_exclusive_group()
    loop.add_argument(
        "--emitter",
        choices=("numpy", "numba"),
        help=f"what the compiled loop is written in (default: {Settings.emitter})",
    )
    _add_literal(loop)
    _add_progress(train)

    sample = add(
        "sample",
        verbs.sample,
        "write with a trained model",
        'example:\n  tinyseq sample run --prompt "The " --temperature 0.7 --length 500',
    )
    sample.add_argument("run", metavar="DIR", help="the folder of a run, or a checkpoint in it")
    sample.add_argument(
        "--length", type=_natural, default=300, help="characters (default: %(default)s)"
    )
    sample.add_argument(
        "--temperature",
        type=_not_negative,
        default=1.0,
        help="below 1 is more cautious, 0 takes the most probable character (default: %(default)s)",
    )
    sample.add_argument("--prompt", help="what to go on from (default: the start of a line)")
    sample.add_argument("--seed", type=_natural, help="the same seed draws the same text")

    draw = add(
        "draw",
        verbs.draw,
        "draw a recurrence from a run of it",
        "examples:\n"
        "  tinyseq draw lstm --view circuit --detail ops -o lstm.svg\n"
        "  tinyseq draw lstm --view circuit --schedule -o schedule.svg\n"
        "  tinyseq draw elman --steps 60 --gradients --window 3,2 -o flow.png\n"
        "  tinyseq draw gru --highlight 'x(1)' 'L(4)' -o ways.svg\n"
        "  tinyseq draw teacher-forcing --view graphical -o model.pdf\n"
        "  tinyseq draw my_model.py:model --input 7,2,3 --view circuit -o mine.html\n\n"
        "NAME is a cell, a layer, a SequenceModel, or a function that returns a loss.\n\n"
        "cells:\n" + "\n".join(f"  {n:16}{example.summary}" for n, example in EXAMPLES.items()),
    )
    draw.add_argument("cell", metavar="CELL", help="one of the cells below, or FILE.py:NAME")
    draw.add_argument("--steps", type=int, metavar="N", help="of an example (default: 4)")
    draw.add_argument(
        "--input", type=_shape, metavar="T,N,I", help="steps, batch and size of random inputs"
    )
    draw.add_argument("--seed", type=_natural, default=0, help="(default: %(default)s)")
    draw.add_argument(
        "--view", choices=tuple(verbs.VIEWS), default="unrolled", help="(default: %(default)s)"
    )
    draw.add_argument("--detail", metavar="LEVEL", help="variables (default), modules, ops")
    draw.add_argument(
        "--window", type=_window, metavar="STEPS", help="3,2 (first, last), 4-9, or all"
    )
    draw.add_argument("--gradients", action="store_true", help="the loss's gradient as colour")
    draw.add_argument("--values", choices=("text", "colour"), help="what was computed")
    draw.add_argument(
        "--highlight", nargs=2, metavar=("FROM", "TO"), help="all ways, e.g. from 'x(1)' to 'L(4)'"
    )
    draw.add_argument(
        "--schedule", action="store_true", help="what a compiled loop does when, on the circuit"
    )
    draw.add_argument("--hidden", action="store_true", help="states in a graphical view")
    draw.add_argument(
        "--feedback",
        type=_feedback,
        metavar="X=Y",
        help="in a graphical view: the input x(t) is the target y(t-1)",
    )
    draw.add_argument("--engine", metavar="E", help="of Graphviz: system, pure, or a path")
    draw.add_argument(
        "-o",
        "--out",
        required=True,
        metavar="FILE",
        help="the suffix says the format: .svg, .png, .pdf, .dot, .html",
    )
    bench = add(
        "bench",
        verbs.bench,
        "measure compiled loops against the libraries that are installed",
        "example:\n  tinyseq bench --seconds 2",
    )
    bench.add_argument(
        "--seconds",
        type=_positive,
        default=4.0,
        metavar="N",
        help="for each of the four races, besides what compilers take (default: %(default)s)",
    )
    return parser


def _add_literal(parser: Any) -> None:
    parser.add_argument(
        "--literal", action="store_true", help="operation by operation, not compiled: slower"
    )


def _add_progress(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-progress", dest="progress", action="store_const", const=False, help="no bar"
    )


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def _positive(text: str) -> float:
    value = _number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return value


def _not_negative(text: str) -> float:
    value = _number(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def _shape(text: str) -> tuple[int, ...]:
    sizes = text.split(",")
    if not all(size.strip().isdecimal() for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r} is not a shape such as 7,2,3")
    shape = tuple(int(size) for size in sizes)
    if shape[0] < 1:
        raise argparse.ArgumentTypeError(f"steps must be at least 1: {text!r}")
    return shape


def _window(text: str) -> str | int | tuple[int, int] | range:
    if text == "all":
        return text
    numbers = re.fullmatch(r"(\d+)(?:([,-])(\d+))?", text)
    if numbers is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not all, and not like 5 or 3,2 or 4-9")
    first = int(numbers[1])
    if numbers[2] is None:
        return first
    last = int(numbers[3])
    return (first, last) if numbers[2] == "," else range(first, last + 1)


def _feedback(text: str) -> dict[str, str]:
    x, equals, y = text.partition("=")
    if not (x and equals and y):
        raise argparse.ArgumentTypeError(f"{text!r} is not like x=y")
    return {x: y}
