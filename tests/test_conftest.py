"""No test is left out quietly: the last lines of a run name what was not run and why."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

TESTS = """
import pytest

@pytest.mark.slow
def test_slow(): assert False, "slow ran"

@pytest.mark.slow
@pytest.mark.representative
def test_slow_but_representative(): pass

@pytest.mark.oracle("no_such_library")
def test_oracle():
    import no_such_library

def test_array(xp): assert float(xp.ones(2).sum()) == 2

def test_plain(): pass
"""

FILE_OF_AN_ORACLE = """
import pytest
no_such_library = pytest.importorskip("no_such_library")

def test_oracle(): pass
"""


@pytest.fixture
def run(tmp_path):
    """Run pytest, as configured here, on the tests above."""
    shutil.copy(HERE / "conftest.py", tmp_path)
    (tmp_path / "test_some.py").write_text(TESTS)

    def run(*arguments: str, require_oracles: str = "0") -> tuple[int, str]:
        project = str(HERE.parent / "pyproject.toml")
        command = [sys.executable, "-m", "pytest", "-c", project, "--rootdir", str(tmp_path)]
        done = subprocess.run(
            [*command, "-o", f"pythonpath={HERE}", *arguments, str(tmp_path)],
            env=os.environ | {"TINYSEQ_REQUIRE_ORACLES": require_oracles},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_says_what_it_did_not_run(run, workers):
    code, output = run(*workers)
    assert code == 0, output
    assert "NOT RUN, 2 slow: run them with --slow" in output
    assert "NOT RUN, 1 oracle: run them with no_such_library installed" in output
    assert "3 passed" in output or "4 passed" in output  # with a GPU there is one more
    assert ("NOT RUN, 1 gpu" in output) == ("3 passed" in output)


def test_slow_runs_the_slow_tests(run):
    code, output = run("--slow")
    assert code == 1 and "slow ran" in output
    assert "slow: run them with" not in output


def test_counts_only_what_was_asked_for(run):
    code, output = run("--slow", "-m", "representative")
    assert code == 0 and "1 passed" in output
    assert "NOT RUN" not in output


def test_says_what_was_skipped(run, tmp_path):
    (tmp_path / "test_oracle.py").write_text(FILE_OF_AN_ORACLE)
    code, output = run()
    assert code == 0
    assert "NOT RUN, 1 skipped: Skipped: could not import 'no_such_library'" in output


def test_a_required_oracle_that_is_missing_is_a_failure(run, tmp_path):
    code, output = run("-k", "test_oracle", require_oracles="1")
    assert code == 1 and "No module named 'no_such_library'" in output
    (tmp_path / "test_oracle.py").write_text(FILE_OF_AN_ORACLE)
    code, output = run(require_oracles="1")
    assert code == 2 and "a required oracle is missing" in output


def test_an_unknown_marker_is_an_error(run, tmp_path):
    (tmp_path / "test_marked.py").write_text("import pytest\npytestmark = pytest.mark.slwo")
    code, output = run()
    assert code == 2 and "'slwo' not found in `markers`" in output


def test_a_warning_is_an_error(run, tmp_path):
    (tmp_path / "test_warns.py").write_text(
        "import warnings\n\ndef test_warns(): warnings.warn('look out')"
    )
    code, output = run("-k", "test_warns")
    assert code == 1 and "UserWarning: look out" in output
