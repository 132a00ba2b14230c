"""The command line: ``tinyseq tour``, ``train``, ``sample`` and ``draw``."""

from tinyseq.cli.main import main

__all__ = ["main"]
