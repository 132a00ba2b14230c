"""What every test can use: the fixture ``xp``, the option ``--slow``, and nothing left out quietly.

A test that is not run is counted in the last lines of the run, with the way to run it:

* marked ``slow``: run by ``--slow``;
* marked ``gpu``: run where CuPy finds a GPU;
* marked ``oracle`` (or in a file that starts with ``pytest.importorskip``): run where the library
  that it compares with is installed. TINYSEQ_REQUIRE_ORACLES=1 makes a missing one a failure.
"""

import importlib
import importlib.util
import os
from collections import Counter
from functools import cache
from types import ModuleType

# Before NumPy is imported: with a process for each core, threads inside them only get in the way.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

import strict_cupy  # noqa: E402

# The same examples in every run; `--hypothesis-profile=explore` looks for new ones.
_QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=_QUIET)
settings.register_profile("explore", max_examples=1000, deadline=None, suppress_health_check=_QUIET)
settings.load_profile("same")

REQUIRE_ORACLES = os.environ.get("TINYSEQ_REQUIRE_ORACLES", "0") not in ("", "0")


@pytest.fixture(
    params=["numpy", "strict_cupy", pytest.param("cupy", marks=pytest.mark.gpu)],
)
def xp(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The array library under test: NumPy, the strict double of CuPy, and CuPy on a GPU."""
    if request.param == "numpy":
        return np
    if request.param == "strict_cupy":
        return strict_cupy.install(monkeypatch)
    return importlib.import_module("cupy")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow as well")


@pytest.hookimpl(trylast=True)  # after -m and -k, so that only tests that were asked for count
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    reasons = [_why_not(item, config.getoption("--slow")) for item in items]
    left_out = [item for item, reason in zip(items, reasons, strict=True) if reason]
    config.stash[_NOT_RUN].update(reason for reason in reasons if reason)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item, reason in zip(items, reasons, strict=True) if not reason]


def _why_not(item: pytest.Item, slow: bool) -> str | None:
    """Why the test is not run, in words for the summary; None if it is."""
    if item.get_closest_marker("slow") and not slow:
        return "slow: run them with --slow"
    if item.get_closest_marker("gpu") and not _gpus():
        return "gpu: run them where CuPy finds a GPU"
    for marker in item.iter_markers("oracle"):
        for library in marker.args or ("torch",):
            if importlib.util.find_spec(library) is None and not REQUIRE_ORACLES:
                return f"oracle: run them with {library} installed"
    return None


@cache
def _gpus() -> int:
    try:
        import cupy
    except ImportError:
        return 0
    try:
        return cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError:  # no driver
        return 0


# The count of tests that were not run. With xdist the workers collect, and the controller tells.

_NOT_RUN = pytest.StashKey[Counter[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_NOT_RUN] = Counter()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["not_run"] = dict(session.config.stash[_NOT_RUN])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error) -> None:
    output = getattr(node, "workeroutput", {})
    node.config.stash[_NOT_RUN] = Counter(output.get("not_run", {}))  # each worker collects all


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    not_run = terminalreporter.config.stash[_NOT_RUN].copy()
    for report in terminalreporter.getreports("skipped"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        not_run[f"skipped: {reason} ({report.nodeid.partition('::')[0]})"] += 1
    for reason, count in sorted(not_run.items()):
        terminalreporter.write_line(f"NOT RUN, {count} {reason}", yellow=True)


# A missing oracle is a failure where the oracles are required.


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    return _refuse_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    return _refuse_skip((yield))


def _refuse_skip(report):
    if REQUIRE_ORACLES and report.outcome == "skipped":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        if "could not import" in str(reason):
            report.outcome = "failed"
            report.longrepr = f"a required oracle is missing: {reason}"
    return report
