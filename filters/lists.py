"""Documents that must go whatever they are like: removal requests, robots and opt-out lists.

The recipe names files of ids and of addresses, one a line. Ids are compared as they are; addresses in their canonical
form (`urls.canonical_url`), a list's and a document's alike. The ledger names the list and nothing else: neither what
stands in it nor a hash of it.

A list becomes a sorted file of 128-bit hashes (BLAKE2b), 17 bytes an entry, mapped into memory and shared by workers:
that an address nobody listed is dropped has a chance of n / 2^128 a document with n entries, which is none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc
from pydantic import Field, model_validator

from ..config import Settings
from .listfiles import as_paths, blocks, digest, list_names, require
from .measures.texts import Texts
from .rule import Check, Measured, Rule
from .rules import RuleStage
from .urls import canonical_url

if TYPE_CHECKING:
    from .measures.arrayfile import Arrays

VERSION = 1
SPACE = b" \t\r"  # around an entry; a line feed ends it, and in an id is part of it
FILES = "One file or several, one entry a line, plain, .gz or .zst"


class DropSettings(Settings):
    """Removal requests, robots and opt-out lists: what they name is dropped."""

    ids: str | tuple[str, ...] | None = Field(None, description=f"Document ids. {FILES}")
    urls: str | tuple[str, ...] | None = Field(
        None, description=f"Addresses, compared in canonical form; lines that start with # are comments. {FILES}"
    )
    ignore_scheme: bool = Field(True, description="Take http and https for one, and an address without either for both")
    ignore_www: bool = Field(False, description="Take www.example.com for example.com")
    ignore_tracking: bool = Field(False, description="Ignore parameters that only tell where a visitor came from")

    @model_validator(mode="after")
    def _whole(self) -> DropSettings:
        if not as_paths(self.ids) and not as_paths(self.urls):
            raise ValueError("expected files under `ids`, `urls` or both")
        return self


def inputs(settings: DropSettings) -> list[str]:
    """Every file that the stage depends on. Raises RequestError for one that is missing or unreadable."""
    found = [require("drop.ids", path) for path in as_paths(settings.ids)]
    return found + [require("drop.urls", path) for path in as_paths(settings.urls)]


def drop_stage(settings: DropSettings, folder: Path | None = None) -> RuleStage:
    """The stage `drop` of a recipe. Indexes are kept in `folder`, and found there by the next who asks."""
    inputs(settings)
    rules = [kind(settings, folder) for kind in (ListedIds, ListedUrls) if as_paths(getattr(settings, kind.name))]
    return RuleStage("drop", rules)


class Listed(Rule):
    """What a list names is dropped; the ledger's rule is `<kind>:<name of the list's file>`."""

    prefix = "listed"
    column: str

    def __init__(self, settings: DropSettings, folder: Path | None = None):
        super().__init__(settings)
        self.folder, self.paths = folder, as_paths(getattr(settings, self.name))
        self.names = list_names(self.paths)

    @cached_property
    def indexes(self) -> list[Arrays]:
        """What each list holds, built or mapped when it is first asked."""
        return [self._index(path, self.folder) for path in self.paths]

    def files(self) -> tuple[str, ...]:
        """The lists. Raises RequestError for one that is missing or unreadable."""
        return tuple(require(f"drop.{self.name}", path) for path in self.paths)

    def prepare(self) -> None:
        """Build the indexes. Raises RequestError for a list that cannot be read."""
        self.indexes  # noqa: B018

    def spelled(self, entry: str) -> str:
        """An entry as it is compared."""
        raise NotImplementedError

    def checks(self) -> tuple[Check, ...]:
        """One a list."""
        return tuple(Check(f"{self.name}:{name}", f"listed_{self.name}_{name}", 0.0, False) for name in self.names)

    def measure(self, texts: Texts) -> Measured:
        """1 where a list names the document, else 0; int64[n] a list."""
        from .measures.hashset import holds

        column = texts.column(self.column)
        rows = np.flatnonzero(texts.active & pc.is_valid(column).to_numpy(zero_copy_only=False))
        high, low = _hashes(self.spelled(value).encode() for value in column.take(rows).to_pylist())
        signals = {}
        for name, index in zip(self.names, self.indexes, strict=True):
            signals[f"{self.name}_{name}"] = found = np.zeros(len(texts), np.int64)
            found[rows] = holds(index, high, low)
        return Measured(signals)

    def _index(self, path: str, folder: Path | None) -> Arrays:
        from .measures.arrayfile import read
        from .measures.hashset import HashSetBuilder

        options = self.settings.model_dump(exclude={"ids", "urls"})
        told = repr([VERSION, self.name, sorted(options.items()), digest(path)])
        name = hashlib.blake2b(told.encode(), digest_size=16).hexdigest()
        place = None if folder is None else Path(folder, f"drop-{self.name}-{name[:16]}.index")
        if place is not None and (kept := read(place, name)):
            return kept
        builder = HashSetBuilder(place, np.uint64)
        try:
            for lines in self._lines(path):
                builder.add(*_hashes(lines))
            return builder.close({"digest": name})
        finally:
            builder.discard()

    def _lines(self, path: str) -> Iterator[list[bytes]]:
        for block in blocks(f"drop.{self.name}", path):
            yield [entry for line in block.split(b"\n") if (entry := self._entry(line.strip(SPACE)))]

    def _entry(self, line: bytes) -> bytes:
        """What is hashed of a line; nothing where it holds no entry."""
        return line


class ListedIds(Listed):
    """Documents whose id is on a list."""

    name = "ids"
    column = "id"

    def spelled(self, entry: str) -> str:
        return entry.strip(SPACE.decode())


class ListedUrls(Listed):
    """Documents whose address is on a list."""

    name = "urls"
    column = "url"

    def spelled(self, entry: str) -> str:
        options = self.settings
        return canonical_url(
            entry,
            scheme=not options.ignore_scheme,
            www=not options.ignore_www,
            tracking=not options.ignore_tracking,
        )

    def _entry(self, line: bytes) -> bytes:
        if not line or line.startswith(b"#"):
            return b""
        return self.spelled(line.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _hashes(entries: Iterable[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """The two halves, uint64[n] each, of a 128-bit hash of each entry."""
    data = b"".join(hashlib.blake2b(entry, digest_size=16).digest() for entry in entries)
    halves = np.frombuffer(data, "<u8").reshape(-1, 2)
    return np.ascontiguousarray(halves[:, 0]), np.ascontiguousarray(halves[:, 1])
