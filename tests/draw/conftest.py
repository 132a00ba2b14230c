"""The browser that the tests of the page share."""

import os
from collections.abc import Iterator

import pytest

from draw.browser import Browser, missing


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium. Without one its tests are skipped, aloud.

    TINYSEQ_REQUIRE_BROWSER=1 makes that a failure.
    """
    reason = missing()
    if reason is not None:
        if os.environ.get("TINYSEQ_REQUIRE_BROWSER", "0") not in ("", "0"):
            pytest.fail(f"a required browser is missing: {reason}")
        pytest.skip(f"no browser to open the page in: {reason}")
    found = Browser(tmp_path_factory.mktemp("browser"))
    yield found
    found.quit()
