"""Drops documents by their address: listed domains, listed pages and sites, words that say enough.

The lists are those of UT1 (Université Toulouse Capitole) and whatever has the same form: a folder of files `domains`
and `urls`, or folders of such folders, one entry a line. The rules are RefinedWeb's (Penedo et al. 2023,
arXiv:2306.01116, appendix G.1) as datatrove's URLFilter words them: a listed domain, a listed address, one banned word,
several soft words, a banned string anywhere among the letters and digits of the address.

Where we are stricter than datatrove 0.10.1: it looks up the registered domain and the full host, we every domain in
between too; it compares addresses with the list as they are written, and UT1's have no scheme, so that none of them
ever matches; it takes `Word` and `word` for two words. `words_as: datatrove` takes over the last of these.

The lists are hashed into one file, 9.5 to 11 bytes an entry, that workers map into memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from ..config import Settings
from ..console import RequestError
from .listfiles import as_paths, blocks, digest, list_names, require
from .measures.texts import Texts
from .rule import Check, Measured, Rule
from .rules import RuleStage
from .urls import canonical_host, canonical_url

if TYPE_CHECKING:
    from .measures.arrayfile import Arrays

VERSION = 1
ENDINGS = ("", ".txt", ".gz", ".txt.gz", ".zst", ".txt.zst")
# Entries that are in canonical form as they stand: the regular expressions are Arrow's (RE2)
PLAIN_DOMAIN = r"^(?:[a-z0-9_-]+\.)+[a-z][a-z0-9-]*$"
PLAIN_URL = r"^(?:[a-z0-9_-]+\.)+[a-z][a-z0-9-]*(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$"
NOT_LETTERS = re.compile(r"[^a-zA-Z0-9]+")
_FILES = "One or several files, one entry a line, # for comments, plain, .gz or .zst"


class Words(Settings):
    """Words, written here or in files."""

    words: tuple[str, ...] = Field((), description="The words themselves")
    files: tuple[str, ...] = Field((), description=_FILES)


class AddressSettings(Settings):
    """What is dropped for its address."""

    folders: str | tuple[str, ...] | None = Field(
        None, description="Folders in the form of UT1: files `domains` and `urls`, or folders of such folders"
    )
    domains: str | tuple[str, ...] | None = Field(
        None, description=f"Domains, which stand for their subdomains too. {_FILES}"
    )
    urls: str | tuple[str, ...] | None = Field(
        None, description=f"Addresses, which stand for all below their path too; the scheme is ignored. {_FILES}"
    )
    banned_words: Words = Field(Words(), description="One of these words in the address drops the document")
    soft_banned_words: Words = Field(Words(), description="So many of these do as `soft_word_threshold` says")
    soft_word_threshold: int = Field(2, ge=1, description="Different soft words in one address")
    banned_subwords: Words = Field(Words(), description="Strings banned anywhere among its letters and digits")
    words_as: Literal["canonical", "datatrove"] = Field(
        "canonical",
        description="Words of the canonical address, decoded and in lower case, or of the address as it is written",
    )

    @model_validator(mode="after")
    def _whole(self) -> AddressSettings:
        words = (self.banned_words, self.soft_banned_words, self.banned_subwords)
        files = [p for value in (self.folders, self.domains, self.urls) for p in as_paths(value)]
        if not files and not any(given.words or given.files for given in words):
            raise ValueError("expected lists or words: every key is empty")
        return self


def inputs(settings: AddressSettings) -> list[str]:
    """Every file that the stage depends on. Raises RequestError for one that is missing or unreadable."""
    named = [(key, path) for key, _, _, path in _lists(settings)]
    for key in ("banned_words", "soft_banned_words", "banned_subwords"):
        named += [(f"address.{key}.files", path) for path in getattr(settings, key).files]
    return [require(key, path) for key, path in named]


def address_stage(settings: AddressSettings, folder: Path | None = None) -> RuleStage:
    """The stage `address` of a recipe. The index is kept in `folder`, and found there by the next who asks."""
    inputs(settings)
    rules: list[Rule] = [Blocklists(settings, folder)] if _lists(settings) else []
    words = AddressWords(settings)
    if words.banned or words.soft or words.parts:
        rules.append(words)
    return RuleStage("address", rules)


class Blocklists(Rule):
    """Pages of listed domains and listed addresses."""

    name = "blocklists"
    prefix = "address"

    def __init__(self, settings: AddressSettings, folder: Path | None = None):
        super().__init__(settings)
        self.folder, self.names = folder, [name for _, _, name, _ in _lists(settings)]

    @cached_property
    def index(self) -> Arrays:
        """What the lists hold, built or mapped when it is first asked."""
        return build_index(self.settings, self.folder)

    def files(self) -> tuple[str, ...]:
        """All that the stage reads. Raises RequestError as `inputs` does."""
        return tuple(inputs(self.settings))

    def prepare(self) -> None:
        """Build the index. Raises RequestError as `build_index` does."""
        self.index  # noqa: B018

    def checks(self) -> tuple[Check, ...]:
        """A domain, then an address."""
        return tuple(
            Check(f"address_listed_{kind}", f"address_listed_{kind}", 0.0, False) for kind in ("domain", "url")
        )

    def measure(self, texts: Texts) -> Measured:
        """1 where the address is covered, else 0; int64[n]."""
        from .measures.blocklist import covered

        rows, _, urls = _addresses(texts)
        bare = [url.partition("://")[2] for url in urls]
        found = list(covered(self.index, pa.array(bare, pa.large_string())))
        # A listed address holds for `www.` as well: its entry has none, so the others are asked again without
        again = [i for i, address in enumerate(bare) if address.startswith("www.")]
        if again:
            without = [canonical_url(urls[i], www=False).partition("://")[2] for i in again]
            _, places = covered(self.index, pa.array(without, pa.large_string()))
            found[1][again] = np.where(found[1][again] < 0, places, found[1][again])
        signals, details = {}, {}
        for kind, places in zip(("domain", "url"), found, strict=True):
            name = f"listed_{kind}"
            signals[name], details[name] = np.zeros(len(texts), np.int64), [None] * len(texts)
            hits = np.flatnonzero(places >= 0)
            signals[name][rows[hits]] = 1
            for row, number in zip(rows[hits], self.index["values"][places[hits]], strict=True):
                details[name][row] = json.dumps({"list": self.names[number]})
        return Measured(signals, details)


class AddressWords(Rule):
    """Words in the address."""

    name = "words"
    prefix = "address"

    def __init__(self, settings: AddressSettings):
        super().__init__(settings)
        self.banned = _words("banned_words", settings.banned_words)
        self.soft = _words("soft_banned_words", settings.soft_banned_words)
        self.parts = _words("banned_subwords", settings.banned_subwords)
        self.find_part = _matcher(self.parts)

    def files(self) -> tuple[str, ...]:
        """All that the stage reads. Raises RequestError as `inputs` does."""
        return tuple(inputs(self.settings))

    def checks(self) -> tuple[Check, ...]:
        """In the order of datatrove's URLFilter."""
        most = {"banned_words": 0.0, "soft_banned_words": self.settings.soft_word_threshold - 1.0}
        most |= {"banned_subwords": 0.0}
        return tuple(Check(f"address_{kind}", f"address_{kind}", limit, False) for kind, limit in most.items())

    def measure(self, texts: Texts) -> Measured:
        """How many different banned and soft words an address holds, and whether a banned string; int64[n]."""
        rows, written, canonical = _addresses(texts)
        plain = [unquote(url).lower() for url in canonical]  # "%20" is no 20
        urls = plain if self.settings.words_as == "canonical" else written
        names = ("banned_words", "soft_banned_words", "banned_subwords")
        signals = {name: np.zeros(len(texts), np.int64) for name in names}
        details: dict[str, list[str | None]] = {name: [None] * len(texts) for name in names}
        for row, url in zip(rows.tolist(), urls, strict=True):
            pieces = set(NOT_LETTERS.split(url))
            found = [self.banned & pieces, self.soft & pieces, self.find_part(NOT_LETTERS.sub("", url).lower())]
            for name, words in zip(names, found, strict=True):
                if words:
                    signals[name][row] = len(words)
                    details[name][row] = json.dumps({"words": sorted(words)})
        return Measured(signals, details)


def _addresses(texts: Texts) -> tuple[np.ndarray, list[str], list[str]]:
    """Rows of active documents with an address, int64[k]; the addresses as written and in canonical form."""
    column = texts.column("url")

    def fill(wanted: np.ndarray, out: np.ndarray) -> None:
        rows = np.flatnonzero(wanted)
        out[rows] = [canonical_url(url) if url else "" for url in column.take(rows).to_pylist()]

    canonical = texts.shared("canonical address", np.object_, fill)
    here = pc.fill_null(pc.greater(pc.binary_length(column), 0), False).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(texts.active & here)
    return rows, column.take(rows).to_pylist(), canonical[rows].tolist()


# -- words -----------------------------------------------------------------------------------------------------------


def _words(key: str, given: Words) -> frozenset[str]:
    """Letters and digits of each word, lower-cased; what holds none is no word."""
    words = list(given.words)
    for path in given.files:
        for block in blocks(f"address.{key}.files", path):
            lines = block.decode("utf-8", "replace").split("\n")
            words += [line for line in lines if not line.startswith("#")]
    return frozenset(NOT_LETTERS.sub("", word).lower() for word in words) - {""}


def _matcher(parts: frozenset[str]):
    """A function that gives the first of `parts` in a text, as a set of one or none."""
    if not parts:
        return lambda text: frozenset()
    import re2

    options = re2.Options()
    options.max_mem = 256 << 20
    pattern = re2.compile("|".join(sorted(parts)), options)

    def find(text: str) -> frozenset[str]:
        found = pattern.search(text)
        return frozenset((found.group(),)) if found else frozenset()

    return find


# -- lists -----------------------------------------------------------------------------------------------------------


def _lists(settings: AddressSettings) -> list[tuple[str, str, str, str]]:
    """(key of the recipe, domains or urls, the list's name, path) of every file of domains or addresses, in order."""
    found = []
    for folder in as_paths(settings.folders):
        inside = _in_folder(folder)
        if not inside:
            raise RequestError(f"address.folders: {folder}: no file `domains` or `urls` in it")
        found += [("address.folders", *entry) for entry in inside]
    for kind in ("domains", "urls"):
        paths = as_paths(getattr(settings, kind))
        found += [(f"address.{kind}", kind, name, path) for name, path in zip(list_names(paths), paths, strict=True)]
    return found


def _in_folder(folder: str) -> list[tuple[str, str, str]]:
    """(domains or urls, name of the folder, path) of the lists in a folder and the folders in it, by name."""
    if not os.path.isdir(folder):
        raise RequestError(f"address.folders: {folder}: no such folder")
    found, base = [], Path(folder)
    try:
        for place in [base, *sorted(p for p in base.iterdir() if p.is_dir())]:
            name = place.resolve().name
            for kind in ("domains", "urls"):
                paths = [place / f"{kind}{ending}" for ending in ENDINGS]
                found += [(kind, name, str(path)) for path in paths if path.is_file()]
    except OSError as error:
        raise RequestError(f"address.folders: {folder}: cannot be read: {error.strerror}") from None
    return found


def build_index(settings: AddressSettings, folder: Path | None = None) -> Arrays:
    """The index of all lists: `keys` uint64[n], `values` uint8[n] or uint16[n], the number of the first list that has
    the entry.

    It is kept in `folder`, and read from there while neither lists nor settings change; None builds it in memory. Lists
    are read as streams and sorted in runs, so that memory does not grow with them.
    """
    from .measures.arrayfile import read
    from .measures.blocklist import entry_keys
    from .measures.hashset import HashSetBuilder

    lists = _lists(settings)
    if len(lists) > 1 << 16:
        raise RequestError(f"address: {len(lists):,} lists; at most {1 << 16:,} can be told apart")
    told = repr([VERSION, [(kind, digest(path)) for _, kind, _, path in lists]])
    name = hashlib.blake2b(told.encode(), digest_size=16).hexdigest()
    place = None if folder is None else Path(folder, f"address-{name[:16]}.index")
    if place is not None and (kept := read(place, name)):
        return kept
    small = np.uint8 if len(lists) <= 256 else np.uint16
    builder = HashSetBuilder(place, small)
    try:
        for number, (key, kind, _, path) in enumerate(lists):
            for block in blocks(key, path):
                for entries in _entries(block, kind):
                    builder.add(entry_keys(entries), np.full(len(entries), number, small))
        return builder.close({"digest": name})
    finally:
        builder.discard()


def _entries(block: bytes, kind: str) -> Iterator[pa.Array]:
    """What a piece of a list holds, as keys are made of it: large_string."""
    lines = pa.array(_decoded(block).split("\n"), pa.large_string())
    lines = pc.utf8_trim_whitespace(lines)
    listed = pc.and_(pc.greater(pc.binary_length(lines), 0), pc.invert(pc.starts_with(lines, "#")))
    plain = pc.match_substring_regex(lines, PLAIN_DOMAIN if kind == "domains" else PLAIN_URL)
    odd = pc.match_substring_regex(lines, r"(?:^|\.)xn--") if kind == "domains" else None
    odd = odd if odd is not None else pc.match_substring_regex(lines, r"^www\.|^[^/]*xn--")
    plain = pc.and_not(plain, odd)
    yield lines.filter(plain)
    others = lines.filter(pc.and_not(listed, plain)).to_pylist()
    yield pa.array(_spelled(others, kind), pa.large_string())


def _spelled(lines: Sequence[str], kind: str) -> list[str]:
    """Entries in canonical form: a domain, or an address without scheme, `www.` and the slash at its end."""
    entries = []
    for line in lines:
        if kind == "domains" and "/" not in line:
            entries.append(canonical_host(line))
            continue
        address = canonical_url(line, www=False).partition("://")[2]
        host, _, path = address.partition("/")
        if kind == "domains" and not path:  # a domain written as an address
            entries.append(canonical_host(canonical_url(line).partition("://")[2].partition("/")[0]))
        else:
            entries.append(f"{host}/{path.rstrip('/')}" if path.strip("/") else f"{host}/")
    return [entry for entry in entries if entry.strip("/")]


def _decoded(block: bytes) -> str:
    try:
        return block.decode("utf-8")
    except UnicodeDecodeError:  # old lists are Latin-1; so is a line of them in a newer one
        return "\n".join(_line(line) for line in block.split(b"\n"))


def _line(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")
