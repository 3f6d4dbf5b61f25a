"""Files that a recipe names and the filters read whole: lists, one entry a line, and evaluation sets.

A file that is missing, unreadable or damaged is a wrong request, told with the key that names it. What is made of a
file is kept under the digest of its content, so that a changed list is never served from an old index.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from ..console import RequestError

BLOCK = 1 << 22
LONGEST_LINE = 1 << 26


def as_paths(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """One path, several or none."""
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def require(key: str, path: str | Path) -> str:
    """`path`, if it is a file that can be read. Raises RequestError naming `key` and the path."""
    place = Path(path)
    if not place.exists():
        raise RequestError(f"{key}: {path}: no such file")
    if place.is_dir():
        raise RequestError(f"{key}: {path}: is a folder; expected a file")
    try:
        with open(place, "rb") as file:
            file.read(1)
    except OSError as error:
        raise RequestError(f"{key}: {path}: cannot be read: {error.strerror}") from None
    return str(path)


def digest(path: str | Path) -> str:
    """Hexadecimal digest of a file's content; read again only where size or time of change differ."""
    status = os.stat(path)
    return _digest(os.path.abspath(path), status.st_size, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=4096)
def _digest(path: str, *_: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def opened(path: str | Path) -> BinaryIO:
    """The unpacked bytes of a plain, gzip or zstd file, by its name."""
    name = str(path).lower()
    if name.endswith(".gz"):
        return gzip.open(path, "rb")
    if name.endswith((".zst", ".zstd")):
        import zstandard

        return zstandard.open(path, "rb")
    return open(path, "rb")


def blocks(key: str, path: str | Path) -> Iterator[bytes]:
    """The file in pieces of a few MB that end where a line does; a byte order mark is left out.

    Raises RequestError for a damaged file and for a line of more than 64 MB, which is no line of a list.
    """
    held, first = b"", True
    try:
        with opened(path) as file:
            while data := file.read(BLOCK):
                held += data.removeprefix(b"\xef\xbb\xbf") if first else data
                first = False
                end = held.rfind(b"\n") + 1
                if end:
                    yield held[:end]
                    held = held[end:]
                elif len(held) > LONGEST_LINE:
                    raise RequestError(f"{key}: {path}: a line is longer than {LONGEST_LINE:,} bytes")
    except (OSError, EOFError, zlib.error) as error:
        raise RequestError(f"{key}: {path}: cannot be read: {error}") from None
    except Exception as error:
        if type(error).__name__ != "ZstdError":  # the library is only imported where such a file is named
            raise
        raise RequestError(f"{key}: {path}: cannot be read: {error}") from None
    if held:
        yield held


def list_names(paths: tuple[str, ...]) -> list[str]:
    """A short name for each list: the file's, without folder and endings; `-2` and so on where a name comes again."""
    names: list[str] = []
    for path in paths:
        stem = Path(path).name.removesuffix(".gz").removesuffix(".zst")
        stem = Path(stem).stem or stem
        name, again = stem, 2
        while name in names:
            name, again = f"{stem}-{again}", again + 1
        names.append(name)
    return names
