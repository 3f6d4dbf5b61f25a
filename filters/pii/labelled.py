"""Texts in which somebody has marked the personal data: what a search for them is measured against.

Two forms are read, told apart by their content: lines of {"text": ..., "spans": [{"start", "end", "kind"}]}, and the
JSON of presidio-research, an array (or lines) of {"full_text": ..., "spans": [{"entity_type", "start_position",
"end_position", "entity_value"}]}. Plain, gzip or zstd. Offsets count characters; where a span repeats its value, the
value is compared with the text, since offsets that count bytes or UTF-16 units would measure something else unseen.

presidio-research: https://github.com/microsoft/presidio-research (MIT).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...console import RequestError
from ..listfiles import blocks, require

KEY = "--truth"  # what errors name


class Span(NamedTuple):
    """Characters [start, end) of a text are personal data of a kind, which need not be one that we know."""

    start: int
    end: int
    kind: str


class Labelled(NamedTuple):
    """A text, what is marked in it, and where it stands: the name of its file and the line, or place in an array."""

    text: str
    spans: frozenset[Span]
    language: str | None
    place: str


def read_labelled(paths: Iterable[str | Path], labels: Mapping[str, str] | None = None) -> Iterator[Labelled]:
    """The labelled texts of files. Raises RequestError, which names the record, for what is not of either form.

    `labels`: what kinds of the texts are called here.
    """
    for path in paths:
        name, found = Path(path).name, False
        for number, value in _values(require(KEY, path)):
            found = True
            yield _labelled(value, labels or {}, f"{name}:{number}")
        if not found:
            raise RequestError(f"{KEY}: {path}: holds no text")


def _values(path: str) -> Iterator[tuple[int, Any]]:
    """(line, value) of a file of lines, (place from 1, value) of an array."""
    line, whole = 0, bytearray()
    for block in blocks(KEY, path):
        if whole or (line == 0 and block.lstrip().startswith(b"[")):
            whole += block
            continue
        for raw in block.removesuffix(b"\n").split(b"\n"):
            line += 1
            if raw.strip():
                yield line, _parsed(raw, f"{path}:{line}")
    if whole:
        yield from enumerate(_parsed(bytes(whole), path), 1)


def _parsed(raw: bytes, place: str) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise RequestError(f"{KEY}: {place}: is not valid JSON") from None


def _labelled(record: Any, labels: Mapping[str, str], place: str) -> Labelled:
    text = _field(record, ("text", "full_text"), str, place)
    spans = _field(record, ("spans",), list, place)
    language = record.get("language")
    read = (_span(span, text, f"{place}: span {number}") for number, span in enumerate(spans, 1))
    marked = frozenset(span._replace(kind=labels.get(span.kind, span.kind)) for span in read)
    return Labelled(text, marked, language if isinstance(language, str) else None, place)


def _span(span: Any, text: str, place: str) -> Span:
    start = _field(span, ("start", "start_position"), int, place)
    end = _field(span, ("end", "end_position"), int, place)
    kind = _field(span, ("kind", "type", "entity_type"), str, place)
    if not 0 <= start < end <= len(text):
        raise RequestError(f"{KEY}: {place}: [{start}, {end}) is no part of a text of {len(text):,} characters")
    value = span.get("value", span.get("entity_value"))
    if value is not None and value != text[start:end]:
        raise RequestError(f"{KEY}: {place}: its value does not stand at [{start}, {end}), counted in characters")
    return Span(start, end, kind)


def _field(record: Any, names: tuple[str, ...], kind: type, place: str) -> Any:
    """The first of some fields that a record has. Raises RequestError where there is none, or of another type."""
    if not isinstance(record, dict):
        raise RequestError(f"{KEY}: {place}: expected an object, found {type(record).__name__}")
    name = next((name for name in names if name in record), names[0])
    value = record.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        found = "nothing" if value is None else type(value).__name__
        raise RequestError(f"{KEY}: {place}: {name}: expected {_NAMES[kind]}, found {found}")
    return value


_NAMES = {str: "text", list: "a list", int: "a whole number"}
