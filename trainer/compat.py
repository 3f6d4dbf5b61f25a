"""torch, version by version: the one place that knows which is installed.

Every name that this room uses is spelt the same from torch 2.11 to 2.13, and its tests pass on both, so nothing is
translated here; what a later version renames gets its one spelling in this file. An older torch is refused by name,
rather than by an AttributeError an hour into a run.
"""

from __future__ import annotations

import re

from ..console import RequestError

OLDEST = (2, 11)


def check_torch(version: str | None = None) -> None:
    """Raises RequestError where torch (or `version`) is older than this room was written for."""
    if version is None:
        import torch

        version = torch.__version__
    found = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if found < OLDEST:
        raise RequestError(f"torch {version} is installed; the trainer needs {OLDEST[0]}.{OLDEST[1]} or newer")
