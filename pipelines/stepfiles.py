"""What a finished step tells the next ones: its units and their manifests in one file, named by its digest.

Units of later steps carry the name of this file and not its contents, so that a plan stays small when both steps have
thousands of units.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..exchange import Index
from .units import Manifest, Unit, digest_of, require, write_json


@dataclass(frozen=True)
class Entry:
    """One committed unit of a step."""

    number: int
    name: str
    manifest: Manifest


@dataclass(frozen=True)
class Done:
    """A finished step, as the next ones see it."""

    file: str  # as `save` names it
    digest: str
    entries: list[Entry]


def save(root: str, step: str, units: list[Unit]) -> Done:
    """Keep a step, all of whose units are committed, for the next ones."""
    entries = [Entry(unit.number, unit.name, require(unit)) for unit in units]
    digest = digest_of(step, [[e.number, e.name, e.manifest.sha256] for e in entries])
    name = f"work/plan/{step}-{digest[:12]}.json"
    if not Path(root, name).exists():
        rows = [[e.number, e.name, e.manifest.digest, e.manifest.files, e.manifest.counts] for e in entries]
        write_json(Unit(step, "plan", root, digest), Path(root, name), rows)
    return Done(name, digest, entries)


@lru_cache(maxsize=16)
def load(root: str, name: str) -> tuple[Entry, ...]:
    """The entries of a finished step."""
    rows = json.loads(Path(root, name).read_text())
    return tuple(Entry(number, unit, Manifest(digest, files, counts)) for number, unit, digest, files, counts in rows)


def exchange_files(root: str, entries: Iterable[Entry], folder: str) -> Iterator[tuple[str, Index]]:
    """(path, index) of the exchange files that a step's units left in `folder`, in the order of the units."""
    for entry in entries:
        for name, facts in entry.manifest.files.items():
            if name.rpartition("/")[0] == folder:
                yield f"{root}/{name}", facts["index"]


def total(entries: Iterable[Entry], count: str) -> int:
    """Sum of one count over the units of a step."""
    return sum(int(entry.manifest.counts.get(count, 0)) for entry in entries)


def totals(entries: Iterable[Entry], count: str) -> dict[str, Any]:
    """Sum of a table of counts over the units of a step, keys sorted."""
    result: dict[str, Any] = {}
    for entry in entries:
        for key, value in entry.manifest.counts.get(count, {}).items():
            result[key] = result.get(key, 0) + value
    return dict(sorted(result.items()))
