"""Plain text: one document a file, plain or packed with gzip or zstd."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .batches import Part, PartBuilder
from .streams import Truncated, beginning, chunks


def read(unit: dict[str, Any]) -> Iterator[Part]:
    """The one part of a text file: its document, or the row that says why there is none."""
    build = PartBuilder(unit["source"])
    held, head, size, limit = [], b"", 0, unit["max_record_bytes"]
    try:
        for chunk in chunks(unit["path"]):
            size += len(chunk)
            if size <= limit:
                held.append(chunk)
            elif not head:
                head, held = beginning([*held, chunk]), []
    except Truncated:
        build.reject(0, "truncated", head or beginning(held), value=size)
        yield build.take()
        return
    if size > limit:
        build.reject(0, "too_large", head, value=size, threshold=limit)
    else:
        data = b"".join(held)
        try:
            build.add(0, data.decode("utf-8-sig").replace("\r\n", "\n"), {}, offset=0)
        except UnicodeDecodeError as error:
            build.reject(0, "utf8", data, value=error.start)
    yield build.take()
