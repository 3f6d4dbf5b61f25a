"""What every reader gives: batches of documents, the records that could not be read, and counts of what is no record.

A reader yields `Part`s of about 1,000 documents or 4 MB, whichever comes first, so that memory follows the largest
record and not the file. Values travel as Python objects only between the parser and the Arrow builder below.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from ...document import DOCUMENT, damaged_key, json_text, make_key

ROWS, BYTES = 1000, 4 << 20

# In flight a document also says what kind of text it holds; extraction turns text/html into text.
READ = DOCUMENT.append(pa.field("media", pa.string()))


@dataclass(frozen=True)
class Damaged:
    """A record that ends here: it could not be read as a document."""

    record: int
    rule: str  # utf8 | json | schema | truncated | too_large | damaged | http_status | media | revisit | empty
    key: bytes
    value: float | None = None
    threshold: float | None = None
    detail: str | None = None  # JSON; never quotes the record
    id: str | None = None


@dataclass
class Part:
    """A stretch of one input file, in file order."""

    batch: pa.RecordBatch  # of schema READ
    damaged: list[Damaged]
    skipped: Counter[str]  # records that are no documents (WARC requests, ...), by kind


BAD_RULES = frozenset({"utf8", "json", "schema", "truncated", "too_large", "damaged"})  # what `max_bad_records` counts


KNOWN = ("url", "date", "language")  # fields that have a column
NOTHING_KNOWN = (None, None, None)


@dataclass
class PartBuilder:
    """Collects documents of one file into parts."""

    source: str
    columns: list[list] = field(default_factory=lambda: [[] for _ in READ])
    damaged: list[Damaged] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    size: int = 0

    def add(
        self,
        record: int,
        text: str,
        fields: Mapping[str, Any],
        *,
        id: str | None = None,
        offset: int | None = None,
        media: str = "text/plain",
    ) -> None:
        """One document. `fields`: every other field of the record, hashed into the key and kept in the metadata."""
        key = make_key(id, text, fields)
        known, metadata = NOTHING_KNOWN, "{}"
        if fields:
            known = tuple(_text_or_none(fields.get(name)) for name in KNOWN)
            taken = {name for name, value in zip(KNOWN, known, strict=True) if value is not None}
            rest = {k: v for k, v in fields.items() if k not in taken and v is not None}
            metadata = json_text(rest) if rest else "{}"
        row = (id or key.hex(), key, text, self.source, record, offset, *known, metadata, media)
        for column, value in zip(self.columns, row, strict=True):
            column.append(value)
        self.size += len(text)

    def reject(self, record: int, rule: str, raw: bytes, **more: Any) -> None:
        """One record that is no document: its terminal ledger row will say `rule`."""
        self.damaged.append(Damaged(record, rule, damaged_key(raw), **more))

    @property
    def full(self) -> bool:
        """Whether it is time to `take`."""
        return len(self.columns[0]) >= ROWS or self.size >= BYTES or len(self.damaged) >= ROWS

    def take(self) -> Part:
        """What was collected, and start anew."""
        arrays = [pa.array(values, f.type) for values, f in zip(self.columns, READ, strict=True)]
        part = Part(pa.RecordBatch.from_arrays(arrays, schema=READ), self.damaged, self.skipped)
        self.columns, self.damaged, self.skipped, self.size = [[] for _ in READ], [], Counter(), 0
        return part


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else value.isoformat() if hasattr(value, "isoformat") else None
