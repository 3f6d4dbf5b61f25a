"""JSON lines, plain or packed with gzip or zstd: one object a line.

A line that is not UTF-8, not JSON, no object or has no text becomes a ledger row and never ends the file. The record
number is the line's place in the file from 0, blank lines counted, so that `sed -n "$((record + 1))p"` shows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ...document import json_text
from .batches import Part, PartBuilder
from .streams import lines

# Deeper values would meet Python's recursion limit in one process and not in another
MAX_DEPTH = 100
NESTED = frozenset({dict, list})

_decode = msgspec.json.Decoder().decode


def read(unit: dict[str, Any]) -> Iterator[Part]:
    """Parts of the file of a unit of input (see `readers.plan`)."""
    build = PartBuilder(unit["source"])
    packed = not unit["path"].lower().endswith((".jsonl", ".json", ".ndjson"))
    text_field, id_field, limit = unit["text_field"], unit["id_field"], unit["max_record_bytes"]
    for line in lines(unit["path"], limit):
        if line.cut:
            build.reject(line.number, "truncated", line.data or b"", value=line.size)
        elif line.data is None:
            build.reject(line.number, "too_large", line.head, value=line.size, threshold=limit)
        elif line.data and not line.data.isspace():
            _record(build, line.number, line.data, None if packed else line.offset, text_field, id_field)
        if build.full:
            yield build.take()
    yield build.take()


def _record(build: PartBuilder, number: int, data: bytes, offset: int | None, text_field: str, id_field: str) -> None:
    try:
        value = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            build.reject(number, "utf8", data, value=error.start)
        else:
            build.reject(number, "json", data)
        return
    if not isinstance(value, dict):
        build.reject(number, "json", data, detail=json_text({"found": type(value).__name__, "expected": "object"}))
    elif _deep(value):
        build.reject(number, "json", data)
    else:
        document(build, number, value, offset, data, text_field, id_field)


def _deep(value: Any) -> bool:
    """Whether a value is nested deeper than MAX_DEPTH."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [v for outer in level for v in (outer.values() if type(outer) is dict else outer) if type(v) in NESTED]
        if not level:
            return False
    return True


def document(
    build: PartBuilder, number: int, value: dict, offset: int | None, raw: bytes, text_field: str, id_field: str
) -> None:
    """Add one parsed record; shared with the other readers of fields."""
    text = value.pop(text_field, None)
    if not isinstance(text, str):
        found = "nothing" if text is None else type(text).__name__
        build.reject(number, "schema", raw, detail=json_text({"field": text_field, "expected": "text", "found": found}))
        return
    id = value.pop(id_field, None)
    if id is not None and not isinstance(id, str):
        id = json_text(id)
    build.add(number, text, value, id=id or None, offset=offset)
