"""spaCy and Presidio are imported without torch, and torch is there afterwards."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from gristmill.filters.pii.scrub import redact
assert redact("write to jane@example.org") != "write to jane@example.org"
assert "spacy" in sys.modules and "presidio_analyzer" in sys.modules
assert not any(name.partition(".")[0] == "torch" for name in sys.modules), "torch was imported"
import torch
assert torch.ones(2).sum() == 2
"""


def test_scrubbing_imports_no_torch():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
