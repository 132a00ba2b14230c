"""A small text with everything that could go wrong on a page, and runs on it."""

import numpy as np
import pytest

HOSTILE = '<script>alert("&")</script>'


@pytest.fixture(scope="session")
def text_file(tmp_path_factory):
    """About 4000 characters of English-like text, with markup, accents and a control character."""
    words = "the a cat dog sat ran on under mat tree and then slept very well again today".split()
    rng = np.random.default_rng(0)
    lines = [" ".join(rng.choice(words, 9)) for _ in range(90)]
    lines[5] = f"{HOSTILE} été naïve\x0c“quoted” <b>bold</b> &amp; 100% $name ${{x}}"
    path = tmp_path_factory.mktemp("texts") / "a<i>b&.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def small(text_file):
    """Arguments of a run that takes a second."""
    return ["--text", str(text_file), "--hidden", "12", "--batch", "4", "--chunk", "10"]


@pytest.fixture
def run(capsys):
    """Run a command line in this process: the exit code, and the lines of both outputs."""
    from tinyseq.cli import main

    def call(*argv):
        capsys.readouterr()
        code = main([str(argument) for argument in argv])
        out, err = capsys.readouterr()
        return code, *(text.removesuffix("\n").split("\n") if text else [] for text in (out, err))

    return call
