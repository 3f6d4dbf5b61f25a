"""Which files a recipe reads, in which units, by which reader.

A unit of input is a whole file, or a range of row groups of a Parquet file. Boundaries depend on the files and the
recipe alone, never on workers, cores or memory.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from ...console import RequestError
from .batches import Part

PACKED = ("", ".gz", ".zst")
FORMATS = {
    "jsonl": [stem + end for stem in (".jsonl", ".json", ".ndjson") for end in PACKED],
    "parquet": [".parquet"],
    "warc": [stem + end for stem in (".warc", ".wet") for end in ("", ".gz")],
    "plain": [stem + end for stem in (".txt", ".md", ".rst") for end in PACKED],
}
UNIT_BYTES = 256 << 20  # of a Parquet file's row groups, unpacked


def format_of(path: str) -> str | None:
    """The name of the reader that a file's name calls for."""
    name = os.path.basename(path).lower()
    return next((kind for kind, ends in FORMATS.items() if name.endswith(tuple(ends))), None)


def find(patterns: Sequence[str]) -> list[str]:
    """The files that paths, folders and patterns name, sorted. Raises RequestError where one names nothing."""
    found: set[str] = set()
    for pattern in patterns:
        if os.path.isdir(pattern):
            inside = [str(p) for p in sorted(Path(pattern).rglob("*")) if p.is_file() and format_of(str(p))]
            if not inside:
                raise RequestError(f"{pattern}: no file of a known kind in this folder ({_known()})")
            found.update(inside)
            continue
        matches = [pattern] if os.path.exists(pattern) else glob.glob(pattern, recursive=True)
        if not matches:
            raise RequestError(f"{pattern}: no such file, folder or pattern")
        for path in matches:
            if os.path.isdir(path):
                found.update(find([path]))
            elif format_of(path) is None:
                raise RequestError(f"{path}: not a file of a known kind ({_known()})")
            else:
                found.add(path)
    return sorted(os.path.abspath(p) for p in found)


def _known() -> str:
    return " ".join(end for ends in FORMATS.values() for end in ends)


def units(
    patterns: Sequence[str], root: str | None, options: dict[str, Any], output: str | None = None
) -> list[dict[str, Any]]:
    """The units of input, ordered by source: what a reader needs, and `stamp`, which tells whether it changed.

    What lies in `output` is no input, though a folder that is may hold it. Raises RequestError.
    """
    paths = find(patterns)
    if output is not None:
        inside = os.path.abspath(output) + os.sep
        paths = [path for path in paths if not path.startswith(inside)]
        if not paths:
            raise RequestError(f"{output}: all files of the input lie in the output")
    base = os.path.abspath(root) if root else os.path.commonpath([os.path.dirname(p) for p in paths])
    result = []
    for path in paths:
        source = os.path.relpath(path, base)
        if source.startswith(".."):
            raise RequestError(f"{path}: lies outside input.root ({base})")
        if not _is_utf8(source):
            raise RequestError(f"{os.fsencode(path)!r}: this file's name is not valid UTF-8; rename it")
        status = os.stat(path)
        unit = {"source": source, "path": path, "format": format_of(path), **options}
        stamp = [source, status.st_size, status.st_mtime_ns]
        if unit["format"] != "parquet":
            result.append({**unit, "name": source, "size": status.st_size, "stamp": stamp})
            continue
        for first, last, row, size in _ranges(path, options["text_field"]):
            name = f"{source}#{first}-{last}"
            more = {"row_groups": [first, last], "first_row": row, "size": size}
            result.append({**unit, **more, "name": name, "stamp": [*stamp, first, last]})
    return result


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # Python's escapes for other bytes
        return False
    return True


def _ranges(path: str, text_field: str) -> Iterator[tuple[int, int, int, int]]:
    """(first group, end group, first row, bytes) of consecutive row groups of at most UNIT_BYTES together."""
    from .parquet import row_groups

    groups = row_groups(path, text_field)
    first = size = 0
    for i, (_, _, bytes_) in enumerate(groups):
        if i > first and size + bytes_ > UNIT_BYTES:
            yield first, i, groups[first][0], size
            first, size = i, 0
        size += bytes_
    yield first, len(groups), groups[first][0] if groups else 0, size


def read(unit: dict[str, Any]) -> Iterator[Part]:
    """The parts of a unit of input."""
    return import_module(f".{unit['format']}", __package__).read(unit)
