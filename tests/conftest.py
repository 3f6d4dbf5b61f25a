"""What every test may ask for: the shared test data, where it is present."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# Examples run on machines that do other things as well: how long one takes says nothing
settings.register_profile("gristmill", deadline=None)
settings.load_profile("gristmill")

# A job in the background of a script ignores Ctrl-C, and its children would: the tests of Ctrl-C start from the default
signal.signal(signal.SIGINT, signal.default_int_handler)


def _shared_data() -> Path | None:
    root = Path(__file__).resolve().parent.parent
    places = [os.environ.get("GRISTMILL_TEST_DATA"), root / "shared" / "data", root.parent / "shared" / "data"]
    return next((Path(p) for p in places if p and (Path(p) / "MANIFEST.jsonl").exists()), None)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of shared test data; without it the test is skipped, and in CI it fails."""
    found = _shared_data()
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have the shared test data beside the repository")
        pytest.skip("needs the shared test data: set GRISTMILL_TEST_DATA to its folder")
    return found
